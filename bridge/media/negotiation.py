"""Which codec each leg speaks: the same G.711 on both wherever possible, since transcoding costs quality and CPU."""

from collections.abc import Iterable

from bridge.media import sdp_matrix, sdp_sip
from bridge.media.formats import G711, AudioFormat, Codec, LegFormats, choose_digits
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy
from bridge.media.sdp_matrix import RemoteMatrix
from bridge.media.sdp_sip import RemoteSip


def matrix_offer_audio(sip: LegFormats | None, remote: RemoteSip | None) -> tuple[AudioFormat, ...]:
    """What we offer to a Matrix client: the phone's codec first, Opus always (Nheko refuses an offer without)."""
    preferred = [codec for codec in _phone_codecs(sip, remote) if codec in G711]
    return (*(sdp_matrix.OUR_G711[codec] for codec in preferred), sdp_matrix.OUR_OPUS)


def matrix_answer_formats(
    offer: RemoteMatrix, sip: LegFormats | None, remote: RemoteSip | None, before: LegFormats | None
) -> LegFormats:
    """Our choice from a Matrix client's offer; during a call the codec stays as it is."""
    order = [*([before.send.codec] if before else []), *_phone_codecs(sip, remote), Codec.OPUS]
    chosen = _first(order, offer.audio)
    return LegFormats(
        receive=(chosen, *(entry for entry in offer.audio if entry is not chosen)),
        receive_digits=offer.digits,
        send=chosen,
        send_digits=choose_digits(offer.digits, chosen.codec),
    )


def matrix_offered_formats(answer: RemoteMatrix) -> LegFormats:
    """The result of our offer: the answerer's first codec; its payload types one way, ours the other."""
    send = answer.audio[0]
    return LegFormats(
        receive=(*sdp_matrix.OUR_G711.values(), sdp_matrix.OUR_OPUS),
        receive_digits=sdp_matrix.OUR_DIGITS,
        send=send,
        send_digits=choose_digits(answer.digits, send.codec),
    )


def sip_offer_audio(
    before: LegFormats | None,
    matrix: LegFormats | None,
    remote: RemoteMatrix | None,
    policy: SipMediaPolicy = DEFAULT_POLICY,
) -> tuple[AudioFormat, ...]:
    """What we offer to a phone: first what is in use, then the trunk's order, or else what the Matrix side speaks."""
    order = [before.send.codec] if before is not None else []
    order += policy.codecs
    order += [matrix.send.codec] if matrix is not None else []
    order += [entry.codec for entry in remote.audio] if remote is not None else []
    rank = {codec: position for position, codec in reversed(list(enumerate(order)))}
    return tuple(sorted(sdp_sip.our_audio(policy), key=lambda entry: rank.get(entry.codec, len(order))))


def sip_answer_formats(
    offer: RemoteSip, matrix: LegFormats | None, before: LegFormats | None, policy: SipMediaPolicy = DEFAULT_POLICY
) -> LegFormats:
    """Our choice from a phone's offer: what is in use, the trunk's order, what the Matrix leg speaks, or its first."""
    order = [before.send.codec] if before is not None else []
    order += [*policy.codecs, *([matrix.send.codec] if matrix is not None else [])]
    chosen = _first([*order, *(entry.codec for entry in offer.audio)], offer.audio)
    return LegFormats(
        receive=offer.audio,
        receive_digits=offer.digits,
        send=chosen,
        send_digits=choose_digits(offer.digits, chosen.codec),
    )


def sip_offered_formats(answer: RemoteSip, policy: SipMediaPolicy = DEFAULT_POLICY) -> LegFormats:
    """The result of our offer to a phone; some answer with a payload type of their own for events, and send that."""
    send, ours = answer.audio[0], sdp_sip.our_audio(policy)
    audio = {entry.payload_type for entry in ours}
    theirs = tuple(entry for entry in answer.digits if entry.payload_type not in audio)
    return LegFormats(
        receive=ours,
        receive_digits=(*sdp_sip.OUR_DIGITS, *theirs) if policy.digits_in_rtp else (),
        send=send,
        send_digits=choose_digits(answer.digits, send.codec),
    )


def _phone_codecs(formats: LegFormats | None, remote: RemoteSip | None) -> list[Codec]:
    """The phone's codecs, its favourite first; the other law follows, for changing the law is cheap."""
    known = [formats.send.codec] if formats is not None else []
    offered = [entry.codec for entry in remote.audio] if remote is not None else []
    return list(dict.fromkeys([*known, *offered, *G711]))


def _first(order: Iterable[Codec], offered: tuple[AudioFormat, ...]) -> AudioFormat:
    """The first codec in our order that is offered, else the offer's first."""
    for codec in order:
        for entry in offered:
            if entry.codec is codec:
                return entry
    return offered[0]
