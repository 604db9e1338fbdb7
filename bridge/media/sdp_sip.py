"""Descriptions of the phone's side: RTP in the clear or encrypted (RFC 3264, RFC 3551, RFC 4568)."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.media import sdp
from bridge.media.candidates import is_reachable
from bridge.media.formats import AudioFormat, Codec, DigitFormat, LegFormats, PacketWish
from bridge.media.opus_wish import OURS, OpusWish
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy, SrtpUse
from bridge.media.sdes import CryptoLine, read_lines

PLAIN, SECURE = "RTP/AVP", "RTP/SAVP"
_PROTOCOLS = {PLAIN: False, "RTP/AVPF": False, SECURE: True, "RTP/SAVPF": True}
"""And whether each stands for encryption."""
_LOWEST_PORT = 1024
OUR_AUDIO = (
    AudioFormat(payload_type=0, codec=Codec.PCMU),
    AudioFormat(payload_type=8, codec=Codec.PCMA),
    AudioFormat(payload_type=9, codec=Codec.G722),
    AudioFormat(payload_type=111, codec=Codec.OPUS),
)
_DIGITS = DigitFormat(payload_type=101, clock_rate=8000)
_OPUS_DIGITS = DigitFormat(payload_type=110, clock_rate=48000)


def our_audio(policy: SipMediaPolicy) -> tuple[AudioFormat, ...]:
    """The codecs of a trunk under the payload types that we offer them as."""
    return tuple(entry for entry in OUR_AUDIO if entry.codec in policy.allowed)


def our_digits(policy: SipMediaPolicy) -> tuple[DigitFormat, ...]:
    """The events that we offer: with Opus for its clock too, which is what they should have (RFC 4733 §2.1)."""
    if not policy.digits_in_rtp:
        return ()
    return (_DIGITS, _OPUS_DIGITS) if Codec.OPUS in policy.allowed else (_DIGITS,)


class NotEncrypted(sdp.SdpError):
    """The trunk's calls must be encrypted, and this description has no usable key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSip:
    """A checked description of the phone's side."""

    section_index: int
    host: str | None
    """`None`: the old form of hold, `c=0.0.0.0` (RFC 3264 §8.4)."""
    port: int
    rtcp_port: int
    audio: tuple[AudioFormat, ...]
    digits: tuple[DigitFormat, ...]
    wish: PacketWish
    flow: sdp.Flow
    protocol: str
    crypto: tuple[CryptoLine, ...]
    """The keys that can be used, in the phone's order."""
    description: sdp.SessionDescription

    @property
    def is_secure(self) -> bool:
        """Whether the section's protocol promises encryption."""
        return _PROTOCOLS[self.protocol]

    @property
    def on_hold(self) -> bool:
        """Whether the phone does not promise to send: its silence is no failure."""
        return self.host is None or self.flow is not sdp.Flow.SENDRECV


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSip:
    """Our RTP address, as it is written."""

    host: str
    port: int
    session: int
    version: int
    policy: SipMediaPolicy = DEFAULT_POLICY


def read_remote(
    text: str, *, allow_loopback: bool, ip_version: int, policy: SipMediaPolicy = DEFAULT_POLICY
) -> RemoteSip:
    """Check an offer or an answer. Raises :class:`bridge.media.sdp.SdpError`."""
    description = sdp.parse_sdp(text)
    index, section, crypto = _audio_section(description, policy.srtp)
    audio, digits = sdp.audio_formats(section)
    audio = tuple(entry for entry in audio if entry.codec in policy.allowed)
    if not audio:
        raise sdp.SdpError(f"none of {', '.join(policy.allowed)}")
    clock_rates = {entry.clock_rate for entry in our_digits(policy)}
    if section.port < _LOWEST_PORT:
        raise sdp.SdpError("port is privileged")
    return RemoteSip(
        section_index=index,
        host=_host(section.connection or description.connection, allow_loopback, ip_version),
        port=section.port,
        rtcp_port=_rtcp_port(section),
        audio=audio,
        digits=tuple(entry for entry in digits if entry.clock_rate in clock_rates),
        wish=sdp.packet_wish(section),
        flow=description.flow(section),
        protocol=section.protocol,
        crypto=crypto,
        description=description,
    )


def _audio_section(
    description: sdp.SessionDescription, use: SrtpUse
) -> tuple[int, sdp.MediaSection, tuple[CryptoLine, ...]]:
    """The audio to take up: encrypted if that is wanted and offered, be it inside `RTP/AVP`, else in the clear."""
    audio = [(index, section) for index, section in enumerate(description.media) if section.kind == "audio"]
    plain = None
    for index, section in audio:
        if section.port == 0 or section.protocol not in _PROTOCOLS:
            continue
        crypto = read_lines(section.values("crypto")) if use is not SrtpUse.OFF else ()
        if crypto:
            return index, section, crypto
        if plain is None and not _PROTOCOLS[section.protocol]:
            plain = index, section, crypto
    if plain is not None and use is not SrtpUse.REQUIRED:
        return plain
    if audio and use is not SrtpUse.OFF:
        raise NotEncrypted("audio is not offered with a key that can be used")
    raise sdp.SdpError("audio is only offered in a form that is not plain RTP" if audio else "no audio")


def _host(text: str | None, allow_loopback: bool, ip_version: int) -> str | None:
    """The address to send to; names are not looked up, addresses that no phone can have are refused."""
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        raise sdp.SdpError("connection address is missing or not an address") from None
    if address.is_unspecified:
        return None
    if address.version != ip_version or not is_reachable(address, allow_loopback=allow_loopback):
        raise sdp.SdpError("connection address cannot be reached")
    return str(address)


def _rtcp_port(section: sdp.MediaSection) -> int:
    """The port of `a=rtcp` (RFC 3605), else the one above."""
    text = (section.value("rtcp") or "").split(" ")[0]
    if text.isascii() and text.isdigit() and len(text) <= 5 and _LOWEST_PORT <= int(text) <= 65535:
        return int(text)
    return min(section.port + 1, 65535)


def write_offer(
    local: LocalSip,
    flow: sdp.Flow,
    audio: Sequence[AudioFormat],
    *,
    digits: Sequence[DigitFormat] | None = None,
    crypto: CryptoLine | None = None,
    protocol: str = PLAIN,
    opus: OpusWish = OURS,
) -> str:
    """Our offer, or the repetition of what was agreed."""
    digits = our_digits(local.policy) if digits is None else digits
    return sdp.join([*_session_lines(local), *_audio_lines(local, audio, digits, flow, protocol, crypto, opus)])


def write_answer(
    remote: RemoteSip,
    local: LocalSip,
    formats: LegFormats,
    *,
    flow: sdp.Flow = sdp.Flow.SENDRECV,
    crypto: CryptoLine | None = None,
    opus: OpusWish = OURS,
) -> str:
    """Our answer: the offer's sections in their order, all but one audio rejected (RFC 3264 §6).

    `flow` is what we would do; what the phone offers may be less.
    """
    lines = _session_lines(local)
    flow = agreed_flow(remote).limited_to(flow)
    for index, section in enumerate(remote.description.media):
        if index == remote.section_index:
            digits = (formats.send_digits,) if formats.send_digits is not None else ()
            lines += _audio_lines(local, (formats.send,), digits, flow, section.protocol, crypto, opus)
        else:
            lines.append(sdp.rejected_line(section))
    return sdp.join(lines)


def agreed_flow(remote: RemoteSip) -> sdp.Flow:
    """The most that our side of the phone's description can do."""
    return remote.flow.mirrored if remote.host is not None else _held(remote.flow)


def _held(flow: sdp.Flow) -> sdp.Flow:
    """With the address 0.0.0.0 the phone listens to nothing, whatever its direction says."""
    return sdp.Flow.RECVONLY if flow.sends else sdp.Flow.INACTIVE


def _session_lines(local: LocalSip) -> list[str]:
    return [
        "v=0",
        f"o=- {local.session} {local.version} {sdp.address_lines(local.host)}",
        "s=-",
        f"c={sdp.address_lines(local.host)}",
        "t=0 0",
    ]


def _audio_lines(
    local: LocalSip,
    audio: Sequence[AudioFormat],
    digits: Sequence[DigitFormat],
    flow: sdp.Flow,
    protocol: str,
    crypto: CryptoLine | None,
    opus: OpusWish,
) -> list[str]:
    return [
        f"m=audio {local.port} {protocol} {sdp.format_list(audio, digits)}",
        *sdp.format_lines(audio, digits, opus),
        *([crypto.line()] if crypto is not None else []),
        f"a=ptime:{local.policy.ptime_ms}",
        f"a={flow}",
    ]
