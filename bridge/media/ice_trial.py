"""One question to a STUN or TURN server, outside of any call: whether it gives what calls would ask it for.

Raises what `FAILURES` names when it does not; the time that a server may take is the caller's to limit.
"""

import asyncio
import socket
from typing import Any, cast

from aioice import Connection, stun
from aioice.ice import StunProtocol

from bridge.media.gathering import binding
from bridge.media.ice_servers import IceServers, StunServer, TurnServer, TurnTransport
from bridge.media.latch import Address
from bridge.media.relay import open_relay

FAILURES = (OSError, TimeoutError, stun.TransactionError)
_ANYWHERE = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104  (for one question and its answer)


class _NoCall:
    """Whom an ICE agent's socket tells what comes; there is no agent, and nothing but answers is taken."""

    def protocol_lost(self, protocol: StunProtocol) -> None:
        """Whoever asked knows."""

    def data_received(self, data: bytes, component: int | None) -> None:
        """Nobody has sent us anything."""

    def request_received(self, message: stun.Message, addr: Address, protocol: StunProtocol) -> None:
        """Nobody has a reason to ask us."""


def _protocol() -> StunProtocol:
    return StunProtocol(cast(Connection, _NoCall()))


async def reflexive_address(server: StunServer, servers: IceServers, family: socket.AddressFamily) -> Address | None:
    """Under which address a server sees a socket of this machine; `None` when it does not say."""
    address = await servers.address(server, family)
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(_protocol, local_addr=(_ANYWHERE[family], 0))
    try:
        return await binding(protocol, address)
    finally:
        protocol.transport.abort()


async def relayed_address(server: TurnServer, servers: IceServers) -> Address:
    """An address that a server lends us; it is given back at once."""
    address = await servers.address(server, socket.AF_UNSPEC)
    protocol: Any = _protocol()
    tls = servers.tls if server.transport is TurnTransport.TLS else None
    relay = await open_relay(server, address, protocol, wall=servers.clock.wall(), tls=tls)
    lent: Address = relay.get_extra_info("sockname")
    await protocol.close()
    return lent
