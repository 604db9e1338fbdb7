"""Calls between clients and phones that the generator speaks for: each with real ICE and DTLS, whatever the engine."""

import asyncio
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from aiortc import rtcdtlstransport

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media import g711, opus, sdp_matrix
from bridge.media.formats import AudioFormat, Codec
from bridge.media.ice import IceAgent
from bridge.media.ice_path import WebRtcSettings
from bridge.media.ports import PortPool
from bridge.media.sdp_matrix import LocalStream, Setup
from bridge.media.webrtc import WebRtcLeg, WebRtcListener
from tests.bench.under_test import UnderTest
from tests.media.counting import CountingTelemetry
from tests.peers.process import LOOPBACK

NATIVE = Path(__file__).parents[2] / "bridge/media/native"
_LIMIT_S = 20.0
_AT_ONCE = 8
_SETTINGS = WebRtcSettings(hosts=(LOOPBACK,), advertised_hosts=(), allow_loopback=True, connect_timeout_s=_LIMIT_S)
_PHONE = (
    "v=0\r\no=phone 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=sendrecv\r\n"
)
_PROFILE = b"SRTP_AES128_CM_SHA1_80"
_FRAMES, FIRST_LOUD, _FRAME = 50, 40, 160
_QUIET, _LOUD = 0.02, 0.2
"""Levels of the voice, of full scale."""


def encrypt_alike() -> None:
    """Let the clients of this process know one way to encrypt only, so that all engines use the floor's: AES-CM-80."""
    common = rtcdtlstransport.SRTP_PROFILES
    common[:] = [profile for profile in common if profile.openssl_profile == _PROFILE]


class Reader:
    """The generator reads the client's socket; connectivity checks go unanswered for these few seconds."""

    client = -1
    bridge = ("", 0)

    def take(self, agent: IceAgent) -> None:
        sockets, nominated = agent.hand_over(self), agent.nominated
        assert nominated is not None
        self.client, self.bridge = sockets[nominated[0]], nominated[1]

    def paths_changed(self) -> None:
        return None

    def take_one(self, agent: IceAgent, index: int, descriptor: int) -> None:
        return None

    def let_go(self, agent: IceAgent) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that is up, in the words of the generator."""

    leg: WebRtcLeg
    client: int
    phone: socket.socket
    line: str

    async def close(self) -> None:
        """Free the client's and the phone's sockets."""
        await self.leg.close()
        self.phone.close()


class Caller:
    """Places calls of clients that speak one codec."""

    def __init__(self, server: UnderTest, tasks: asyncio.TaskGroup, audio: AudioFormat) -> None:
        self._server, self._tasks, self._audio = server, tasks, audio
        self._ports = PortPool(low=30000, high=39999, entropy=SystemEntropy(), clock=SystemClock())
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def place(self, count: int) -> list[Call]:
        """So many calls that are up."""
        return list(await asyncio.gather(*(self._place_one() for _ in range(count))))

    async def _place_one(self) -> Call:
        async with self._at_once, asyncio.timeout(_LIMIT_S):
            return await self._placed()

    async def _placed(self) -> Call:
        connected = asyncio.Event()
        leg = self._leg(connected)
        await leg.gather(controlling=True)
        stream = LocalStream(session=1, version=1, stream="stream", track="track", ssrc=1, cname="client")
        phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.bind((LOOPBACK, 0))
        answer, sip = await self._server.open(
            sdp_matrix.write_offer(await leg.describe(), stream, (self._audio,)),
            _PHONE.format(host=LOOPBACK, port=phone.getsockname()[1]),
        )
        remote = sdp_matrix.read_remote(answer, answer=True, allow_loopback=True)
        await leg.set_remote(remote)
        leg.start(self._tasks, Setup.PASSIVE if remote.setup is Setup.ACTIVE else Setup.ACTIVE)
        await connected.wait()
        reader = Reader()
        leg.hand_over(reader)
        (ours, theirs), (host, port) = leg.keys, reader.bridge
        trunk = next(line for line in sip.splitlines() if line.startswith("m=audio")).split()[1]
        keys = f"{ours[0]} {ours[1].hex()} {theirs[1].hex()}"
        line = f"{reader.client} {host}:{port} {keys} {phone.fileno()} {LOOPBACK}:{trunk}"
        return Call(leg=leg, client=reader.client, phone=phone, line=line)

    def _leg(self, connected: asyncio.Event) -> WebRtcLeg:
        listener = WebRtcListener(
            on_connected=connected.set,
            on_ended=lambda failure: None,
            on_off_path=lambda: None,
        )
        clock, log = SystemClock().monotonic, structlog.get_logger()
        return WebRtcLeg(_SETTINGS, self._ports, listener, CountingTelemetry(), now=clock, log=log)


def _voice() -> list[bytes]:
    """A second of something like a voice, that is quiet and then loud, as frames of PCM."""
    time = np.arange(_FRAMES * _FRAME) / 8000
    harmonics = sum(np.sin(2 * np.pi * 160 * n * time + n) / n for n in range(1, 12))
    noise = np.random.default_rng(1).normal(0, 0.3, time.size)
    sound = np.asarray(harmonics) + noise
    level = np.where(time < FIRST_LOUD / _FRAMES, _QUIET, _LOUD)
    pcm = (sound / np.std(sound) * level * 32767).clip(-32768, 32767).astype("<i2").tobytes()
    return [pcm[n * 2 * _FRAME : (n + 1) * 2 * _FRAME] for n in range(_FRAMES)]


def voices(audio: AudioFormat) -> tuple[str, str]:
    """What client and phone say."""
    pcm = _voice()
    phone = [g711.ulaw_encode(frame) for frame in pcm]
    encoder = opus.OpusEncoder()
    client = [encoder.encode(frame) for frame in pcm] if audio.codec is Codec.OPUS else phone
    step = audio.codec.clock_rate // 50
    return (
        f"{audio.payload_type}:{step}:{','.join(frame.hex() for frame in client)}",
        f"0:160:{','.join(frame.hex() for frame in phone)}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """The program that speaks and listens at both ends of all calls."""

    program: Path

    @classmethod
    async def built(cls) -> "Generator":
        """Built when it is not. Raises :class:`RuntimeError` when it cannot be."""
        command = ("cargo", "build", "--release", "--quiet", "--example", "load")
        process = await asyncio.create_subprocess_exec(*command, cwd=NATIVE)
        if await process.wait() != 0:
            raise RuntimeError("the generator could not be built")
        target = Path(os.environ.get("CARGO_TARGET_DIR", NATIVE / "target"))
        return cls(program=target / "release/examples/load")

    async def floor(self) -> dict[str, float]:
        """Nanoseconds that one packet and one frame cost at least."""
        return await self._run([], (b"".join(_voice()).hex()), "floor", opus.path())

    def speak(self, calls: list[Call], audio: AudioFormat, seconds: float) -> asyncio.Task[dict[str, float]]:
        """Let both sides of all calls speak for a while."""
        timing = str(FIRST_LOUD) if audio.codec is Codec.OPUS else "stamps"
        head = " ".join((str(seconds), timing, *voices(audio)))
        asked = "\n".join((head, *(call.line for call in calls)))
        return asyncio.create_task(self._run(calls, asked))

    async def _run(self, calls: list[Call], asked: str, *arguments: str) -> dict[str, float]:
        process = await asyncio.create_subprocess_exec(
            *(str(self.program), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[descriptor for call in calls for descriptor in (call.client, call.phone.fileno())],
        )
        output, _ = await asyncio.wait_for(process.communicate(asked.encode()), 60)
        said: dict[str, Any] = json.loads(output)
        return {name: float(value) for name, value in said.items()}
