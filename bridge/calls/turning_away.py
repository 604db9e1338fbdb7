"""The end of a phone's call that nobody takes, or the beginning of its message, or its way back to the menu."""

from bridge.calls import commands as cmd
from bridge.calls import handover_commands as hcmd
from bridge.calls import media_commands as medcmd
from bridge.calls import menu_commands as ncmd
from bridge.calls import message_commands as mcmd
from bridge.calls import outcomes
from bridge.calls.call import Call
from bridge.calls.menu import MenuPlan, MenuStep, Prompt, Walk
from bridge.calls.message import Message
from bridge.calls.state import EndedBy, MatrixLeg, SipLeg, State, Timer
from bridge.core.verdict import Verdict

LONGEST_WALK_S = 600.0
"""Who has not reached anybody by then never will."""


def turn_away(call: Call, verdict: Verdict, ended_by: EndedBy, now: float) -> list[cmd.Command]:
    """End a phone's call that nobody takes, or let the phone leave a message where the called user has it so."""
    box = call.message_box
    if box is None or verdict.reason not in box.reasons or call.sip_leg is not SipLeg.INCOMING or call.forward_to:
        return call.end(verdict, ended_by, now)
    return attend(call, verdict, now)


def attend(call: Call, verdict: Verdict, now: float) -> list[cmd.Command]:
    """Answer the phone, which may leave a message for the call's user, or choose somebody else in a menu.

    `verdict` is why nobody else has answered it.
    """
    if not call.attendable:
        return call.end(outcomes.attendants_busy(verdict), EndedBy.BRIDGE, now)
    take = [medcmd.TakeSipOffer(sip_sdp=call.sip_sdp)] if call.state is State.NEW and call.sip_sdp is not None else []
    farewell = call.farewell_matrix(verdict)
    call.state, call.matrix_leg, call.message = State.ATTENDING, MatrixLeg.ENDED, Message(why=verdict)
    call.our_offer = None
    call.answer_soon(now)
    call.buffered.clear()
    return [*farewell, *take, mcmd.WriteOwnAnswer(late_offer=call.late_offer)]


def take_message(call: Call, why: Verdict, now: float) -> list[cmd.Command]:
    """A phone that we have answered already hears the greeting at once: now somebody has taken its call, in a way."""
    call.state, call.matrix_leg, call.message, call.our_offer = State.ATTENDED, MatrixLeg.ENDED, Message(why=why), None
    call.at.answered = now
    call.deadlines.clear()
    call.buffered.clear()
    if call.message_box is not None:
        call.deadlines[Timer.MESSAGE] = now + call.message_box.limit_s
    return [hcmd.DropMatrixMedia(), mcmd.PlayGreeting()]


def go_to_menu(call: Call, menu: MenuPlan, why: Verdict, now: float) -> list[cmd.Command]:
    """Nobody of a group takes the call, and a menu follows; the phone may have been answered for another before."""
    walk = call.walk
    if walk is None:
        group = call.hunt.group if call.hunt is not None else ""
        call.walk = Walk(menu=menu, path=(f"group:{group}", menu.name))
        return attend(call, why, now)
    walk.enter(menu)
    walk.step, walk.unasked = MenuStep.PROMPT, False
    _return(call, now)
    return [ncmd.prompt_of(menu, Prompt.CHOICES)]


def _return(call: Call, now: float) -> None:
    call.state = State.IN_MENU
    call.buffered.clear()
    call.deadlines = {Timer.WALK: (now if call.at.attended is None else call.at.attended) + LONGEST_WALK_S}


def back_to_menu(call: Call, verdict: Verdict, ended_by: EndedBy, now: float) -> list[cmd.Command]:
    """Say that nobody is there; then the phone may choose anew, unless it had not chosen at all."""
    walk = call.walk
    if walk is None:
        return call.end(verdict, ended_by, now)
    return say_nobody(call, walk, verdict if walk.unasked else None, now)


def without_message(call: Call, walk: Walk, verdict: Verdict, now: float) -> list[cmd.Command]:
    """The message box that a menu has led to takes none: the phone hears that nobody is there before it is let go."""
    call.message, call.at.answered = None, None
    return say_nobody(call, walk, verdict, now)


def say_nobody(call: Call, walk: Walk, leaving: Verdict | None, now: float) -> list[cmd.Command]:
    """Then the phone may choose anew, or is let go with the verdict that is given."""
    _return(call, now)
    walk.step, walk.leaving = MenuStep.NOBODY, leaving
    return [ncmd.prompt_of(walk.menu, Prompt.NOBODY)]
