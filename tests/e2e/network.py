"""A network between a browser and the bridge that can be cut, as when somebody walks out of a Wi-Fi."""

import asyncio
from types import TracebackType
from typing import Any, Self

from tests.e2e.chromium import Device
from tests.peers.process import LOOPBACK

Address = tuple[str, int]


class _End(asyncio.DatagramProtocol):
    """One side of a relay."""

    def __init__(self) -> None:
        self.other: _End | None = None
        self.peer: Address | None = None
        """Where to send: who has sent last, or the bridge's socket."""
        self.is_cut = False

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.peer = (addr[0], addr[1])
        if self.other is not None and self.other.peer is not None and not self.is_cut:
            self.other.transport.sendto(data, self.other.peer)


class Network:
    """All media of a device goes through relays from here on, one for each socket of the bridge that it is told of."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._ends: list[_End] = []

    async def __aenter__(self) -> Self:
        await self._device.page.expose_function("relayFor", self._relay_for)
        await self._device.page.evaluate("device.goThroughRelays()")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in self._ends:
            end.transport.close()

    def cut(self) -> None:
        """Lose everything on the ways that are known so far; those of an ICE restart come after."""
        for end in self._ends:
            end.is_cut = True

    async def _relay_for(self, port: int) -> int:
        front, back = await self._open(), await self._open()
        front.other, back.other = back, front
        back.peer = (LOOPBACK, port)
        return front.port

    async def _open(self) -> _End:
        _, end = await asyncio.get_running_loop().create_datagram_endpoint(_End, local_addr=(LOOPBACK, 0))
        self._ends.append(end)
        return end
