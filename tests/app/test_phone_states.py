"""What a PBX tells of its phones, shown to Matrix users."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bridge.app import phone_states
from bridge.app.phone_states import ON_THE_PHONE, PhoneStates
from bridge.core.errors import TrunklineError
from bridge.core.ids import E164, TrunkName
from bridge.core.presence import PresenceState
from bridge.sip.dialog_info import PhoneState
from bridge.sip.events import PhoneStateChanged
from tests.patience import PATIENCE_S

Shown = tuple[str, PresenceState, str]


class Screen:
    """Notes what is shown; fails as often as it is told."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.faults = 0
        self.changed = asyncio.Condition()

    async def show_presence(self, number: E164, state: PresenceState, text: str) -> None:
        if self.faults:
            self.faults -= 1
            raise TrunklineError("the homeserver is away")
        async with self.changed:
            self.shown.append((number, state, text))
            self.changed.notify_all()

    async def wait(self, count: int) -> list[Shown]:
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(lambda: len(self.shown) >= count)
        return self.shown


@asynccontextmanager
async def running(screen: Screen, number_of: Callable[[str], str] = str) -> AsyncIterator[PhoneStates]:
    states = PhoneStates(screen, number_of)
    task = asyncio.create_task(states.run())
    try:
        yield states
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def change(state: PhoneState, phone: str = "201") -> PhoneStateChanged:
    return PhoneStateChanged(trunk=TrunkName("pbx"), phone=phone, state=state)


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (PhoneState.IDLE, ("201", PresenceState.ONLINE, "")),
        (PhoneState.RINGING, ("201", PresenceState.ONLINE, "")),
        (PhoneState.BUSY, ("201", PresenceState.UNAVAILABLE, ON_THE_PHONE)),
        (PhoneState.UNKNOWN, ("201", PresenceState.OFFLINE, "")),
    ],
)
async def test_how_a_phone_is_shown(state: PhoneState, shown: Shown) -> None:
    screen = Screen()
    async with running(screen) as states:
        states.note(change(state))
        assert await screen.wait(1) == [shown]


async def test_a_phone_that_has_another_number_since_the_region_changed_is_not_shown_by_the_old_one() -> None:
    screen, codes = Screen(), iter(("+49", "+44"))
    async with running(screen, lambda phone: next(codes) + phone) as states:
        states.note(change(PhoneState.BUSY))
        await screen.wait(1)
        states.note(change(PhoneState.IDLE))
        shown = await screen.wait(3)
    assert shown[1:] == [("+44201", PresenceState.ONLINE, ""), ("+49201", PresenceState.OFFLINE, "")]


async def test_only_the_newest_of_several_changes_is_shown() -> None:
    screen = Screen()
    async with running(screen) as states:
        for state in (PhoneState.IDLE, PhoneState.BUSY, PhoneState.IDLE):
            states.note(change(state))
        states.note(change(PhoneState.BUSY, "202"))
        assert await screen.wait(2) == [
            ("201", PresenceState.ONLINE, ""),
            ("202", PresenceState.UNAVAILABLE, ON_THE_PHONE),
        ]


async def test_what_is_shown_is_shown_again_before_the_homeserver_forgets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_states, "REPEAT_S", 0.01)
    screen = Screen()
    async with running(screen) as states:
        states.note(change(PhoneState.IDLE))
        states.note(change(PhoneState.UNKNOWN, "202"))
        await screen.wait(4)
    assert [number for number, *_ in screen.shown].count("202") == 1


async def test_what_could_not_be_shown_is_shown_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_states, "REPEAT_S", 0.01)
    screen = Screen()
    screen.faults = 2
    async with running(screen) as states:
        states.note(change(PhoneState.UNKNOWN))
        assert await screen.wait(1) == [("201", PresenceState.OFFLINE, "")]
