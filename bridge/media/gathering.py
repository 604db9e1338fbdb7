"""Candidates that come from servers (RFC 8445 §5.1.1): our address behind a NAT by STUN, addresses of TURN servers.

The host candidates of a call are there at once. Servers are asked all at the same time, and a description waits no
longer than `WAIT_S` for them; one that has not answered after `ANSWER_LIMIT_S` is left alone for a while. A relay that
is there after the description is used all the same: its checks reach the other side, which learns it as peer-reflexive.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Coroutine
from typing import Any

from aioice import Candidate, stun
from aioice.candidate import candidate_foundation
from aioice.ice import StunProtocol
from structlog.typing import FilteringBoundLogger

from bridge.core.telemetry import Telemetry
from bridge.media.ice import IceAgent
from bridge.media.ice_servers import IceServer, IceServers, StunServer, TurnServer, TurnTransport
from bridge.media.ice_socket import GuardedProtocol
from bridge.media.relay import open_relay

WAIT_S = 0.5
ANSWER_LIMIT_S = 5.0
KEEP_ALIVE_S = 15.0
"""A NAT may forget a mapping of UDP after half a minute (RFC 4787 §4.3 asks for two); it can ring for longer."""
_SRFLX_PREFERENCE = 100
_FAILURES = (OSError, TimeoutError, stun.TransactionError)
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class Gathering:
    """What servers do for one agent."""

    def __init__(self, agent: IceAgent, servers: IceServers, telemetry: Telemetry, log: FilteringBoundLogger) -> None:
        self._agent, self._servers = agent, servers
        self._telemetry, self._log = telemetry, log
        self._first: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reflexive: list[Candidate] = []

    @property
    def candidates(self) -> list[Candidate]:
        """Those that are known by now, beside the host candidates."""
        relays = [candidate for candidate in self._agent.local_candidates if candidate.type == "relay"]
        return [*self._reflexive, *relays]

    def start(self) -> None:
        """Ask every server that is worth it, for each of our sockets."""
        for protocol in self._agent.sockets:
            for server in self._servers.stun:
                self._begin(server, self._reflect(server, protocol))
        for relay in self._servers.turn:
            self._begin(relay, self._allocate(relay))

    def _begin(self, server: IceServer, asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(server, asking))
        self._first.add(task)
        task.add_done_callback(self._first.discard)

    async def wait(self) -> None:
        """Wait for answers, as long as a call may be delayed for them."""
        if self._first:
            await asyncio.wait(self._first, timeout=WAIT_S)

    async def _guarded(self, server: IceServer, asking: Coroutine[Any, Any, None]) -> None:
        """A server that fails is no reason for a call to fail, nor to be told of in each."""
        kind = "stun" if isinstance(server, StunServer) else "turn"
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await asking
        except _FAILURES as error:
            self._servers.failed(server)
            self._telemetry.count("ice_servers_asked_total", kind=kind, result="failed")
            self._log.warning("ice_server_failed", kind=kind, error=type(error).__name__, detail=str(error)[:200])
        except Exception as error:
            self._servers.failed(server)
            self._telemetry.count("internal_errors_total", component="media")
            self._log.exception("ice_gathering_failed", kind=kind, error=type(error).__name__)
        else:
            self._telemetry.count("ice_servers_asked_total", kind=kind, result="success")

    async def _reflect(self, server: StunServer, protocol: GuardedProtocol) -> None:
        """Learn under which address one of our sockets is seen, and keep it until the call has a path."""
        base = protocol.local_candidate
        family = _FAMILIES[ipaddress.ip_address(base.host).version]
        address = await self._servers.address(server, family)
        mapped = await binding(protocol, address)
        if mapped is None or any((known.host, known.port) == mapped for known in (base, *self._reflexive)):
            return
        self._reflexive.append(_reflexive(base, mapped))
        keeping = asyncio.create_task(self._keep(protocol, address))
        self._tasks.add(keeping)
        keeping.add_done_callback(self._tasks.discard)

    async def _keep(self, protocol: GuardedProtocol, address: tuple[str, int]) -> None:
        while not self._agent.is_closed and self._agent.nominated is None:
            await asyncio.sleep(KEEP_ALIVE_S)
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    await binding(protocol, address)
            except _FAILURES:
                continue

    async def _allocate(self, server: TurnServer) -> None:
        """Have an address at a TURN server: of IPv4, which is all that aioice asks for."""
        address = await self._servers.address(server, socket.AF_UNSPEC)
        protocol = GuardedProtocol(self._agent)
        tls = self._servers.tls if server.transport is TurnTransport.TLS else None
        await open_relay(server, address, protocol, wall=self._servers.clock.wall(), tls=tls)
        if not self._agent.add_relay(protocol):
            await protocol.close()

    async def close(self) -> None:
        """Ask no more."""
        tasks = [*self._first, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def binding(protocol: StunProtocol, address: tuple[str, int]) -> tuple[str, int] | None:
    """One Binding transaction (RFC 8489 §2): our address as the server sees it."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    response, _ = await protocol.request(request, address)
    mapped: tuple[str, int] | None = response.attributes.get("XOR-MAPPED-ADDRESS")
    return mapped


def _reflexive(base: Candidate, mapped: tuple[str, int]) -> Candidate:
    host, port = mapped
    return Candidate(
        foundation=candidate_foundation("srflx", "udp", base.host)[:8],
        component=1,
        transport="udp",
        priority=(_SRFLX_PREFERENCE << 24) + (base.priority & 0xFFFFFF),
        host=host,
        port=port,
        type="srflx",
        related_address=base.host,
        related_port=base.port,
    )
