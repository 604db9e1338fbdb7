"""Mouth and ear of a telephone: PCMU over RTP on a thread of its own, so that a busy test does not stutter."""

import itertools
import socket
import threading
import time
from dataclasses import dataclass

import numpy as np

from bridge.media import g711
from bridge.media.dtmf import TelephoneEvent
from bridge.media.keypad import KEYS
from bridge.media.rtp import RtpPacket, is_rtcp
from tests.e2e.sound import Heard, Samples, Tone, level_db, measure, sine
from tests.peers.process import LOOPBACK, free_port

RATE_HZ = 8000
FRAME = 160
FRAME_S = FRAME / RATE_HZ
EVENTS = 101
_WINDOW = 16
"""Frames that a measurement takes: a third of a second."""
_QUIET_DB = -55.0
_STEADY_DB = 0.7
_KEPT = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardFrame:
    """20 ms of what came, and when; where it belongs in the sound says its timestamp."""

    at: float
    timestamp: int
    samples: Samples

    @property
    def audible(self) -> bool:
        """Whether a person would hear it."""
        return level_db(self.samples) > _QUIET_DB


class Voice(threading.Thread):
    """Says a tone for as long as it may, and remembers what it hears."""

    def __init__(self, tone: Tone) -> None:
        super().__init__(name="voice", daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = free_port(span=2)
        """The next one is nobody else's, who would be sent our RTCP (RFC 3550 §11)."""
        self._socket.bind((LOOPBACK, self.port))
        self.speaks = False
        self._target: tuple[str, int] | None = None
        self._waves: Samples | None = None
        self._frames: list[HeardFrame] = []
        self._digits: dict[int, str] = {}
        self._number = 0
        self._over = threading.Event()
        self.play(tone)

    def aim(self, sdp: str) -> None:
        """Speak to the address in a description."""
        port = next(line for line in sdp.splitlines() if line.startswith("m=audio")).split()[1]
        self._target = (LOOPBACK, int(port))

    def play(self, tone: Tone | None) -> None:
        """Say this from now on; whole-numbered pitches repeat without a click."""
        self._waves = None if tone is None else sine(tone, rate_hz=RATE_HZ, seconds=1)

    def close(self) -> None:
        """Be silent for ever."""
        self._over.set()
        self.join()
        self._socket.close()

    def run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            self._say()
            due += FRAME_S
            self._hear_until(due)

    # Mouth

    def _say(self) -> None:
        waves, target, self._number = self._waves, self._target, self._number + 1
        if waves is None or target is None or not self.speaks:
            return
        start = self._number * FRAME % waves.size
        pcm = (waves[start : start + FRAME] * 32767).astype("<i2").tobytes()
        packet = RtpPacket(
            payload_type=0,
            sequence=self._number & 0xFFFF,
            timestamp=self._number * FRAME & 0xFFFFFFFF,
            ssrc=0x0DE5C0DE,
            payload=g711.ulaw_encode(pcm),
        )
        self._socket.sendto(bytes(packet), target)

    # Ear

    def _hear_until(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                datagram = self._socket.recv(2048)
            except OSError:
                continue
            if not is_rtcp(datagram):
                self._take(RtpPacket.parse(datagram))

    def _take(self, packet: RtpPacket) -> None:
        if packet.payload_type == 0:
            pcm = np.frombuffer(g711.ulaw_decode(packet.payload), dtype="<i2").astype(np.float64) / 32768
            self._frames.append(HeardFrame(at=time.monotonic(), timestamp=packet.timestamp, samples=pcm))
            del self._frames[:-_KEPT]
        elif packet.payload_type == EVENTS and (event := TelephoneEvent.parse(packet.payload)) is not None:
            self._digits[packet.timestamp] = KEYS[event.event]

    def forget(self) -> None:
        """Measure only what comes from now on."""
        self._frames = []

    def steady(self) -> Heard | None:
        """What is heard now, if it is a sound and does not change."""
        frames = self._frames[-_WINDOW:]
        levels = [level_db(frame.samples) for frame in frames]
        if len(frames) < _WINDOW or min(levels) < _QUIET_DB or max(levels) - min(levels) > 2 * _STEADY_DB:
            return None
        return measure(np.concatenate([frame.samples for frame in frames]), RATE_HZ)

    def quiet_s(self) -> float:
        """For how long nothing has been heard."""
        heard = [frame.at for frame in self._frames if frame.audible]
        return time.monotonic() - heard[-1] if heard else float("inf")

    def longest_gap_s(self) -> float:
        """The longest time between two audible frames as they are played, however a busy machine lets them come."""
        heard = [frame.timestamp for frame in self._frames if frame.audible]
        gaps = [((after - before) & 0xFFFFFFFF) / RATE_HZ for before, after in itertools.pairwise(heard)]
        return max(gaps, default=float("inf"))

    def digits(self) -> str:
        """Keys that were pressed at the other end."""
        return "".join(self._digits.values())
