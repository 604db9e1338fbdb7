"""A phone walks through a spoken menu: what its keys lead to, and what becomes of whom it chooses."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import handover_commands as hcmd
from bridge.calls import inbound, menu_walk, outcomes, turning_away
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import menu_commands as ncmd
from bridge.calls import menu_events as nev
from bridge.calls import message_commands as mcmd
from bridge.calls import message_events as mev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.hunt_commands import InviteMember
from bridge.calls.hunt_plan import BoxOf
from bridge.calls.menu import LONGEST_EXTENSION, MenuPlan, MenuStep, Prompt, Reading, Sense, read_digits, read_key
from bridge.calls.message import MessageBox
from bridge.calls.state import EndedBy, MatrixLeg, SipLeg, State, Timer
from bridge.core.ids import CallId, MatrixCallId, TrunkName, UserId
from bridge.core.verdict import MatrixReason
from tests.calls import hunts, scenes
from tests.calls.hunts import BOB
from tests.calls.scenes import ALICE, BRIDGE, DIALOG, TIMES, only, run

SALES = MenuPlan(name="sales", choices={"1": "@alice:example.org"})
MAIN = MenuPlan(
    name="main",
    choices={"1": "@alice:example.org", "2": "menu:sales", "3": "voicemail:@alice:example.org"},
    timeout_s=8.0,
    repeats=1,
)
DIALLED = MenuPlan(name="main", choices={"1": "menu:sales", "7": "menu:sales"}, extensions="12")
BOX = MessageBox(reasons=("no_answer", "busy"), longest_s=120.0, limit_s=150.0)
PLAYED = mev.SoundPlayed()
SILENCE = ev.TimerFired(timer=Timer.MENU)
FOUND = nev.PeopleFound(plan=hunts.plan(ALICE, group=""))
BOXED = nev.PeopleFound(plan=hunts.plan(ALICE, group="", otherwise=BoxOf(user=ALICE, box=BOX)))
GROUP = nev.PeopleFound(plan=hunts.plan(ALICE, BOB))
BOX_ALONE = nev.PeopleFound(plan=BoxOf(user=ALICE, box=BOX, always=True))
ROOM_READY = hunts.room_ready(ALICE)
EXPIRED = ev.TimerFired(timer=Timer.EXPIRY)


def key(digit: str) -> mev.PhoneKeyPressed:
    return mev.PhoneKeyPressed(digit=digit)


def says(prompt: Prompt, menu: str = "main") -> ncmd.PlayPrompt:
    return ncmd.PlayPrompt(menu=menu, prompt=prompt)


def dialled(menu: MenuPlan = MAIN, sdp: str | None = "phone offer") -> Call:
    """A phone has called a number that leads to a menu."""
    call = inbound.begin(
        call_id=CallId("call-3"),
        trunk=TrunkName("carrier"),
        number="+15550100",
        dialog=DIALOG,
        sdp=sdp,
        user=UserId(""),
        matrix_call_id=MatrixCallId("zFIRST"),
        own_party=BRIDGE,
        menu=menu,
        times=TIMES,
        now=0.0,
        wall=1_000_000.0,
    )
    run(call, ev.CallPermitted())
    return call


def listening(menu: MenuPlan = MAIN) -> Call:
    """The phone hears the choices."""
    call = dialled(menu)
    run(call, mev.OwnAnswerReady(sdp="our answer"), now=10.0)
    return call


def choosing(menu: MenuPlan = MAIN) -> Call:
    """It has heard them."""
    call = listening(menu)
    run(call, PLAYED, now=15.0)
    return call


def seeking(found: nev.PeopleFound = FOUND) -> Call:
    """It has chosen a person."""
    call = choosing()
    run(call, key("1"), found, now=20.0)
    return call


def ringing(found: nev.PeopleFound = FOUND) -> Call:
    """The person's devices ring."""
    call = seeking(found)
    run(call, hunts.judged(ALICE), ROOM_READY, hunts.OFFER, hunts.rings(ALICE), now=21.0)
    return call


THEN_MENU = hunts.plan(ALICE, BOB, otherwise=MAIN)


def follows_a_group() -> Call:
    """Nobody of the called group has taken the call, and the phone is being answered for a menu."""
    call = hunts.hunting(THEN_MENU)
    run(call, hunts.judged(ALICE), ROOM_READY, hunts.OFFER, EXPIRED, now=5.0)
    return call


def follows_a_group_of_a_menu() -> Call:
    """A menu has led to that group, and the phone is back in a menu."""
    call = seeking(nev.PeopleFound(plan=hunts.plan(ALICE, BOB, otherwise=SALES)))
    run(call, EXPIRED, now=45.0)
    return call


def test_the_menus_of_a_call_are_that_of_the_phone_and_that_after_all_groups() -> None:
    assert listening().menus == [MAIN]
    assert hunts.hunting(THEN_MENU).menus == [MAIN]
    assert hunts.hunting(hunts.plan(ALICE, otherwise=hunts.plan(BOB, otherwise=SALES))).menus == [SALES]
    assert hunts.hunting(hunts.plan(ALICE)).menus == []


@pytest.mark.parametrize(
    ("menu", "typed", "pressed", "reading"),
    [
        (MAIN, "", "2", Reading(Sense.TARGET, "menu:sales")),
        (MAIN, "", "9", Reading(Sense.NOTHING)),
        (MAIN, "", "*", Reading(Sense.BACK)),
        (MAIN, "", "#", Reading(Sense.REPEAT)),
        (MenuPlan(name="main", choices={"#": "menu:sales"}), "", "#", Reading(Sense.TARGET, "menu:sales")),
        (DIALLED, "", "7", Reading(Sense.TARGET, "menu:sales")),
        (DIALLED, "", "1", Reading(Sense.MORE, "1")),
        (DIALLED, "1", "7", Reading(Sense.MORE, "17")),
        (DIALLED, "", "9", Reading(Sense.NOTHING)),
        (DIALLED, "20", "#", Reading(Sense.EXTENSION, "20")),
        (DIALLED, "1", "#", Reading(Sense.TARGET, "menu:sales")),
        (DIALLED, "20", "*", Reading(Sense.REPEAT)),
        (DIALLED, "1" * (LONGEST_EXTENSION - 1), "1", Reading(Sense.EXTENSION, "1" * LONGEST_EXTENSION)),
    ],
)
def test_what_a_key_means(menu: MenuPlan, typed: str, pressed: str, reading: Reading) -> None:
    assert read_key(menu, typed, pressed) == reading


def test_a_single_digit_after_which_none_comes_is_the_choice_and_not_an_extension() -> None:
    assert read_digits(DIALLED, "1") == Reading(Sense.TARGET, "menu:sales")
    assert read_digits(DIALLED, "20") == Reading(Sense.EXTENSION, "20")


def test_a_phone_is_answered_and_hears_the_choices() -> None:
    call = dialled()
    assert call.state is State.ATTENDING
    commands = run(call, mev.OwnAnswerReady(sdp="our answer"), now=10.0)
    assert commands == [sipcmd.AcceptSip(sdp="our answer"), says(Prompt.CHOICES)]
    assert (call.state, call.at.attended, call.at.answered) == (State.IN_MENU, 10.0, None)


def test_a_call_without_an_offer_is_offered_ours() -> None:
    call = dialled(sdp=None)
    run(call, mev.OwnAnswerReady(sdp="our offer"))
    assert run(call, sipev.SipConfirmed(sdp="phone answer")) == [medcmd.TakeSipAnswer(sip_sdp="phone answer")]


def test_a_key_interrupts_what_is_said() -> None:
    call = listening()
    assert run(call, key("2")) == [mcmd.StopSound(), ncmd.FindTarget(target="menu:sales")]


def test_a_menu_leads_to_another_and_the_star_back() -> None:
    call = choosing()
    run(call, key("2"))
    assert run(call, nev.MenuFound(menu=SALES)) == [says(Prompt.CHOICES, "sales")]
    run(call, PLAYED)
    assert run(call, key("*")) == [ncmd.FindTarget(target="menu:main")]
    assert run(call, nev.MenuFound(menu=MAIN)) == [says(Prompt.CHOICES)]
    assert call.walk is not None
    assert call.walk.before == ()
    assert call.walk.path == ("main", "sales", "main")


def test_the_star_has_nowhere_to_go_in_the_first_menu() -> None:
    assert run(choosing(), key("*")) == [says(Prompt.CHOICES)]


def test_a_wrong_key_is_said_and_the_choices_are_heard_again() -> None:
    call = choosing()
    assert run(call, key("9")) == [says(Prompt.INVALID)]
    assert run(call, PLAYED) == [says(Prompt.CHOICES)]


def test_keys_that_no_telephone_has_mean_nothing() -> None:
    call = listening()
    assert run(call, key("A"), key("!")) == []


def test_silence_repeats_the_choices_and_then_ends_the_call() -> None:
    call = choosing()
    assert call.deadlines[Timer.MENU] == 23.0
    assert run(call, SILENCE) == [says(Prompt.CHOICES)]
    run(call, PLAYED)
    assert scenes.kinds(run(call, SILENCE)) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]
    assert (call.verdict, call.ended_by) == (outcomes.MENU_OVER, EndedBy.BRIDGE)


@pytest.mark.parametrize("otherwise", ["", "@alice:example.org"])
def test_a_phone_that_never_presses_a_key_is_let_go_whatever_it_sends(otherwise: str) -> None:
    """Silence of a phone may be suppression of silence, so nothing but the menu itself ends it."""
    call, now, prompt_s = listening(MenuPlan(name="main", otherwise=otherwise)), 10.0, 5.0
    commands: list[cmd.Command] = [says(Prompt.CHOICES)]
    while not call.ended:
        if any(isinstance(command, ncmd.PlayPrompt) for command in commands):
            now += prompt_s
            commands = run(call, PLAYED, now=now)
        elif any(isinstance(command, ncmd.FindTarget) for command in commands):
            commands = run(call, FOUND, now=now)
        else:
            now = call.next_deadline() or now
            commands = run(call, *(ev.TimerFired(timer=timer) for timer in call.due(now)), now=now)
    ring_s = hunts.plan(ALICE).each_s + prompt_s if otherwise else 0.0
    assert now == pytest.approx(10.0 + 3 * (prompt_s + 8.0) + ring_s)


def test_silence_and_wrong_keys_lead_to_what_the_menu_does_otherwise() -> None:
    call = choosing(MenuPlan(name="main", otherwise="@alice:example.org", repeats=1))
    run(call, key("9"), PLAYED, PLAYED)
    assert run(call, SILENCE) == [ncmd.FindTarget(target="@alice:example.org")]


def test_an_extension_ends_with_the_hash_key_or_with_a_pause() -> None:
    call = choosing(DIALLED)
    assert run(call, key("2"), key("0"), now=20.0) == []
    assert call.deadlines[Timer.MENU] == 20.0 + menu_walk.NEXT_DIGIT_S
    assert run(call, key("#")) == [ncmd.FindTarget(extension="20")]
    call = choosing(DIALLED)
    run(call, key("2"), key("0"))
    assert run(call, SILENCE) == [ncmd.FindTarget(extension="20")]


def test_an_extension_that_nobody_has_is_a_wrong_key() -> None:
    call = choosing(DIALLED)
    run(call, key("2"), key("#"))
    assert run(call, nev.NothingFound()) == [says(Prompt.INVALID)]


def test_digits_are_in_no_words_of_a_call() -> None:
    call = choosing(DIALLED)
    run(call, key("2"), key("0"))
    assert "20" not in repr(call.walk)
    assert "20" not in repr(ncmd.FindTarget(extension="20"))


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


def test_a_phone_that_hangs_up_in_the_menu_has_called_nobody() -> None:
    call = choosing()
    assert scenes.kinds(run(call, sipev.SipEnded())) == [medcmd.CloseMedia, cmd.FinishCall]
    assert (call.verdict, call.ended_by) == (outcomes.MENU_LEFT, EndedBy.SIP)


@pytest.mark.parametrize("begin", [listening, choosing, seeking, ringing])
def test_a_phone_that_gives_up_before_it_has_our_200_is_in_no_menu_any_more(begin: Callable[[], Call]) -> None:
    call = begin()
    commands = run(call, sipev.SipCancelled())
    assert sipcmd.ByeSip not in scenes.kinds(commands)
    assert (call.verdict, call.illegal_events) == (outcomes.CANCELLED, 0)


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


def test_a_walk_has_an_end_in_time_and_in_choices() -> None:
    call = choosing()
    assert call.deadlines[Timer.WALK] == 10.0 + turning_away.LONGEST_WALK_S
    assert sipcmd.ByeSip in scenes.kinds(run(call, ev.TimerFired(timer=Timer.WALK)))
    assert call.verdict == outcomes.MENU_LIMIT
    call = choosing()
    for _ in range(menu_walk.MOST_CHOICES):
        run(call, key("2"), nev.MenuFound(menu=SALES), PLAYED, key("*"), nev.MenuFound(menu=MAIN), PLAYED)
    assert call.verdict == outcomes.MENU_LIMIT


def test_what_comes_of_a_choice_after_the_phone_has_gone_back_means_nothing() -> None:
    call = choosing()
    assert run(call, FOUND, nev.NothingFound(), nev.MenuFound(menu=SALES)) == []
    assert call.walk is not None
    assert call.walk.step is MenuStep.WAITING


# A menu that follows a group.


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
