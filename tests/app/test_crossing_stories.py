"""The stories of `tests.calls.test_crossing_stories` with intakes, switchboard and store for real."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest_asyncio

from bridge.app.live_call import LiveCall
from bridge.calls import events as ev
from bridge.calls import media_events as medev
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.core.ids import DialogKey, EventId, MatrixCallId, PartyId, SipCallId
from bridge.matrix.events import RoomEvent
from bridge.sip import events as sip
from bridge.store import Store
from tests.app.outsides import ALICE, PBX, PHONE, ROOM, TRUNK
from tests.app.stage import Stage
from tests.calls.crossing_bridge import Trunk
from tests.calls.crossing_world import InRoom, World
from tests.calls.test_crossing_stories import check_everybody_is_told_once, check_nobody_is_stuck, story
from tests.stores import open_store

STORIES = 100
CONNECT_S = 0.5
EPOCH_S = 1_000.0


@dataclass(slots=True)
class WorldClock:
    """The time of the story."""

    world: World

    def monotonic(self) -> float:
        return EPOCH_S + self.world.now

    def wall(self) -> float:
        return 1_000_000.0 + self.world.now


@dataclass(slots=True)
class Application:
    """A stage in the place of the bridge."""

    world: World
    trunk: Trunk
    stage: Stage
    calls: list[Call] = field(default_factory=list)
    _events: list[InRoom] = field(default_factory=list)
    _commands_done: int = 0
    _events_told: int = 0
    _count: int = 0
    _parties: dict[MatrixCallId, str] = field(default_factory=dict)
    """Who we are in calls that we answered."""
    _woken_at: set[float] = field(default_factory=set)

    def in_room(self, event: InRoom) -> None:
        self._events.append(event)

    def incoming(self, dialog: DialogKey) -> None:
        call = sip.IncomingCall(
            dialog=dialog,
            trunk=self.stage.trunk,
            sip_call_id=SipCallId(dialog),
            called="+15550199",
            caller=PHONE,
            sdp="phone offer",
        )
        self.stage.sip_intake.handle(call)

    def of_dialog(self, dialog: DialogKey, event: ev.Event) -> None:
        self.stage.sip_intake.handle(_of_dialog(dialog, event))

    async def settle(self) -> None:
        """Do all that follows at this moment of the story."""
        while True:
            for event in self._events:
                await self.stage.matrix_intake.handle(self._room_event(event))
            self._events.clear()
            for live in self.stage.switchboard.lives():
                for timer in live.call.due(self.stage.clock.monotonic()):
                    self.stage.switchboard.feed(live, ev.TimerFired(timer=timer))
            await self.stage.settle()
            self._notice_calls()
            if not (self._tell_phone() | self._tell_room()):
                return

    def _notice_calls(self) -> None:
        for live in self.stage.switchboard.lives():
            if not any(live.call is call for call in self.calls):
                self.calls.append(live.call)
            deadline = live.call.next_deadline()
            if deadline is not None and deadline not in self._woken_at:
                self._woken_at.add(deadline)
                self.world.at(deadline - EPOCH_S + 0.001, lambda: None)

    def _tell_phone(self) -> bool:
        done, self._commands_done = self._commands_done, len(self.stage.sip.commands)
        for number, command in enumerate(self.stage.sip.commands[done:], done + 1):
            match command:
                case ("invite", _):
                    self.trunk.place(DialogKey(f"out-{number}"))
                case ("accept", dialog, _):
                    self.trunk.accept(dialog)
                    self._connect(self.stage.switchboard.directory.by_dialog(dialog))
                case ("reject", dialog, _):
                    self.trunk.end(dialog, "reject")
                case ("cancel", dialog):
                    self.trunk.end(dialog, "CANCEL")
                case ("bye", dialog):
                    self.trunk.end(dialog, "BYE")
        return len(self.stage.sip.commands) > done

    def _tell_room(self) -> bool:
        told, self._events_told = self._events_told, len(self.stage.matrix.sent)
        for kind, content, _ in self.stage.matrix.sent[told:]:
            call_id = MatrixCallId(str(content.get("call_id")))
            selected = content.get("selected_party_id")
            short = kind.removeprefix("m.call.")
            if short in ("invite", "answer", "select_answer", "reject", "hangup"):
                said = InRoom(
                    sender=None,
                    kind=short,
                    call_id=call_id,
                    reason=content.get("reason"),
                    selected=PartyId(selected) if selected else None,
                )
                self.world.say(said)
            if short == "answer":
                self._parties[call_id] = content["party_id"]
                self._connect(self.stage.switchboard.directory.by_matrix_call(ROOM, call_id))
        return len(self.stage.matrix.sent) > told

    def _connect(self, live: LiveCall | None) -> None:
        """Audio comes up a while after both sides have what they need."""
        if live is not None:
            connected = partial(self.stage.switchboard.feed, live, medev.MediaConnected())
            self.world.at(self.world.now + CONNECT_S, connected)

    def _room_event(self, event: InRoom) -> RoomEvent:
        self._count += 1
        content = {
            "call_id": event.call_id,
            "version": "1",
            "party_id": event.sender,
            "lifetime": 60_000,
            "offer": {"type": "offer", "sdp": "alice offer"},
            "answer": {"type": "answer", "sdp": "alice answer"},
            "selected_party_id": self._parties.get(event.call_id, ""),
            **({"reason": event.reason} if event.reason else {}),
        }
        return RoomEvent(
            event_id=EventId(f"${self._count}"),
            room_id=ROOM,
            sender=ALICE,
            type=f"m.call.{event.kind}",
            content=content,
            age_ms=int((self.world.now - event.sent_at) * 1000),
            received_at=self.stage.clock.monotonic(),
        )


def _of_dialog(
    dialog: DialogKey, event: ev.Event
) -> sip.CallProgress | sip.CallAnswered | sip.CallFailed | sip.CallCancelled | sip.CallEnded:
    match event:
        case sipev.SipProgress():
            return sip.CallProgress(dialog=dialog, status=event.status)
        case sipev.SipAnswered():
            return sip.CallAnswered(dialog=dialog, sdp="phone answer")
        case sipev.SipFailed():
            return sip.CallFailed(dialog=dialog, status=event.status)
        case sipev.SipCancelled():
            return sip.CallCancelled(dialog=dialog)
        case _:
            return sip.CallEnded(dialog=dialog)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(tmp_path / "store.sqlite3")
    yield store
    await store.close()


async def test_exactly_one_of_crossing_calls_is_left_in_the_application(store: Store) -> None:
    for seed in range(STORIES):
        told = story(seed, partial(application, store))
        bridge = told.bridge
        assert isinstance(bridge, Application)
        while told.world.step():
            await bridge.settle()
        check_nobody_is_stuck(told)
        check_everybody_is_told_once(told)
        await bridge.stage.switchboard.shut_down(1.0)


def application(store: Store, world: World, trunk: Trunk, *, trusted: bool, joined: bool) -> Application:
    """Users of a stage are always in the room."""
    stage = Stage(store=store, trunk=PBX if trusted else TRUNK, clock=WorldClock(world))
    return Application(world, trunk, stage)
