"""The little SDP that a phone needs (RFC 3264, RFC 8866): one audio line, PCMU and nothing else."""

import ipaddress
import re
from dataclasses import dataclass

from deploy.demo.errors import DemoError

_AUDIO = re.compile(r"^m=audio (\d{1,5})(?:/\d+)? RTP/AVP((?: \d{1,3})+)\s*$", re.MULTILINE)
_CONNECTION = re.compile(r"^c=IN IP[46] (\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpAddress:
    """Where the other side wants its audio."""

    host: str
    port: int


def describe(host: str, port: int) -> str:
    """Our side, as an offer or as an answer."""
    lines = (
        "v=0",
        f"o=phone {port} 1 IN IP4 {host}",
        "s=-",
        f"c=IN IP4 {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP 0",
        "a=rtpmap:0 PCMU/8000",
        "a=ptime:20",
        "a=sendrecv",
    )
    return "\r\n".join(lines) + "\r\n"


def parse(sdp: str | None) -> RtpAddress:
    """Where to send; raises :class:`DemoError` for a description without PCMU over plain RTP."""
    audio = _AUDIO.search(sdp or "")
    if audio is None or "0" not in audio[2].split():
        raise DemoError("the other side does not offer PCMU over plain RTP")
    session_level, _, media_level = (sdp or "").partition(audio[0])
    connection = _CONNECTION.search(media_level) or _CONNECTION.search(session_level)
    if connection is None:
        raise DemoError("the other side's description has no address")
    return RtpAddress(host=str(ipaddress.ip_address(connection[1])), port=int(audio[1]))
