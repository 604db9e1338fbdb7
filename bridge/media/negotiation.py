"""Which codec each leg speaks: the same G.711 on both wherever possible, since transcoding costs quality and CPU."""

from collections.abc import Iterable

from bridge.media import sdp_matrix, sdp_sip
from bridge.media.formats import G711, AudioFormat, Codec, LegFormats, choose_digits
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
    before: LegFormats | None, matrix: LegFormats | None, remote: RemoteMatrix | None
) -> tuple[AudioFormat, ...]:
    """What we offer to a phone: both laws, first the one in use, else the one that the Matrix side speaks."""
    order = [formats.send.codec for formats in (before, matrix) if formats is not None]
    order += [entry.codec for entry in remote.audio] if remote is not None else []
    rank = {codec: position for position, codec in reversed(list(enumerate(order)))}
    return tuple(sorted(sdp_sip.OUR_AUDIO, key=lambda entry: rank.get(entry.codec, len(order))))


def sip_answer_formats(offer: RemoteSip, matrix: LegFormats | None, before: LegFormats | None) -> LegFormats:
    """Our choice from a phone's offer: what is in use, else what the Matrix leg speaks, else the phone's first."""
    order = [formats.send.codec for formats in (before, matrix) if formats is not None]
    chosen = _first([*order, *(entry.codec for entry in offer.audio)], offer.audio)
    return LegFormats(
        receive=offer.audio,
        receive_digits=offer.digits,
        send=chosen,
        send_digits=choose_digits(offer.digits, chosen.codec),
    )


def sip_offered_formats(answer: RemoteSip) -> LegFormats:
    """The result of our offer to a phone; some answer with a payload type of their own for events, and send that."""
    send = answer.audio[0]
    audio = {entry.payload_type for entry in sdp_sip.OUR_AUDIO}
    theirs = tuple(entry for entry in answer.digits if entry.payload_type not in audio)
    return LegFormats(
        receive=sdp_sip.OUR_AUDIO,
        receive_digits=(*sdp_sip.OUR_DIGITS, *theirs),
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
