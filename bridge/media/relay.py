"""A TURN allocation (RFC 8656) in the place of a socket: what an ICE agent sends on it goes out where the server is.

aioice speaks with the server; packets are sent here, without a task for each of them. Channel data (RFC 8656 §12.4) is
all that a packet path needs to know of TURN: `hand_over` gives it a descriptor on which each datagram is one message;
for a connection (TCP, TLS) that of a pair of sockets whose other end is pumped here.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from typing import Any

from aioice import stun, turn
from aioice.ice import StunProtocol

from bridge.media.ice_servers import TurnServer, TurnTransport
from bridge.media.latch import Address

NOBODY: Address = ("0.0.0.0", 0)  # noqa: S104  (compared, not bound)
"""Source of what a packet path read on a relay's descriptor and does not know: the server itself, or a new channel."""
GOODBYE_S = 1.0
"""How long an allocation may take to be given back; it ends by itself when that fails."""
REFRESH_S = 240
"""A channel's permission ends after five minutes (RFC 8656 §9)."""
_LIFETIME_S = 600
_MOST_WAITING = 64
_ROOM = 2048
_MOST_BUFFERED = 65_536
_CHANNELS = range(0x40, 0x50)
"""First octets of channel data (RFC 8656 §12.4)."""


class _ByConnection(turn.TurnClientTcpProtocol):
    """A server at the other end of a connection, whose channel data someone else may take."""

    taker: socket.socket | None = None

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        if self.taker is not None and isinstance(data, bytes) and data[0] in _CHANNELS:
            # A full buffer loses packets, as any network does.
            with contextlib.suppress(OSError):
                self.taker.send(data)
        else:
            super().datagram_received(data, addr)


class RelayTransport(asyncio.DatagramTransport):
    """What aioice's protocols take for their socket."""

    def __init__(self, client: turn.TurnClientProtocol) -> None:
        super().__init__()
        self.client = client
        self._sends: set[asyncio.Task[None]] = set()
        self._giving_back: asyncio.Task[None] | None = None
        self._pair: list[socket.socket] = []
        """For a connection: our end and that of the other reader."""
        self._unread = -1
        """The descriptor that someone else reads."""

    @property
    def _inner(self) -> Any:
        return self.client.transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The relayed address stands for the socket's own, the mapped one is its related address (RFC 8839 §5.1)."""
        known = {"sockname": self.client.relayed_address, "related_address": self.client.mapped_address}
        return known.get(name, default)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send to a peer: at once where a channel is bound, else as soon as it is."""
        if self.is_closing():
            return
        channel = self.client.peer_to_channel.get(addr)
        if channel is not None and time.time() <= self.client.channel_refresh_at[channel]:
            self.client._send(struct.pack("!HH", channel, len(data)) + data)
        elif len(self._sends) < _MOST_WAITING:
            task = asyncio.create_task(self.client.send_data(data, addr))
            self._sends.add(task)
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        """A channel that cannot be bound loses what was sent, as any network does; the next packet tries again."""
        self._sends.discard(task)
        if not task.cancelled():
            task.exception()

    def get_write_buffer_size(self) -> int:
        size: int = self._inner.get_write_buffer_size()
        return size

    def is_closing(self) -> bool:
        return self._giving_back is not None or self._inner.is_closing()

    def close(self) -> None:
        """Give the allocation back, then close: nobody waits for a server that is dead."""
        if self._giving_back is None:
            self._read_again()
            self._giving_back = asyncio.create_task(self._give_back())

    async def _give_back(self) -> None:
        for task in self._sends:
            task.cancel()
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, stun.TransactionError):
                async with asyncio.timeout(GOODBYE_S):
                    await self.client.delete()
        finally:
            self._inner.close()

    def abort(self) -> None:
        """Close at once."""
        self._read_again()
        self._inner.abort()

    # Another reader

    @property
    def channels(self) -> list[tuple[int, Address]]:
        """What each channel stands for."""
        return list(self.client.channel_to_peer.items())

    def hand_over(self) -> int:
        """Let someone else read and write channel data; the descriptor for it, one message a datagram."""
        loop: Any = asyncio.get_running_loop()
        if isinstance(self.client, _ByConnection):
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            for end in pair:
                end.setblocking(False)
            self.client.taker, self._pair = pair[0], list(pair)
            loop.add_reader(pair[0], self._pump)
            return pair[1].fileno()
        self._unread = self._inner.get_extra_info("socket").fileno()
        loop._remove_reader(self._unread)
        return self._unread

    def _pump(self) -> None:
        """One message of the other reader's for the server."""
        message = self._pair[0].recv(_ROOM)
        if not self.is_closing() and self.get_write_buffer_size() <= _MOST_BUFFERED:
            self.client._send(message)

    def take_back(self, datagram: bytes) -> None:
        """A message that the other reader could make nothing of."""
        self.client.datagram_received(datagram, self.client.server)

    def _read_again(self) -> None:
        """Whoever read in our place does so no more, and the server's last answer is still to come."""
        loop: Any = asyncio.get_running_loop()
        if self._pair:
            loop.remove_reader(self._pair[0])
        if self._unread >= 0 and not self._inner.is_closing():
            loop._add_reader(self._unread, self._inner._read_ready)
        if isinstance(self.client, _ByConnection):
            self.client.taker = None
        while self._pair:
            self._pair.pop().close()
        self._unread = -1


async def open_relay(
    server: TurnServer, address: Address, protocol: StunProtocol, *, wall: float, tls: ssl.SSLContext | None
) -> RelayTransport:
    """Make an allocation on which `protocol` speaks; `tls` says who is trusted, if the server is reached by TLS.

    Raises `OSError` or `aioice.stun.TransactionError` when there is none to be had; the time that the server may take
    is the caller's to limit.
    """
    loop = asyncio.get_running_loop()
    username, password = server.credentials(wall)
    needs = (address, username, password, _LIFETIME_S, REFRESH_S)
    client: turn.TurnClientProtocol
    if server.transport is TurnTransport.UDP:
        _, client = await loop.create_datagram_endpoint(lambda: turn.TurnClientUdpProtocol(*needs), remote_addr=address)
    else:
        _, client = await loop.create_connection(
            lambda: _ByConnection(*needs),
            *address,
            ssl=tls,
            server_hostname=None if tls is None else server.host,
        )
    transport = RelayTransport(client)
    try:
        await client.connect()
    except BaseException:
        transport.abort()
        raise
    client.receiver = protocol
    protocol.connection_made(transport)
    return transport
