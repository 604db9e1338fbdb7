"""A menu that follows a group."""

from dataclasses import replace

from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import menu_commands as ncmd
from bridge.calls import menu_events as nev
from bridge.calls import menu_walk, outcomes
from bridge.calls import message_commands as mcmd
from bridge.calls import message_events as mev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.hunt_commands import InviteMember
from bridge.calls.menu import Prompt
from bridge.calls.state import EndedBy, State, Timer
from tests.calls import hunts, scenes
from tests.calls.hunts import BOB
from tests.calls.menus import (
    EXPIRED,
    FOUND,
    MAIN,
    PLAYED,
    ROOM_READY,
    SALES,
    SILENCE,
    THEN_MENU,
    follows_a_group,
    key,
    listening,
    says,
    seeking,
)
from tests.calls.scenes import ALICE, only, run


def test_the_menus_of_a_call_are_that_of_the_phone_and_that_after_all_groups() -> None:
    assert listening().menus == [MAIN]
    assert hunts.hunting(THEN_MENU).menus == [MAIN]
    assert hunts.hunting(hunts.plan(ALICE, otherwise=hunts.plan(BOB, otherwise=SALES))).menus == [SALES]
    assert hunts.hunting(hunts.plan(ALICE)).menus == []


def test_a_phone_whose_group_does_not_answer_is_answered_for_the_menu_that_follows() -> None:
    call = hunts.hunting(THEN_MENU)
    run(call, hunts.judged(ALICE), ROOM_READY, hunts.OFFER)
    commands = run(call, EXPIRED)
    assert scenes.kinds(commands)[-1] is mcmd.WriteOwnAnswer
    assert (call.state, call.called_party) == (State.ATTENDING, "group:sales")
    assert run(call, mev.OwnAnswerReady(sdp="our answer"), now=10.0) == [
        sipcmd.AcceptSip(sdp="our answer"),
        says(Prompt.CHOICES),
    ]
    assert (call.state, call.deadlines) == (State.IN_MENU, {Timer.WALK: 610.0})
    assert call.walk is not None
    assert call.walk.path == ("group:sales", "main")
    assert not call.answered


def test_who_is_chosen_in_it_is_offered_what_the_new_session_has() -> None:
    """The first offer was the group's, and the phone has been answered since."""
    call = follows_a_group()
    run(call, mev.OwnAnswerReady(sdp="our answer"), PLAYED, key("1"), FOUND, now=10.0)
    commands = run(call, hunts.judged(ALICE), ROOM_READY)
    assert medcmd.WriteMatrixOffer in scenes.kinds(commands)
    assert InviteMember in scenes.kinds(run(call, medev.MatrixOfferReady(sdp="another offer")))
    run(call, hunts.answer(ALICE))
    assert (call.state, call.matrix.user) == (State.CONNECTING, ALICE)


def test_a_phone_that_hangs_up_while_it_is_being_answered_has_been_missed_by_the_group() -> None:
    call = follows_a_group()
    run(call, sipev.SipCancelled())
    assert (call.verdict, call.ended_by) == (outcomes.CANCELLED, EndedBy.SIP)


def test_a_menu_that_cannot_be_had_leaves_the_phone_with_what_its_group_has_done() -> None:
    call = follows_a_group()
    commands = run(call, medev.MediaRefused(verdict=outcomes.MEDIA_FAILED))
    assert only(commands, sipcmd.RejectSip).status == outcomes.NO_ANSWER.sip_status
    assert call.verdict == outcomes.NO_ANSWER


def test_a_menu_that_follows_a_group_of_a_menu_is_heard_at_once_and_left_by_the_star() -> None:
    call = seeking(nev.PeopleFound(plan=hunts.plan(ALICE, BOB, otherwise=SALES)))
    assert run(call, EXPIRED, now=45.0)[-1] == says(Prompt.CHOICES, "sales")
    assert (call.state, call.deadlines) == (State.IN_MENU, {Timer.WALK: 610.0})
    run(call, PLAYED, now=50.0)
    assert run(call, key("*"), now=51.0) == [ncmd.FindTarget(target="menu:main")]


def test_menus_and_groups_that_lead_to_each_other_come_to_an_end() -> None:
    circle = replace(MAIN, otherwise="group:sales", repeats=0)
    found = nev.PeopleFound(plan=hunts.plan(ALICE, BOB, otherwise=circle))
    call = listening(circle)
    for turn in range(menu_walk.MOST_CHOICES):
        run(call, PLAYED, SILENCE, found, EXPIRED, now=20.0 + turn)
    assert call.verdict == outcomes.MENU_LIMIT
