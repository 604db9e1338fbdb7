"""Session descriptions as each client writes them, for ends that never connect."""

from dataclasses import dataclass

_FINGERPRINT = ":".join(f"{byte:02X}" for byte in range(32))

_VIDEO = ("m=video 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=mid:1", "a=sendrecv", "a=rtpmap:96 VP8/90000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What differs between the WebRTC stacks of the clients."""

    mid: str = "0"
    opus: str = "opus/48000/2"
    g711: bool = True
    telephone_event: bool = True
    msid_line: bool = True
    """Otherwise the stream is named by `a=ssrc` alone."""
    candidates: bool = True
    """Whether candidates are in the description."""


def describe(
    style: Style, *, setup: str, port: int, stream: str, flow: str = "sendrecv", network: int = 1, video: bool = False
) -> str:
    """An offer (`setup` actpass) or answer; nobody answers connectivity checks at `port`. Each network has its ICE."""
    payloads = ["111", *(["0", "8"] if style.g711 else []), *(["110", "126"] if style.telephone_event else [])]
    lines = [
        *("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"),
        f"a=group:BUNDLE {style.mid}",
        f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(payloads)}",
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:u{network:07}",
        f"a=ice-pwd:password-of-a-mute-peer{network:07}",
        *("a=ice-options:trickle", f"a=fingerprint:sha-256 {_FINGERPRINT}", f"a=setup:{setup}"),
        *(f"a=mid:{style.mid}", f"a={flow}", "a=rtcp-mux"),
        *([f"a=msid:{stream} track"] if style.msid_line else []),
        *(f"a=rtpmap:111 {style.opus}", "a=fmtp:111 minptime=10;usedtx=1;useinbandfec=1"),
        *(["a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000"] if style.g711 else []),
        *(["a=rtpmap:110 telephone-event/48000", "a=rtpmap:126 telephone-event/8000"] if style.telephone_event else []),
        *([f"a={host_candidate(port)}"] if style.candidates else []),
        *("a=ssrc:1 cname:mute", f"a=ssrc:1 msid:{stream} track"),
        *(_VIDEO if video else []),
    ]
    return "\r\n".join((*lines, ""))


def host_candidate(port: int) -> str:
    """The one candidate that leads somewhere, where nobody answers."""
    return f"candidate:1 1 udp 2122260223 127.0.0.1 {port} typ host generation 0"


def attribute(sdp: str, name: str) -> str | None:
    """The first value of an attribute."""
    found = (line.partition(":")[2] for line in sdp.splitlines() if line.startswith(f"a={name}:"))
    return next(found, None)


def flow_of(sdp: str) -> str:
    """The direction of the audio."""
    flows = ("sendrecv", "sendonly", "recvonly", "inactive")
    return next((flow for flow in flows if f"a={flow}" in sdp.splitlines()), "sendrecv")
