"""The `m.call.*` events we send: type and content, in the one form that every client understands.

Clients are strict in different places: `version` is a string in version 1 and the integer 0 in version 0, no field is
ever null, a reject always carries a `party_id`, and stream metadata is keyed by the very stream id of the SDP.
"""

from dataclasses import dataclass

from bridge.core.ids import MatrixCallId, PartyId, UserId
from bridge.core.verdict import MatrixReason
from bridge.matrix.events import Json

_CAPABILITIES = {"m.call.transferee": True, "m.call.dtmf": True}
"""Element Web shows its keypad only to a peer that says `m.call.dtmf`, and transfers only one that lets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEvent:
    """An event to send."""

    type: str
    content: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CallIdentity:
    """What all our events of one call have in common: its id, its version, and who we are in it."""

    call_id: MatrixCallId
    party_id: PartyId
    version: int = 1
    """0 only in a call that its caller began with version 0."""

    def content(self) -> dict[str, object]:
        version: object = "1" if self.version else 0
        return {"call_id": self.call_id, "version": version, "party_id": self.party_id}


def invite(call: CallIdentity, *, sdp: str, lifetime_ms: int, invitee: UserId) -> OutgoingEvent:
    """Ring `invitee`. The lifetime is a whole number: some clients drop the event otherwise."""
    content = {
        **call.content(),
        "lifetime": int(lifetime_ms),
        "invitee": invitee,
        "offer": {"type": "offer", "sdp": sdp},
        **_description_extras(sdp),
    }
    return OutgoingEvent(type="m.call.invite", content=content)


def answer(call: CallIdentity, *, sdp: str) -> OutgoingEvent:
    """Accept the user's call."""
    content = {**call.content(), "answer": {"type": "answer", "sdp": sdp}, **_description_extras(sdp)}
    return OutgoingEvent(type="m.call.answer", content=content)


def negotiate_answer(call: CallIdentity, *, sdp: str) -> OutgoingEvent:
    """Answer a change that the client offered. Never sent unasked: Nheko hangs up on any offer of ours."""
    content = {**call.content(), "lifetime": 10_000, "description": {"type": "answer", "sdp": sdp}}
    return OutgoingEvent(type="m.call.negotiate", content={**content, **_stream_metadata(sdp)})


def end_of_candidates(call: CallIdentity, *, sdp: str) -> OutgoingEvent:
    """Say that all candidates are in `sdp`.

    With the real mid and index, because Android skips the entry and others fail without them.
    """
    index, mid = _audio_line(sdp)
    candidate: dict[str, object] = {"candidate": "", "sdpMLineIndex": index}
    if mid is not None:
        candidate["sdpMid"] = mid
    return OutgoingEvent(type="m.call.candidates", content={**call.content(), "candidates": [candidate]})


def select_answer(call: CallIdentity, *, selected_party_id: PartyId) -> OutgoingEvent:
    """Tell the user's devices which of them has the call."""
    content = {**call.content(), "selected_party_id": selected_party_id}
    return OutgoingEvent(type="m.call.select_answer", content=content)


def reject(call: CallIdentity, *, reason: MatrixReason | None) -> OutgoingEvent:
    """Refuse the user's call before it was answered.

    `None` leaves the reason out, which reads as "declined". Before an answer matrix-js-sdk ignores a hangup, so this
    must be a reject; version 0 knows none, so there it is a hangup.
    """
    if call.version == 0:
        return hangup(call, reason=reason)
    return OutgoingEvent(type="m.call.reject", content=_with_reason(call, reason))


def hangup(call: CallIdentity, *, reason: MatrixReason | None) -> OutgoingEvent:
    """End a call that was answered, or that we placed."""
    return OutgoingEvent(type="m.call.hangup", content=_with_reason(call, reason))


def asserted_identity(call: CallIdentity, *, number: str, name: str, ghost: UserId | None) -> list[OutgoingEvent]:
    """Who the call is with now, after a transfer (MSC3086); an identity of null is somebody unknown.

    The id is that of a ghost that is there already: an Element that is set to obey moves the call to that ghost's room.
    """
    shown = name or number
    identity = {"display_name": shown, **({"id": ghost} if ghost else {})} if shown else None
    content = {**call.content(), "asserted_identity": identity}
    kinds = ("m.call.asserted_identity", "org.matrix.call.asserted_identity")
    return [OutgoingEvent(type=kind, content=content) for kind in kinds]


def reject_replacement(call: CallIdentity, *, replacement_id: str) -> OutgoingEvent:
    """The call cannot be transferred as the client wants (MSC2747)."""
    content = {**call.content(), "replacement_id": replacement_id, "reason": "declined"}
    return OutgoingEvent(type="m.call.reject_replacement", content=content)


def notice(text: str) -> OutgoingEvent:
    """A sentence for the user, shown in the room."""
    return OutgoingEvent(type="m.room.message", content={"msgtype": "m.notice", "body": text})


def _with_reason(call: CallIdentity, reason: MatrixReason | None) -> Json:
    return call.content() if reason is None else {**call.content(), "reason": reason.value}


def _description_extras(sdp: str) -> dict[str, object]:
    return {"capabilities": _CAPABILITIES, **_stream_metadata(sdp)}


def _stream_metadata(sdp: str) -> dict[str, object]:
    stream = _stream_id(sdp)
    if stream is None:
        return {}
    # `video_muted: false` would make it a video call for the Dart SDK.
    media = {"purpose": "m.usermedia", "audio_muted": False, "video_muted": True}
    return {"sdp_stream_metadata": {stream: media}}


def _stream_id(sdp: str) -> str | None:
    """Stream of `a=msid:<stream> <track>` in the audio section (RFC 8830 §2)."""
    for line in _audio_section(sdp):
        if line.startswith("a=msid:"):
            stream = line.removeprefix("a=msid:").split(" ")[0].strip()
            return stream if stream not in {"", "-"} else None
    return None


def _audio_line(sdp: str) -> tuple[int, str | None]:
    """Index of the audio section, and its `a=mid` (RFC 5888 §4)."""
    kinds = [line for line in sdp.splitlines() if line.startswith("m=")]
    index = next((n for n, line in enumerate(kinds) if line.startswith("m=audio")), 0)
    mids = (line.removeprefix("a=mid:").strip() for line in _audio_section(sdp) if line.startswith("a=mid:"))
    return index, next(mids, None)


def _audio_section(sdp: str) -> list[str]:
    section: list[str] = []
    inside = False
    for line in sdp.splitlines():
        if line.startswith("m="):
            if inside:
                break
            inside = line.startswith("m=audio")
        elif inside:
            section.append(line)
    return section
