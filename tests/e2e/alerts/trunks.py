"""Trunks that go away, and people who play with the SIP port."""

import asyncio
import functools
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from structlog.testing import capture_logs

from bridge.sip.message import Request
from bridge.sip.parser import parse_message
from tests.clients.house import House, open_house
from tests.e2e.alerts.place import Place
from tests.e2e.alerts.story import Story
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port

STRANGER = "127.0.0.66"
_SHORTEST_S = 10
"""A registration that is granted for less counts as none."""
_WATCHED = {"options_interval_s": 1.0, "options_misses": 1, "options_recoveries": 1}
_BURST = 100
"""Datagrams, fewer than a socket holds."""


class Registrar(asyncio.DatagramProtocol):
    """Believes everybody (RFC 3261 §10.3), or nobody any more."""

    transport: asyncio.DatagramTransport
    believes = True
    grants_s = 3600

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, payload: bytes, source: tuple[str, int]) -> None:
        request = parse_message(payload)
        if isinstance(request, Request) and request.method == "REGISTER":
            granted = [("Contact", f"<{contact.uri}>;expires={self.grants_s}") for contact in request.contacts]
            status = 200 if self.believes else 403
            self.transport.sendto(bytes(request.response(status, to_tag="registrar", headers=granted)), source)


@dataclass(slots=True, kw_only=True)
class Trunks:
    """A phone that is watched, and a provider at which the bridge registers."""

    house: House
    story: Story
    registrar: Registrar
    _phone: AsyncExitStack

    async def plug_in(self) -> None:
        """The phone is there."""
        await self._phone.enter_async_context(self.house.phone())
        await self.house.bridge.wait_metric("trunk_up", 1, trunk="phone")

    async def unplug(self) -> None:
        """It is gone."""
        await self._phone.aclose()
        await self.house.bridge.wait_metric("trunk_up", 0, trunk="phone")

    async def lose_registration(self) -> None:
        """The provider has another password than we, and the registration ends."""
        bridge = self.house.bridge
        self.registrar.grants_s = _SHORTEST_S
        await self._restart()
        self.registrar.believes = False
        await bridge.wait_metric("trunk_up", 0, trunk="provider", limit_s=PATIENCE_S)

        async def is_over() -> bool:
            return await bridge.metric("registration_expires_timestamp_seconds", trunk="provider") < time.time()

        await until(is_over, lambda: "the registration does not end", limit_s=PATIENCE_S)

    async def register_again(self) -> None:
        """The password is right again, and the bridge is started again: by itself it tries only after a while."""
        self.registrar.believes, self.registrar.grants_s = True, 3600
        await self._restart()

    async def _restart(self) -> None:
        await self.house.restart()
        await self.house.bridge.wait_metric("matrix_homeserver_up", 1)
        await self.house.bridge.wait_metric("trunk_up", 2)

    async def send(self, source: str, payload: bytes, times: int) -> None:
        """So many datagrams from an address; returns when the bridge has looked at all of them."""

        async def seen() -> float:
            dropped = await self.house.bridge.metric("sip_dropped_total")
            return dropped + await self.house.bridge.metric("sip_parse_errors_total")

        async def reached(count: float) -> bool:
            return await seen() >= count

        before = await seen()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            for sent in range(1, times + 1):
                sender.sendto(payload, (LOOPBACK, self.house.bridge.sip_port))
                if sent % _BURST == 0:
                    await until(
                        functools.partial(reached, before + sent), lambda: "datagrams got lost", limit_s=PATIENCE_S
                    )
        # OPTIONS may have got lost among them.
        await self.house.bridge.wait_metric("trunk_up", 1, trunk="phone")


async def a_phone_goes_away(scene: Trunks) -> None:
    """It does not answer OPTIONS any more, and the provider is still there."""
    await scene.unplug()
    await scene.story.passes(5, "TrunkDown", title="the phone is unplugged")
    await scene.plug_in()
    await scene.story.passes(5)


async def everything_goes_away(scene: Trunks) -> None:
    """The provider first: the registration ends and is not renewed."""
    await scene.lose_registration()
    await scene.story.passes(5, "TrunkDown", "RegistrationNotRefreshed", title="the provider refuses us")
    await scene.unplug()
    await scene.story.passes(5, "TrunkDown", "RegistrationNotRefreshed", "NoTrunkUp", title="the phone as well")
    await scene.plug_in()
    await scene.register_again()
    await scene.story.passes(5)


async def strangers_look_for_a_way_in(scene: Trunks) -> None:
    """They send SIP from an address of no trunk."""
    await scene.send(STRANGER, b"OPTIONS sip:100@127.0.0.1 SIP/2.0\r\n\r\n", 1000)
    await scene.story.passes(30, "StrangersAtThePort", title="a scanner has found the port")
    await scene.story.passes(20)


async def noise_comes_from_a_trunk(scene: Trunks) -> None:
    """Datagrams that are no SIP, which are dropped unread."""
    await scene.send(LOOPBACK, b"\x16\x03\x01\x00\xa5noise", 12_000)
    await scene.story.passes(3, "UnreadableMessages", title="a trunk sends noise")
    await scene.story.passes(5)


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[Trunks]:
    port = free_port()
    provider = {"server": f"{LOOPBACK}:{port}", "auth": "register", "username": "us", "password": "secret"}
    loop = asyncio.get_running_loop()
    transport, registrar = await loop.create_datagram_endpoint(Registrar, local_addr=(LOOPBACK, port))
    async with AsyncExitStack() as stack, AsyncExitStack() as phone:
        stack.callback(transport.close)
        stack.enter_context(capture_logs())
        house = await stack.enter_async_context(open_house(directory, _WATCHED, trunks={"provider": provider}))
        scene = Trunks(house=house, story=Story(house.bridge.metrics), registrar=registrar, _phone=phone)
        await house.bridge.wait_metric("matrix_homeserver_up", 1)
        await house.bridge.wait_metric("trunk_up", 1, trunk="provider")
        await scene.plug_in()
        yield scene


PLACE = Place(
    name="trunks",
    opened=_opened,
    causes={
        "TrunkDown": a_phone_goes_away,
        "RegistrationNotRefreshed": everything_goes_away,
        "NoTrunkUp": everything_goes_away,
        "StrangersAtThePort": strangers_look_for_a_way_in,
        "UnreadableMessages": noise_comes_from_a_trunk,
    },
)
