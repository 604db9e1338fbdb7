"""What is heard over networks that lose, hold up, mix and repeat, on either packet path; an hour passes in seconds.

Audio is transcoded here, from the phone to the client and back: what is passed through is played out by the far end.
"""

import random
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.media import g711, opus, packet_values
from bridge.media.audio import CallAudio
from bridge.media.engine import HeardStats, MediaStats
from bridge.media.formats import AudioFormat, Codec, LegFormats
from bridge.media.opus import OpusEncoder
from bridge.media.outbound import OutboundStream
from bridge.media.rtp import RtpPacket
from tests.clock import ManualClock
from tests.media.counting import CountingTelemetry
from tests.media.test_transcoder import voice

FRAME_S = 0.020
TALK = voice(4)
PHONE = LegFormats(
    receive=(AudioFormat(payload_type=0, codec=Codec.PCMU),),
    receive_digits=(),
    send=AudioFormat(payload_type=0, codec=Codec.PCMU),
    send_digits=None,
)
CLIENT = LegFormats(
    receive=(AudioFormat(payload_type=111, codec=Codec.OPUS),),
    receive_digits=(),
    send=AudioFormat(payload_type=111, codec=Codec.OPUS),
    send_digits=None,
)
Deliver = Callable[[bytes], object]


class Portable:
    """The audio of a call, in Python."""

    def __init__(self) -> None:
        self.clock, self.sent = ManualClock(now=0.0, epoch=1_700_000_000.0), list[bytes]()
        entropy = SeededEntropy(1)
        self._audio = CallAudio(
            cname="portable",
            streams=(OutboundStream(entropy), OutboundStream(entropy)),
            clock=self.clock,
            telemetry=CountingTelemetry(),
            to_matrix=lambda packet: None,
            to_sip=self.sent.append,
            to_sip_rtcp=lambda packet: None,
        )
        self._audio.configure(CLIENT, PHONE, CLIENT)
        self._audio.let_through(to_sip=True, filling=True, to_matrix=True)

    def deliver(self, packet: bytes, *, from_phone: bool) -> None:
        if from_phone:
            self._audio.sip_packet(packet)
        else:
            self._audio.matrix_packet(packet)

    def tick(self) -> None:
        self._audio.tick(self.clock.now)

    def stats(self) -> MediaStats:
        return self._audio.stats(off_path_dropped=0)


class Native:
    """The same in Rust."""

    def __init__(self) -> None:
        module = pytest.importorskip("trunkline_native", reason="the native packet path was not built: no Rust here")
        self.clock, self.sent = ManualClock(now=0.0, epoch=1_700_000_000.0), list[bytes]()
        self._audio = module.Bench(
            to_matrix=(1, 0, 0), to_sip=(2, 0, 0), cname="name", signals_digits=False, opus=opus.path(), now=0.0
        )
        self._audio.configure(packet_values.plain(CLIENT), packet_values.plain(PHONE))
        self._audio.let_through(to_sip=True, filling=True, to_matrix=True)

    def deliver(self, packet: bytes, *, from_phone: bool) -> None:
        take = self._audio.sip_packet if from_phone else self._audio.matrix_packet
        take(packet, self.clock.now)

    def tick(self) -> None:
        self._audio.tick(self.clock.now)
        packets, _ = self._audio.take()
        self.sent += [packet for target, packet in packets if target == "sip"]

    def stats(self) -> MediaStats:
        return packet_values.stats_of(self._audio.numbers(), CLIENT, PHONE, off_path_dropped=0)


PATHS = [Portable, Native]


@dataclass(slots=True, kw_only=True)
class Network:
    """Loses at random or in bursts (Gilbert-Elliott), holds up, mixes and repeats; the same in every run."""

    loss: float = 0.0
    burst: float = 1.0
    """Packets that are lost in a row, on average."""
    jitter_s: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    outage: tuple[float, float] = (0.0, 0.0)
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    _lost: bool = False

    def fate(self, sent_at: float) -> Iterator[float]:
        """When the copies of a packet arrive."""
        stays = 1 - 1 / self.burst
        self._lost = self.chance.random() < (stays if self._lost and self.burst > 1 else self._begins)
        if self._lost or self.outage[0] <= sent_at < self.outage[1]:
            return
        late = 0.03 if self.chance.random() < self.reorder else 0.0
        arrives = sent_at + late + self.chance.random() * self.jitter_s
        yield arrives
        if self.chance.random() < self.duplicate:
            yield arrives + 0.001

    @property
    def _begins(self) -> float:
        return self.loss if self.burst <= 1 else self.loss / (self.burst * (1 - self.loss))


@dataclass(slots=True, kw_only=True)
class Heard:
    """What became of a call."""

    arrived: int
    delays_ms: list[float]
    heard: HeardStats
    sent: list[bytes]

    @property
    def discarded_share(self) -> float:
        return self.heard.packets_discarded / self.arrived


def spoken(*, from_phone: bool) -> list[bytes]:
    """The payloads of a voice, over and over."""
    encoder = OpusEncoder(expected_loss_percent=10)
    return [g711.ulaw_encode(frame) if from_phone else encoder.encode(frame) for frame in TALK]


def call(
    path: Portable | Native, network: Network, seconds: float, *, from_phone: bool, drift_ppm: float = 0.0
) -> Heard:
    """One side talks all the time."""
    payloads, step = spoken(from_phone=from_phone), 160 if from_phone else 960
    packet_s, sent, arrived = FRAME_S * (1 - drift_ppm / 1e6), 0, 0
    under_way: list[tuple[float, int]] = []
    delays = []
    for tick in range(round(seconds / FRAME_S)):
        now = tick * FRAME_S
        while sent * packet_s <= now:
            under_way += [(arrival, sent) for arrival in network.fate(sent * packet_s)]
            sent += 1
        under_way.sort()
        while under_way and under_way[0][0] <= now:
            path.clock.now, n = under_way.pop(0)
            packet = RtpPacket(
                payload_type=0 if from_phone else 111,
                sequence=n & 0xFFFF,
                timestamp=n * step & 0xFFFFFFFF,
                ssrc=5,
                payload=payloads[n % len(payloads)],
            )
            path.deliver(bytes(packet), from_phone=from_phone)
            arrived += 1
        path.clock.now = now
        path.tick()
        if tick % 10 == 0:
            heard = path.stats()
            delays.append((heard.heard_by_matrix if from_phone else heard.heard_by_sip).playout_delay_ms)
    stats = path.stats()
    return Heard(
        arrived=arrived,
        delays_ms=delays,
        heard=stats.heard_by_matrix if from_phone else stats.heard_by_sip,
        sent=path.sent,
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("from_phone", [True, False], ids=["g711", "opus"])
@pytest.mark.parametrize("burst", [1.0, 5.0], ids=["random", "bursts"])
@pytest.mark.parametrize("loss", [0.01, 0.1, 0.3])
def test_what_arrives_is_played_and_the_rest_is_made_up(
    path: type[Portable | Native], from_phone: bool, burst: float, loss: float
) -> None:
    network = Network(loss=loss, burst=burst, jitter_s=0.02)
    result = call(path(), network, 20.0, from_phone=from_phone)
    assert result.discarded_share <= (0.01 if loss <= 0.1 else 0.03)
    assert result.heard.frames_played + result.heard.frames_concealed == pytest.approx(1000, abs=12)
    assert result.heard.frames_concealed == pytest.approx(1000 - result.arrived, abs=12)
    assert max(result.delays_ms) <= 200


@pytest.mark.parametrize("path", PATHS)
def test_jitter_reordering_and_repetition_cost_next_to_nothing(path: type[Portable | Native]) -> None:
    network = Network(jitter_s=0.06, reorder=0.05, duplicate=0.02)
    result = call(path(), network, 30.0, from_phone=True)
    assert result.discarded_share <= 0.005
    assert result.heard.frames_concealed <= 15
    assert max(result.delays_ms) <= 160


@pytest.mark.parametrize("path", PATHS)
def test_a_calm_network_is_not_held_back_for(path: type[Portable | Native]) -> None:
    result = call(path(), Network(), 20.0, from_phone=True)
    assert result.delays_ms[-1] <= 60
    assert (result.heard.frames_concealed, result.heard.packets_discarded) == (0, 0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("outage_s", [5.0, 20.0])
def test_after_seconds_of_nothing_audio_is_back_at_once(path: type[Portable | Native], outage_s: float) -> None:
    ends_s = 3 + outage_s
    result = call(path(), Network(outage=(3.0, ends_s)), ends_s + 0.5, from_phone=False)
    packets = [RtpPacket.parse(packet) for packet in result.sent]
    levels = [max(array("h", g711.ulaw_decode(packet.payload)), default=0) for packet in packets[-10:]]
    assert max(levels) > 2000, "half a second after the network is back, the voice is"
    assert [packet.sequence for packet in packets] == list(
        range(packets[0].sequence, packets[0].sequence + len(packets))
    )
    assert len(packets) >= (ends_s + 0.3) / FRAME_S, "and all the time the phone gets something"


@pytest.mark.parametrize(
    ("path", "seconds"), [(Portable, 300.0), (Native, 3600.0)], ids=["portable-minutes", "native-hour"]
)
@pytest.mark.parametrize("drift_ppm", [-200, 200])
def test_a_clock_that_is_off_costs_no_audio_in_an_hour(
    path: type[Portable | Native], seconds: float, drift_ppm: float
) -> None:
    result = call(path(), Network(), seconds, from_phone=False, drift_ppm=drift_ppm)
    assert (result.heard.frames_concealed, result.heard.packets_discarded) == (0, 0)
    assert max(result.delays_ms) <= 80
    pcm = array("h", b"".join(g711.ulaw_decode(RtpPacket.parse(packet).payload) for packet in result.sent[-5000:]))
    clean = array("h", b"".join(TALK))
    assert steepest(pcm) <= 1.3 * steepest(clean), "nothing clicks"


def steepest(samples: "array[int]") -> int:
    return max(abs(after - before) for before, after in pairwise(samples))
