"""A phone walks through a spoken menu: what its keys lead to, and how it ends."""

from collections.abc import Callable

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import media_commands as medcmd
from bridge.calls import menu_commands as ncmd
from bridge.calls import menu_events as nev
from bridge.calls import menu_walk, outcomes, turning_away
from bridge.calls import message_commands as mcmd
from bridge.calls import message_events as mev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.menu import LONGEST_EXTENSION, MenuPlan, MenuStep, Prompt, Reading, Sense, read_digits, read_key
from bridge.calls.state import EndedBy, State, Timer
from tests.calls import hunts, scenes
from tests.calls.menus import (
    DIALLED,
    FOUND,
    MAIN,
    PLAYED,
    SALES,
    SILENCE,
    choosing,
    dialled,
    key,
    listening,
    ringing,
    says,
    seeking,
)
from tests.calls.scenes import ALICE, run


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
