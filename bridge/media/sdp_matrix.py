"""Descriptions of the Matrix side: WebRTC offers and answers of any client, and ours (RFC 8829, RFC 8839, RFC 8842).

Everything that ICE, DTLS or SRTP will rely on is checked here, before either library sees it.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aioice import Candidate

from bridge.media import sdp
from bridge.media.candidates import MAX_CANDIDATES, IgnoredCandidate, Networks, parse_candidate
from bridge.media.formats import FRAME_MS, AudioFormat, Codec, DigitFormat, LegFormats, PacketWish
from bridge.media.opus_wish import OURS, OpusWish

_DIGEST_SIZES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_HEX_PAIRS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2})*")
_ICE_CHARACTERS = re.compile(r"[A-Za-z0-9+/=_-]+")
_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP")
OUR_AUDIO = {
    Codec.OPUS: AudioFormat(payload_type=111, codec=Codec.OPUS),
    Codec.G722: AudioFormat(payload_type=9, codec=Codec.G722),
    Codec.PCMU: AudioFormat(payload_type=0, codec=Codec.PCMU),
    Codec.PCMA: AudioFormat(payload_type=8, codec=Codec.PCMA),
}
OUR_DIGITS = (DigitFormat(payload_type=110, clock_rate=48000), DigitFormat(payload_type=126, clock_rate=8000))


class Setup(enum.StrEnum):
    """Who begins DTLS (RFC 4145, RFC 8842 §5.2)."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Digest of the certificate that the other side will show."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteMatrix:
    """A checked description of the Matrix side."""

    section_index: int
    mid: str
    mids: frozenset[str]
    """Of every section: each trickled candidate is compared with them."""
    ufrag: str
    password: str
    ice_lite: bool
    fingerprints: tuple[Fingerprint, ...]
    setup: Setup
    audio: tuple[AudioFormat, ...]
    digits: tuple[DigitFormat, ...]
    wish: PacketWish
    flow: sdp.Flow
    rtcp_mux: bool
    candidates: tuple[Candidate, ...]
    ignored: tuple[IgnoredCandidate, ...]
    description: sdp.SessionDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTransport:
    """Our ICE and DTLS parameters, as they are written."""

    ufrag: str
    password: str
    fingerprint: str
    """SHA-256 of our certificate."""
    candidates: tuple[str, ...]
    """`candidate:…` lines."""
    host: str
    port: int
    """Of the default candidate, for `c=` and `m=`."""
    lite: bool = False
    """Whether it sends no checks of its own (RFC 8445 §2.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStream:
    """How our audio is named in the description; clients need the stream id to show a call at all."""

    session: int
    version: int
    stream: str
    track: str
    ssrc: int | None
    """`None` when whoever sends takes the other side's numbers over."""
    cname: str


def read_remote(text: str, *, answer: bool, allow_loopback: bool, private_networks: Networks = ()) -> RemoteMatrix:
    """Check an offer or an answer. Raises :class:`bridge.media.sdp.SdpError`."""
    description = sdp.parse_sdp(text)
    index, section = _audio_section(description)
    audio, digits = sdp.audio_formats(section)
    if not audio:
        raise sdp.SdpError("no audio codec in common")
    candidates, ignored = _candidates(section, allow_loopback, private_networks)
    ufrag, password = _credentials(description, section)
    return RemoteMatrix(
        section_index=index,
        mid=section.value("mid") or "",
        mids=frozenset(entry.value("mid") or "" for entry in description.media),
        ufrag=ufrag,
        password=password,
        ice_lite=description.has("ice-lite"),
        fingerprints=_fingerprints(description, section),
        setup=_setup(description, section, answer=answer),
        audio=audio,
        digits=digits,
        wish=sdp.packet_wish(section),
        flow=description.flow(section),
        rtcp_mux=section.has("rtcp-mux"),
        candidates=candidates,
        ignored=ignored,
        description=description,
    )


def _audio_section(description: sdp.SessionDescription) -> tuple[int, sdp.MediaSection]:
    """The first audio that is not rejected; port 0 of a bundle-only section is no rejection (RFC 9143 §6)."""
    for index, section in enumerate(description.media):
        offered = section.port != 0 or section.has("bundle-only")
        if section.kind == "audio" and offered and section.protocol in _PROTOCOLS:
            return index, section
    raise sdp.SdpError("no usable audio section")


def _credentials(description: sdp.SessionDescription, section: sdp.MediaSection) -> tuple[str, str]:
    """ice-ufrag and ice-pwd, of the section or of the session (RFC 8839 §5.4)."""
    ufrag = section.value("ice-ufrag") or description.value("ice-ufrag") or ""
    password = section.value("ice-pwd") or description.value("ice-pwd") or ""
    if not (4 <= len(ufrag) <= 256 and _ICE_CHARACTERS.fullmatch(ufrag)):
        raise sdp.SdpError("ice-ufrag is missing or malformed")
    if not (22 <= len(password) <= 256 and _ICE_CHARACTERS.fullmatch(password)):
        raise sdp.SdpError("ice-pwd is missing or malformed")
    return ufrag, password


def _fingerprints(description: sdp.SessionDescription, section: sdp.MediaSection) -> tuple[Fingerprint, ...]:
    """Digests of the remote certificate (RFC 8122 §5); those of weak or unknown functions do not count."""
    values = list(section.values("fingerprint")) or list(description.values("fingerprint"))
    found = []
    for text in values[:8]:
        algorithm, _, value = text.lower().partition(" ")
        value = value.strip().upper()
        size = _DIGEST_SIZES.get(algorithm)
        if size is not None and len(value) == 3 * size - 1 and _HEX_PAIRS.fullmatch(value):
            found.append(Fingerprint(algorithm=algorithm, value=value))
    if not found:
        raise sdp.SdpError("no usable fingerprint")
    return tuple(found)


def _setup(description: sdp.SessionDescription, section: sdp.MediaSection, *, answer: bool) -> Setup:
    """The DTLS role; a missing one is what RFC 4145 §4 and practice make of it."""
    text = (section.value("setup") or description.value("setup") or "").lower()
    if not text:
        return Setup.ACTIVE if answer else Setup.ACTPASS
    usable = [setup for setup in Setup if not (answer and setup is Setup.ACTPASS)]
    if text not in usable:
        raise sdp.SdpError("setup is not usable")
    return Setup(text)


def _candidates(
    section: sdp.MediaSection, allow_loopback: bool, private_networks: Networks
) -> tuple[tuple[Candidate, ...], tuple[IgnoredCandidate, ...]]:
    usable: list[Candidate] = []
    ignored: list[IgnoredCandidate] = []
    for number, line in enumerate(section.values("candidate")):
        if len(usable) >= MAX_CANDIDATES or number >= 2 * MAX_CANDIDATES:
            ignored.append(IgnoredCandidate.TOO_MANY)
            break
        parsed = parse_candidate(line, allow_loopback=allow_loopback, private_networks=private_networks)
        if isinstance(parsed, IgnoredCandidate):
            ignored.append(parsed)
        else:
            usable.append(parsed)
    return tuple(usable), tuple(ignored)


def belongs(remote: RemoteMatrix, mid: str | None, index: int | None) -> bool:
    """Whether a trickled candidate is for our section: by a mid that is known, else by index, else yes (BUNDLE)."""
    if mid and mid in remote.mids:
        return mid == remote.mid
    return bool(mid) or index is None or index == remote.section_index


def write_offer(
    transport: LocalTransport,
    stream: LocalStream,
    audio: Sequence[AudioFormat],
    *,
    digits: Sequence[DigitFormat] = OUR_DIGITS,
    ptime_ms: int = FRAME_MS,
    opus: OpusWish = OURS,
) -> str:
    """Our offer: one audio section, never the words "m=video" (clients search for them to tell a video call).

    With Opus come the events of its clock alone: of two libwebrtc takes those at 8000 Hz, whatever the audio, measures
    them in the audio's clock, and a key is over before it has begun.
    """
    if audio[0].codec is Codec.OPUS:
        digits = tuple(entry for entry in digits if entry.clock_rate == Codec.OPUS.clock_rate) or digits
    head = [*_session_lines(transport, stream), "a=group:BUNDLE 0"]
    section = _audio_lines(
        transport,
        stream,
        audio,
        digits,
        mid="0",
        setup=Setup.ACTPASS,
        flow=sdp.Flow.SENDRECV,
        rtcp_mux=True,
        ptime_ms=ptime_ms,
        opus=opus,
    )
    return sdp.join([*head, *section])


def write_answer(
    remote: RemoteMatrix,
    transport: LocalTransport,
    stream: LocalStream,
    formats: LegFormats,
    setup: Setup,
    ptime_ms: int = FRAME_MS,
    opus: OpusWish = OURS,
) -> str:
    """Our answer: the sections of the offer in their order, all but one audio rejected (RFC 3264 §6).

    Of several telephone-event clocks only the codec's own is answered: given two, libwebrtc measures a digit with one
    and sends it with the other, and 100 ms become 20.
    """
    lines = _session_lines(transport, stream)
    if sdp.TOKEN.fullmatch(remote.mid) and any(
        "BUNDLE" in value.upper() for value in remote.description.values("group")
    ):
        lines.append(f"a=group:BUNDLE {remote.mid}")
    for index, section in enumerate(remote.description.media):
        if index != remote.section_index:
            lines += _rejected(section)
            continue
        lines += _audio_lines(
            transport,
            stream,
            (formats.send,),
            (formats.send_digits,) if formats.send_digits is not None else (),
            mid=remote.mid,
            setup=setup,
            flow=remote.flow.mirrored,
            rtcp_mux=remote.rtcp_mux,
            ptime_ms=ptime_ms,
            opus=opus,
            protocol=section.protocol,
        )
    return sdp.join(lines)


def _session_lines(transport: LocalTransport, stream: LocalStream) -> list[str]:
    return [
        "v=0",
        f"o=- {stream.session} {stream.version} {sdp.address_lines(transport.host)}",
        "s=-",
        "t=0 0",
        *(["a=ice-lite"] if transport.lite else []),
        f"a=msid-semantic: WMS {stream.stream}",
    ]


def _rejected(section: sdp.MediaSection) -> list[str]:
    """A section with port 0, outside of the bundle."""
    mid = section.value("mid") or ""
    lines = [sdp.rejected_line(section), "c=IN IP4 0.0.0.0", "a=inactive"]
    return [*lines, f"a=mid:{mid}"] if sdp.TOKEN.fullmatch(mid) else lines


def _audio_lines(
    transport: LocalTransport,
    stream: LocalStream,
    audio: Sequence[AudioFormat],
    digits: Sequence[DigitFormat],
    *,
    mid: str,
    setup: Setup,
    flow: sdp.Flow,
    rtcp_mux: bool,
    ptime_ms: int,
    opus: OpusWish,
    protocol: str = "UDP/TLS/RTP/SAVPF",
) -> list[str]:
    return [
        f"m=audio {transport.port} {protocol} {sdp.format_list(audio, digits)}",
        f"c={sdp.address_lines(transport.host)}",
        f"a=rtcp:{transport.port} {sdp.address_lines(transport.host)}",
        *(f"a={candidate}" for candidate in transport.candidates),
        "a=end-of-candidates",
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
        f"a=fingerprint:sha-256 {transport.fingerprint}",
        f"a=setup:{setup}",
        *([f"a=mid:{mid}"] if sdp.TOKEN.fullmatch(mid) else []),
        f"a={flow}",
        f"a=msid:{stream.stream} {stream.track}",
        *(["a=rtcp-mux"] if rtcp_mux else []),
        *sdp.format_lines(audio, digits, opus),
        f"a=ptime:{ptime_ms}",
        *_ssrc_lines(stream),
    ]


def _ssrc_lines(stream: LocalStream) -> list[str]:
    if stream.ssrc is None:
        return []
    return [
        f"a=ssrc:{stream.ssrc} cname:{stream.cname}",
        f"a=ssrc:{stream.ssrc} msid:{stream.stream} {stream.track}",
    ]
