"""The WebRTC side of the Matrix caller: aiortc, with a tone for a microphone and an ear for a loudspeaker."""

import asyncio
import fractions
from collections.abc import Callable

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

from deploy.demo.audio import FRAME_SAMPLES, RATE_HZ, Ear, Tone, to_telephone
from deploy.demo.milestones import Milestone, Milestones

LOOPBACK = "127.0.0.1"


def gather_on_loopback() -> None:
    """Make every ICE agent of this process use 127.0.0.1 alone.

    aioice leaves loopback out, so that on a machine without a network there would be no candidate at all. Calls between
    two programs of one machine need nothing else, and are then the same with any network, firewall or VPN.
    """
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK] if use_ipv4 else []


class ToneTrack(MediaStreamTrack):
    """A microphone in front of which a tone sounds; one frame every 20 ms by the clock of the event loop."""

    kind = "audio"

    def __init__(self, tone: Tone) -> None:
        super().__init__()
        self._tone = tone
        self._index = 0
        self._began = 0.0

    async def recv(self) -> AudioFrame:
        """The next 20 ms, when their time has come."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._index == 0:
            self._began = loop.time()
        await asyncio.sleep(max(0.0, self._began + self._index * FRAME_SAMPLES / RATE_HZ - loop.time()))
        frame = _audio_frame(self._tone.frame(self._index), self._index)
        self._index += 1
        return frame


class WebRtcAudio:
    """One peer connection with one audio track in each direction."""

    def __init__(self, tone: Tone, milestones: Milestones) -> None:
        self.ear = Ear()
        self._milestones = milestones
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._tone = tone
        self._listening: asyncio.Task[None] | None = None
        self._connection.on("track", self._on_track)
        self._connection.on("connectionstatechange", self._on_state)

    async def offer(self) -> str:
        """Our offer, with every candidate in it."""
        self._connection.addTrack(ToneTrack(self._tone))
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def answer(self, offer: str) -> str:
        """Our answer to an offer, with every candidate in it."""
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        self._connection.addTrack(ToneTrack(self._tone))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return str(self._connection.localDescription.sdp)

    async def take_answer(self, sdp: str) -> None:
        """The answer to our offer."""
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))

    async def take_candidate(self, candidate: str, mid: str | None) -> None:
        """A trickled candidate; an empty one only says that there are no more."""
        line = candidate.removeprefix("a=").removeprefix("candidate:")
        if not line:
            return
        parsed = candidate_from_sdp(line)
        parsed.sdpMid, parsed.sdpMLineIndex = mid, 0
        await self._connection.addIceCandidate(parsed)

    async def close(self) -> None:
        """End ICE, DTLS and both tracks; may be called twice."""
        await self._connection.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.get_running_loop().create_task(listen(track, self.ear.hear), name="demo-listen")

    def _on_state(self) -> None:
        match self._connection.connectionState:
            case "connected":
                self._milestones.reach(Milestone.CONNECTED)
            case "failed":
                self._milestones.end("ICE or DTLS failed")


async def listen(track: MediaStreamTrack, hear: Callable[[bytes], None]) -> None:
    """Pass every received frame on, until the track ends."""
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        if not isinstance(frame, AudioFrame):
            continue
        channels = len(frame.layout.channels)
        pcm = bytes(frame.planes[0])[: frame.samples * channels * 2]
        hear(to_telephone(pcm, rate_hz=frame.sample_rate, channels=channels))


def _audio_frame(pcm: bytes, index: int) -> AudioFrame:
    """Two equal channels: making two of one is left to nobody, since the resampler would take 3 dB off."""
    frame = AudioFrame(format="s16", layout="stereo", samples=FRAME_SAMPLES)
    frame.planes[0].update(b"".join(pcm[n : n + 2] * 2 for n in range(0, len(pcm), 2)))
    frame.sample_rate = RATE_HZ
    frame.pts = index * FRAME_SAMPLES
    frame.time_base = fractions.Fraction(1, RATE_HZ)
    return frame
