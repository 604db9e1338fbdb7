"""Which codec each leg speaks: the same on both wherever possible, since transcoding costs quality and CPU.

And where it is not possible, one that does not lose what the other leg's has: Opus before G.711 for a phone with G.722.
"""

from collections.abc import Iterable

from bridge.media import sdp_matrix, sdp_sip
from bridge.media.formats import FRAME_MS, G711, AudioFormat, Codec, LegFormats, choose_digits
from bridge.media.opus_wish import OURS, OpusWish
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy
from bridge.media.sdp_matrix import RemoteMatrix
from bridge.media.sdp_sip import RemoteSip


def matrix_offer_audio(
    sip: LegFormats | None, remote: RemoteSip | None, policy: SipMediaPolicy = DEFAULT_POLICY
) -> tuple[AudioFormat, ...]:
    """What we offer to a Matrix client: what the phone speaks, Opus always (Nheko refuses an offer without)."""
    return tuple(sdp_matrix.OUR_AUDIO[codec] for codec in _for_client(sip, remote, policy))


def matrix_answer_formats(
    offer: RemoteMatrix,
    sip: LegFormats | None,
    remote: RemoteSip | None,
    before: LegFormats | None,
    policy: SipMediaPolicy = DEFAULT_POLICY,
) -> LegFormats:
    """Our choice from a Matrix client's offer; during a call the codec stays as it is."""
    order = [*([before.send.codec] if before else []), *_for_client(sip, remote, policy)]
    chosen = _first(order, offer.audio)
    return LegFormats(
        receive=(chosen, *(entry for entry in offer.audio if entry is not chosen)),
        receive_digits=offer.digits,
        send=chosen,
        send_digits=choose_digits(offer.digits, chosen.codec),
        packets=offer.wish.times(chosen.codec, insists=False),
    )


def client_ptime(sip: LegFormats | None, remote: RemoteSip | None) -> int:
    """The packet time that we ask a Matrix client for: the phone's, so that its packets can be passed through."""
    if sip is not None:
        return sip.packets.made_ms
    return remote.wish.times(remote.audio[0].codec, insists=True).made_ms if remote is not None else FRAME_MS


def passed_on_opus(other: LegFormats | None) -> OpusWish:
    """What we ask for in Opus: what the other leg does, where it is passed on to that."""
    return other.send.opus if other is not None and other.send.codec is Codec.OPUS else OURS


def matrix_offered_formats(answer: RemoteMatrix) -> LegFormats:
    """The result of our offer: the answerer's first codec; its payload types one way, ours the other."""
    send = answer.audio[0]
    return LegFormats(
        receive=tuple(sdp_matrix.OUR_AUDIO.values()),
        receive_digits=sdp_matrix.OUR_DIGITS,
        send=send,
        send_digits=choose_digits(answer.digits, send.codec),
        packets=answer.wish.times(send.codec, insists=False),
    )


def sip_offer_audio(
    before: LegFormats | None,
    matrix: LegFormats | None,
    remote: RemoteMatrix | None,
    policy: SipMediaPolicy = DEFAULT_POLICY,
) -> tuple[AudioFormat, ...]:
    """What we offer to a phone: first what is in use, then the trunk's order, or else what the Matrix side speaks."""
    order = [before.send.codec] if before is not None else []
    order += _wideband_that_passes(policy.codecs, matrix, remote)
    order += [matrix.send.codec] if matrix is not None else []
    order += [entry.codec for entry in remote.audio] if remote is not None else []
    rank = {codec: position for position, codec in reversed(list(enumerate(order)))}
    return tuple(sorted(sdp_sip.our_audio(policy), key=lambda entry: rank.get(entry.codec, len(order))))


def sip_answer_formats(
    offer: RemoteSip, matrix: LegFormats | None, before: LegFormats | None, policy: SipMediaPolicy = DEFAULT_POLICY
) -> LegFormats:
    """Our choice from a phone's offer: what is in use, the trunk's order, what the Matrix leg speaks, or its first."""
    order = [before.send.codec] if before is not None else []
    order += _wideband_that_passes(policy.codecs, matrix, None)
    order += [matrix.send.codec] if matrix is not None else []
    chosen = _first([*order, *(entry.codec for entry in offer.audio)], offer.audio)
    return LegFormats(
        receive=offer.audio,
        receive_digits=offer.digits,
        send=chosen,
        send_digits=choose_digits(offer.digits, chosen.codec),
        packets=offer.wish.times(chosen.codec, insists=True),
    )


def sip_offered_formats(answer: RemoteSip, policy: SipMediaPolicy = DEFAULT_POLICY) -> LegFormats:
    """The result of our offer to a phone; some answer with a payload type of their own for events, and send that."""
    send, ours = answer.audio[0], sdp_sip.our_audio(policy)
    audio = {entry.payload_type for entry in ours}
    theirs = tuple(entry for entry in answer.digits if entry.payload_type not in audio)
    return LegFormats(
        receive=ours,
        receive_digits=(*sdp_sip.our_digits(policy), *theirs),
        send=send,
        send_digits=choose_digits(answer.digits, send.codec),
        packets=answer.wish.times(send.codec, insists=True),
    )


def _for_client(sip: LegFormats | None, remote: RemoteSip | None, policy: SipMediaPolicy) -> tuple[Codec, ...]:
    """What a client should speak: what the phone speaks; what loses nothing of that; Opus, which every client has.

    With one law of G.711 comes the other, for changing the law is cheap. Of a phone that has said nothing yet, all is
    expected that its trunk may use.
    """
    order: list[Codec] = []
    for codec in _of_phone(sip, remote, policy):
        order += [codec, Codec.OPUS] if codec.is_wideband else [codec, *G711]
    return tuple(dict.fromkeys([*order, Codec.OPUS]))


def _of_phone(sip: LegFormats | None, remote: RemoteSip | None, policy: SipMediaPolicy) -> list[Codec]:
    """The phone's codecs: the one in use, then in the order in which one would be chosen."""
    known = [sip.send.codec] if sip is not None else []
    if remote is None:
        return [*known, *policy.allowed]
    offered = [entry.codec for entry in remote.audio]
    return [*known, *(codec for codec in policy.codecs if codec in offered), *offered]


def _wideband_that_passes(
    codecs: tuple[Codec, ...], matrix: LegFormats | None, remote: RemoteMatrix | None
) -> list[Codec]:
    """A trunk's order, but that of two wideband codecs the client's comes first: neither sounds better to a phone."""
    if matrix is not None:
        client = {matrix.send.codec}
    else:
        client = {entry.codec for entry in remote.audio} if remote is not None else set()
    wideband = iter(sorted((codec for codec in codecs if codec.is_wideband), key=lambda codec: codec not in client))
    return [next(wideband) if codec.is_wideband else codec for codec in codecs]


def _first(order: Iterable[Codec], offered: tuple[AudioFormat, ...]) -> AudioFormat:
    """The first codec in our order that is offered, else the offer's first."""
    for codec in order:
        for entry in offered:
            if entry.codec is codec:
                return entry
    return offered[0]
