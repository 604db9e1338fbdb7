"""What holds for every call: a bug ends that call alone, nothing is left behind, the next process knows the rest."""

import asyncio
from dataclasses import replace

import pytest

from bridge.app import lane
from bridge.app.live_call import LiveCall
from bridge.app.recovery import end_left_over_calls, remember_ended_calls, withdraw_invites
from bridge.calls import events as ev
from bridge.calls import matrix_events as mxev
from bridge.calls import outcomes
from bridge.calls import sip_events as sipev
from bridge.core.clock import SystemClock
from bridge.core.ids import DialogKey, PartyId
from bridge.core.verdict import Verdict
from bridge.ops.metrics import PrometheusTelemetry
from bridge.sip.events import CallAnswered, CallMoved
from tests.app.outsides import ALICE, PBX, PHONE, ROOM, TRUNK
from tests.app.stage import Stage

TRUNKS = (TRUNK, PBX)


async def test_a_bug_ends_its_own_call_on_both_sides_and_no_other(stage: Stage) -> None:
    await stage.incoming("in-1", caller="+15550107")
    stage.sip.broken = True
    await stage.invite()
    assert stage.reasons() == ["internal_error"]
    assert stage.matrix.types()[-2:] == ["m.call.reject", "m.room.message"]
    assert len(stage.switchboard.directory) == 1


async def test_a_call_that_piles_up_work_is_broken_off(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.invite()
    live = next(iter(stage.switchboard.lives()))
    candidate = mxev.Candidate(candidate="candidate:1 1 udp 1 127.0.0.1 9 typ host")
    flood = mxev.CandidatesReceived(
        matrix_call_id=live.call.matrix.call_id,
        user=live.call.matrix.user,
        party=live.call.matrix.peer_party,
        candidates=(candidate,),
    )
    for _ in range(lane.MAX_WAITING + 10):
        stage.switchboard.feed(live, flood)
    await stage.settle()
    assert live.call.ended
    assert stage.sip.names() == ["invite", "cancel"]
    assert stage.reasons() == ["internal_error"]


async def test_shutting_down_ends_calls_on_both_sides_and_tells_the_user(stage: Stage) -> None:
    await stage.incoming("in-1", caller="+15550107")
    await stage.invite()
    await stage.switchboard.shut_down(2.0)
    assert len(stage.switchboard.directory) == 0
    assert ("reject", "in-1", 503) in stage.sip.commands
    assert stage.sip.names()[-1] == "cancel"
    assert {"m.call.hangup", "m.call.reject", "m.room.message"} <= set(stage.matrix.types())
    assert stage.reasons() == ["shutting_down", "shutting_down"]
    assert all(session.closed for session in stage.engine.sessions)


async def test_a_finished_call_leaves_nothing_in_the_store_but_its_tombstone(stage: Stage) -> None:
    await stage.invite()
    assert len(await stage.store.calls.all()) == 1
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    assert await stage.store.calls.all() == {}
    assert [key[0] for key in await stage.store.ended_calls.since(0.0)] == [ROOM]


async def test_a_call_is_written_down_until_its_record_is_on_the_disk(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported, on_disk = asyncio.Event(), asyncio.Event()

    async def report(live: LiveCall, verdict: Verdict) -> None:
        reported.set()
        await on_disk.wait()

    monkeypatch.setattr(stage.switchboard, "_on_finished", report)
    await stage.invite()
    hanging_up = asyncio.create_task(
        stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    )
    await reported.wait()
    await next(iter(stage.switchboard.lives())).matrix_lane.drain()
    assert len(await stage.store.calls.all()) == 1
    on_disk.set()
    await hanging_up
    assert await stage.store.calls.all() == {}


async def test_a_refused_call_is_not_written_down(stage: Stage) -> None:
    await stage.incoming(called="+15550111")
    assert await stage.store.calls.all() == {}


async def test_the_next_process_hangs_up_what_this_one_left_behind(stage: Stage) -> None:
    await stage.incoming()
    second = Stage(store=stage.store)
    end_left_over_calls(await second.memory.left_over(), second.switchboard, second.sip, SystemClock(), TRUNKS)
    await second.settle()
    assert second.matrix.types() == ["m.call.hangup", "m.room.message"]
    assert "restarted" in second.matrix.content("m.room.message")["body"]
    assert second.matrix.content("m.call.hangup")["reason"] == "unknown_error"
    assert second.sip.commands == [("revive", "in-1", 5060), ("reject", "in-1", 500)]
    assert second.reasons() == ["abnormal"]
    ids = {txn_id for _, _, txn_id in stage.matrix.sent} & {txn_id for _, _, txn_id in second.matrix.sent}
    assert ids == set()


async def test_the_next_process_ends_calls_of_a_trunk_that_it_does_not_have(stage: Stage) -> None:
    await stage.incoming()
    second = Stage(store=stage.store, telemetry=PrometheusTelemetry(trunks=(PBX,), version="test", strict=True))
    end_left_over_calls(await second.memory.left_over(), second.switchboard, second.sip, SystemClock(), (PBX,))
    (live,) = second.switchboard.lives()
    await second.settle()
    assert second.matrix.types() == ["m.call.hangup", "m.room.message"]
    assert (live.call.trunk, live.call.tried) == ("", (TRUNK,))


async def test_the_next_process_hangs_up_on_the_phone_where_it_was_last(stage: Stage) -> None:
    await stage.invite()
    dialog = next(iter(stage.switchboard.lives())).call.dialog
    assert dialog is not None
    stage.sip_intake.handle(CallAnswered(dialog=dialog, sdp="phone answer"))
    await stage.settle()
    stage.sip.ways[dialog] = 5070
    stage.sip_intake.handle(CallMoved(dialog=dialog))
    await stage.settle()
    second = Stage(store=stage.store)
    end_left_over_calls(await second.memory.left_over(), second.switchboard, second.sip, SystemClock(), TRUNKS)
    (live,) = second.switchboard.lives()
    assert live.call.at.dialled is not None, "the record and the trace of the call have what there was of it"
    await second.settle()
    assert second.sip.commands == [("revive", dialog, 5070), ("bye", dialog)]
    assert second.matrix.types() == ["m.call.hangup", "m.room.message"]


async def test_the_next_process_gives_up_what_this_one_had_given_up_at_a_silent_trunk(stage: Stage) -> None:
    await stage.invite()
    live = next(iter(stage.switchboard.lives()))
    silent, live.call.dialog = live.call.dialog, DialogKey("out-2")
    stage.switchboard.directory.follow_dialog(live, DialogKey("out-2"))
    stage.switchboard.remember(live)
    await stage.settle()
    second = Stage(store=stage.store)
    end_left_over_calls(await second.memory.left_over(), second.switchboard, second.sip, SystemClock(), TRUNKS)
    await second.settle()
    assert [command for command in second.sip.commands if command[0] != "revive"] == [
        ("cancel", "out-2"),
        ("bye", silent),
    ]
    assert second.reasons() == ["abnormal"]


async def test_the_next_process_withdraws_invites_of_calls_that_are_over(stage: Stage) -> None:
    await stage.incoming()
    (invited,) = [txn_id for kind, _, txn_id in stage.matrix.sent if kind == "m.call.invite"]
    second = Stage(store=stage.store)
    await withdraw_invites(await second.memory.left_over(), second.matrix)
    assert second.matrix.withdrawn == [invited]


async def test_what_is_true_however_late_waits_longer_for_a_homeserver_than_what_is_not(stage: Stage) -> None:
    await stage.invite()
    dialog = next(iter(stage.switchboard.lives())).call.dialog
    assert dialog is not None
    stage.sip_intake.handle(CallAnswered(dialog=dialog, sdp="phone answer"))
    await stage.settle()
    await stage.incoming("in-1")
    await stage.switchboard.shut_down(2.0)
    patience_s = stage.matrix.patience_s
    assert patience_s["m.call.hangup"] == patience_s["m.room.message"] == 3600
    assert patience_s["m.call.answer"] == patience_s["m.call.candidates"] == 60
    assert patience_s["m.call.invite"] == pytest.approx(90, abs=1)


async def test_a_crash_in_the_middle_of_the_end_tells_nobody_twice(stage: Stage) -> None:
    await stage.incoming()
    left_over = await stage.store.calls.all()
    await stage.switchboard.shut_down(2.0)
    for call_id, snapshot in left_over.items():
        await stage.store.calls.put(call_id, snapshot)
    second = Stage(store=stage.store)
    end_left_over_calls(await second.memory.left_over(), second.switchboard, second.sip, SystemClock(), TRUNKS)
    await second.settle()
    farewells = {txn_id for kind, _, txn_id in (*stage.matrix.sent, *second.matrix.sent) if kind == "m.call.hangup"}
    assert len(farewells) == 1


async def test_the_next_process_does_not_begin_a_call_again_that_is_over(stage: Stage) -> None:
    await stage.invite()
    await stage.event("m.call.hangup", {"call_id": "call", "version": "1", "party_id": "LAPTOP"})
    second = Stage(store=stage.store)
    await remember_ended_calls(stage.store, second.switchboard.directory, SystemClock())
    await second.invite()
    assert second.sip.commands == []


async def test_an_unreadable_snapshot_is_dropped(stage: Stage) -> None:
    await stage.incoming()
    live = next(iter(stage.switchboard.lives()))
    await stage.store.calls.put(live.call.call_id, '{"state": "nonsense"}')
    second = Stage(store=stage.store)
    assert await second.memory.left_over() == []
    assert await stage.store.calls.all() == {}


async def test_shutting_down_waits_for_calls_that_have_just_ended(stage: Stage) -> None:
    await stage.invite()
    live = next(iter(stage.switchboard.lives()))
    stage.switchboard.feed(live, sipev.SipFailed(status=486))
    await stage.switchboard.shut_down(2.0)
    assert await stage.store.calls.all() == {}
    assert stage.reasons() == ["busy"]


async def test_the_record_of_a_call_that_a_crash_cut_off_tells_who_talked_and_since_when(stage: Stage) -> None:
    await stage.incoming()
    live = next(iter(stage.switchboard.lives()))
    answer = mxev.AnswerReceived(
        matrix_call_id=live.call.matrix.call_id, user=ALICE, party=PartyId("X"), version=1, sdp="alice answer"
    )
    stage.switchboard.feed(live, answer)
    await stage.settle()
    second = Stage(store=stage.store)
    end_left_over_calls(await second.memory.left_over(), second.switchboard, second.sip, SystemClock(), TRUNKS)
    again = next(iter(second.switchboard.lives())).call
    assert (again.caller, again.called, again.sip_call_id) == (PHONE, "+15550199", "abc")
    assert again.wall(again.at.answered) == pytest.approx(live.call.wall(live.call.at.answered), abs=0.1)
    await second.settle()
    assert second.reasons() == ["abnormal"]


async def test_a_bug_in_the_farewell_does_not_keep_the_rest_from_being_told_and_freed(stage: Stage) -> None:
    await stage.incoming()
    stage.sip.cannot_reject = True
    live = next(iter(stage.switchboard.lives()))
    stage.switchboard.feed(live, ev.Aborted(verdict=outcomes.NO_ANSWER))
    await stage.settle()
    assert stage.matrix.types()[-1] == "m.call.hangup"
    assert stage.engine.sessions[0].closed
    assert stage.reasons() == ["no_answer"]
    assert len(stage.switchboard.directory) == 0


async def test_who_dials_again_and_again_reads_why_not_once(stage: Stage) -> None:
    plan = stage.plan
    stage.plan = replace(plan, permissions=())
    for call in range(10):
        await stage.invite(f"call-{call}")
    assert len(stage.matrix.contents("m.call.reject")) == 10
    (notice,) = stage.matrix.contents("m.room.message")
    assert "not enabled" in notice["body"]
    stage.plan = replace(plan, trunks=())
    await stage.invite("another")
    assert len(stage.matrix.contents("m.room.message")) == 2
