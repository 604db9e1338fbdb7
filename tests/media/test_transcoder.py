"""Transcoding under loss and jitter; time is an argument."""

import math
import random
from array import array
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entropy import SeededEntropy
from bridge.media import g711, tones, transcoder
from bridge.media.coders import FRAME_BYTES
from bridge.media.direction import Direction
from bridge.media.formats import AudioFormat, Codec, DigitFormat, LegFormats
from bridge.media.opus import OpusEncoder
from bridge.media.outbound import OutboundStream
from bridge.media.rtp import RtpPacket
from bridge.media.transcoder import Transcoder
from tests.media.phone import tone_frames

FRAME_S = 0.020
OPUS = LegFormats(
    receive=(AudioFormat(payload_type=111, codec=Codec.OPUS),),
    receive_digits=(DigitFormat(payload_type=110, clock_rate=48000),),
    send=AudioFormat(payload_type=111, codec=Codec.OPUS),
    send_digits=DigitFormat(payload_type=110, clock_rate=48000),
)
PCMU = LegFormats(
    receive=(AudioFormat(payload_type=0, codec=Codec.PCMU), AudioFormat(payload_type=8, codec=Codec.PCMA)),
    receive_digits=(DigitFormat(payload_type=101, clock_rate=8000),),
    send=AudioFormat(payload_type=0, codec=Codec.PCMU),
    send_digits=DigitFormat(payload_type=101, clock_rate=8000),
)
PCMA = LegFormats(
    receive=(AudioFormat(payload_type=8, codec=Codec.PCMA),),
    receive_digits=(),
    send=AudioFormat(payload_type=8, codec=Codec.PCMA),
    send_digits=None,
)


def rtp(n: int, payload: bytes, *, step: int, payload_type: int = 0, ssrc: int = 1) -> RtpPacket:
    return RtpPacket(
        payload_type=payload_type, sequence=n & 0xFFFF, timestamp=n * step & 0xFFFFFFFF, ssrc=ssrc, payload=payload
    )


def spoken(seconds: float, level_dbfs: float = -12.0) -> list[bytes]:
    pcm = tones.sine(440, seconds, level_dbfs=level_dbfs)
    return [pcm[n : n + FRAME_BYTES] for n in range(0, len(pcm), FRAME_BYTES)]


def voice(seconds: float) -> list[bytes]:
    """Something like speech: harmonics of a moving pitch, swelling four times a second, over a little noise."""
    chance, phase, samples = random.Random(1), 0.0, array("h")
    for n in range(round(seconds * 8000)):
        time_s = n / 8000
        phase += 2 * math.pi * (120 + 20 * math.sin(2 * math.pi * 3 * time_s)) / 8000
        loudness = 0.25 * (0.5 + 0.5 * math.sin(2 * math.pi * 4 * time_s))
        buzz = sum(math.sin(k * phase) / k for k in range(1, 16))
        samples.append(int(20000 * max(-1.0, min(1.0, loudness * buzz + chance.uniform(-0.02, 0.02)))))
    pcm = samples.tobytes()
    return [pcm[n : n + FRAME_BYTES] for n in range(0, len(pcm), FRAME_BYTES)]


def through_opus(frames: list[bytes], loss: float) -> tuple[bytes, Transcoder]:
    """PCM of what arrives when packets are lost and late on the way."""
    chance, encoder = random.Random(7), OpusEncoder(expected_loss_percent=10)
    transcoder, heard = Transcoder(Codec.OPUS, Codec.PCMU), b""
    for n, frame in enumerate(frames):
        packet = encoder.encode(frame)
        if not n or chance.random() >= loss:
            transcoder.push(rtp(n, packet, step=960), n * FRAME_S + chance.random() * 0.01)
        heard += b"".join(transcoder.frame(n * FRAME_S + 0.011) or [])
    transcoder.close()
    return g711.ulaw_decode(heard), transcoder


def test_a_tone_stays_a_tone_through_opus() -> None:
    heard, _ = through_opus(spoken(5), 0.0)
    settled = heard[8000:]
    assert tones.dominant_pitch_hz(settled) == pytest.approx(440, abs=2)
    assert tones.level_dbfs(settled) == pytest.approx(-12, abs=0.5)
    assert tones.goertzel_dbfs(settled, 440) == pytest.approx(-12, abs=0.5)


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.10, 0.20])
def test_a_voice_keeps_its_level_under_loss(loss: float) -> None:
    frames = voice(8)
    clean, _ = through_opus(frames, 0.0)
    heard, transcoder = through_opus(frames, loss)
    assert len(heard) >= FRAME_BYTES * (len(frames) - 10)
    assert tones.level_dbfs(heard[16000:]) == pytest.approx(tones.level_dbfs(clean[16000:]), abs=1)
    lost = len(frames) * loss
    assert transcoder.playout.concealed_frames == pytest.approx(lost, abs=0.05 * len(frames))


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_packets_of_any_length_become_20_ms(frame_ms: int) -> None:
    transcoder, size = Transcoder(Codec.PCMU, Codec.OPUS), 8 * frame_ms
    octets = g711.ulaw_encode(tones.sine(440, 1.2))
    frames, sent = 0, 0
    for tick in range(60):
        now = tick * FRAME_S
        while sent * frame_ms <= tick * 20 and sent * size < len(octets):
            payload = octets[sent * size : (sent + 1) * size]
            transcoder.push(rtp(sent, payload, step=size), now)
            sent += 1
        frames += transcoder.frame(now) is not None
    transcoder.close()
    assert frames >= 60 - 8


def test_opus_that_is_none_is_survived() -> None:
    transcoder = Transcoder(Codec.OPUS, Codec.PCMU)
    frames = []
    for n in range(20):
        transcoder.push(rtp(n, b"\xff" * 60, step=960), n * FRAME_S)
        frames.append(transcoder.frame(n * FRAME_S))
    heard = [payload for payloads in frames if payloads is not None for payload in payloads]
    assert len(heard) >= 15
    assert {len(payload) for payload in heard} == {160}
    transcoder.close()
    transcoder.close()


class Line:
    """A direction whose packets are kept."""

    def __init__(self, source: LegFormats, target: LegFormats, *, fills_pauses: bool = True) -> None:
        self.sent: list[RtpPacket] = []
        self.direction = Direction(
            OutboundStream(SeededEntropy(1)),
            lambda packet: self.sent.append(RtpPacket.parse(packet)),
            fills_pauses=fills_pauses,
        )
        self.direction.configure(source, target)
        self.direction.enable(True)


def test_pauses_of_the_browser_are_silence_for_the_phone() -> None:
    line, encoder = Line(OPUS, PCMU), OpusEncoder()
    for n in range(20):
        line.direction.receive(rtp(n, encoder.encode(bytes(FRAME_BYTES)), step=960, payload_type=111), n * FRAME_S)
        line.direction.tick(n * FRAME_S)
    for n in range(20, 200):
        line.direction.tick(n * FRAME_S)
    assert len(line.sent) == 200
    assert [p.sequence for p in line.sent] == [(line.sent[0].sequence + n) & 0xFFFF for n in range(200)]
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in zip(line.sent, line.sent[1:], strict=False)} == {160}
    assert line.sent[-1].payload == b"\xff" * 160


def test_pauses_of_the_phone_cost_the_browser_nothing() -> None:
    line = Line(PCMU, OPUS, fills_pauses=False)
    for n in range(20):
        line.direction.receive(rtp(n, b"\xff" * 160, step=160), n * FRAME_S)
        line.direction.tick(n * FRAME_S)
    for n in range(20, 200):
        line.direction.tick(n * FRAME_S)
    assert len(line.sent) <= 30


def test_a_muted_browser_does_not_look_like_a_dead_call() -> None:
    line = Line(PCMU, PCMU)
    line.direction.filling = True
    line.direction.receive(rtp(1, b"\x55" * 160, step=160), 0.0)
    for n in range(200):
        line.direction.tick(n * FRAME_S)
    line.direction.receive(rtp(2, b"\x66" * 160, step=160), 4.0)
    assert len(line.sent) >= 8
    assert line.sent[-1].payload == b"\x66" * 160
    sequences = [p.sequence for p in line.sent]
    assert sequences == [(sequences[0] + n) & 0xFFFF for n in range(len(sequences))]


def test_the_law_is_changed_without_delay() -> None:
    line, octets = Line(PCMU, PCMA), g711.ulaw_encode(tones.sine(440, 0.02))
    line.direction.receive(rtp(1, octets, step=160), 0.0)
    assert [(p.payload_type, p.payload) for p in line.sent] == [(8, g711.ulaw_to_alaw(octets))]
    assert not line.direction.transcoded


def test_comfort_noise_is_left_out() -> None:
    line = Line(PCMU, PCMU)
    for n, payload_type in enumerate([0, 13, 0]):
        line.direction.receive(rtp(n, b"\x11" * 160, step=160, payload_type=payload_type), n * FRAME_S)
    assert [p.payload_type for p in line.sent] == [0, 0]
    assert (line.sent[1].sequence - line.sent[0].sequence) & 0xFFFF == 1


def test_a_source_that_changes_its_codec_in_the_middle_is_followed() -> None:
    line, encoder = (
        Line(
            LegFormats(receive=(*OPUS.receive, *PCMU.receive), receive_digits=(), send=OPUS.send, send_digits=None),
            PCMU,
        ),
        OpusEncoder(),
    )
    for n in range(20):
        line.direction.receive(rtp(n, encoder.encode(bytes(FRAME_BYTES)), step=960, payload_type=111), n * FRAME_S)
        line.direction.tick(n * FRAME_S)
    line.direction.receive(rtp(20, b"\x66" * 160, step=960), 0.4)
    assert line.sent[-1].payload == b"\x66" * 160
    assert line.direction.transcoder is None
    assert line.direction.transcoded


def test_a_digit_the_other_side_cannot_take_leaves_no_trace() -> None:
    line = Line(PCMU, PCMA)
    line.direction.receive(rtp(1, b"\x11" * 160, step=160), 0.0)
    line.direction.receive(rtp(2, b"\x05\x0a\x01\x00", step=160, payload_type=101), 0.02)
    line.direction.receive(rtp(3, b"\x11" * 160, step=160), 0.04)
    assert [p.payload_type for p in line.sent] == [8, 8]
    assert (line.sent[1].sequence - line.sent[0].sequence) & 0xFFFF == 1
    assert line.direction.digits == 0


def test_a_closed_direction_is_silent() -> None:
    line = Line(PCMU, PCMU)
    line.direction.close()
    line.direction.receive(rtp(1, b"\x11" * 160, step=160), 0.0)
    line.direction.tick(1.0)
    assert line.sent == []


STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 60), st.integers(0, 0xFFFF)),
        st.sampled_from([0, 0, 0, 8, 13, 101, 101]),
        st.sampled_from([1, 1, 1, 2]),
        st.integers(0, 40),
    ),
    max_size=120,
)


@given(STEPS, st.sampled_from([PCMU, PCMA]))
def test_no_two_packets_share_a_number_whatever_arrives(
    steps: list[tuple[int, int, int, int]], target: LegFormats
) -> None:
    line, now = Line(PCMU, target), 0.0
    line.direction.filling = True
    for content, (offset, payload_type, ssrc, ticks) in enumerate(steps):
        payload = bytes((content % 10, 0x0A)) + content.to_bytes(2, "big")
        line.direction.receive(rtp(65500 + offset, payload, step=160, payload_type=payload_type, ssrc=ssrc), now)
        for _ in range(ticks):
            now += FRAME_S
            line.direction.tick(now)
    sequences = [p.sequence for p in line.sent]
    assert len(set(sequences)) == len(sequences), "with SRTP, two packets would share a keystream"


@given(st.permutations(range(24)), st.sets(st.integers(1, 22), max_size=8), st.integers(1, 3))
def test_comfort_noise_out_of_order_neither_hides_nor_moves_audio(
    order: list[int], noise: set[int], copies: int
) -> None:
    line = Line(PCMU, PCMU)
    nearby = sorted(range(24), key=lambda n: n + order[n] % 4)
    for n in [0, *nearby]:
        for _ in range(copies):
            line.direction.receive(rtp(n, bytes((n,)) * 160, step=160, payload_type=13 if n in noise else 0), 0.0)
    heard = {p.payload[0]: p.sequence for p in line.sent}
    assert sorted(heard) == [n for n in range(24) if n not in noise]
    assert len(line.sent) == len(heard)
    numbers = [(heard[n] - heard[0]) & 0xFFFF for n in sorted(heard)]
    assert numbers == sorted(numbers), "what was sent later has the higher number"


@pytest.mark.parametrize("audio", [voice(4), spoken(4)], ids=["voice", "tone"])
@pytest.mark.parametrize("drift_ppm", [-1500, 1500])
def test_a_clock_that_is_off_is_made_up_for_without_a_click(audio: list[bytes], drift_ppm: int) -> None:
    transcoder, sent, heard = Transcoder(Codec.PCMU, Codec.PCMA), 0, b""
    packet_s = FRAME_S * (1 - drift_ppm / 1e6)
    delays = []
    for tick in range(3000):
        now = tick * FRAME_S
        while sent * packet_s <= now:
            transcoder.push(rtp(sent, g711.ulaw_encode(audio[sent % len(audio)]), step=160), sent * packet_s)
            sent += 1
        heard += g711.alaw_decode(b"".join(transcoder.frame(now) or [bytes((0xD5,)) * 160]))
        delays.append(transcoder.playout.delay_s)
    assert transcoder.playout.concealed_frames == transcoder.playout.discarded == 0
    assert max(delays) < 0.08
    assert steepest(heard) <= 1.1 * steepest(b"".join(audio))


def steepest(pcm: bytes) -> int:
    """The largest step between two samples: what clicks is steep."""
    return max(abs(after - before) for before, after in pairwise(array("h", pcm)))


def test_the_delay_comes_down_again_when_the_network_is_calm() -> None:
    chance, transcoder, delays = random.Random(5), Transcoder(Codec.PCMU, Codec.PCMA), []
    rough = [(n * FRAME_S + chance.random() * 0.15, n) for n in range(1000)]
    arrivals = sorted(rough + [(n * FRAME_S, n) for n in range(1000, 3000)], reverse=True)
    octets = [g711.ulaw_encode(frame) for frame in voice(4)]
    for tick in range(3000):
        while arrivals and arrivals[-1][0] <= tick * FRAME_S:
            at, n = arrivals.pop()
            transcoder.push(rtp(n, octets[n % len(octets)], step=160), at)
        transcoder.frame(tick * FRAME_S)
        delays.append(transcoder.playout.delay_s)
    assert 0.12 < delays[950] < 0.2
    assert delays[-1] < 0.06
    assert transcoder.playout.discarded < 20, "those of the first second, before the jitter was known"


def test_comfort_noise_of_the_source_is_heard_by_the_phone() -> None:
    line, octets = Line(OPUS, PCMU), OpusEncoder().encode(bytes(FRAME_BYTES))
    for n in range(20):
        line.direction.receive(rtp(n, octets, step=960, payload_type=111), n * FRAME_S)
        line.direction.tick(n * FRAME_S)
    line.direction.receive(rtp(20, bytes((60,)), step=960, payload_type=13), 0.4)
    for n in range(20, 60):
        line.direction.tick(n * FRAME_S)
    pause = b"".join(g711.ulaw_decode(p.payload) for p in line.sent[-10:])
    assert tones.level_dbfs(pause) == pytest.approx(-57, abs=2), "a sine of full scale is 3 dB below a square wave"


def test_jitter_that_stays_the_same_does_not_make_speech_shorter_and_longer_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also on a busy machine, whose clock ticks up to 15 ms late."""
    changes: list[str] = []
    for name in ("shortened", "lengthened"):
        change = getattr(transcoder, name)

        def counted(*given: Any, name: str = name, change: Any = change, **how: Any) -> Any:
            changed = change(*given, **how)
            changes.extend([name] if changed is not None else [])
            return changed

        monkeypatch.setattr(transcoder, name, counted)
    chance, seconds = random.Random(1), 10
    frames = tone_frames(200, 50 * seconds)
    arrivals = sorted((number * 0.02 + chance.uniform(0, 0.06), number) for number in range(len(frames)))
    direction = Transcoder(Codec.PCMU, Codec.PCMA)
    for number in range(len(frames)):
        now = number * 0.02 + chance.uniform(0, 0.015)
        while arrivals and arrivals[0][0] <= now:
            at, sent = arrivals.pop(0)
            payload = g711.ulaw_encode(frames[sent])
            direction.push(RtpPacket(payload_type=0, sequence=sent, timestamp=160 * sent, ssrc=1, payload=payload), at)
        direction.frame(now)
    direction.close()
    assert len(changes) <= seconds
