"""Each user's calls are kept for the user, and no longer than the configuration says."""

from pathlib import Path

import pytest

from bridge.app.history import DAY_S, History
from bridge.calls import inbound, outcomes
from bridge.calls.call import Call
from bridge.calls.times import CallTimes
from bridge.core.ids import CallId, DialogKey, MatrixCallId, PartyId, UserId
from tests.app.outsides import ALICE, BOB, PHONE, TRUNK
from tests.stores import open_store


class Calendar:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def ended_call(clock: Calendar, user: UserId = ALICE, *, talk_s: float = 0.0) -> Call:
    call = inbound.begin(
        call_id=CallId("call"),
        trunk=TRUNK,
        number=PHONE,
        dialog=DialogKey("in-1"),
        sdp=None,
        user=user,
        matrix_call_id=MatrixCallId("z"),
        own_party=PartyId("p"),
        times=CallTimes(),
        now=0.0,
        wall=clock.now,
    )
    call.at.answered, call.at.ended = (5.0 if talk_s else None), 5.0 + talk_s
    return call


@pytest.fixture
def clock() -> Calendar:
    return Calendar()


async def test_a_user_sees_the_own_calls_the_newest_first(tmp_path: Path, clock: Calendar) -> None:
    store = await open_store(tmp_path / "db")
    history = History(store, days=90, clock=clock)
    await history.add(ended_call(clock), outcomes.NO_ANSWER)
    await history.add(ended_call(clock, talk_s=61.0), outcomes.COMPLETED)
    await history.add(ended_call(clock, BOB), outcomes.BUSY)
    newest, oldest = await history.last(ALICE, limit=10)
    assert (newest.reason, newest.talk_s, newest.ended_at - newest.began_at) == ("completed", 61.0, 66.0)
    assert (oldest.reason, oldest.number, oldest.direction) == ("no_answer", PHONE, "inbound")
    assert await history.last(ALICE, limit=1) == (newest,)
    await store.close()


async def test_old_calls_are_forgotten(tmp_path: Path, clock: Calendar) -> None:
    store = await open_store(tmp_path / "db")
    history = History(store, days=90, clock=clock)
    await history.add(ended_call(clock), outcomes.NO_ANSWER)
    clock.now += 89 * DAY_S
    await history.add(ended_call(clock), outcomes.BUSY)
    await history.forget_old()
    assert len(await history.last(ALICE, limit=10)) == 2
    clock.now += 2 * DAY_S
    await history.forget_old()
    assert [call.reason for call in await history.last(ALICE, limit=10)] == ["busy"]
    await store.close()


async def test_with_no_days_nothing_is_kept_and_what_was_is_forgotten(tmp_path: Path, clock: Calendar) -> None:
    store = await open_store(tmp_path / "db")
    await History(store, days=90, clock=clock).add(ended_call(clock), outcomes.BUSY)
    history = History(store, days=0, clock=clock)
    await history.add(ended_call(clock), outcomes.NO_ANSWER)
    clock.now += 10
    await history.forget_old()
    assert await history.last(ALICE, limit=10) == ()
    await store.close()


async def test_calls_of_nobody_are_nobody_s_history(tmp_path: Path, clock: Calendar) -> None:
    store = await open_store(tmp_path / "db")
    history = History(store, days=90, clock=clock)
    await history.add(ended_call(clock, UserId("")), outcomes.NO_ANSWER)
    assert await history.last(UserId(""), limit=10) == ()
    await store.close()
