"""What whoever receives Opus asks for, read, passed on and obeyed (RFC 7587 §6.1)."""

import random
from dataclasses import replace

import pytest

from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEvent
from bridge.media.formats import AudioFormat, Codec
from bridge.media.negotiation import passed_on_opus
from bridge.media.opus import OpusEncoder
from bridge.media.opus_wish import ANYTHING, OURS, OpusWish
from bridge.media.pcm import to_octets
from bridge.media.sdp import audio_formats, format_lines, parse_sdp
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL
from tests.media.test_calls import NewBrowser, paced
from tests.media.test_native_packets import G711_PHONE, OPUS_PHONE
from tests.media.waiting import Collected

NOISE = random.Random(5)


def speech(count: int, rate: int = 8000) -> list[bytes]:
    """Frames of 20 ms in which something is said now and then, all over the band."""
    loudness = (9000 if number % 25 < 15 else 3 for number in range(count))
    return [to_octets([NOISE.randint(-loud, loud) for _ in range(rate // 50)]) for loud in loudness]


def encoded(wish: OpusWish, frames: list[bytes], rate: int = 8000) -> list[bytes]:
    encoder = OpusEncoder(rate, wish=wish)
    return [encoder.encode(frame) for frame in frames]


@pytest.mark.parametrize(
    ("parameters", "wish"),
    [
        ("", ANYTHING),
        ("minptime=10;useinbandfec=1", OURS),
        (" useinbandfec = 1 ; usedtx=1;cbr=1", OpusWish(fec=True, dtx=True, constant=True)),
        ("maxaveragebitrate=20000; maxplaybackrate=16000; stereo=1", OpusWish(bitrate=20000, playback_rate=16000)),
        ("maxaveragebitrate=1;maxplaybackrate=96000", OpusWish(bitrate=6000)),
        ("maxaveragebitrate=-1;maxplaybackrate=9999999999;useinbandfec=yes;;=;cbr", ANYTHING),
    ],
)
def test_a_wish_is_read(parameters: str, wish: OpusWish) -> None:
    assert OpusWish.parse(parameters) == wish
    assert OpusWish.parse(str(wish)) == wish


def test_a_description_says_what_is_wished_of_each_payload_type() -> None:
    lines = ["v=0", "m=audio 9 RTP/AVP 0 96 97", "a=rtpmap:96 opus/48000/2", "a=rtpmap:97 opus/48000/2"]
    section = parse_sdp("\r\n".join([*lines, "a=fmtp:97 cbr=1", "a=fmtp:97 cbr=0", "a=fmtp:0 cbr=1"])).media[0]
    assert [entry.opus for entry in audio_formats(section)[0]] == [ANYTHING, ANYTHING, OpusWish(constant=True)]


def test_what_is_passed_on_is_described_as_whoever_hears_it_wishes() -> None:
    wish = OpusWish(bitrate=16000, dtx=True)
    phone = replace(OPUS_PHONE, send=replace(OPUS_PHONE.send, opus=wish))
    opus = AudioFormat(payload_type=111, codec=Codec.OPUS)
    assert passed_on_opus(None) == passed_on_opus(G711_PHONE) == OURS
    assert "a=fmtp:111 minptime=10;maxaveragebitrate=16000;usedtx=1" in format_lines((opus,), (), passed_on_opus(phone))
    assert "a=fmtp:111 minptime=10;useinbandfec=1" in format_lines((opus,), ())


def test_the_bit_rate_stays_below_the_limit() -> None:
    frames = speech(200)
    for bitrate in (8000, 16000):
        octets = sum(map(len, encoded(OpusWish(bitrate=bitrate), frames)))
        assert octets * 8 / 4 <= 1.1 * bitrate
    assert sum(map(len, encoded(ANYTHING, frames))) * 8 / 4 > 17600


def test_packets_have_one_length_when_that_is_wished() -> None:
    assert len(set(map(len, encoded(OpusWish(constant=True), speech(100))))) == 1
    assert len(set(map(len, encoded(ANYTHING, speech(100))))) > 5


def test_next_to_nothing_is_sent_of_silence_when_that_is_wished() -> None:
    frames = speech(10) + [bytes(320)] * 60
    assert sum(len(packet) <= 2 for packet in encoded(OpusWish(dtx=True), frames)) > 20
    assert not any(len(packet) <= 2 for packet in encoded(ANYTHING, frames))


def test_nothing_is_sent_twice_unless_it_is_made_use_of() -> None:
    """The second bit of a SILK frame of 20 ms says whether it carries the one before again (RFC 6716 §4.2.3)."""
    frames = tone_frames(300, 100)

    def repeats(wish: OpusWish) -> int:
        return sum(packet[1] >> 6 & 1 for packet in encoded(wish, frames) if packet[0] >> 3 < 12)

    assert repeats(OURS) > 20
    assert repeats(ANYTHING) == 0


def test_no_band_is_sent_that_is_not_played() -> None:
    """Configurations 0 to 3 and 16 to 19 are narrowband (RFC 6716 §3.1)."""
    frames, narrow = speech(60, 16000), {*range(4), *range(16, 20)}
    assert {packet[0] >> 3 for packet in encoded(OpusWish(playback_rate=8000), frames, 16000)} <= narrow
    assert not {packet[0] >> 3 for packet in encoded(ANYTHING, frames, 16000)} & narrow


async def test_a_client_gets_the_opus_that_it_wishes(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser("opus")
    offer = await browser.offer()
    mapped = next(line for line in offer.splitlines() if "opus/48000" in line)
    payload_type = mapped.partition(":")[2].split()[0]
    session = await engine.open(CALL)
    await session.set_matrix_offer(
        offer.replace(mapped, f"{mapped}\r\na=fmtp:{payload_type} maxaveragebitrate=8000;cbr=1")
    )
    phone.aim(await session.create_sip_offer())
    await session.set_sip_answer(phone.sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    frames = [g711.ulaw_encode(frame) for frame in speech(40)]

    async def say(number: int) -> None:
        phone.send(frames[number])

    await paced(len(frames), say)
    heard = await browser.received.count(30)
    assert {len(packet.payload) for packet in heard} == {20}
