"""A phone calls a group: who rings, who falls silent, and what the phone hears."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import hunt_commands as hcmd
from bridge.calls import hunt_events as hev
from bridge.calls import machine, outcomes, snapshot
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import message_commands as mcmd
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.hunt import Ring, Step
from bridge.calls.hunt_plan import BoxOf, HuntPlan
from bridge.calls.state import EndedBy, State, Timer
from bridge.core.ids import MatrixCallId, PartyId
from bridge.core.presence import PresenceState, RingWhen
from bridge.core.verdict import MatrixReason, Result, Verdict
from tests.calls import hunts, scenes
from tests.calls.hunts import BOB, BOX, CAROL, DAVE, MEMBERS, asked, invited, plan, silenced
from tests.calls.scenes import ALICE, kinds, only, run

DND = Verdict(result=Result.CLIENT, reason="do_not_disturb", sip_status=486, q850=17)
EXPIRED = ev.TimerFired(timer=Timer.EXPIRY)
ELSEWHERE, TIMEOUT = "answered_elsewhere", "invite_timeout"


def reject_status(commands: list[cmd.Command]) -> int:
    return only(commands, sipcmd.RejectSip).status


# Together.


def test_all_members_are_asked_at_once_and_the_phone_s_offer_is_looked_at() -> None:
    commands = run(hunts.for_group(), ev.CallPermitted())
    assert kinds(commands)[0] is medcmd.TakeSipOffer
    assert asked(commands) == list(MEMBERS)


def test_a_member_is_invited_as_soon_as_their_room_and_our_one_offer_are_there() -> None:
    call = hunts.hunting()
    assert kinds(run(call, hunts.judged(ALICE))) == [hcmd.OpenMemberRoom]
    assert kinds(run(call, hunts.room_ready(ALICE))) == [medcmd.WriteMatrixOffer]
    assert run(call, hunts.judged(BOB), hunts.room_ready(BOB)) == [
        hcmd.OpenMemberRoom(matrix_call_id=hunts.ring(BOB), user=BOB)
    ]
    assert invited(run(call, hunts.OFFER)) == [ALICE, BOB]
    late = run(call, hunts.judged(CAROL), hunts.room_ready(CAROL))
    assert invited(late) == [CAROL]
    assert only(late, hcmd.InviteMember).sdp == "our offer"
    assert only(late, cmd.FollowMatrixCall).room_id == hunts.room(CAROL)


def test_the_phone_rings_with_the_first_invite_that_is_delivered() -> None:
    call = hunts.hunting()
    run(call, hunts.judged(BOB), hunts.room_ready(BOB), hunts.OFFER)
    assert kinds(run(call, hunts.rings(BOB))) == [sipcmd.RingSip]
    run(call, hunts.judged(ALICE), hunts.room_ready(ALICE))
    assert run(call, hunts.rings(ALICE)) == []


def test_the_first_answer_takes_the_call_and_the_others_fall_silent() -> None:
    call = hunts.all_ring()
    commands = run(call, hunts.answer(BOB))
    assert silenced(commands) == {hunts.room(ALICE): ELSEWHERE, hunts.room(CAROL): ELSEWHERE}
    assert only(commands, mxcmd.SendSelectAnswer).selected_party == "of @bob:example.org"
    assert only(commands, medcmd.WriteSipAnswer).matrix_sdp == f"answer of {BOB}"
    assert (call.state, call.matrix.user, call.matrix.room_id) == (State.ACCEPTING, BOB, hunts.room(BOB))
    assert call.matrix.call_id == hunts.ring(BOB)
    assert call.users == {BOB}
    assert kinds(run(call, medev.SipAnswerReady(sdp="ours"), medev.MediaConnected())) == [sipcmd.AcceptSip]
    assert call.state is State.CONNECTED


def test_an_answer_that_comes_second_changes_nothing() -> None:
    call = hunts.all_ring()
    run(call, hunts.answer(BOB))
    assert run(call, hunts.answer(ALICE), hunts.decline(CAROL), hunts.hangup(ALICE)) == []
    assert (call.state, call.matrix.user, call.illegal_events) == (State.ACCEPTING, BOB, 0)


def test_nobody_can_answer_in_the_place_of_a_member() -> None:
    call = hunts.all_ring()
    assert run(call, replace(hunts.answer(BOB), user=scenes.MALLORY)) == []
    assert run(call, replace(hunts.answer(BOB), user=ALICE)) == []
    assert call.state is State.HUNTING


def test_candidates_of_the_winner_are_used_and_of_nobody_else() -> None:
    call = hunts.all_ring()
    for user in (ALICE, BOB):
        theirs = mxev.Candidate(candidate=f"of {user}")
        run(
            call,
            mxev.CandidatesReceived(
                matrix_call_id=hunts.ring(user), user=user, party=PartyId(f"of {user}"), candidates=(theirs,)
            ),
        )
    commands = run(call, hunts.answer(BOB))
    assert [c.candidate for c in only(commands, medcmd.AddCandidates).candidates] == [f"of {BOB}"]


def test_who_declines_leaves_the_others_ringing() -> None:
    call = hunts.all_ring()
    commands = run(call, hunts.decline(ALICE))
    assert kinds(commands) == [mxcmd.SendSelectAnswer]
    other = only(commands, mxcmd.SendSelectAnswer).other
    assert other is not None
    assert other.room_id == hunts.room(ALICE)
    assert call.users == {BOB, CAROL}
    assert run(call, hunts.answer(ALICE)) == []
    assert only(run(call, hunts.answer(CAROL)), medcmd.WriteSipAnswer)


@pytest.mark.parametrize(
    ("ends", "reason", "status"),
    [
        ([hunts.decline(user) for user in MEMBERS], "declined", 603),
        ([hunts.decline(ALICE), hunts.decline(BOB, "user_busy"), hunts.decline(CAROL)], "busy", 486),
        ([hunts.hangup(ALICE), hunts.hangup(BOB), hunts.decline(CAROL)], "declined", 603),
        ([hunts.decline(ALICE), EXPIRED], "no_answer", 480),
        ([EXPIRED], "no_answer", 480),
    ],
)
def test_when_nobody_is_left_the_phone_is_told_what_came_closest(
    ends: list[ev.Event], reason: str, status: int
) -> None:
    call = hunts.all_ring()
    commands = run(call, *ends)
    assert call.verdict is not None
    assert (call.verdict.reason, reject_status(commands)) == (reason, status)


def test_when_nobody_answers_every_member_sees_a_missed_call() -> None:
    commands = run(hunts.all_ring(), EXPIRED)
    assert silenced(commands) == {hunts.room(user): TIMEOUT for user in MEMBERS}


def test_a_member_whose_devices_never_rang_is_told_of_the_missed_call() -> None:
    call = hunts.hunting()
    run(call, hunts.judged(ALICE), hunts.room_ready(ALICE), hunts.judged(BOB), hunts.room_ready(BOB, joined=False))
    run(call, hunts.OFFER, hunts.rings(ALICE))
    notice = only(run(call, EXPIRED), mxcmd.SendNotice)
    assert (notice.text, notice.other and notice.other.room_id) == (outcomes.MISSED_CALL, hunts.room(BOB))


def test_one_device_in_trouble_does_not_end_its_member_s_ring() -> None:
    call = hunts.all_ring()
    assert run(call, hunts.hangup(ALICE, "ice_failed")) == []
    assert call.users == set(MEMBERS)


def test_a_member_who_wants_no_calls_is_not_rung() -> None:
    call = hunts.hunting()
    assert run(call, hev.MemberJudged(matrix_call_id=hunts.ring(ALICE), refusal=DND)) == []
    for user in (BOB, CAROL):
        commands = run(call, hev.MemberJudged(matrix_call_id=hunts.ring(user), refusal=DND))
    assert reject_status(commands) == 486


@pytest.mark.parametrize(("state", "rung"), [(PresenceState.ONLINE, True), (PresenceState.OFFLINE, False)])
def test_a_member_s_presence_counts_for_their_ring(state: PresenceState, rung: bool) -> None:
    call = hunts.hunting(plan(ALICE))
    wish = hev.MemberJudged(matrix_call_id=hunts.ring(ALICE), ring_when=RingWhen.ONLINE)
    assert kinds(run(call, wish)) == [hcmd.AskMemberPresence]
    commands = run(call, hev.MemberPresence(matrix_call_id=hunts.ring(ALICE), state=state))
    assert (hcmd.OpenMemberRoom in kinds(commands)) is rung


def test_a_member_rings_on_joining_their_room() -> None:
    call = hunts.hunting(plan(ALICE))
    commands = run(call, hunts.judged(ALICE), hunts.room_ready(ALICE, joined=False))
    assert kinds(commands) == [hcmd.OpenMemberRoom, sipcmd.RingSip]
    assert run(call, mxev.MemberJoined(user=BOB), mxev.MemberJoined(user=ALICE, room_id=hunts.room(BOB))) == []
    assert kinds(run(call, mxev.MemberJoined(user=ALICE))) == [medcmd.WriteMatrixOffer]
    assert invited(run(call, hunts.OFFER)) == [ALICE]


@pytest.mark.parametrize(
    ("verdict", "hung_up"), [(outcomes.MATRIX_REFUSED, False), (outcomes.MATRIX_UNREACHABLE, True)]
)
def test_a_room_in_trouble_costs_its_member_the_ring_and_nobody_else(verdict: Verdict, hung_up: bool) -> None:
    call = hunts.all_ring()
    commands = run(call, hev.MemberUnreachable(matrix_call_id=hunts.ring(ALICE), verdict=verdict))
    assert (hunts.room(ALICE) in silenced(commands)) is hung_up
    assert call.users == {BOB, CAROL}


def test_a_member_or_ghost_who_leaves_takes_only_that_ring_along() -> None:
    call = hunts.all_ring()
    assert run(call, mxev.MemberLeft(user=ALICE, room_id=hunts.room(ALICE))) == []
    assert run(call, mxev.MemberLeft(user=scenes.GHOST, room_id=hunts.room(BOB))) == []
    assert run(call, mxev.MemberLeft(user=CAROL, room_id=hunts.room(BOB))) == []
    assert call.users == {CAROL}
    run(call, hunts.answer(CAROL), medev.SipAnswerReady(sdp="ours"))
    assert run(call, mxev.MemberLeft(user=scenes.GHOST, room_id=hunts.room(ALICE))) == []
    assert not call.ended


# In turn.


def test_in_turn_the_next_member_is_asked_when_the_time_of_the_last_one_is_over() -> None:
    call = hunts.first_rings()
    assert call.deadlines[Timer.EXPIRY] == 1.0 + hunts.EACH_S
    commands = run(call, EXPIRED, now=21.0)
    assert silenced(commands) == {hunts.room(ALICE): TIMEOUT}
    assert asked(commands) == [BOB]
    assert invited(run(call, hunts.judged(BOB), hunts.room_ready(BOB), now=23.0)) == [BOB]
    assert call.deadlines[Timer.EXPIRY] == 23.0 + hunts.EACH_S
    assert run(call, hunts.answer(ALICE)) == []
    assert only(run(call, hunts.answer(BOB)), medcmd.WriteSipAnswer)


@pytest.mark.parametrize(
    "over",
    [
        hunts.decline(ALICE),
        hunts.hangup(ALICE, "user_busy"),
        hev.MemberUnreachable(matrix_call_id=hunts.ring(ALICE), verdict=outcomes.MATRIX_REFUSED),
        mxev.MemberLeft(user=ALICE, room_id=hunts.room(ALICE)),
    ],
)
def test_in_turn_the_next_member_is_asked_when_the_last_one_cannot_or_will_not(over: ev.Event) -> None:
    assert asked(run(hunts.first_rings(), over)) == [BOB]


def test_in_turn_who_wants_no_calls_is_passed_over_at_once() -> None:
    call = hunts.hunting(plan(in_turn=True))
    assert asked(run(call, hev.MemberJudged(matrix_call_id=hunts.ring(ALICE), refusal=DND))) == [BOB]


def test_in_turn_the_call_is_over_after_the_last_member() -> None:
    call = hunts.first_rings(plan(ALICE, in_turn=True))
    assert reject_status(run(call, EXPIRED)) == 480


# Otherwise.


def test_when_nobody_takes_the_call_another_group_rings() -> None:
    call = hunts.all_ring(plan(otherwise=plan(DAVE, group="office")))
    commands = run(call, EXPIRED)
    assert len(silenced(commands)) == len(MEMBERS)
    assert asked(commands) == [DAVE]
    assert call.hunt is not None
    assert call.hunt.group == "sales"
    assert invited(run(call, hunts.judged(DAVE), hunts.room_ready(DAVE))) == [DAVE]
    assert only(run(call, hunts.answer(DAVE)), medcmd.WriteSipAnswer)


def test_a_user_who_is_rung_again_in_another_group_is_not_answered_for_by_the_first_ring() -> None:
    again = plan(group="office")
    members = tuple(
        replace(member, matrix_call_id=MatrixCallId(f"{member.matrix_call_id}-2")) for member in again.members
    )
    call = hunts.all_ring(plan(otherwise=replace(again, members=members)))
    run(call, EXPIRED)
    assert run(call, hunts.answer(ALICE), hunts.rings(ALICE), hunts.judged(ALICE)) == []


def test_when_nobody_takes_the_call_a_message_box_does() -> None:
    call = hunts.all_ring(plan(otherwise=BoxOf(user=DAVE, box=BOX, always=True)))
    commands = run(call, *map(hunts.decline, MEMBERS))
    assert call.state is State.ATTENDING
    assert kinds(commands)[-1] is mcmd.WriteOwnAnswer
    assert call.matrix.user == DAVE


@pytest.mark.parametrize(("reason", "taken"), [("user_busy", True), (None, False)])
def test_a_person_s_own_box_takes_only_what_its_user_has_it_take(reason: str | None, taken: bool) -> None:
    call = hunts.first_rings(plan(ALICE, group="", otherwise=BoxOf(user=ALICE, box=BOX)))
    run(call, hunts.decline(ALICE, reason))
    assert (call.state is State.ATTENDING) is taken


# The phone, crossing calls, and the end.


@pytest.mark.parametrize(("elsewhere", "reason"), [(False, "user_hangup"), (True, ELSEWHERE)])
def test_when_the_phone_gives_up_every_member_is_hung_up(elsewhere: bool, reason: str) -> None:
    call = hunts.all_ring()
    commands = run(call, sipev.SipCancelled(answered_elsewhere=elsewhere))
    assert silenced(commands) == {hunts.room(user): reason for user in MEMBERS}
    assert call.ended_by is EndedBy.SIP


def test_an_answer_that_crosses_the_phone_s_cancel_gets_nobody_a_call() -> None:
    call = hunts.all_ring()
    run(call, sipev.SipCancelled())
    assert run(call, hunts.answer(BOB)) == []
    call = hunts.all_ring()
    run(call, hunts.answer(BOB))
    commands = run(call, sipev.SipCancelled())
    assert only(commands, mxcmd.SendHangup).other is None
    assert sipcmd.AcceptSip not in kinds(commands)


def test_what_was_asked_for_a_ring_that_is_over_comes_too_late_at_any_time() -> None:
    call = hunts.hunting()
    run(call, hunts.judged(ALICE), hunts.judged(BOB), hunts.room_ready(BOB), hunts.OFFER, hunts.rings(BOB))
    run(call, hunts.answer(BOB), medev.SipAnswerReady(sdp="ours"), medev.MediaConnected())
    assert run(call, hunts.room_ready(ALICE), hunts.judged(CAROL)) == []
    assert call.illegal_events == 0


def test_a_member_who_calls_the_phone_that_rings_them_has_taken_the_call() -> None:
    call = hunts.all_ring()
    commands = run(call, scenes.crossing(user=BOB, room_id=hunts.room(BOB)))
    assert silenced(commands) == {
        hunts.room(ALICE): ELSEWHERE,
        hunts.room(CAROL): ELSEWHERE,
        hunts.room(BOB): "replaced",
    }
    assert only(commands, medcmd.WriteBothAnswers).matrix_sdp == "alice offer"
    assert (call.state, call.matrix.user, call.matrix.call_id) == (State.ADOPTING, BOB, scenes.THEIR_CALL)
    answers = run(call, medev.BothAnswersReady(matrix_sdp="m", sip_sdp="s"))
    assert kinds(answers) == [mxcmd.SendAnswer, sipcmd.AcceptSip]


def test_a_client_that_gave_up_our_invite_for_its_own_call_is_waited_for() -> None:
    call = hunts.first_rings(plan(ALICE, in_turn=True))
    assert kinds(run(call, hunts.hangup(ALICE, "replaced"))) == [mxcmd.SendSelectAnswer]
    commands = run(call, scenes.crossing(user=ALICE, room_id=hunts.room(ALICE)))
    assert silenced(commands) == {}
    assert only(commands, medcmd.WriteBothAnswers)


def test_after_a_crash_every_member_who_rings_is_hung_up() -> None:
    call = snapshot.load(snapshot.dump(hunts.all_ring()))
    assert call.invites == [hunts.ring(user) for user in MEMBERS]
    commands = run(call, ev.Aborted(verdict=outcomes.BRIDGE_RESTARTED))
    assert silenced(commands) == {hunts.room(user): "unknown_error" for user in MEMBERS}
    notices = [command for command in commands if isinstance(command, mxcmd.SendNotice)]
    assert len(notices) == len(MEMBERS)


# Whatever happens, in whatever order.

USERS = st.sampled_from([*MEMBERS, DAVE, scenes.MALLORY])
REFUSALS = st.sampled_from([None, DND, outcomes.BUSY])
HISTORY: st.SearchStrategy[list[ev.Event]] = st.lists(
    st.one_of(
        st.builds(lambda u, r: hev.MemberJudged(matrix_call_id=hunts.ring(u), refusal=r), USERS, REFUSALS),
        st.builds(lambda u, j: hunts.room_ready(u, joined=j), USERS, st.booleans()),
        st.builds(hunts.rings, USERS),
        st.builds(
            lambda u, v: hev.MemberUnreachable(matrix_call_id=hunts.ring(u), verdict=v),
            USERS,
            st.sampled_from([outcomes.MATRIX_REFUSED, outcomes.MATRIX_UNREACHABLE]),
        ),
        st.builds(
            lambda u, s: hev.MemberPresence(matrix_call_id=hunts.ring(u), state=s),
            USERS,
            st.sampled_from(PresenceState),
        ),
        st.just(hunts.OFFER),
        st.builds(hunts.answer, USERS),
        st.builds(hunts.decline, USERS, st.sampled_from([None, "user_busy"])),
        st.builds(hunts.hangup, USERS, st.sampled_from([None, "replaced", "ice_failed"])),
        st.builds(lambda u: mxev.MemberJoined(user=u), USERS),
        st.builds(lambda u: mxev.MemberLeft(user=u, room_id=hunts.room(u)), USERS),
        st.builds(lambda u: scenes.crossing(user=u, room_id=hunts.room(u)), USERS),
        st.just(EXPIRED),
        st.just(ev.TimerFired(timer=Timer.PROGRESS)),
        st.just(sipev.SipCancelled()),
        st.just(medev.SipAnswerReady(sdp="sdp")),
        st.just(medev.BothAnswersReady(matrix_sdp="m", sip_sdp="s")),
        st.just(medev.MediaRefused(verdict=outcomes.NO_COMMON_CODEC)),
    ),
    max_size=40,
)
PLANS = st.sampled_from(
    [
        plan(),
        plan(in_turn=True),
        plan(in_turn=True, otherwise=plan(DAVE, group="office")),
        plan(otherwise=BoxOf(user=DAVE, box=BOX, always=True)),
    ]
)


ALL_RING: list[ev.Event] = [
    *(event for user in MEMBERS for event in (hunts.judged(user), hunts.room_ready(user), hunts.OFFER)),
    *map(hunts.rings, MEMBERS),
]
PRELUDES = st.sampled_from([[], ALL_RING, ALL_RING[:4], [hunts.judged(ALICE), hunts.room_ready(ALICE, joined=False)]])
"""Chance alone seldom makes anybody ring."""


@given(wanted=PLANS, prelude=PRELUDES, history=HISTORY)
def test_every_member_who_was_invited_is_told_the_end_once_and_nobody_else(
    wanted: HuntPlan, prelude: list[ev.Event], history: list[ev.Event]
) -> None:
    call = hunts.for_group(wanted)
    commands: list[cmd.Command] = []
    own_ends = set()
    for event in [ev.CallPermitted(), *prelude, *history, ev.Aborted(verdict=outcomes.SHUTTING_DOWN)]:
        before = {ring.matrix_call_id: ring.step for ring in _rings(call)}
        commands += run(call, event)
        ended = {ring.matrix_call_id for ring in _rings(call) if ring.step is Step.OVER}
        if isinstance(event, mxev.RejectReceived | mxev.HangupReceived | mxev.MemberLeft | hev.MemberUnreachable):
            own_ends |= {name for name in ended if before.get(name) is not Step.OVER}
        if isinstance(event, mxev.HangupReceived) and event.reason == MatrixReason.REPLACED:
            own_ends.add(event.matrix_call_id)
    assert call.ended
    assert kinds(commands).count(cmd.FinishCall) == 1
    asked_for = [command.matrix_call_id for command in commands if isinstance(command, hcmd.InviteMember)]
    hung_up = [
        command.other.call_id if command.other is not None else call.matrix.call_id
        for command in commands
        if isinstance(command, mxcmd.SendHangup)
    ]
    assert len(set(asked_for)) == len(asked_for)
    assert len(set(hung_up)) == len(hung_up)
    assert set(hung_up) <= {*asked_for, scenes.THEIR_CALL}
    left = set(asked_for) - set(hung_up) - own_ends
    assert left <= {call.matrix.call_id}


def _rings(call: Call) -> list[Ring]:
    return list(call.hunt.rings) if call.hunt is not None else []


@given(wanted=PLANS, prelude=PRELUDES, history=HISTORY)
def test_a_hunt_can_be_written_down_at_any_moment_and_goes_where_its_table_says(
    wanted: HuntPlan, prelude: list[ev.Event], history: list[ev.Event]
) -> None:
    call = hunts.for_group(wanted)
    for event in [ev.CallPermitted(), *prelude, *history]:
        before = call.state
        run(call, event)
        assert snapshot.load(snapshot.dump(call)) == call
        if call.state is not before:
            assert call.state in machine.TABLES[call.direction][before, type(event)].to
