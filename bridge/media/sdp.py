"""Session descriptions (RFC 8866) as values: a tolerant and bounded reader, and what both sides' writers share.

Nothing here decides whether a description can be used; `sdp_matrix` and `sdp_sip` do.
"""

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bridge.media.formats import TELEPHONE_EVENT, AudioFormat, Codec, DigitFormat, PacketWish
from bridge.media.opus_wish import ANYTHING, OURS, OpusWish

MAX_SIZE = 65536
MAX_SECTIONS = 32
MAX_FORMATS = 64
MAX_ATTRIBUTES = 500
"""More than ten times what browsers and phones write; each bounds what a description can cost."""
_STATIC = {0: Codec.PCMU, 8: Codec.PCMA, 9: Codec.G722}
"""Payload types that need no rtpmap (RFC 3551 §6)."""


class SdpError(ValueError):
    """A description that cannot be read or used; the text says why."""


class Flow(enum.StrEnum):
    """Who sends (RFC 8866 §6.7), seen from the side that wrote the description."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether the writer sends."""
        return self in (Flow.SENDRECV, Flow.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the writer listens."""
        return self in (Flow.SENDRECV, Flow.RECVONLY)

    @property
    def mirrored(self) -> "Flow":
        """The answer that agrees to it (RFC 3264 §6.1)."""
        return {Flow.SENDONLY: Flow.RECVONLY, Flow.RECVONLY: Flow.SENDONLY}.get(self, self)

    def limited_to(self, other: "Flow") -> "Flow":
        """Only what both allow."""
        flows = {(True, True): Flow.SENDRECV, (True, False): Flow.SENDONLY, (False, True): Flow.RECVONLY}
        return flows.get((self.sends and other.sends, self.receives and other.receives), Flow.INACTIVE)


TOKEN = re.compile(r"[!-~]{1,64}")
"""What may be repeated in a description of ours."""
_FLOWS = frozenset(flow.value for flow in Flow)
_CODECS = frozenset(codec.value for codec in Codec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """An `a=` line."""

    name: str
    value: str = ""


class _HasAttributes:
    """Look-ups shared by the session level and the media sections."""

    __slots__ = ()
    attributes: tuple[Attribute, ...]

    def values(self, name: str) -> Iterator[str]:
        """Every value of an attribute, in order."""
        return (attribute.value for attribute in self.attributes if attribute.name == name)

    def value(self, name: str) -> str | None:
        """The first value of an attribute."""
        return next(self.values(name), None)

    def has(self, name: str) -> bool:
        """Whether an attribute is there at all."""
        return self.value(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSection(_HasAttributes):
    """An `m=` line and what follows it."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: str | None
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDescription(_HasAttributes):
    """A whole description."""

    connection: str | None
    attributes: tuple[Attribute, ...]
    media: tuple[MediaSection, ...]

    def flow(self, section: MediaSection) -> Flow:
        """The direction of a section: its own, else the session's, else sendrecv."""
        for level in (section, self):
            for attribute in level.attributes:
                if attribute.name in _FLOWS:
                    return Flow(attribute.name)
        return Flow.SENDRECV


def parse_sdp(text: str) -> SessionDescription:
    """Read a description. Raises :class:`SdpError` for what is not one; unknown lines are skipped (RFC 8866 §5)."""
    if len(text) > MAX_SIZE or len(text.encode(errors="replace")) > MAX_SIZE:
        raise SdpError("larger than 64 kB")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not lines[0].startswith("v="):
        raise SdpError("does not begin with v=")
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")]
    if len(starts) > MAX_SECTIONS:
        raise SdpError("too many media sections")
    bounds = [*starts, len(lines)]
    head = lines[: bounds[0]]
    return SessionDescription(
        connection=_connection(head),
        attributes=_attributes(head),
        media=tuple(_section(lines[start:end]) for start, end in pairwise(bounds)),
    )


def _section(lines: Sequence[str]) -> MediaSection:
    fields = lines[0][2:].split()
    if len(fields) < 3:
        raise SdpError("media line is too short")
    if len(fields) > 3 + MAX_FORMATS:
        raise SdpError("too many formats")
    return MediaSection(
        kind=fields[0].lower(),
        port=number(fields[1].partition("/")[0], 0, 65535, "port"),
        protocol=fields[2].upper(),
        formats=tuple(fields[3:]),
        connection=_connection(lines),
        attributes=_attributes(lines),
    )


def _attributes(lines: Sequence[str]) -> tuple[Attribute, ...]:
    texts = [line[2:] for line in lines if line.startswith("a=")]
    if len(texts) > MAX_ATTRIBUTES:
        raise SdpError("too many attributes")
    pairs = (text.partition(":") for text in texts)
    return tuple(Attribute(name=name.strip().lower(), value=value.strip()) for name, _, value in pairs)


def _connection(lines: Sequence[str]) -> str | None:
    """Address of the first `c=` line, without a TTL or count."""
    for line in lines:
        fields = line[2:].split()
        if line.startswith("c=") and len(fields) == 3 and fields[0].upper() == "IN":
            return fields[2].partition("/")[0]
    return None


def number(text: str, low: int, high: int, name: str) -> int:
    """A plain decimal number within limits. Raises :class:`SdpError`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high):
        raise SdpError(f"{name} is not a number from {low} to {high}")
    return int(text)


def audio_formats(section: MediaSection) -> tuple[tuple[AudioFormat, ...], tuple[DigitFormat, ...]]:
    """The formats of a section that this engine speaks, in the section's order."""
    audio: list[AudioFormat] = []
    digits: list[DigitFormat] = []
    encodings, parameters = _encodings(section), _parameters(section)
    for text in dict.fromkeys(section.formats):
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 127):
            continue
        payload_type = int(text)
        name, clock_rate = encodings.get(str(payload_type)) or _static_encoding(payload_type)
        if name == TELEPHONE_EVENT and clock_rate in (8000, 48000):
            digits.append(DigitFormat(payload_type=payload_type, clock_rate=clock_rate))
        elif name in _CODECS and Codec(name).clock_rate == clock_rate:
            opus = OpusWish.parse(parameters.get(text, "")) if name == Codec.OPUS else ANYTHING
            audio.append(AudioFormat(payload_type=payload_type, codec=Codec(name), opus=opus))
    return tuple(audio), tuple(digits)


def packet_wish(section: MediaSection) -> PacketWish:
    """How long the packets are to be that the writer of a section receives; what cannot be read is not said."""
    ptime, maxptime = section.value("ptime"), section.value("maxptime")
    return PacketWish(ptime_ms=_milliseconds(ptime), maxptime_ms=_milliseconds(maxptime))


def _milliseconds(text: str | None) -> int:
    """A length in whole milliseconds: some write fractions (RFC 8866 §6.4)."""
    whole = (text or "").partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) <= 4 else 0


def _encodings(section: MediaSection) -> dict[str, tuple[str, int]]:
    """Upper-case name and clock rate by payload type, the first mapping of each (names ignore case, RFC 8866 §6.6)."""
    found: dict[str, tuple[str, int]] = {}
    for value in section.values("rtpmap"):
        text, _, encoding = value.partition(" ")
        parts = encoding.strip().split("/")
        if len(parts) >= 2 and parts[1].isascii() and parts[1].isdigit():
            found.setdefault(text, (parts[0].upper(), int(parts[1][:9])))
    return found


def _parameters(section: MediaSection) -> dict[str, str]:
    """What is said of each payload type (RFC 8866 §6.15), the first of each."""
    found: dict[str, str] = {}
    for value in section.values("fmtp"):
        text, _, parameters = value.partition(" ")
        found.setdefault(text, parameters)
    return found


def _static_encoding(payload_type: int) -> tuple[str, int]:
    static = _STATIC.get(payload_type)
    return (static.value, static.clock_rate) if static else ("", 0)


def format_lines(audio: Sequence[AudioFormat], digits: Sequence[DigitFormat], opus: OpusWish = OURS) -> list[str]:
    """`a=rtpmap` and `a=fmtp` lines; `opus` is what we ask for, or whoever our Opus is passed on to."""
    lines: list[str] = []
    for chosen in audio:
        if chosen.codec is Codec.OPUS:
            lines += [
                f"a=rtpmap:{chosen.payload_type} opus/48000/2",
                f"a=fmtp:{chosen.payload_type} {opus}",
            ]
        else:
            lines.append(f"a=rtpmap:{chosen.payload_type} {chosen.codec}/{chosen.codec.clock_rate}")
    for events in digits:
        lines += [
            f"a=rtpmap:{events.payload_type} telephone-event/{events.clock_rate}",
            f"a=fmtp:{events.payload_type} 0-16",
        ]
    return lines


def format_list(audio: Sequence[AudioFormat], digits: Sequence[DigitFormat]) -> str:
    """The payload types of an `m=` line."""
    payload_types = [entry.payload_type for entry in audio] + [entry.payload_type for entry in digits]
    return " ".join(map(str, payload_types))


def rejected_line(section: MediaSection) -> str:
    """The `m=` line that rejects a section (RFC 3264 §6); of what was offered it repeats only what are tokens."""
    shown = next((text for text in section.formats if TOKEN.fullmatch(text)), "0")
    kind = section.kind if TOKEN.fullmatch(section.kind) else "application"
    protocol = section.protocol if TOKEN.fullmatch(section.protocol) else "RTP/AVP"
    return f"m={kind} 0 {protocol} {shown}"


def address_lines(host: str) -> str:
    """`IN IP4 host` or `IN IP6 host`."""
    return f"IN {'IP6' if ':' in host else 'IP4'} {host}"


def join(lines: Sequence[str]) -> str:
    """Lines as a description ends them."""
    return "".join(f"{line}\r\n" for line in lines)
