"""What a test call has shown. Pure.

That we hear the phone is measured. Whether the phone hears us only its side can know: it sends our tone back, or says
in its reports (RTCP, RFC 3550 §6.4) how many of our packets came. Many phones do neither, and then nothing is claimed.
"""

import enum
from dataclasses import dataclass

from bridge.core.verdict import Result

ENOUGH_FRAMES = 10
"""200 ms of anything: less is a click."""
_MOSTLY_LOST = 0.5


class Outcome(enum.StrEnum):
    """How a test call ended, from best to worst."""

    BOTH_WAYS = "both_ways"
    UNPROVEN = "unproven"
    """The phone is heard; whether it hears us, it does not say."""
    ONE_WAY = "one_way"
    NO_AUDIO = "no_audio"
    NOT_ANSWERED = "not_answered"
    """Busy, declined, nobody there, no such number."""
    FAILED = "failed"
    """A trunk or the bridge could not do it."""
    REFUSED = "refused"
    """Permissions, limits or prices do not let the test caller make this call."""

    @property
    def exit_code(self) -> int:
        """For scripts; 1 and 2 are left to what keeps a test from being made at all."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Outcome.BOTH_WAYS: 0,
    Outcome.UNPROVEN: 3,
    Outcome.ONE_WAY: 4,
    Outcome.NO_AUDIO: 5,
    Outcome.NOT_ANSWERED: 6,
    Outcome.FAILED: 7,
    Outcome.REFUSED: 8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was seen of a call that is over."""

    result: Result
    """Of the call's verdict."""
    reason: str
    answered: bool
    connected: bool
    """Whether audio could flow between the client and the bridge."""
    packets_from_phone: int = 0
    audible: int = 0
    """Frames of 20 ms in which something was heard."""
    own_tone: int = 0
    """Those of them in which our tone came back."""
    packets_to_phone: int = 0
    lost_to_phone: int | None = None
    """By the phone's own reports; `None` where it sent none about us."""


def judge(facts: Facts) -> tuple[Outcome, str]:
    """The outcome, and a sentence that says it."""
    if not facts.answered:
        return _unanswered(facts)
    if not facts.connected:
        return Outcome.NO_AUDIO, "answered, but no audio could be set up between a client and the bridge"
    heard, hears = facts.audible >= ENOUGH_FRAMES, _phone_hears(facts)
    if heard and hears:
        how = "our tone came back" if _echoes(facts) else "the phone reports that our packets arrive"
        return Outcome.BOTH_WAYS, f"heard both ways: {how}"
    if heard and hears is None:
        return Outcome.UNPROVEN, "the phone is heard; whether it hears us, it does not say"
    if heard:
        return Outcome.ONE_WAY, "one-way: the phone is heard, and reports that what we send does not arrive"
    silence = "sends nothing" if not facts.packets_from_phone else "sends packets with nothing but silence in them"
    if hears:
        return Outcome.ONE_WAY, f"one-way: our packets arrive, and the phone {silence}"
    return Outcome.NO_AUDIO, f"answered, and nothing is heard: the phone {silence}"


def _unanswered(facts: Facts) -> tuple[Outcome, str]:
    match facts.result:
        case Result.POLICY:
            return Outcome.REFUSED, f"refused before anything was dialled: {facts.reason}"
        case Result.CLIENT:
            return Outcome.NOT_ANSWERED, f"not answered: {facts.reason}"
        case _:
            return Outcome.FAILED, f"could not be made: {facts.reason}"


def _echoes(facts: Facts) -> bool:
    return facts.own_tone >= ENOUGH_FRAMES


def _phone_hears(facts: Facts) -> bool | None:
    """Whether the phone hears us; `None` where nobody knows."""
    if _echoes(facts):
        return True
    if facts.lost_to_phone is None or not facts.packets_to_phone:
        return None
    return facts.lost_to_phone < _MOSTLY_LOST * facts.packets_to_phone
