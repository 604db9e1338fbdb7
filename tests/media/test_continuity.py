"""What the far end hears as one stream, whatever changes on the way: codec, clock, packet time, source, hold.

Both packet paths get the same packets, and have to send the same ones.
"""

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest

from bridge.media import g711, tones
from bridge.media.coders import RATE, WIDE_RATE, make_decoder, make_encoder
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEvent
from bridge.media.formats import AudioFormat, Codec, LegFormats
from bridge.media.policy import SipMediaPolicy
from bridge.media.rtp import RtpPacket, is_rtcp, timestamp_delta
from tests.media.phone import Phone
from tests.media.placing import CALL
from tests.media.test_calls import NewBrowser
from tests.media.test_calls import paced as every_20_ms
from tests.media.test_native_packets import (
    G711_CLIENT,
    G711_PHONE,
    OPUS_CLIENT,
    OPUS_PHONE,
    WIDE_CLIENT,
    WIDE_PHONE,
    Pair,
    paced,
)
from tests.media.waiting import Collected
from tests.media.webrtc_stacks import libwebrtc

FRAME_S = 0.020
TONE_HZ = 440.0


class Talker:
    """A peer that plays a tone, in packets of any length."""

    def __init__(self, audio: AudioFormat, *, pitch_hz: float = TONE_HZ, rate: int = RATE) -> None:
        self._pitch_hz, self._rate = pitch_hz, rate
        self.ssrc, self.sequence, self.timestamp = 77, 65500, 0xFFFF0000
        self._audio, self._spoken = audio, 0
        self._encoder = make_encoder(audio.codec, rate)

    def say(self, length_ms: int = 20) -> bytes:
        """The next packet."""
        codec, samples = self._audio.codec, self._rate * length_ms // 1000
        pcm = tones.sine(self._pitch_hz, length_ms / 1000, rate=self._rate, start_sample=self._spoken)
        packet = RtpPacket(
            payload_type=self._audio.payload_type,
            sequence=self.sequence,
            timestamp=self.timestamp,
            ssrc=self.ssrc,
            payload=self._encoder.encode(pcm),
        )
        self._spoken += samples
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + codec.clock_rate * length_ms // 1000) & 0xFFFFFFFF
        return bytes(packet)


class Conversation:
    """A pair of calls, and all that each side has heard."""

    def __init__(self, client: LegFormats, phone: LegFormats) -> None:
        self.pair = Pair(3, signals=False)
        self.heard: dict[str, list[bytes]] = {"sip": [], "matrix": []}
        self.heard_at: dict[str, list[float]] = {"sip": [], "matrix": []}
        self.pair.configure(client, phone)
        self.pair.let_through(True, True, True)
        self.pair.expect_new_phone()

    def pass_time(self, frames: int = 1) -> None:
        """So many ticks."""
        for _ in range(frames):
            self.pair.clock.now += FRAME_S
            self.pair.tick()
            for target, packet in self.pair.sent:
                if target in self.heard and not is_rtcp(packet):
                    self.heard[target].append(packet)
                    self.heard_at[target].append(self.pair.clock.now)
            self.pair.compare()

    def packets(self, target: str) -> list[RtpPacket]:
        return [RtpPacket.parse(packet) for packet in self.heard[target]]

    def gaps_s(self, target: str) -> list[float]:
        """How long after the one before each packet came."""
        return [after - before for before, after in itertools.pairwise(self.heard_at[target])]


def sound_of(packets: list[RtpPacket], codec: Codec, rate: int = RATE) -> bytes:
    decoder = make_decoder(codec, rate)
    return b"".join(decoder.decode(packet.payload) for packet in packets)


def steps(packets: list[RtpPacket]) -> Iterator[tuple[int, int]]:
    """By how much sequence number and timestamp grow from each packet to the next."""
    for before, after in itertools.pairwise(packets):
        yield (after.sequence - before.sequence) & 0xFFFF, timestamp_delta(after.timestamp, before.timestamp)


@pytest.mark.parametrize(("client", "spoken"), [(OPUS_CLIENT, Codec.OPUS), (G711_CLIENT, Codec.PCMU)])
def test_a_phone_hears_one_stream_through_other_codecs_hold_and_transfer(client: LegFormats, spoken: Codec) -> None:
    talk = Conversation(client, G711_PHONE)
    talker = Talker(next(audio for audio in client.receive if audio.codec is spoken))

    def speak(frames: int) -> None:
        for _ in range(frames):
            talk.pair.matrix(talker.say())
            talk.pass_time()

    for phone in (G711_PHONE, OPUS_PHONE, WIDE_PHONE, OPUS_PHONE, paced(G711_PHONE, 40, exact=True)):
        talk.pair.configure(client, phone)
        speak(25)
    talk.pair.let_through(False, False, True)
    speak(50)
    talk.pair.let_through(True, True, True)
    talk.pair.configure(client, G711_PHONE)
    talk.pair.expect_new_phone()
    speak(25)
    talker.ssrc, talker.sequence, talker.timestamp = 78, 5, 5
    speak(25)
    packets = talk.packets("sip")
    assert len({packet.ssrc for packet in packets}) == 1
    assert {packet.payload_type for packet in packets} == {8, 111, 9}
    for packet, gap_s, (sequence_step, ticks) in zip(packets[1:], talk.gaps_s("sip"), steps(packets), strict=True):
        assert sequence_step == 1
        clock_rate = 48000 if packet.payload_type == 111 else 8000
        assert ticks > 0
        assert ticks / clock_rate == pytest.approx(gap_s, abs=0.09), "a pause takes as long as it was"
    assert tones.dominant_pitch_hz(sound_of(packets[-15:], Codec.PCMA)) == pytest.approx(TONE_HZ, abs=8)


def test_a_client_hears_one_stream_when_the_phone_changes_its_codec_or_is_another() -> None:
    talk = Conversation(OPUS_CLIENT, OPUS_PHONE)
    for number, phone in enumerate((OPUS_PHONE, WIDE_PHONE, G711_PHONE, OPUS_PHONE)):
        talk.pair.configure(OPUS_CLIENT, phone)
        if number == 2:
            talk.pair.expect_new_phone()
        talker = Talker(phone.send)
        talker.ssrc, talker.sequence = number, 1000 * number
        for _ in range(25):
            talk.pair.sip(talker.say())
            talk.pass_time()
    packets = talk.packets("matrix")
    assert {(packet.ssrc, packet.payload_type) for packet in packets} == {(packets[0].ssrc, 111)}
    assert {sequence_step for sequence_step, _ in steps(packets)} == {1}
    times = zip(talk.gaps_s("matrix"), steps(packets), strict=True)
    assert all(ticks / 48000 == pytest.approx(gap_s, abs=0.09) and ticks >= 960 for gap_s, (_, ticks) in times)


@pytest.mark.parametrize("client", [G711_CLIENT, OPUS_CLIENT, WIDE_CLIENT], ids=["pcmu", "opus", "g722"])
def test_packets_of_any_length_are_heard_whole_though_it_changes_in_the_call(client: LegFormats) -> None:
    talk = Conversation(client, G711_PHONE)
    talker, said_ms = Talker(G711_PHONE.receive[0]), 0
    for length_ms in (10, 20, 30, 40, 50, 60) * 5:
        for _ in range(3):
            said_ms += length_ms
            talk.pair.sip(talker.say(length_ms))
            talk.pass_time((said_ms // 20) - ((said_ms - length_ms) // 20))
    packets = talk.packets("matrix")
    frame = client.send.codec.clock_rate // 50
    if client is G711_CLIENT:
        assert [ticks for _, ticks in steps(packets)][:3] == [80, 80, 80]
    else:
        assert [ticks for _, ticks in steps(packets)] == [frame] * (len(packets) - 1)
        assert len(packets) >= said_ms // 20 - 6
    assert {sequence_step for sequence_step, _ in steps(packets)} == {1}
    assert talk.pair.portable.stats(off_path_dropped=0).concealed_frames == 0
    heard = sound_of(packets, client.send.codec)[8000:]
    assert tones.dominant_pitch_hz(heard) == pytest.approx(TONE_HZ, abs=3)
    assert tones.level_dbfs(heard) == pytest.approx(-12, abs=1)


@pytest.mark.parametrize("wanted_ms", [10, 30, 40, 50, 60])
@pytest.mark.parametrize(
    ("client", "phone"), [(G711_CLIENT, G711_PHONE), (WIDE_CLIENT, WIDE_PHONE), (OPUS_CLIENT, WIDE_PHONE)]
)
def test_a_phone_gets_the_packets_that_it_asks_for(client: LegFormats, phone: LegFormats, wanted_ms: int) -> None:
    talk, talker = Conversation(client, paced(phone, wanted_ms, exact=True)), Talker(client.send)
    for _ in range(60):
        talk.pair.matrix(talker.say())
        talk.pass_time()
    packets = talk.packets("sip")
    assert {len(packet.payload) for packet in packets} == {8 * wanted_ms}
    assert {ticks for _, ticks in steps(packets[6:])} == {8 * wanted_ms}
    assert all(ticks >= 8 * wanted_ms for _, ticks in steps(packets)), "no two are about the same moment"
    assert len(packets) >= 1000 // wanted_ms
    heard = sound_of(packets, phone.send.codec)[6400:]
    assert tones.dominant_pitch_hz(heard) == pytest.approx(TONE_HZ, abs=3)
    assert tones.level_dbfs(heard) == pytest.approx(-12, abs=1)


@pytest.mark.parametrize(("client", "phone"), [(OPUS_CLIENT, WIDE_PHONE), (WIDE_CLIENT, OPUS_PHONE)])
def test_what_is_transcoded_between_wideband_codecs_keeps_what_is_high(client: LegFormats, phone: LegFormats) -> None:
    talk = Conversation(client, phone)
    talker = Talker(client.send, pitch_hz=6000, rate=WIDE_RATE)
    for _ in range(60):
        talk.pair.matrix(talker.say())
        talk.pass_time()
    heard = sound_of(talk.packets("sip"), phone.send.codec, WIDE_RATE)[-16000:]
    assert tones.dominant_pitch_hz(heard, rate=WIDE_RATE) == pytest.approx(6000, abs=5)
    assert tones.level_dbfs(heard) == pytest.approx(-12, abs=3)


def test_a_phone_gets_no_longer_packets_than_it_can_hold() -> None:
    talk, talker = Conversation(G711_CLIENT, paced(G711_PHONE, 20, longest_ms=20)), Talker(G711_CLIENT.send)
    lengths_ms = [20] * 20 + [40] * 20
    for length_ms in lengths_ms:
        talk.pair.matrix(talker.say(length_ms))
        talk.pass_time(length_ms // 20)
    assert {len(packet.payload) for packet in talk.packets("sip")} == {160}
    assert not [step for step in steps(talk.packets("sip")) if step[0] != 1]


def test_what_the_client_takes_is_not_cut_into_other_packets() -> None:
    talk, talker = Conversation(paced(G711_CLIENT, 20), G711_PHONE), Talker(G711_PHONE.receive[0])
    for _ in range(10):
        talk.pair.sip(talker.say(30))
        talk.pass_time()
    assert {len(packet.payload) for packet in talk.packets("matrix")} == {240}
    assert not talk.pair.portable.stats(off_path_dropped=0).transcoded


@pytest.mark.parametrize(("client", "phone"), [(OPUS_CLIENT, OPUS_PHONE), (WIDE_CLIENT, WIDE_PHONE)])
def test_header_extensions_and_sources_of_a_mixer_stay_on_their_leg(client: LegFormats, phone: LegFormats) -> None:
    talk, talker = Conversation(client, phone), Talker(client.send)
    for _ in range(5):
        packet = talker.say()
        extension = b"\xbe\xde\0\1\x10\x8f\0\0"
        talk.pair.matrix(bytes((packet[0] | 0x11,)) + packet[1:12] + b"CSRC" + extension + packet[12:])
        talk.pass_time()
    assert {packet[0] for packet in talk.heard["sip"]} == {0x80}
    assert tones.dominant_pitch_hz(sound_of(talk.packets("sip"), phone.send.codec)) == pytest.approx(TONE_HZ, abs=30)


async def test_descriptions_tell_how_long_packets_should_be(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await engine.open(CALL)
    await session.set_matrix_offer(await browser.offer())
    offer = await session.create_sip_offer()
    assert "a=ptime:20" in offer
    phone.aim(offer)
    await session.set_sip_answer(phone.sdp() + "a=ptime:30\r\n")
    answer = await session.create_matrix_answer()
    assert "a=ptime:30" in answer
    await browser.take_answer(answer)
    await browser.connected()
    await events.count(1)
    speech = [g711.ulaw_encode(tones.sine(TONE_HZ, FRAME_S, start_sample=160 * n)) for n in range(30)]
    for payload in speech:
        await browser.send(payload, 0, step=160)
    packets = await phone.received.count(10)
    assert {len(packet.payload) for packet in packets} == {240}


@pytest.mark.parametrize(
    ("codec", "formats", "length_ms"),
    [(Codec.PCMU, "0 101", 30), (Codec.G722, "9 101", 10), (Codec.OPUS, "111 101", 40)],
)
async def test_libwebrtc_sends_what_the_phone_asks_for_so_that_nothing_is_decoded(
    engine: EmbeddedEngine, phone: Phone, codec: Codec, formats: str, length_ms: int
) -> None:
    client = await libwebrtc("ECDSA")
    session = await engine.open(CALL, SipMediaPolicy(codecs=(codec,)))
    await session.set_matrix_offer(await client.offer())
    phone.aim(await session.create_sip_offer())
    description = phone.sdp(formats) + f"a=rtpmap:111 opus/48000/2\r\na=ptime:{length_ms}\r\n"
    await session.set_sip_answer(description)
    await client.take_answer(await session.create_matrix_answer())
    await client.connected()
    await every_20_ms(25, lambda number: client.speak())
    packets = await phone.received.count(10)
    ticks = codec.clock_rate * length_ms // 1000
    # Where this machine lets it wait, libwebrtc counts by the clock instead.
    assert Counter(step for _, step in steps(packets)).most_common(1)[0][0] == ticks
    numbers = session.stats()
    assert (numbers.matrix.codec, numbers.sip.codec, numbers.transcoded) == (codec, codec, False)
    await client.close()
