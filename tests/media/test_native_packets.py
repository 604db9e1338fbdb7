"""The native packet path against the portable one: the same packets in, octet for octet the same packets out.

Both get the same random life of a call: audio that is lost, late, doubled or of a new source, digits, reports, junk,
hold, other codecs, keys by signalling, sounds of our own, and a clock that is not always on time.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.media import g711, g722, opus, packet_values
from bridge.media.audio import CallAudio
from bridge.media.dtmf import TelephoneEvent
from bridge.media.engine import Ear
from bridge.media.formats import AudioFormat, Codec, DigitFormat, LegFormats, PacketTimes
from bridge.media.keypad import KEYS
from bridge.media.opus_wish import OpusWish
from bridge.media.outbound import OutboundStream
from bridge.media.pcm import to_octets
from bridge.media.player import Playing
from bridge.media.rtcp import ReportBlock, middle_ntp, write_report
from bridge.media.rtp import RtpPacket, is_rtcp
from bridge.media.sounds import Sound
from tests.clock import ManualClock
from tests.media.counting import CountingTelemetry
from tests.media.phone import tone_frames
from tests.media.test_tones import pressed

if TYPE_CHECKING:
    import trunkline_native as native
else:
    native = pytest.importorskip("trunkline_native", reason="the native packet path was not built: no Rust here")

STEPS = 1500
SOUNDS = [Sound(b"".join(tone_frames(600, count))) for count in (1, 7, 40)]
G711_PHONE = LegFormats(
    receive=(AudioFormat(payload_type=0, codec=Codec.PCMU), AudioFormat(payload_type=8, codec=Codec.PCMA)),
    receive_digits=(DigitFormat(payload_type=101, clock_rate=8000),),
    send=AudioFormat(payload_type=8, codec=Codec.PCMA),
    send_digits=DigitFormat(payload_type=101, clock_rate=8000),
)
SILENT_PHONE = LegFormats(receive=G711_PHONE.receive, receive_digits=(), send=G711_PHONE.receive[0], send_digits=None)
G711_CLIENT = LegFormats(
    receive=(*G711_PHONE.receive, AudioFormat(payload_type=111, codec=Codec.OPUS)),
    receive_digits=(DigitFormat(payload_type=126, clock_rate=8000), DigitFormat(payload_type=110, clock_rate=48000)),
    send=AudioFormat(payload_type=0, codec=Codec.PCMU),
    send_digits=DigitFormat(payload_type=126, clock_rate=8000),
)
OPUS_CLIENT = LegFormats(
    receive=(AudioFormat(payload_type=111, codec=Codec.OPUS), *G711_PHONE.receive),
    receive_digits=G711_CLIENT.receive_digits,
    send=AudioFormat(payload_type=111, codec=Codec.OPUS),
    send_digits=DigitFormat(payload_type=110, clock_rate=48000),
)


G722 = AudioFormat(payload_type=9, codec=Codec.G722)
OPUS = OPUS_CLIENT.send
WIDE_PHONE = replace(G711_PHONE, receive=(G722, *G711_PHONE.receive), send=G722)
WIDE_CLIENT = replace(OPUS_CLIENT, receive=(G722, *OPUS_CLIENT.receive), send=G722, send_digits=G711_CLIENT.send_digits)
OPUS_PHONE = replace(OPUS_CLIENT, receive=(OPUS, *G711_PHONE.receive))


def paced(formats: LegFormats, made_ms: int, *, exact: bool = False, longest_ms: int = 0) -> LegFormats:
    """A leg that wants packets of another length."""
    return replace(formats, packets=PacketTimes(made_ms=made_ms, exact=exact, longest_ms=longest_ms))


def wishing(formats: LegFormats, **wishes: Any) -> LegFormats:
    """A leg that asks something of Opus."""
    return replace(formats, send=replace(formats.send, opus=OpusWish(**wishes)))


class Pair:
    """One call, twice."""

    def __init__(self, seed: int, *, signals: bool) -> None:
        self.clock, self.telemetry = ManualClock(now=1000.0, epoch=1_700_000_000.25), CountingTelemetry()
        self.sent = sent = list[tuple[str, bytes]]()
        happened: list[tuple[int, str, int, int]] = []
        self._numbers = itertools.count(1)
        self.matrix_formats: LegFormats | None = None
        self.sip_formats: LegFormats | None = None

        def sends(target: str) -> Callable[[bytes], object]:
            return lambda packet: sent.append((target, packet))

        entropy = SeededEntropy(seed)
        self.portable = CallAudio(
            cname=entropy.token(16),
            streams=(OutboundStream(entropy), OutboundStream(entropy)),
            clock=self.clock,
            telemetry=self.telemetry,
            to_matrix=sends("matrix"),
            to_sip=sends("sip"),
            to_sip_rtcp=sends("sip_rtcp"),
        )

        def note(kind: str, value: int, duration_ms: int = 0) -> None:
            happened.append((0, kind, value, duration_ms))

        # None of these refers to the pair: it has to go with its thread.
        self.happened, self._note = happened, note
        if signals:
            self.portable.to_sip.signal_digit = lambda key, ms: note("pressed", KEYS.index(key), ms)
        self.portable.to_sip.on_played = self.portable.to_matrix.on_played = partial(note, "played")
        self.native = native.Bench(
            to_matrix=self.portable.to_matrix.outbound.begins,
            to_sip=self.portable.to_sip.outbound.begins,
            cname=self.portable.cname,
            signals_digits=signals,
            opus=opus.path(),
            now=self.clock.now,
        )

    def play(self, ear: Ear, sound: Sound | None, *, repeats: bool) -> None:
        number, to_phone = next(self._numbers), ear is Ear.PHONE
        if sound is None:
            self.portable.play(ear, None)
            self.native.play(to_phone, None)
        else:
            self.portable.play(ear, Playing(sound=sound, repeats=repeats, number=number))
            self.native.play(to_phone, (native.Sound([(c.value, sound.frames(c)) for c in Codec]), repeats, number))

    def listen(self, wanted: bool, tones: bool) -> None:
        note = self._note
        self.portable.listen((lambda key: note("phone_digit", KEYS.index(key))) if wanted else None, tones=tones)
        self.native.listen(wanted, tones)

    def matrix(self, packet: bytes) -> None:
        self.portable.matrix_packet(packet)
        self.native.matrix_packet(packet, self.clock.now)

    def sip(self, packet: bytes) -> None:
        assert self.portable.sip_packet(packet) == self.native.sip_packet(packet, self.clock.now)

    def sip_report(self, packet: bytes) -> None:
        assert self.portable.sip_report(packet) == self.native.sip_report(packet, self.clock.now)

    def tick(self) -> None:
        self.portable.tick(self.clock.now)
        self.native.tick(self.clock.now)
        self.portable.report(self.clock.now)
        self.native.report(self.clock.now, self.clock.wall())

    def configure(self, matrix: LegFormats | None, sip: LegFormats | None) -> None:
        self.matrix_formats, self.sip_formats = matrix, sip
        self.portable.configure(matrix, sip, matrix)
        self.native.configure(packet_values.plain(matrix), packet_values.plain(sip))

    def let_through(self, to_sip: bool, filling: bool, to_matrix: bool) -> None:
        self.portable.let_through(to_sip=to_sip, filling=filling, to_matrix=to_matrix)
        self.native.let_through(to_sip=to_sip, filling=filling, to_matrix=to_matrix)

    def expect_new_phone(self) -> None:
        self.portable.expect_new_phone()
        self.portable.to_matrix.expect_new_source()
        self.native.expect_new_phone()

    def press(self, digits: str, duration_ms: int) -> None:
        self.portable.to_matrix.keypad.press(digits, duration_ms)
        self.native.press(packet_values.event_codes(digits), duration_ms)

    def close(self) -> None:
        self.portable.close()
        self.native.close()

    def compare(self) -> None:
        """Everything that was sent or told since the last time, in its order, and the numbers."""
        packets, happened = self.native.take()
        assert packets == self.sent
        assert sorted(happened) == sorted(self.happened)
        self.sent.clear()
        self.happened.clear()
        numbers = packet_values.stats_of(
            self.native.numbers(), self.matrix_formats, self.sip_formats, off_path_dropped=0
        )
        assert numbers == self.portable.stats(off_path_dropped=0)
        heard_at = self.native.numbers().matrix.heard_at, self.native.numbers().sip.heard_at
        assert heard_at == (self.portable.matrix_reports.heard_at, self.portable.sip_reports.heard_at)


class Source:
    """A peer that sends audio and digits, on a network that loses, holds up, doubles and mixes."""

    def __init__(self, chance: random.Random, formats: LegFormats) -> None:
        self.chance, self.formats = chance, formats
        self._held: list[bytes] = []
        self._encoder, self._wide_encoder = opus.OpusEncoder(), g722.G722Encoder(8000)
        self._frames = tone_frames(440, 10)
        self.restart()

    def restart(self) -> None:
        self.ssrc, self.sequence = self.chance.getrandbits(32), self.chance.getrandbits(16)
        self.timestamp = self.chance.getrandbits(32)

    def packet(self, payload_type: int, payload: bytes, *, marker: bool = False) -> bytes:
        packet = RtpPacket(
            payload_type=payload_type,
            sequence=self.sequence,
            timestamp=self.timestamp,
            ssrc=self.ssrc,
            payload=payload,
            marker=marker,
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        return bytes(packet)

    def audio(self) -> bytes:
        audio = self.formats.receive[0] if self.chance.random() < 0.97 else self.chance.choice(self.formats.receive)
        frames = self.chance.choice((1, 1, 1, 1, 2))
        pcm = b"".join(self.chance.choice(self._frames) for _ in range(frames))
        if self.chance.random() < 0.1:
            pcm = bytes(len(pcm))
        match audio.codec:
            case Codec.OPUS:
                payload = self._encoder.encode(pcm)
            case Codec.PCMA:
                payload = g711.alaw_encode(pcm)
            case Codec.G722:
                payload = self._wide_encoder.encode(pcm)
            case _:
                payload = g711.ulaw_encode(pcm)
        if self.chance.random() < 0.01:
            payload = self.chance.randbytes(self.chance.randrange(30))
        packet = self.packet(audio.payload_type, payload)
        self.timestamp = (self.timestamp + frames * audio.codec.clock_rate // 50) & 0xFFFFFFFF
        return packet

    def digit(self) -> Iterator[bytes]:
        """A key with its three ends; some are so long that they come in segments, some are no key at all."""
        if not self.formats.receive_digits:
            return
        digits = self.chance.choice(self.formats.receive_digits)
        event, step = self.chance.randrange(18), digits.clock_rate // 50
        duration = 0
        for number in range(self.chance.choice((3, 5, 8))):
            duration += step
            if self.chance.random() < 0.02:
                self.timestamp, duration = (self.timestamp + 0xFFFF) & 0xFFFFFFFF, step
            payload = bytes(TelephoneEvent(event=event, end=False, volume=10, duration=duration))
            yield self.packet(digits.payload_type, payload, marker=number == 0)
        for _ in range(3):
            payload = bytes(TelephoneEvent(event=event, end=True, volume=10, duration=duration))
            yield self.packet(digits.payload_type, payload)
        self.timestamp = (self.timestamp + duration) & 0xFFFFFFFF

    def other(self) -> bytes:
        """Comfort noise, another payload type, RTCP, a stray packet, or nothing that anyone knows."""
        match self.chance.randrange(6):
            case 0:
                return self.packet(13, b"\x40")
            case 1:
                packet = self.packet(self.formats.receive[0].payload_type, bytes(20))
                return bytes((packet[0] | self.chance.choice((0x10, 0x20, 0x0F)),)) + packet[1:]
            case 2:
                return self.packet(self.formats.receive[0].payload_type, bytes(20))[:8] + self.chance.randbytes(24)
            case 3:
                stray = self.packet(self.formats.receive[0].payload_type, bytes(20))
                return stray[:2] + self.chance.randbytes(2) + stray[4:]
            case 4:
                return b"\x80\xc8\0\x06" + self.ssrc.to_bytes(4, "big") + self.chance.randbytes(20)
            case _:
                return self.chance.randbytes(self.chance.randrange(60))

    def arriving(self, packet: bytes) -> Iterator[bytes]:
        """What the network makes of it."""
        fate = self.chance.random()
        if fate < 0.05:
            return
        if fate < 0.10:
            self._held.append(packet)
            return
        yield packet
        if fate > 0.98:
            yield packet
        while self._held and self.chance.random() < 0.5:
            yield self._held.pop(self.chance.randrange(len(self._held)))


def live(pair: Pair, chance: random.Random, client: LegFormats, phone: LegFormats) -> None:
    """One step of a call's life."""
    fate = chance.random()
    if fate < 0.93:
        return
    if fate < 0.95:
        pair.let_through(chance.random() < 0.9, chance.random() < 0.9, chance.random() < 0.9)
    elif fate < 0.97:
        pair.configure(chance.choice((client, client, OPUS_CLIENT)), chance.choice((phone, phone, G711_PHONE)))
    elif fate < 0.98:
        pair.press(chance.choice(("1", "#55", "x9A")), chance.choice((10, 100, 240)))
    elif fate < 0.984:
        pair.expect_new_phone()
    elif fate < 0.987:
        pair.listen(chance.random() < 0.8, chance.random() < 0.8)
    elif fate < 0.99:
        sound = chance.choice((*SOUNDS, None))
        pair.play(chance.choice(list(Ear)), sound, repeats=chance.random() < 0.1)
    else:
        pair.sip_report(report(pair, chance))


def report(pair: Pair, chance: random.Random) -> bytes:
    """RTCP of a peer that answers our reports, of one that makes things up, and of one that knows no better."""
    ours = pair.portable.to_sip.outbound
    block = ReportBlock(
        ssrc=chance.choice((ours.ssrc, ours.ssrc, 5)),
        lost=chance.choice((0, 3, -2, 0x7FFFFF)),
        jitter=chance.choice((0, 80, 0xFFFFFFFF)),
        last_report=middle_ntp(pair.clock.wall() - chance.choice((0, 0.02, 5))),
        delay=chance.choice((0, 65536, 0xFFFFFFFF)),
    )
    peer = OutboundStream(SeededEntropy(chance.randrange(3)))
    honest = write_report(peer, block, cname="peer", clock_rate=8000, now=pair.clock.now, wall=pair.clock.wall())
    junk = (b"\x80\xc8\0\x06" + chance.randbytes(24), b"\x81\xc9\0\x01" + chance.randbytes(4), honest[:-4], b"")
    return chance.choice((honest, honest, *junk))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("client", "phone"),
    [(G711_CLIENT, G711_PHONE), (OPUS_CLIENT, G711_PHONE), (G711_CLIENT, SILENT_PHONE), (OPUS_CLIENT, SILENT_PHONE)],
    ids=["g711", "opus", "g711-signalled", "opus-signalled"],
)
def test_both_paths_send_the_same(client: LegFormats, phone: LegFormats, seed: int) -> None:
    compared(client, phone, seed)


@pytest.mark.parametrize(
    ("client", "phone"),
    [
        (WIDE_CLIENT, WIDE_PHONE),
        (OPUS_CLIENT, WIDE_PHONE),
        (G711_CLIENT, WIDE_PHONE),
        (WIDE_CLIENT, G711_PHONE),
        (OPUS_CLIENT, OPUS_PHONE),
        (WIDE_CLIENT, OPUS_PHONE),
        (G711_CLIENT, paced(G711_PHONE, 30, exact=True)),
        (WIDE_CLIENT, paced(WIDE_PHONE, 10, exact=True)),
        (paced(OPUS_CLIENT, 60), paced(WIDE_PHONE, 50)),
        (paced(G711_CLIENT, 20, longest_ms=20), paced(OPUS_PHONE, 10)),
        (wishing(OPUS_CLIENT, bitrate=9000, dtx=True, playback_rate=12000), wishing(WIDE_PHONE)),
        (wishing(OPUS_CLIENT, constant=True, fec=True), G711_PHONE),
    ],
    ids=[
        "g722",
        "opus-g722",
        "g711-g722",
        "g722-g711",
        "opus-opus",
        "g722-opus",
        "g711-30ms",
        "g722-10ms",
        "60ms-50ms",
        "longest-20ms",
        "little-opus",
        "even-opus",
    ],
)
def test_both_paths_send_the_same_whatever_the_codec_and_the_packet_time(client: LegFormats, phone: LegFormats) -> None:
    compared(client, phone, 1, steps=700)


def compared(client: LegFormats, phone: LegFormats, seed: int, *, steps: int = STEPS) -> None:
    """A whole call on both paths."""
    chance = random.Random(seed)
    pair = Pair(seed, signals=phone is SILENT_PHONE)
    sources = ((Source(chance, client), pair.matrix), (Source(chance, phone), pair.sip))
    pair.configure(client, phone)
    pair.let_through(True, True, True)
    for _ in range(steps):
        for source, deliver in sources:
            sent: list[bytes] = []
            fate = chance.random()
            if fate < 0.9:
                sent = [source.audio()]
            elif fate < 0.92:
                sent = list(source.digit())
            elif fate < 0.95:
                sent = [source.other()]
            elif fate < 0.953:
                source.restart()
            elif fate < 0.954:
                source.sequence = (source.sequence + chance.choice((-3100, -200, -99, 2999, 3001, 0x8000))) & 0xFFFF
            for packet in sent:
                for arrived in source.arriving(packet):
                    deliver(arrived)
        pair.clock.now += chance.choice((0.02, 0.02, 0.02, 0.0199, 0.0205, 0.001))
        if chance.random() < 0.002:
            pair.clock.now += chance.choice((0.3, 1.0, 8.0))
        pair.tick()
        live(pair, chance, client, phone)
        pair.compare()
    pair.close()
    pair.compare()
    assert pair.portable.to_sip.outbound.packets > steps / 4


@pytest.mark.parametrize("seed", range(3))
def test_both_paths_recognise_the_same_keys_in_the_audio(seed: int) -> None:
    """At the limits, where a little more or less decides."""
    chance, frame = random.Random(seed), 160
    pair, source = Pair(seed, signals=False), Source(random.Random(seed), SILENT_PHONE)
    pair.configure(None, SILENT_PHONE)
    pair.listen(True, True)
    samples: list[int] = []
    for _ in range(60):
        off = chance.choice((0.0, 0.015, 0.022, 0.03))
        key = chance.choice("0123456789*#ABCD")
        loud = {"low_db": chance.uniform(-36, -10), "high_db": chance.uniform(-36, -10)}
        samples += pressed(key, chance.uniform(20, 70), low_off=off, high_off=-off, **loud, chance=chance)
        samples += [0] * chance.randrange(400)
    for start in range(0, len(samples) - frame, frame):
        payload = g711.ulaw_encode(to_octets(samples[start : start + frame]))
        for packet in source.arriving(source.packet(0, payload)):
            pair.sip(packet)
    assert len(pair.happened) > 5
    pair.compare()


@pytest.mark.parametrize("client", [G711_CLIENT, OPUS_CLIENT], ids=["passed-through", "transcoded"])
def test_reports_on_the_port_of_the_audio_do_not_interrupt_it(client: LegFormats) -> None:
    """As some phones send them, though nobody has agreed on that."""
    pair, source = Pair(1, signals=False), Source(random.Random(1), G711_PHONE)
    pair.configure(client, G711_PHONE)
    pair.let_through(True, False, True)
    phone = OutboundStream(SeededEntropy(1))
    phone.ssrc, heard = source.ssrc, list[RtpPacket]()
    for number in range(100):
        pair.sip(source.packet(0, g711.ulaw_encode(tone_frames(440, 1)[0])))
        source.timestamp += 160
        if number % 25 == 10:
            now, wall = pair.clock.now, pair.clock.wall()
            pair.sip(write_report(phone, None, cname="phone", clock_rate=8000, now=now, wall=wall))
        pair.clock.now += 0.02
        pair.tick()
        heard += [RtpPacket.parse(packet) for target, packet in pair.sent if target == "matrix" and not is_rtcp(packet)]
        pair.compare()
    stats = pair.portable.stats(off_path_dropped=0)
    assert (stats.sip.packets_received, stats.sip.packets_lost, stats.heard_by_matrix.packets_discarded) == (100, 0, 0)
    assert [packet.marker for packet in heard] == [True] + [False] * (len(heard) - 1)
    assert len(heard) > 90
