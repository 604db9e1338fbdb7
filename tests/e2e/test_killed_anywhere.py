"""The process is killed at thirty moments of its calls: no phone is dialled twice, nobody is told twice, nothing stays.

Each time a user calls a phone, a phone calls a user, everybody answers at once and hangs up again, and the kill comes
somewhere in between. The next process finds what it finds, and every other time is killed while it clears up.
"""

import asyncio
import contextlib
import itertools
import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.calls import snapshot
from bridge.core.ids import DialogKey, RoomId, TrunkName, UserId
from bridge.sip.events import CallAnswered, CallReoffered, IncomingCall, SipEvent
from bridge.sip.saved import SavedLeg
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.e2e.exchange import Exchange, number_of, open_exchange
from tests.e2e.forked_bridge import ForkedBridge
from tests.e2e.scripted_users import ScriptedUser
from tests.e2e.waiting import until
from tests.e2e.webrtc import mute_answer, mute_offer
from tests.homeserver_model import Event
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK
from tests.sip.phone import Phone, eventually, sdp

KILLS = 30
_RINGS_S = 0.05
_CALL_ID = re.compile(r"^Call-ID: (\S+)", re.MULTILINE)
_FOUND = "call_left_over"
NOTHING = {"calls": 0, "outbox": 0, "events": 0}
_CLEARS_UP_S = 0.1
"""In this time a process ends what it finds, and writes its records."""


@dataclass(slots=True, kw_only=True)
class World:
    """Users who react at once, whether or not there is a bridge at the moment."""

    exchange: Exchange
    dialogs: dict[str, DialogKey] = field(default_factory=dict)
    """Of the phone, by their Call-IDs."""
    answered: set[DialogKey] = field(default_factory=set)
    """Those that the phone has answered, or that were answered to it."""
    due: set[DialogKey] = field(default_factory=set)
    """Those whose end the next process owes the phone."""
    left_over: set[str] = field(default_factory=set)
    """Calls that were written down when a process was killed."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def react(self, event: Event) -> None:
        """Join, answer what rings, hang up what was answered."""
        if not self.exchange.homeserver.is_ghost(event["sender"]):
            return
        if event["type"] == "m.room.member" and event["content"].get("membership") == "invite":
            self._do(self._join(event))
        elif event["type"] == "m.call.invite":
            self._do(self._user(event).answer(event["content"]["call_id"], self._sdp(mute_answer)))
        elif event["type"] == "m.call.answer":
            self._do(self._hang_up(event))

    async def call_the_phone(self, number: int) -> None:
        """One of the two calls of a round."""
        user = await self.exchange.user(f"caller{number}", f"+15550{number:05}")
        await user.invite(f"call{number}", self._sdp(mute_offer))

    def take(self, phone: Phone, event: SipEvent) -> None:
        """The phone answers after a moment, and hangs up when it was answered."""
        match event:
            case IncomingCall(dialog=dialog):
                self.dialogs[event.sip_call_id] = dialog
                phone.endpoint.ring(dialog)
                asyncio.get_running_loop().call_later(_RINGS_S, self._accept, phone, dialog)
            case CallReoffered(dialog=dialog):
                phone.endpoint.accept(dialog, sdp())
            case CallAnswered(dialog=dialog):
                self.answered.add(dialog)
                phone.endpoint.bye(dialog)
            case _:
                pass

    def _accept(self, phone: Phone, dialog: DialogKey) -> None:
        if phone.endpoint.sip_call_id(dialog) is not None:
            self.answered.add(dialog)
            phone.endpoint.accept(dialog, sdp())

    def dial(self, phone: Phone, number: int) -> None:
        """The other call of a round."""
        dialog = phone.call(number_of(number), f"+15551{number:05}")
        self.dialogs[str(phone.endpoint.sip_call_id(dialog))] = dialog

    async def lifetime_s(self, phone: Phone, number: int) -> float:
        """How long two calls last on this machine when nobody is killed: they are placed, answered and hung up."""
        began = time.monotonic()
        await self.call_the_phone(number)
        self.dial(phone, number)
        await phone.wait_until(lambda: len(self.dialogs) == len(self.answered) == 2)
        await eventually(lambda: phone.endpoint.open_dialogs == 0)
        return time.monotonic() - began

    def note_what_is_due(self) -> None:
        """What was written down can be ended; unless it says that the phone has not answered, and it just has.

        A call is written down some milliseconds after the phone was told of it. A process that is killed in between
        takes along whom it spoke to; whom it has answered itself is known from the INVITE.
        """
        store = self.exchange.directory / "trunkline.sqlite3"
        self.left_over |= calls_in_store(store)
        for leg in legs_in_store(store):
            found = _CALL_ID.search(leg.invite)
            sip_call_id = leg.dialog.sip_call_id if leg.dialog is not None else found[1] if found else ""
            dialog = self.dialogs[sip_call_id]
            if leg.dialog is not None or not leg.placed or dialog not in self.answered:
                self.due.add(dialog)

    async def settle(self, phone: Phone) -> None:
        """Wait until the phone has heard of the end of every call that it was owed."""

        async def all_over() -> bool:
            return not self._overdue(phone)

        await until(all_over, lambda: f"not ended: {self._overdue(phone)}", limit_s=PATIENCE_S)

    def _overdue(self, phone: Phone) -> list[DialogKey]:
        return [dialog for dialog in self.due if phone.endpoint.sip_call_id(dialog) is not None]

    def _sdp(self, describe: Callable[..., str]) -> str:
        return describe(next(self.numbers), port=self.exchange.mute_port)

    def _user(self, event: Event) -> ScriptedUser:
        room = self.exchange.homeserver.rooms[event["room_id"]]
        person = next(member for member in room.joined() if not self.exchange.homeserver.is_ghost(member))
        return ScriptedUser(
            homeserver=self.exchange.homeserver, user_id=UserId(person), room_id=RoomId(event["room_id"])
        )

    async def _join(self, event: Event) -> None:
        await self.exchange.homeserver.join_as(UserId(event["state_key"]), RoomId(event["room_id"]))

    async def _hang_up(self, event: Event) -> None:
        await self._user(event).hang_up(event["content"]["call_id"])

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@asynccontextmanager
async def open_world(directory: Path) -> AsyncIterator[tuple[World, Phone]]:
    """Homeserver, users, phone and the first bridge."""
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(open_exchange(directory))
        world = World(exchange=exchange)
        exchange.homeserver.watchers.append(world.react)
        trunk = Trunk(
            name=TrunkName("bridge"),
            host=LOOPBACK,
            port=exchange.bridge.sip_port,
            transport=Transport.UDP,
            auth=TrunkAuth.ADDRESS,
        )
        phone = Phone(trunk, on_event=world.take, port=exchange.phone_port)
        yield world, await stack.enter_async_context(phone)


async def test_a_kill_at_any_moment_dials_nobody_twice_and_leaves_nothing(tmp_path: Path) -> None:
    chance = random.Random(1)
    store = tmp_path / "trunkline.sqlite3"
    async with open_world(tmp_path) as (world, phone):
        exchange = world.exchange
        life_s = await world.lifetime_s(phone, KILLS)
        for number in range(KILLS):
            await world.call_the_phone(number)
            world.dial(phone, number)
            await asyncio.sleep(life_s * (number + chance.random()) / KILLS)
            await exchange.bridge.crash()
            world.note_what_is_due()
            if number % 2 and calls_in_store(store):
                await killed_while_it_clears_up(exchange, chance.random() * _CLEARS_UP_S)
            await exchange.bridge.start()
            await world.settle(phone)
        assert len(world.due) > KILLS / 3, "the kills came too early to show anything"
        await exchange.bridge.wait_metric("calls_active", 0, limit_s=PATIENCE_S)
        await exchange.bridge.wait_metric("matrix_outbox_depth", 0, limit_s=PATIENCE_S)
        await exchange.homeserver.wait_idle()
        await nothing_is_left_in(store)

        dialled = Counter(event.called for event in phone.of(IncomingCall))
        assert max(dialled.values()) == 1, dialled
        assert said_twice(exchange) == []
        await exchange.bridge.stop()
        assert left_in_store(store) == NOTHING
        records = Counter(record["call_id"] for record in exchange.bridge.records())
        assert records.keys() >= world.left_over
        assert max(records.values()) == 1, records


async def killed_while_it_clears_up(exchange: Exchange, after_s: float) -> None:
    """Start a process, and kill it so long after it has found what another left over."""
    bridge = exchange.bridge
    assert isinstance(bridge, ForkedBridge)
    known = bridge.log_path.read_text().count(_FOUND)

    async def has_found() -> bool:
        return bridge.log_path.read_text().count(_FOUND) > known

    bridge.begin()
    await until(has_found, lambda: "nothing was left over", limit_s=PATIENCE_S)
    await asyncio.sleep(after_s)
    await bridge.crash()


def said_twice(exchange: Exchange) -> list[tuple[str, str]]:
    """Calls that our side has ended, answered or begun more than once."""
    events = (event for room_id in exchange.homeserver.rooms for event in exchange.homeserver.events(room_id))
    said = Counter(
        (event["content"]["call_id"], _ROLES[event["type"]])
        for event in events
        if event["type"] in _ROLES and exchange.homeserver.is_ghost(event["sender"])
    )
    return [what for what, times in said.items() if times > 1]


_ROLES = {"m.call.hangup": "end", "m.call.reject": "end", "m.call.answer": "answer", "m.call.invite": "invite"}


def calls_in_store(path: Path) -> set[str]:
    """The calls that were going on."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {call_id for (call_id,) in connection.execute("SELECT call_id FROM calls")}


def legs_in_store(path: Path) -> list[SavedLeg]:
    """How the calls that were going on can be ended."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT snapshot FROM calls").fetchall()
    return [leg for (text,) in rows for leg in snapshot.load(text).sip_legs.values()]


async def nothing_is_left_in(store: Path) -> None:
    """Wait until everything is done that was taken in: what has just been acknowledged is still to be worked on."""

    async def is_empty() -> bool:
        return left_in_store(store) == NOTHING

    await until(is_empty, lambda: f"left over: {left_in_store(store)}", limit_s=PATIENCE_S)


def left_in_store(path: Path) -> dict[str, int]:
    """What still waits there."""
    waiting = {"calls": "1", "outbox": "outcome = 'pending'", "events": "not claimed"}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0]
            for table, condition in waiting.items()
        }
