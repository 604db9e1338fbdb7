"""Calls that look like fraud: whose are stopped, and who learns of it."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.calls import events as ev
from bridge.calls.state import Timer
from bridge.core.ids import RoomId, UserId
from bridge.numbers.abuse import Suspicion, Thresholds
from bridge.numbers.permission import Permission
from bridge.sip.events import CallProgress
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, BOT, ROOM, StagePortal
from tests.app.stage import Stage
from tests.app.test_spending import call, hang_up, talk
from tests.clock import ManualClock

ADMIN = UserId("@admin:example.org")


async def test_who_dials_like_a_thief_is_stopped_and_an_administrator_is_told(stage: Stage) -> None:
    stage.permissions = (Permission(who=(ALICE,), prefixes=("+",)),)
    stage.thresholds, stage.admins = Thresholds(sequential=3), (ADMIN,)
    stage.__post_init__()
    await stage.store.rooms.put(RoomId("!admin:example.org"), BOT, peer=ADMIN)
    for number in range(4):
        ghost = UserId(f"@_sip_+155501010{number}:example.org")
        stage.matrix.members = {ROOM: frozenset({ALICE, ghost})}
        place = talk if number < 2 else call
        await place(stage, f"call {number}")
    assert stage.sip.names().count("invite") == 2
    assert sorted(stage.reasons()) == ["suspended"] * 4, "calls that go on end as well"
    assert stage.sip.names().count("bye") == 2
    told = [content["body"] for content in stage.matrix.contents("m.room.message") if "resume" in content["body"]]
    assert len(told) == 1
    assert ALICE in told[0]
    assert 'suspensions_total{reason="sequential"} 1.0' in stage.telemetry.exposition().decode()
    again = Stage(store=stage.store)
    await again.meter.load()
    await again.invite()
    assert again.reasons() == ["suspended"]
    assert await again.meter.resume(ALICE)
    assert not await again.meter.resume(ALICE)
    await again.invite("later")
    assert again.sip.names() == ["invite"]


async def test_an_administrator_who_has_never_talked_to_the_bot_gets_a_room_for_it(stage: Stage) -> None:
    other, room = UserId("@other:example.org"), RoomId("!made:example.org")
    stage.admins = (other, ADMIN)
    stage.__post_init__()
    stage.matrix.portals[ADMIN] = StagePortal(room_id=room)
    stage.matrix.refusing = {other}
    with capture_logs() as logs:
        stage.meter._suspend(ALICE, Suspicion.WANGIRI)
        await stage.settle()
    assert [kind for kind, _ in stage.matrix.told[room]] == ["m.room.message"]
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["user_suspended", "admin_not_reached"]


async def test_who_lets_many_calls_go_at_once_is_stopped(stage: Stage) -> None:
    stage.thresholds = Thresholds(short_calls=2)
    stage.__post_init__()
    for number in range(3):
        stage.matrix.members = {ROOM: frozenset({ALICE, UserId(f"@_sip_+155501{number}{number}00:example.org")})}
        await talk(stage, f"call {number}")
        await hang_up(stage, f"call {number}")
    assert stage.reasons() == ["no_media", "no_media", "suspended"]


@pytest.mark.parametrize(("ringing_s", "suspended"), [(3.5, True), (9.5, True), (60.0, False)])
async def test_who_lets_many_calls_run_out_after_a_ring_is_stopped_as_well(
    tmp_path: Path, ringing_s: float, suspended: bool
) -> None:
    """The lifetime of an invite is its client's own to choose, and its end takes no hangup."""
    clock = ManualClock()
    async with open_stage(tmp_path, thresholds=Thresholds(short_calls=3), clock=clock) as stage:
        for number in range(4):
            stage.matrix.members = {ROOM: frozenset({ALICE, UserId(f"@_sip_+155501{number}{number}00:example.org")})}
            dialog = await call(stage, f"call {number}")
            stage.sip_intake.handle(CallProgress(dialog=dialog, status=180))
            clock.now += ringing_s
            for live in stage.switchboard.lives():
                stage.switchboard.feed(live, ev.TimerFired(timer=Timer.EXPIRY))
            await stage.settle()
        assert stage.reasons() == ["no_answer"] * 3 + ["suspended" if suspended else "no_answer"]
