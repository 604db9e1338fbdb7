"""Events of Matrix rooms as values: the envelope, and the `m.call.*` contents of the VoIP module.

Field names follow the specification (Client-Server API, "Voice over IP"; MSC2746). `version` is reduced to what
matters: 0 or 1 — everything that is not 0 or "0" is treated as 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.core.errors import TrunklineError
from bridge.core.ids import EventId, MatrixCallId, PartyId, RoomId, UserId

Json = Mapping[str, Any]
"""A JSON object that has not been parsed into a type of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEvent:
    """One event of a room, as the homeserver sent it, with the size and shape of its envelope checked."""

    event_id: EventId
    room_id: RoomId
    sender: UserId
    type: str
    content: Json
    state_key: str | None = None
    age_ms: int
    """How old the event was when it reached us: `unsigned.age`, else by the clocks, never negative."""
    received_at: float
    """Monotonic seconds at which it reached us."""
    hung_up: bool = False
    """An invite that was already hung up when it reached us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrickledCandidate:
    """One entry of `candidates`."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInvite:
    """`m.call.invite`."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    lifetime_ms: int
    """Clamped to 5 000 to 180 000; 60 000 when missing or senseless."""
    sdp: str
    invitee: UserId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCandidates:
    """`m.call.candidates`; at most 100 entries are kept."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    candidates: tuple[TrickledCandidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswer:
    """`m.call.answer`."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSelectAnswer:
    """`m.call.select_answer`."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    selected_party_id: PartyId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReject:
    """`m.call.reject`; `reason` is not in the specification but clients send it."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHangup:
    """`m.call.hangup`; a missing reason means `user_hangup`."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNegotiate:
    """`m.call.negotiate`: a new offer or answer within a call (hold, ICE restart, added video)."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    description_type: str
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReplaces:
    """`m.call.replaces` (MSC2747): the sender leaves the call's other side to somebody else."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None
    replacement_id: str
    target: UserId | None
    """To whom; `None` when nobody is named."""
    create_call: MatrixCallId | None
    """The id for the call that is to be placed; `None` when the other one is to wait for such a call instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRemark:
    """Something that a client says within a call and that changes nothing for a telephone.

    That its microphone is muted or its stream another one (MSC3077): the audio shows it, and silence is no end.
    Who it thinks it is (MSC3086): rooms have members for that. That it will not be transferred (MSC2747).
    """

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None


CallContent = (
    CallInvite
    | CallCandidates
    | CallAnswer
    | CallSelectAnswer
    | CallReject
    | CallHangup
    | CallNegotiate
    | CallReplaces
    | CallRemark
)

MAX_CANDIDATES = 100
MAX_SDP_BYTES = 65536
_MAX_TEXT = 255
_MAX_CANDIDATE = 1024
_DEFAULT_LIFETIME_MS = 60_000
_LIFETIME_MS = (5_000, 180_000)


class InvalidCallEvent(TrunklineError):  # noqa: N818 - it is the event that is invalid
    """A call event that cannot be used; `reason` is a snake_case word from a closed set."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_call_content(event: RoomEvent) -> CallContent | None:
    """The content of a call event; `None` when it is no call event that concerns us.

    Clients differ, so all that can be done without is forgiven. What must be there and is not, or could do harm, raises
    :class:`InvalidCallEvent`, and nothing else is ever raised, whatever a stranger sends.
    """
    parse = _PARSERS.get(event.type)
    if parse is None or not isinstance(event.content, Mapping) or event.content.get("conf_id") is not None:
        # `conf_id` marks a group call between several parties (MSC3401).
        return None
    if event.state_key is not None:
        raise InvalidCallEvent("state_event")
    if not event.content:
        raise InvalidCallEvent("redacted")
    return parse(event.content, _common(event.content))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """What every call event carries (specification, VoIP, "call_event")."""

    call_id: MatrixCallId
    version: int
    party_id: PartyId | None


def _common(content: Json) -> _Common:
    call_id = _text(content.get("call_id"))
    if call_id is None:
        raise InvalidCallEvent("call_id")
    version = _version(content.get("version"))
    # A version 0 call knows no parties, even where a client writes one.
    party_id = _text(content.get("party_id")) if version else None
    return _Common(call_id=MatrixCallId(call_id), version=version, party_id=PartyId(party_id) if party_id else None)


def _version(value: object) -> int:
    """0 for version 0; anything else is handled as version 1, as the specification asks."""
    return 0 if value == "0" or (isinstance(value, int) and not isinstance(value, bool) and value == 0) else 1


def _text(value: object, limit: int = _MAX_TEXT) -> str | None:
    """A non-empty string that can be stored and sent; `None` when absent. Anything longer is not to be trusted."""
    if not isinstance(value, str) or not value:
        return None
    if len(value) > limit:
        raise InvalidCallEvent("too_long")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidCallEvent("not_unicode")
    return value


def _lifetime(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return _DEFAULT_LIFETIME_MS
    low, high = _LIFETIME_MS
    # Compared before it is converted: infinity is no int, and an int may be too large for a float.
    return high if value > high else max(low, int(value))


def _description(content: Json, key: str, kind: str | None) -> tuple[str, str]:
    """Type and SDP of a session description, which must be of `kind` where it says what it is."""
    description = content.get(key)
    if not isinstance(description, Mapping):
        raise InvalidCallEvent("no_description")
    actual = description.get("type", kind)
    if not isinstance(actual, str) or (kind is not None and actual != kind):
        raise InvalidCallEvent("description_type")
    sdp = _text(description.get("sdp"), MAX_SDP_BYTES)
    if sdp is None:
        raise InvalidCallEvent("no_sdp")
    if len(sdp.encode()) > MAX_SDP_BYTES:
        raise InvalidCallEvent("too_long")
    return actual, sdp


def _invite(content: Json, common: _Common) -> CallInvite:
    invitee = content.get("invitee")
    if invitee is not None and not isinstance(invitee, str):
        raise InvalidCallEvent("invitee")
    name = _text(invitee)
    return CallInvite(
        call_id=common.call_id,
        version=common.version,
        party_id=common.party_id,
        lifetime_ms=_lifetime(content.get("lifetime")),
        sdp=_description(content, "offer", "offer")[1],
        invitee=UserId(name) if name else None,
    )


def _candidates(content: Json, common: _Common) -> CallCandidates:
    entries = content.get("candidates")
    if not isinstance(entries, list):
        raise InvalidCallEvent("candidates")
    kept = [entry for entry in map(_candidate, entries[:MAX_CANDIDATES]) if entry is not None]
    return CallCandidates(
        call_id=common.call_id, version=common.version, party_id=common.party_id, candidates=tuple(kept)
    )


def _candidate(entry: object) -> TrickledCandidate | None:
    """One entry, or `None` when it is senseless: one bad candidate must not cost the others."""
    if not isinstance(entry, Mapping) or not isinstance(line := entry.get("candidate"), str):
        return None
    try:
        line = _text(line, _MAX_CANDIDATE) or ""
        mid = _text(entry.get("sdpMid"))
    except InvalidCallEvent:
        return None
    index = entry.get("sdpMLineIndex")
    usable = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < MAX_CANDIDATES
    return TrickledCandidate(candidate=line, sdp_mid=mid, sdp_m_line_index=index if usable else None)


def _answer(content: Json, common: _Common) -> CallAnswer:
    return CallAnswer(
        call_id=common.call_id,
        version=common.version,
        party_id=common.party_id,
        sdp=_description(content, "answer", "answer")[1],
    )


def _select_answer(content: Json, common: _Common) -> CallSelectAnswer:
    selected = _text(content.get("selected_party_id"))
    return CallSelectAnswer(
        call_id=common.call_id,
        version=common.version,
        party_id=common.party_id,
        selected_party_id=PartyId(selected) if selected else None,
    )


def _reject(content: Json, common: _Common) -> CallReject:
    reason = _text(content.get("reason"))
    return CallReject(call_id=common.call_id, version=common.version, party_id=common.party_id, reason=reason)


def _hangup(content: Json, common: _Common) -> CallHangup:
    reason = _text(content.get("reason"))
    return CallHangup(call_id=common.call_id, version=common.version, party_id=common.party_id, reason=reason)


def _negotiate(content: Json, common: _Common) -> CallNegotiate:
    kind, sdp = _description(content, "description", None)
    return CallNegotiate(
        call_id=common.call_id, version=common.version, party_id=common.party_id, description_type=kind, sdp=sdp
    )


def _replaces(content: Json, common: _Common) -> CallReplaces:
    create, target = _text(content.get("create_call")), content.get("target_user")
    if create is None and _text(content.get("await_call")) is None:
        raise InvalidCallEvent("replaces")
    name = _text(target.get("id")) if isinstance(target, Mapping) else None
    return CallReplaces(
        call_id=common.call_id,
        version=common.version,
        party_id=common.party_id,
        replacement_id=_text(content.get("replacement_id")) or "",
        target=UserId(name) if name else None,
        create_call=MatrixCallId(create) if create else None,
    )


def _remark(content: Json, common: _Common) -> CallRemark:
    return CallRemark(call_id=common.call_id, version=common.version, party_id=common.party_id)


_PARSERS: dict[str, Callable[[Json, _Common], CallContent]] = {
    "m.call.invite": _invite,
    "m.call.candidates": _candidates,
    "m.call.answer": _answer,
    "m.call.select_answer": _select_answer,
    "m.call.reject": _reject,
    "m.call.hangup": _hangup,
    "m.call.negotiate": _negotiate,
    "m.call.replaces": _replaces,
    "m.call.reject_replacement": _remark,
    "m.call.sdp_stream_metadata_changed": _remark,
    "org.matrix.call.sdp_stream_metadata_changed": _remark,
    "m.call.asserted_identity": _remark,
    "org.matrix.call.asserted_identity": _remark,
}
