"""Descriptions of the phone's side: plain RTP (RFC 3264, RFC 3551)."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.media import sdp
from bridge.media.candidates import is_reachable
from bridge.media.formats import AudioFormat, Codec, DigitFormat, LegFormats

_PROTOCOLS = ("RTP/AVP", "RTP/AVPF")
_LOWEST_PORT = 1024
OUR_AUDIO = (AudioFormat(payload_type=0, codec=Codec.PCMU), AudioFormat(payload_type=8, codec=Codec.PCMA))
OUR_DIGITS = (DigitFormat(payload_type=101, clock_rate=8000),)


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
    flow: sdp.Flow
    description: sdp.SessionDescription

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


def read_remote(text: str, *, allow_loopback: bool, ip_version: int) -> RemoteSip:
    """Check an offer or an answer. Raises :class:`bridge.media.sdp.SdpError`."""
    description = sdp.parse_sdp(text)
    index, section = _audio_section(description)
    audio, digits = sdp.audio_formats(section)
    audio = tuple(entry for entry in audio if entry.codec is not Codec.OPUS)
    if not audio:
        raise sdp.SdpError("neither PCMU nor PCMA")
    if section.port < _LOWEST_PORT:
        raise sdp.SdpError("port is privileged")
    return RemoteSip(
        section_index=index,
        host=_host(section.connection or description.connection, allow_loopback, ip_version),
        port=section.port,
        rtcp_port=_rtcp_port(section),
        audio=audio,
        digits=tuple(entry for entry in digits if entry.clock_rate == 8000),
        flow=description.flow(section),
        description=description,
    )


def _audio_section(description: sdp.SessionDescription) -> tuple[int, sdp.MediaSection]:
    audio = [(index, section) for index, section in enumerate(description.media) if section.kind == "audio"]
    for index, section in audio:
        if section.port != 0 and section.protocol in _PROTOCOLS:
            return index, section
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


def write_offer(local: LocalSip, flow: sdp.Flow, audio: Sequence[AudioFormat]) -> str:
    """Our offer, or the repetition of what was agreed."""
    return sdp.join([*_session_lines(local), *_audio_lines(local, audio, OUR_DIGITS, flow)])


def write_answer(remote: RemoteSip, local: LocalSip, formats: LegFormats) -> str:
    """Our answer: the offer's sections in their order, all but one audio rejected (RFC 3264 §6)."""
    lines = _session_lines(local)
    flow = remote.flow.mirrored if remote.host is not None else _held(remote.flow)
    for index, section in enumerate(remote.description.media):
        if index == remote.section_index:
            lines += _audio_lines(local, (formats.send,), formats.receive_digits, flow, section.protocol)
        else:
            shown = section.formats[0] if section.formats else "0"
            lines.append(f"m={section.kind} 0 {section.protocol} {shown}")
    return sdp.join(lines)


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
    protocol: str = "RTP/AVP",
) -> list[str]:
    return [
        f"m=audio {local.port} {protocol} {sdp.format_list(audio, digits)}",
        *sdp.format_lines(audio, digits),
        "a=ptime:20",
        f"a={flow}",
    ]
