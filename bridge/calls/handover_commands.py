"""What a call wants done when its user leaves the phone to another one (MSC2747)."""

from dataclasses import dataclass

from bridge.calls.handover_events import FromPartner
from bridge.core.ids import CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class DropMatrixMedia:
    """The user has left: end the WebRTC side, keep the phone's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectReplacement:
    """The transfer that the client asked for cannot be made (MSC2747)."""

    replacement_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferSip:
    """Ask the phone's side to call somebody else, in place of the partner's call if given → `ReferralReported`."""

    number: str
    replaces: CallId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPhone:
    """Begin the call of the other phone, as this call's partner."""

    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinMedia:
    """Let the phone hear the partner's, and be heard there → `PartnersJoined` or `MediaRefused`."""

    partner: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class TellPartner:
    """An event for another call; one that is over leaves, as it were, at once."""

    partner: CallId
    event: FromPartner


HandoverCommand = DropMatrixMedia | RejectReplacement | ReferSip | FetchPhone | JoinMedia | TellPartner
