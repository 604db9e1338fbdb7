"""A phone walks through a spoken menu: the bridge has answered it, and its keys say whom it wants.

Nobody is rung before, so there is no Matrix side until somebody is chosen. Then they are rung as the members of a group
are (`hunting`), for a phone that hears a ringback from us, and comes back here when nobody takes it.
"""

from collections.abc import Mapping

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import hunting, outcomes
from bridge.calls import media_events as medev
from bridge.calls import menu_commands as ncmd
from bridge.calls import menu_events as nev
from bridge.calls import message_commands as mcmd
from bridge.calls import message_events as mev
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.established import OF_THE_PHONE
from bridge.calls.handover import NOT_MOVED
from bridge.calls.hunt_plan import BoxOf, HuntPlan
from bridge.calls.menu import KEYS, MenuStep, Prompt, Reading, Sense, Walk, read_digits, read_key
from bridge.calls.message_box import OVER_FOR_MATRIX
from bridge.calls.state import EndedBy, SipLeg, State, Timer
from bridge.calls.steps import Row, Table, abort, media_lost
from bridge.calls.turning_away import say_nobody, take_message
from bridge.core.verdict import Verdict

NEXT_DIGIT_S = 3.0
"""For each further digit of an extension."""
MOST_CHOICES = 20
"""In one call: menus may lead to each other in circles."""


def sound_played(call: Call, event: mev.SoundPlayed, now: float) -> list[cmd.Command]:
    """A sentence is over: listen, say the choices again, or hang up."""
    walk = call.walk
    if walk is None:
        return []
    match walk.step:
        case MenuStep.PROMPT:
            walk.step = MenuStep.WAITING
            call.deadlines[Timer.MENU] = now + walk.menu.timeout_s
            return []
        case MenuStep.INVALID | MenuStep.NOBODY if walk.leaving is not None:
            return call.end(walk.leaving, EndedBy.BRIDGE, now)
        case MenuStep.INVALID | MenuStep.NOBODY:
            return _say(call, walk, Prompt.CHOICES)
        case MenuStep.WAITING | MenuStep.CONNECTING:
            return []


def key_pressed(call: Call, event: mev.PhoneKeyPressed, now: float) -> list[cmd.Command]:
    """A key counts while something is said, too: who knows the menu need not listen to it."""
    walk = call.walk
    deaf = walk is None or walk.step is MenuStep.CONNECTING or walk.leaving is not None
    if walk is None or deaf or event.digit not in KEYS:
        return []
    hush = [] if walk.step is MenuStep.WAITING else [mcmd.StopSound()]
    walk.step = MenuStep.WAITING
    return [*hush, *_take(call, walk, read_key(walk.menu, walk.typed, event.digit), now)]


def timer_fired(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    walk = call.walk
    if event.timer is Timer.WALK:
        return call.end(outcomes.MENU_LIMIT, EndedBy.BRIDGE, now)
    if walk is None or event.timer is not Timer.MENU or walk.step is not MenuStep.WAITING:
        return []
    if walk.typed:
        return _take(call, walk, read_digits(walk.menu, walk.typed), now)
    return _missed(call, walk, Prompt.CHOICES, now)


def _take(call: Call, walk: Walk, reading: Reading, now: float) -> list[cmd.Command]:
    walk.typed = ""
    call.deadlines.pop(Timer.MENU, None)
    match reading.sense:
        case Sense.MORE:
            walk.typed = reading.word
            call.deadlines[Timer.MENU] = now + NEXT_DIGIT_S
            return []
        case Sense.TARGET:
            return _find(call, walk, ncmd.FindTarget(target=reading.word), now)
        case Sense.EXTENSION:
            return _find(call, walk, ncmd.FindTarget(extension=reading.word), now)
        case Sense.BACK if walk.before:
            return _find(call, walk, ncmd.FindTarget(target=f"menu:{walk.before[-1]}"), now)
        case Sense.BACK | Sense.REPEAT:
            return _say(call, walk, Prompt.CHOICES)
        case Sense.NOTHING:
            return _missed(call, walk, Prompt.INVALID, now)


def _find(call: Call, walk: Walk, find: ncmd.FindTarget, now: float, *, unasked: bool = False) -> list[cmd.Command]:
    if len(walk.path) > MOST_CHOICES:
        return call.end(outcomes.MENU_LIMIT, EndedBy.BRIDGE, now)
    walk.step, walk.unasked = MenuStep.CONNECTING, unasked
    return [find]


def _missed(call: Call, walk: Walk, prompt: Prompt, now: float) -> list[cmd.Command]:
    """No key, or a wrong one: hear the menu again, and after some tries do what it does when nothing is chosen."""
    walk.tries += 1
    if walk.tries <= walk.menu.repeats:
        return _say(call, walk, prompt)
    if walk.menu.otherwise:
        return _find(call, walk, ncmd.FindTarget(target=walk.menu.otherwise), now, unasked=True)
    return call.end(outcomes.MENU_OVER, EndedBy.BRIDGE, now)


_STEPS = {Prompt.CHOICES: MenuStep.PROMPT, Prompt.INVALID: MenuStep.INVALID, Prompt.NOBODY: MenuStep.NOBODY}


def _say(call: Call, walk: Walk, prompt: Prompt) -> list[cmd.Command]:
    walk.step, walk.typed = _STEPS[prompt], ""
    call.deadlines.pop(Timer.MENU, None)
    return [ncmd.prompt_of(walk.menu, prompt)]


# What a choice leads to.


def menu_found(call: Call, event: nev.MenuFound, now: float) -> list[cmd.Command]:
    walk = call.walk
    if walk is None or walk.step is not MenuStep.CONNECTING:
        return []
    walk.enter(event.menu)
    return _say(call, walk, Prompt.CHOICES)


def people_found(call: Call, event: nev.PeopleFound, now: float) -> list[cmd.Command]:
    """Ring them for a phone that waits with our ringback in its ear, or let it leave a message at once."""
    walk, plan = call.walk, event.plan
    if walk is None or walk.step is not MenuStep.CONNECTING:
        return []
    walk.path = (*walk.path, _word(plan))
    if isinstance(plan, BoxOf):
        call.matrix.user, call.message_box = plan.user, plan.box
        return take_message(call, outcomes.MENU_LEFT, now)
    call.hunt = None
    call.deadlines.clear()
    return [ncmd.PlayRingback(), *hunting.begin(call, plan, now)]


def _word(plan: HuntPlan | BoxOf) -> str:
    """A choice as the record has it: groups have names, people have their own place there."""
    if isinstance(plan, BoxOf):
        return "voicemail"
    return f"group:{plan.group}" if plan.group else "person"


def nothing_found(call: Call, event: nev.NothingFound, now: float) -> list[cmd.Command]:
    """What a menu does without a choice may lead nowhere as well: to the box of a user who has blocked the phone."""
    walk = call.walk
    if walk is None or walk.step is not MenuStep.CONNECTING:
        return []
    walk.path = (*walk.path, "nothing")
    if walk.unasked:
        return say_nobody(call, walk, outcomes.MENU_OVER, now)
    return _missed(call, walk, Prompt.INVALID, now)


def late_offer_ready(call: Call, event: medev.MatrixOfferReady, now: float) -> list[cmd.Command]:
    """Nobody is left for whom it was made; whoever is chosen next gets it."""
    call.our_offer = event.sdp
    return []


# The phone, meanwhile.


def phone_hung_up(call: Call, event: sipev.SipEnded, now: float) -> list[cmd.Command]:
    return _leave(call, event, _leaving(call) or outcomes.MENU_LEFT, now)


def unheard(call: Call, event: medev.MediaRefused, now: float) -> list[cmd.Command]:
    """Nothing can be said; the last sentence of a call was not to change why it ends."""
    return call.end(_leaving(call) or event.verdict, EndedBy.BRIDGE, now)


def _leaving(call: Call) -> Verdict | None:
    return call.walk.leaving if call.walk is not None else None


def gave_up(call: Call, event: sipev.SipEnded, now: float) -> list[cmd.Command]:
    """While somebody is rung: to them it is a call that they have missed."""
    return _leave(call, event, outcomes.CANCELLED, now)


def _leave(call: Call, event: sipev.SipEnded, verdict: Verdict, now: float) -> list[cmd.Command]:
    call.sip_leg, call.peer_q850 = SipLeg.ENDED, event.q850
    return call.end(verdict, EndedBy.SIP, now)


PHONE_ON_ITS_OWN: Mapping[type[object], Row] = {
    **OF_THE_PHONE,
    sipev.SipEnded: Row(gave_up, (State.ENDED,)),
    medev.MediaLost: Row(media_lost, (State.ENDED,)),
    **NOT_MOVED,
}
"""A phone that we have answered, and that talks to nobody yet."""

_IN_MENU: Mapping[type[object], Row] = {
    **OVER_FOR_MATRIX,
    **PHONE_ON_ITS_OWN,
    ev.Aborted: Row(abort, (State.ENDED,)),
    medev.MediaRefused: Row(unheard, (State.ENDED,)),
    sipev.SipEnded: Row(phone_hung_up, (State.ENDED,)),
    ev.TimerFired: Row(timer_fired, (State.ENDED,)),
    mev.SoundPlayed: Row(sound_played, (State.ENDED,)),
    mev.PhoneKeyPressed: Row(key_pressed, (State.ENDED,)),
    nev.MenuFound: Row(menu_found, ()),
    nev.PeopleFound: Row(people_found, (State.HUNTING, State.ATTENDED)),
    medev.MatrixOfferReady: Row(late_offer_ready, ()),
    nev.NothingFound: Row(nothing_found, (State.ENDED,)),
}

TABLE: Table = {
    **{(state, event): row for state in (State.HUNTING, State.ADOPTING) for event, row in PHONE_ON_ITS_OWN.items()},
    **{(State.IN_MENU, event): row for event, row in _IN_MENU.items()},
}
