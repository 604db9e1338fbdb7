"""What happens when a Matrix user leaves a phone to somebody else (MSC2747), and what two calls tell each other then.

A call whose user has left has a partner: the call of the other phone. Each keeps its own SIP dialog and media session.
"""

from dataclasses import dataclass

from bridge.calls.way import Way
from bridge.core.ids import CallId, MatrixCallId, PartyId, UserId
from bridge.core.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverPermitted:
    """The user's client leaves its phone to another one (`m.call.replaces`, `create_call`), and policy let it pass."""

    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None
    replacement_id: str
    ways: tuple[Way, ...]
    """To the other phone, the first to try first."""
    new_matrix_call_id: MatrixCallId
    """What the new call would be named in Matrix; the name of the other phone's call in its record."""
    by_refer: bool = False
    """Whether the phone's side is asked to make the call itself (REFER)."""
    other: CallId | None = None
    """The user's call with that phone, if there is one: the two phones are connected, and nobody is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverForbidden:
    """The user's client leaves its phone to somebody who may not or cannot be called."""

    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None
    replacement_id: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverAwaited:
    """The user's client leaves its phone to one that it is about to name (`m.call.replaces`, `await_call`)."""

    matrix_call_id: MatrixCallId
    user: UserId
    party: PartyId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralReported:
    """What came of asking the phone's side to make the call."""

    status: int
    refused: bool
    """Whether it would not even try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPermitted:
    """The life of a call begins for which no user is there: its phone is fetched for the partner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnersJoined:
    """The audio of this call and its partner's is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerClaimed:
    """Another call of the user wants this one for its partner."""

    partner: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerAgreed:
    """The claimed call has let its user go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerHeard:
    """The partner's phone is heard; whether it has answered, or its network plays something meanwhile."""

    answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerLeft:
    """The partner is over, or never was."""

    verdict: Verdict


FromPartner = PartnerClaimed | PartnerAgreed | PartnerHeard | PartnerLeft
"""What calls tell each other."""

HandoverEvent = (
    HandoverPermitted
    | HandoverForbidden
    | HandoverAwaited
    | ReferralReported
    | FetchPermitted
    | PartnersJoined
    | FromPartner
)
