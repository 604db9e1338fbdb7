"""WebRTC ends without a browser: descriptions that only look real, and a few that are."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription

from tests.patience import PATIENCE_S

_LOOPBACK = ("127.0.0.1",)
_FINGERPRINT = ":".join(f"{byte:02X}" for byte in range(32))

_DESCRIPTION = """v=0
o=- {number} 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic: WMS voice
m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:u{number:07}
a=ice-pwd:password-of-a-mute-peer{number:07}
a=fingerprint:sha-256 {fingerprint}
a=setup:{setup}
a=mid:0
a=sendrecv
a=msid:voice track
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=candidate:1 1 udp 2122260223 127.0.0.1 {port} typ host
a=ssrc:{number} cname:mute
"""


def mute_offer(number: int, *, port: int) -> str:
    """An offer like a browser's, whose candidate points at `port`, where nobody answers checks."""
    return _describe(number, port, "actpass")


def mute_answer(number: int, *, port: int) -> str:
    """An answer of the same kind."""
    return _describe(number, port, "active")


def _describe(number: int, port: int, setup: str) -> str:
    text = _DESCRIPTION.format(number=number, port=port, setup=setup, fingerprint=_FINGERPRINT)
    return text.replace("\n", "\r\n")


class WebRtcPeer:
    """A real WebRTC end that sends silence: connected means that ICE and DTLS are up."""

    def __init__(self) -> None:
        self._connection = RTCPeerConnection()
        self._connected = asyncio.Event()
        self._connection.add_listener("connectionstatechange", self._look)
        self._connection.addTrack(AudioStreamTrack())

    async def offer(self) -> str:
        """An offer with all candidates."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def connect(self, answer: str) -> None:
        """Take the answer and wait until audio can flow."""
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        async with asyncio.timeout(PATIENCE_S):
            await self._connected.wait()

    async def close(self) -> None:
        """Free its sockets."""
        await self._connection.close()

    def _look(self) -> None:
        if self._connection.connectionState == "connected":
            self._connected.set()


@contextmanager
def loopback_candidates() -> Iterator[None]:
    """Let aioice, which leaves out 127.0.0.1, gather nothing else, so that tests never leave the machine."""
    with mock.patch("aioice.ice.get_host_addresses", return_value=list(_LOOPBACK)):
        yield
