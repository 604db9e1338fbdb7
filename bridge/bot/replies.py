"""The bot's words: short sentences for people who know nothing of trunks, verdicts or rooms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from bridge.core.ids import RoomId
from bridge.core.presence import RingWhen
from bridge.store.people import PastCall, StoredSettings

Shown = Callable[[str], str]
"""A number as its reader knows it: by name, or in readable form."""

GREETING = 'Hello! I connect you with the telephone network. Say "help" to see what I can do.'
UNKNOWN = 'I do not understand that. Say "help" to see what I can do.'
TOO_FAST = "That was a bit much at once. Please wait a moment."
FAILED = "That did not work just now. Please try again in a moment."
ENCRYPTED = "I cannot read encrypted messages. Please invite me to a room without encryption."
NO_PRESENCE = "I am not told whether people are online here, so phones always ring you."
RINGING: Mapping[RingWhen, str] = {
    RingWhen.ALWAYS: "Phones that call you always ring.",
    RingWhen.NOT_OFFLINE: "Phones that call you ring unless you are offline.",
    RingWhen.ONLINE: "Phones that call you ring only while you are online and not idle.",
}
NO_OWN_NUMBER = "You have no telephone number of your own."
NOTHING_TO_FORWARD = "No telephone number rings you alone, and calls to a group or through a menu are not forwarded."
NO_VOICEMAIL = "You have no voicemail here."
NO_HISTORY = "You have had no calls yet."
HISTORY_IS_OFF = "Past calls are not kept here."
TOO_MANY_NAMES = "You have named too many numbers. Forget one first: name NUMBER"
NO_ADMIN = "Only administrators of the telephone service can do that."
NOT_SUSPENDED = "Calls of that user are not suspended."
NOT_BLOCKED = "That number is not blocked."
TOO_MANY_BLOCKED = "You have blocked too many numbers. Unblock one first: unblock NUMBER"
NO_NAME = "That name cannot be shown. Please choose another."

HELP = "\n".join(
    (
        "call NUMBER: a room from which you can call that number",
        "status: your settings, your calls now, and whether the telephone network can be reached",
        "history: your last calls",
        "dnd on, dnd off: do not disturb; phones that call you hear that you are busy",
        "forward NUMBER, forward off: send calls from phones to another number",
        "anonymous on, anonymous off: whether those whom you call see no number",
        "ring always, ring unless offline, ring when online: when phones that call you ring",
        "hours mon-fri 9:00-17:00, hours off: when phones that call you ring",
        "block NUMBER, unblock NUMBER, block: numbers that cannot call you",
        "refuse anonymous, accept anonymous: whether callers who show no number can call you",
        "name NUMBER NAME: what you want to call a number; without a name I forget it",
        "voicemail: when phones can leave you a message, and where you find it",
    )
)

_MISSED = frozenset({"no_answer", "cancelled", "room_left", "attendants_busy"})
_ENDS: Mapping[str, Mapping[str, str]] = {
    "inbound": {
        **dict.fromkeys(_MISSED, "missed"),
        "answered_elsewhere": "answered elsewhere",
        "anonymous": "refused, no number was shown",
        "blocked": "refused, blocked",
        "busy": "missed, you were busy",
        "declined": "you declined",
        "do_not_disturb": "missed, do not disturb was on",
        "forwarded": "forwarded",
        "message_box": "left no message",
        "not_there": "missed, you were away",
        "out_of_hours": "missed, outside of your hours",
    },
    "outbound": {
        "busy": "busy",
        "cancelled": "you cancelled",
        "declined": "declined",
        "emergency_refused": "not possible from here",
        "invalid_number": "no telephone number",
        "no_answer": "no answer",
        "not_in_service": "not in service",
        "not_permitted": "not permitted",
        "outbound_is_off": "not permitted",
        "room_busy": "you were in another call",
    },
}
"""How a call that nobody answered ended, by direction and reason; what is not here failed."""


_NOT_TAKEN: Mapping[str, str] = {
    "no_answer": "you do not answer",
    "busy": "you are busy",
    "declined": "you decline",
    "do_not_disturb": "do not disturb is on",
    "out_of_hours": "it is outside of your hours",
    "not_there": "you are away",
    "homeserver_unreachable": "you cannot be reached",
    "homeserver_refused": "you cannot be reached",
}
"""Why a call is over for which a message can be left."""


def misused(usage: str) -> str:
    return f"Please say it like this: {usage}"


def call_from(number: str, room_id: RoomId, *, joined: bool) -> str:
    """Where to press the button."""
    link = f"https://matrix.to/#/{quote(room_id)}?via={quote(room_id.partition(':')[2])}"
    invited = "" if joined else " I have invited you to it."
    return f"To call {number}, open this room and press its call button: {link}{invited}"


def message_box(reasons: Sequence[str]) -> str:
    """Where messages are, and which calls leave one."""
    cases = list(dict.fromkeys(_NOT_TAKEN[reason] for reason in reasons))
    where = "It comes into the room of the number that called, as a voice message."
    if not cases:
        return f"Phones that are led to your voicemail can leave a message. {where}"
    *others, last = cases
    when = f"{_listed(others)}, or {last}" if others else last
    return f"A phone that calls you can leave a message when {when}. {where}"


def do_not_disturb(settings: StoredSettings) -> str:
    """After a change."""
    if not settings.do_not_disturb:
        return "Phones that call you ring again."
    return 'Phones that call you now hear that you are busy. "dnd off" ends it.'


def forwarded(number: str, *, not_over: Sequence[str], in_groups: bool) -> str:
    """After a change; calls over some trunks, and those of groups, ring all the same."""
    trunks = f" Calls over {_listed(not_over)} still ring you." if not_over else ""
    groups = " Calls to your groups still ring you." if in_groups else ""
    return f'Calls from phones now go to {number}. "forward off" ends it.{trunks}{groups}'


def anonymous(*, on: bool) -> str:
    """After a change."""
    return "Those whom you call now see no number." if on else "Those whom you call now see a number."


def blocked(numbers: Sequence[str]) -> str:
    return f"These numbers cannot call you: {_listed(numbers)}." if numbers else "No number is blocked."


def now_blocked(number: str) -> str:
    return f"{number} cannot call you or write to you any more."


def now_unblocked(number: str) -> str:
    return f"{number} can call you again."


def anonymous_callers(*, accepted: bool) -> str:
    return f"Callers who show no number {'can call you again' if accepted else 'are turned away now'}."


def hours(text: str) -> str:
    return f"Phones that call you ring {text} only." if text else "Phones that call you ring at all hours."


def resumed(user: str) -> str:
    return f"{user} may call again."


def not_forwarded() -> str:
    return "Calls from phones are not forwarded any more."


def named(number: str, name: str) -> str:
    return f"{number} is now called {name}." if name else f"{number} has no name of yours any more."


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNow:
    """A call that is going on."""

    number: str
    outbound: bool
    answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What `status` tells."""

    own_numbers: Sequence[str]
    prefixes: Sequence[str]
    trunks: Mapping[str, bool]
    """Whether each is in service."""
    settings: StoredSettings
    calls: Sequence[CallNow]
    own_blocks: Sequence[str] = ()
    """How the numbers begin of each."""
    groups: Sequence[str] = ()


_RING_WHEN = {
    RingWhen.ALWAYS: "always",
    RingWhen.NOT_OFFLINE: "unless offline",
    RingWhen.ONLINE: "when online",
}


def status(state: State, shown: Shown) -> str:
    """A line for each subject; for presence, only if the user has said something about it."""
    when = state.settings.ring_when
    forward, withheld = state.settings.forward, state.settings.withheld
    trunks = _listed([f"{name} {'works' if up else 'is out of service'}" for name, up in state.trunks.items()])
    return "\n".join(
        (
            _own(state, shown),
            *([f"Groups that ring you: {_listed(state.groups)}"] if state.groups else []),
            f"You may call: {_permitted(state.prefixes)}",
            f"Do not disturb: {'on' if state.settings.do_not_disturb else 'off'}",
            f"Forwarding: {f'to {shown(forward)}' if forward else 'off'}",
            *([f"Anonymous: {'on' if withheld else 'off'}"] if withheld is not None else []),
            *([f"Hours: {state.settings.hours}"] if state.settings.hours else []),
            *(["Anonymous callers: refused"] if state.settings.refuses_anonymous else []),
            *([f"Ringing: {_RING_WHEN[when]}"] if when is not None else []),
            f"Calls now: {_listed([_call_now(call, shown) for call in state.calls]) or 'none'}",
            f"Telephone network: {trunks or 'not connected'}",
        )
    )


def _own(state: State, shown: Shown) -> str:
    own = [*map(shown, state.own_numbers), *(f"all that begin with {begin}" for begin in state.own_blocks)]
    return f"Your number: {_listed(own)}" if own else NO_OWN_NUMBER


def _permitted(prefixes: Sequence[str]) -> str:
    if "+" in prefixes:
        return "all numbers"
    begins = [prefix for prefix in prefixes if prefix.startswith("+")]
    whole = [prefix for prefix in prefixes if not prefix.startswith("+")]
    parts = ([f"numbers that begin with {_listed(begins)}"] if begins else []) + ([_listed(whole)] if whole else [])
    return "; ".join(parts) or "no number"


def _call_now(call: CallNow, shown: Shown) -> str:
    way = "to" if call.outbound else "from"
    return f"{way} {_whom(call.number, shown)}{'' if call.answered else ' (not answered yet)'}"


def history(calls: Sequence[PastCall], shown: Shown) -> str:
    """A line for each call, the newest first. Nobody knows the reader's time zone, so the times are UTC."""
    return "\n".join(_past(call, shown) for call in calls) or NO_HISTORY


def _past(call: PastCall, shown: Shown) -> str:
    moment = datetime.fromtimestamp(call.began_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    way = "to" if call.direction == "outbound" else "from"
    return f"{moment}, {way} {_whom(call.number, shown)}: {_end(call)}"


def _end(call: PastCall) -> str:
    if call.talk_s > 0:
        minutes, seconds = divmod(round(call.talk_s), 60)
        return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return _ENDS.get(call.direction, {}).get(call.reason, "failed")


def _whom(number: str, shown: Shown) -> str:
    return shown(number) if number else "a withheld number"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
