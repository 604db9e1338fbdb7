"""The whole application in this process, between a scripted homeserver and a scripted telephone."""

import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from bridge.app.application import Application
from bridge.app.life_cycle import LifeCycle
from bridge.config import load_config
from bridge.core.ids import RoomId, TrunkName, UserId
from bridge.ops.service_manager import ServiceManager
from bridge.sip.events import SipEvent
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.clients.client import Client
from tests.e2e.running_bridge import Bridge, Section
from tests.e2e.scripted_users import AS_TOKEN, HS_TOKEN
from tests.homeserver import ScriptedHomeserver
from tests.homeserver_model import Event
from tests.peers.process import LOOPBACK, free_port
from tests.sip.phone import Phone, ring

SERVER_NAME = "example.org"
PHONE = "+15550100"
GHOST = UserId(f"@_sip_{PHONE}:{SERVER_NAME}")
RING_TIMEOUT_S = 20
_PEOPLE = 1000

AnyClient = TypeVar("AnyClient", bound=Client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A Matrix user with a number of their own and a direct room with the phone's ghost."""

    user_id: UserId
    number: str
    room_id: RoomId


@dataclass(slots=True, kw_only=True)
class House:
    """What the tests share."""

    homeserver: ScriptedHomeserver
    bridge: Bridge
    phone_port: int
    mute_port: int
    """Nobody answers connectivity checks here."""
    application: contextlib.AsyncExitStack
    """What runs the bridge."""
    _next_person: "itertools.count[int]" = field(default_factory=itertools.count)
    _next_device: "itertools.count[int]" = field(default_factory=itertools.count)

    async def restart(self) -> None:
        """End the bridge in an orderly way, and start it on the same database."""
        await self.application.aclose()
        await self.start()

    async def start(self) -> None:
        """Start the bridge."""
        application = Application(load_config(self.bridge.config))
        life = LifeCycle(
            drain_limit_s=0.0,
            read_config=lambda: load_config(self.bridge.config),
            service_manager=ServiceManager({}),
            telemetry=application.telemetry,
        )
        life.started(await self.application.enter_async_context(application.running()))

    def newcomer(self) -> Person:
        """Somebody new, without a room."""
        index = next(self._next_person)
        user_id = self.homeserver.add_user(f"person{index}")
        return Person(user_id=user_id, number=_number(index), room_id=RoomId(""))

    async def person(self) -> Person:
        """Somebody new, who has opened a direct room with the ghost."""
        newcomer = self.newcomer()
        return replace(newcomer, room_id=await self.room(newcomer.user_id))

    async def room(self, user_id: UserId, ghost: UserId = GHOST) -> RoomId:
        """A direct room of a user with a ghost, of which the bridge has taken note."""
        room_id = await self.homeserver.create_dm(user_id, ghost)
        await self.homeserver.wait_until(lambda: self._was_read(room_id))
        return room_id

    def client(self, kind: type[AnyClient], person: Person) -> AnyClient:
        """Another device of a person."""
        return kind(self.homeserver, person.user_id, f"DEVICE{next(self._next_device)}", port=self.mute_port)

    def phone(self, on_event: Callable[[Phone, SipEvent], None] = ring) -> Phone:
        """The telephone; it rings until the test says otherwise."""
        trunk = Trunk(
            name=TrunkName("bridge"),
            host=LOOPBACK,
            port=self.bridge.sip_port,
            transport=Transport.UDP,
            auth=TrunkAuth.ADDRESS,
        )
        return Phone(trunk, on_event=on_event, port=self.phone_port)

    def said(self, person: Person) -> list[Event]:
        """What the ghost has sent in a person's room, its joining left out."""
        events = self.homeserver.events(person.room_id)
        return [event for event in events if event["sender"] == GHOST and not event["type"].startswith("m.room.member")]

    async def told(self, person: Person, *kinds: str) -> None:
        """Wait until the ghost has sent these kinds of events (without `m.call.`), in this order and no others."""
        with contextlib.suppress(TimeoutError):  # what came instead says more
            await self.homeserver.wait_until(lambda: len(self._kinds(person)) >= len(kinds))
        await self.bridge.wait_metric("calls_active", 0)
        await self.bridge.wait_metric("matrix_outbox_depth", 0)
        await self.homeserver.wait_idle()
        assert self._kinds(person) == list(kinds), self._kinds(person)

    def _was_read(self, room_id: RoomId) -> bool:
        path = f"/rooms/{quote(room_id, safe='')}/messages"
        return any(path in asked for _, asked, _ in self.homeserver.requests)

    def _kinds(self, person: Person) -> list[str]:
        return [event["type"].removeprefix("m.call.") for event in self.said(person)]


def _number(index: int) -> str:
    return f"+1555900{index:04}"


@asynccontextmanager
async def open_house(directory: Path, trunk: Section | None = None, **more: Section) -> AsyncIterator[House]:
    """Start everything; `Bridge` only writes the configuration and reads the metrics, the application runs here.

    `trunk` adds settings to the trunk, `more` to sections of the configuration.
    """
    phone_port = free_port()
    async with ScriptedHomeserver(server_name=SERVER_NAME, as_token=AS_TOKEN, hs_token=HS_TOKEN) as homeserver:
        settings: dict[str, Section] = {
            "trunks": {"phone": {"server": f"{LOOPBACK}:{phone_port}", "caller_id": "+15550199", **(trunk or {})}},
            "numbers": {"inbound": {_number(n): f"@person{n}:{SERVER_NAME}" for n in range(_PEOPLE)}},
            "permissions": {"outbound": [{"who": [SERVER_NAME], "prefixes": ["+1555"]}]},
            "calls": {"ring_timeout_s": RING_TIMEOUT_S},
        }
        for name, section in more.items():
            settings[name] = {**settings.get(name, {}), **section}
        bridge = Bridge(directory, homeserver_url=homeserver.url, server_name=SERVER_NAME, settings=settings)
        bridge.use_tokens(as_token=AS_TOKEN, hs_token=HS_TOKEN)
        bridge.write_config()
        homeserver.connect(f"http://{LOOPBACK}:{bridge.appservice_port}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind((LOOPBACK, 0))
            async with contextlib.AsyncExitStack() as application:
                house = House(
                    homeserver=homeserver,
                    bridge=bridge,
                    phone_port=phone_port,
                    mute_port=mute.getsockname()[1],
                    application=application,
                )
                await house.start()
                yield house
