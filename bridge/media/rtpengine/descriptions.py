"""Descriptions for rtpengine and from it (RFC 8866): what it is told of each party, and what it opened for each.

Peers' own descriptions never reach a server. Each is checked first, and what was understood of it is written anew: so
the rules for addresses, candidates, codecs and keys are the bridge's, whatever carries the packets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.media import sdp
from bridge.media.formats import AudioFormat, DigitFormat
from bridge.media.sdes import CryptoLine, read_lines
from bridge.media.sdp import Flow
from bridge.media.sdp_matrix import LocalTransport, RemoteMatrix, Setup

OPUS = "opus/48000/1"
_UNKNOWN = "0.0.0.0"  # noqa: S104 - nothing is bound to it: candidates will tell (RFC 8840 §4.1.1)
_NOWHERE, _DISCARD_PORT = "192.0.2.1", 9
"""An address that nobody has (RFC 5737): 0.0.0.0 would come back as the old form of hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a server opened for one party."""

    host: str
    port: int
    audio: tuple[AudioFormat, ...]
    digits: tuple[DigitFormat, ...]
    crypto: tuple[CryptoLine, ...]
    transport: LocalTransport | None
    """ICE and DTLS, for a WebRTC party."""


def read_opened(text: str) -> Opened:
    """Read a server's description. Raises :class:`bridge.media.sdp.SdpError`."""
    description = sdp.parse_sdp(text)
    if not description.media:
        raise sdp.SdpError("no media")
    section = description.media[0]
    host = section.connection or description.connection
    if host is None or section.port == 0:
        raise sdp.SdpError("no address")
    audio, digits = sdp.audio_formats(section)
    return Opened(
        host=host,
        port=section.port,
        audio=audio,
        digits=digits,
        crypto=read_lines(section.values("crypto")),
        transport=_transport(description, section, host),
    )


def _transport(description: sdp.SessionDescription, section: sdp.MediaSection, host: str) -> LocalTransport | None:
    ufrag, password = section.value("ice-ufrag"), section.value("ice-pwd")
    function, _, digest = (section.value("fingerprint") or "").partition(" ")
    if ufrag is None or password is None or function.lower() != "sha-256":
        return None
    return LocalTransport(
        ufrag=ufrag,
        password=password,
        fingerprint=digest.strip(),
        # Those of RTCP have no use: both share a port.
        candidates=tuple(f"candidate:{value}" for value in section.values("candidate") if value.split()[1:2] == ["1"]),
        host=host,
        port=section.port,
        lite=description.has("ice-lite"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a party without ICE gets its packets."""

    host: str
    port: int
    rtcp_port: int | None = None


NOWHERE = Address(host=_NOWHERE, port=_DISCARD_PORT)
"""Of a party that has not said yet where it is; nothing may flow to it."""


def plain_party(
    address: Address,
    audio: Sequence[AudioFormat],
    digits: Sequence[DigitFormat],
    *,
    flow: Flow,
    protocol: str,
    crypto: Iterable[CryptoLine] = (),
) -> str:
    """A party that speaks RTP, in the clear or with keys in its description (RFC 4568)."""
    rtcp = [f"a=rtcp:{address.rtcp_port}"] if address.rtcp_port is not None else []
    return sdp.join(
        [
            *_head(address.host),
            f"m=audio {address.port} {protocol} {sdp.format_list(audio, digits)}",
            *_format_lines(audio, digits),
            *rtcp,
            *(line.line() for line in crypto),
            f"a={flow}",
        ]
    )


def webrtc_party(
    remote: RemoteMatrix,
    audio: Sequence[AudioFormat],
    digits: Sequence[DigitFormat],
    *,
    flow: Flow,
    setup: Setup,
) -> str:
    """A Matrix client, with the DTLS role that it takes.

    Its candidates are not told: they are addresses that a stranger chose, and a server would send checks there. The
    client's own checks reach the server, which learns from them where it is (RFC 8445 §7.3.1.3).
    """
    return sdp.join(
        [
            *_head(_UNKNOWN),
            *(["a=ice-lite"] if remote.ice_lite else []),
            f"m=audio {_DISCARD_PORT} UDP/TLS/RTP/SAVPF {sdp.format_list(audio, digits)}",
            *_format_lines(audio, digits),
            "a=ice-options:trickle",
            f"a=ice-ufrag:{remote.ufrag}",
            f"a=ice-pwd:{remote.password}",
            f"a=fingerprint:{remote.fingerprints[0].algorithm} {remote.fingerprints[0].value}",
            f"a=setup:{setup}",
            "a=mid:0",
            *(["a=rtcp-mux"] if remote.rtcp_mux else []),
            f"a={flow}",
        ]
    )


def _format_lines(audio: Sequence[AudioFormat], digits: Sequence[DigitFormat]) -> list[str]:
    """Opus as if it had one channel: a server makes two of one at half the power each, and codes both."""
    return [line.replace("opus/48000/2", OPUS) for line in sdp.format_lines(audio, digits)]


def _head(host: str) -> list[str]:
    return ["v=0", f"o=- 1 1 {sdp.address_lines(host)}", "s=-", f"c={sdp.address_lines(host)}", "t=0 0"]
