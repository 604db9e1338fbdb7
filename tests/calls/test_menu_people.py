"""Whom a phone chooses in a menu: what becomes of them, and what the phone hears."""

from dataclasses import replace

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import handover_commands as hcmd
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import menu_commands as ncmd
from bridge.calls import menu_events as nev
from bridge.calls import message_commands as mcmd
from bridge.calls import message_events as mev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.hunt_commands import InviteMember
from bridge.calls.menu import MenuPlan, Prompt
from bridge.calls.state import EndedBy, MatrixLeg, SipLeg, State, Timer
from bridge.core.verdict import MatrixReason
from tests.calls import hunts, scenes
from tests.calls.hunts import BOB
from tests.calls.menus import (
    BOX_ALONE,
    BOXED,
    EXPIRED,
    FOUND,
    GROUP,
    PLAYED,
    ROOM_READY,
    SILENCE,
    choosing,
    key,
    ringing,
    says,
    seeking,
)
from tests.calls.scenes import ALICE, only, run


def test_the_person_who_was_chosen_rings_while_the_phone_hears_a_ringback() -> None:
    call = choosing()
    run(call, key("1"))
    commands = run(call, FOUND, now=20.0)
    assert commands[0] == ncmd.PlayRingback()
    assert hunts.asked(commands) == [ALICE]
    assert call.deadlines == {Timer.EXPIRY: 20.0 + hunts.EACH_S}
    assert hunts.invited(run(call, hunts.judged(ALICE), ROOM_READY, hunts.OFFER)) == [ALICE]
    assert run(call, hunts.rings(ALICE)) == [], "the phone is told nothing of it"


def test_the_person_answers_and_talk_begins() -> None:
    call = ringing()
    commands = run(call, hunts.answer(ALICE), now=30.0)
    assert scenes.kinds(commands) == [mxcmd.SendSelectAnswer, ncmd.TakeMatrixAnswer]
    assert (call.state, call.matrix_leg, call.sip_leg) == (State.CONNECTING, MatrixLeg.ANSWERED, SipLeg.ESTABLISHED)
    run(call, medev.MediaConnected(), now=31.0)
    run(call, sipev.SipEnded(), now=90.0)
    assert (call.verdict, call.talk_s) == (outcomes.COMPLETED, 60.0)


def test_one_of_a_group_answers_and_the_others_fall_silent() -> None:
    call = choosing()
    run(call, key("1"), GROUP, hunts.OFFER)
    for user in (ALICE, BOB):
        run(call, hunts.judged(user), hunts.room_ready(user))
    run(call, hunts.OFFER)
    commands = run(call, hunts.answer(BOB))
    assert hunts.silenced(commands) == {hunts.room(ALICE): MatrixReason.ANSWERED_ELSEWHERE}
    assert (call.state, call.matrix.user) == (State.CONNECTING, BOB)
    assert call.walk is not None
    assert call.walk.path == ("main", "group:sales")


def test_keys_that_are_under_way_when_the_person_answers_mean_nothing() -> None:
    call = ringing()
    run(call, hunts.answer(ALICE))
    assert run(call, key("1"), PLAYED) == []
    assert call.illegal_events == 0


@pytest.mark.parametrize("event", [EXPIRED, hunts.decline(ALICE), mxev.MemberLeft(user=ALICE)])
def test_when_the_person_does_not_take_the_call_the_phone_may_choose_anew(event: ev.Event) -> None:
    call = ringing()
    commands = run(call, event)
    assert commands[-1] == says(Prompt.NOBODY)
    assert (call.state, call.sip_leg) == (State.IN_MENU, SipLeg.ESTABLISHED)
    assert run(call, PLAYED) == [says(Prompt.CHOICES)]


def test_the_next_person_gets_the_offer_that_the_first_has_not_taken() -> None:
    call = ringing()
    run(call, EXPIRED, PLAYED, key("1"), nev.PeopleFound(plan=hunts.plan(BOB)), hunts.judged(BOB))
    (_, invite) = run(call, hunts.room_ready(BOB))
    assert isinstance(invite, InviteMember)
    assert (invite.user, invite.sdp) == (BOB, "our offer")
    assert run(call, hunts.answer(ALICE)) == [], "the call of the first is over"
    assert call.state is State.HUNTING


def test_an_offer_that_is_ready_when_nobody_is_left_for_it_is_the_next_persons() -> None:
    call = seeking()
    run(call, hunts.judged(ALICE), ROOM_READY, EXPIRED, hunts.OFFER, PLAYED, key("1"), FOUND, hunts.judged(ALICE))
    assert hunts.invited(run(call, ROOM_READY)) == [ALICE]


def test_devices_of_a_person_who_was_given_up_fall_silent() -> None:
    assert only(run(ringing(), EXPIRED), mxcmd.SendHangup).reason is MatrixReason.INVITE_TIMEOUT


def test_when_nobody_had_been_chosen_the_call_ends_with_a_sentence() -> None:
    call = choosing(MenuPlan(name="main", otherwise="@alice:example.org", repeats=0))
    run(call, SILENCE, FOUND)
    busy = replace(hunts.judged(ALICE), refusal=outcomes.BUSY)
    assert run(call, busy) == [says(Prompt.NOBODY)]
    assert run(call, key("1")) == []
    assert sipcmd.ByeSip in scenes.kinds(run(call, PLAYED))
    assert call.verdict == outcomes.BUSY


def test_when_what_a_menu_does_otherwise_is_gone_the_phone_hears_that_nobody_is_there() -> None:
    call = choosing(MenuPlan(name="main", otherwise="group:gone", repeats=0))
    run(call, SILENCE)
    assert run(call, nev.NothingFound()) == [says(Prompt.NOBODY)]
    assert cmd.FinishCall in scenes.kinds(run(call, PLAYED))
    assert (call.verdict, call.ended_by) == (outcomes.MENU_OVER, EndedBy.BRIDGE)


def test_a_person_with_a_message_box_takes_a_message() -> None:
    call = ringing(BOXED)
    commands = run(call, EXPIRED, now=60.0)
    assert scenes.kinds(commands) == [mxcmd.SendHangup, hcmd.DropMatrixMedia, mcmd.PlayGreeting]
    assert (call.state, call.at.answered) == (State.ATTENDED, 60.0)
    assert call.deadlines == {Timer.MESSAGE: 210.0}
    assert run(call, PLAYED) == [mcmd.RecordMessage(longest_s=120.0)]
    run(call, mev.MessageRecorded(heard=True))
    assert call.verdict == outcomes.MESSAGE_LEFT


def test_a_choice_may_be_a_message_box() -> None:
    call = choosing()
    run(call, key("3"))
    assert run(call, BOX_ALONE) == [hcmd.DropMatrixMedia(), mcmd.PlayGreeting()]
    run(call, sipev.SipEnded())
    assert (call.verdict, call.matrix.user) == (outcomes.MENU_LEFT, ALICE)


FULL = medev.MediaRefused(verdict=outcomes.attendants_busy(outcomes.MENU_LEFT))


@pytest.mark.parametrize("before", [(), (PLAYED,)], ids=["no place", "no recording"])
def test_a_message_box_that_takes_none_is_not_met_with_silence(before: tuple[ev.Event, ...]) -> None:
    call = choosing()
    run(call, key("3"), BOX_ALONE, *before, now=20.0)
    assert run(call, FULL, now=21.0) == [says(Prompt.NOBODY)]
    assert run(call, key("1"), now=22.0) == [], "there is nothing to choose any more"
    assert scenes.kinds(run(call, PLAYED, now=23.0)) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]
    assert (call.verdict, call.ended_by, call.talk_s) == (FULL.verdict, EndedBy.BRIDGE, 0.0)
    assert call.illegal_events == 0


@pytest.mark.parametrize("event", [sipev.SipEnded(), medev.MediaRefused(verdict=outcomes.MEDIA_FAILED)])
def test_whatever_cuts_that_sentence_short_the_box_was_why_the_call_ended(event: ev.Event) -> None:
    call = ringing(BOXED)
    run(call, EXPIRED, FULL)
    run(call, event)
    assert call.verdict == FULL.verdict


def test_a_phone_that_hangs_up_while_the_person_rings_was_missed() -> None:
    call = ringing()
    commands = run(call, sipev.SipEnded())
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.USER_HANGUP
    assert call.verdict == outcomes.CANCELLED


def test_a_person_who_calls_the_phone_that_rings_them_is_connected_to_it() -> None:
    call = ringing()
    commands = run(call, scenes.crossing())
    write = only(commands, medcmd.WriteBothAnswers)
    assert write.answered
    commands = run(call, medev.BothAnswersReady(matrix_sdp="our answer", sip_sdp=None))
    assert commands == [mxcmd.SendAnswer(sdp="our answer")]
    assert call.state is State.CONNECTING


def test_until_somebody_has_taken_the_call_it_is_the_menus() -> None:
    call = ringing()
    assert call.called_party == "menu:main"
    run(call, hunts.answer(ALICE))
    assert call.called_party == ALICE


def test_a_phone_on_hold_may_move_while_it_waits() -> None:
    for call in (choosing(), ringing()):
        assert run(call, sipev.SipReoffered(sdp="hold")) == [medcmd.AnswerReoffer(sip_sdp="hold")]
        assert run(call, medev.ReofferAnswered(sdp="our answer")) == [sipcmd.AcceptSip(sdp="our answer")]
