"""G.711, Opus and tones against values that are known beforehand."""

import struct

import pytest

from bridge.media import g711, tones
from bridge.media.coders import FRAME_BYTES, WaveformDecoder, make_decoder, make_encoder, silence
from bridge.media.formats import Codec
from bridge.media.g722 import G722Decoder, G722Encoder
from bridge.media.opus import OpusDecoder, OpusEncoder, OpusError


@pytest.mark.parametrize(
    ("sample", "ulaw", "alaw"),
    [
        (0, 0xFF, 0xD5),
        (-1, 0x7F, 0x55),
        (1000, 0xCE, 0xFA),
        (-1000, 0x4E, 0x7A),
        (32767, 0x80, 0xAA),
        (-32768, 0x00, 0x2A),
        (8000, 0xA0, 0x8A),
    ],
)
def test_companding_matches_known_values(sample: int, ulaw: int, alaw: int) -> None:
    pcm = struct.pack("<h", sample)
    assert g711.ulaw_encode(pcm) == bytes((ulaw,))
    assert g711.alaw_encode(pcm) == bytes((alaw,))


@pytest.mark.parametrize(
    ("octet", "ulaw", "alaw"),
    [(0x00, -32124, -5504), (0x80, 32124, 5504), (0xFF, 0, 848), (0x7F, 0, -848), (0x2A, -5372, -32256)],
)
def test_expansion_matches_known_values(octet: int, ulaw: int, alaw: int) -> None:
    assert struct.unpack("<h", g711.ulaw_decode(bytes((octet,)))) == (ulaw,)
    assert struct.unpack("<h", g711.alaw_decode(bytes((octet,)))) == (alaw,)


def test_every_octet_survives_expansion_and_compression() -> None:
    octets = bytes(range(256))
    assert g711.alaw_encode(g711.alaw_decode(octets)) == octets
    negative_zero = bytes((0x7F,))
    without = octets.replace(negative_zero, b"")
    assert g711.ulaw_encode(g711.ulaw_decode(without)) == without


def test_changing_the_law_keeps_the_tone() -> None:
    tone = tones.sine(700, 0.5, level_dbfs=-10)
    there = g711.ulaw_to_alaw(g711.ulaw_encode(tone))
    back = g711.ulaw_decode(g711.alaw_to_ulaw(there))
    for pcm in (g711.alaw_decode(there), back):
        assert tones.level_dbfs(pcm) == pytest.approx(-10, abs=0.1)
        assert tones.dominant_pitch_hz(pcm) == pytest.approx(700, abs=1)


@pytest.mark.parametrize("rate", [8000, 48000])
@pytest.mark.parametrize("pitch", [200, 440.5, 1000, 3400])
def test_tones_are_measured_as_they_were_made(pitch: float, rate: int) -> None:
    tone = tones.sine(pitch, 0.5, rate=rate, level_dbfs=-20)
    assert tones.dominant_pitch_hz(tone, rate=rate) == pytest.approx(pitch, abs=3)
    assert tones.level_dbfs(tone) == pytest.approx(-20, abs=0.1)
    assert tones.goertzel_dbfs(tone, pitch, rate=rate) == pytest.approx(-20, abs=0.3)


def test_silence_has_no_pitch_and_the_lowest_level() -> None:
    assert tones.dominant_pitch_hz(bytes(8000)) == 0
    assert tones.level_dbfs(bytes(8000)) == -120
    assert tones.level_dbfs(b"") == -120
    assert tones.dominant_pitch_hz(b"\0") == 0


def test_frames_of_a_tone_join_without_a_seam() -> None:
    whole = tones.sine(440, 0.1)
    frames = [tones.sine(440, 0.02, start_sample=160 * n) for n in range(5)]
    assert b"".join(frames) == whole


def test_opus_keeps_pitch_and_level() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    tone = tones.sine(440, 1.0, level_dbfs=-12)
    frames = [tone[n : n + FRAME_BYTES] for n in range(0, len(tone), FRAME_BYTES)]
    heard = b"".join(decoder.decode(encoder.encode(frame)) for frame in frames)[4000:]
    assert tones.dominant_pitch_hz(heard) == pytest.approx(440, abs=2)
    assert tones.level_dbfs(heard) == pytest.approx(-12, abs=1)


@pytest.mark.parametrize(("rate", "pitch"), [(16000, 440), (16000, 6000), (8000, 440), (8000, 3000)])
def test_g722_keeps_pitch_and_level_of_all_that_the_rate_can_carry(rate: int, pitch: float) -> None:
    encoder, decoder = G722Encoder(rate), G722Decoder(rate)
    tone = tones.sine(pitch, 1.0, rate=rate, level_dbfs=-12)
    size = 2 * rate // 50
    payloads = [encoder.encode(tone[n : n + size]) for n in range(0, len(tone), size)]
    assert {len(payload) for payload in payloads} == {160}
    heard = b"".join(map(decoder.decode, payloads))[4000:]
    assert tones.dominant_pitch_hz(heard, rate=rate) == pytest.approx(pitch, abs=3)
    assert tones.goertzel_dbfs(heard, pitch, rate=rate) == pytest.approx(-12, abs=1)
    assert tones.level_dbfs(heard) == pytest.approx(-12, abs=1)


def test_what_g711_cannot_carry_is_left_out_of_g722_for_it() -> None:
    encoder, decoder = G722Encoder(16000), G722Decoder(8000)
    tone = tones.sine(6000, 1.0, rate=16000, level_dbfs=-6)
    heard = b"".join(decoder.decode(encoder.encode(tone[n : n + 640])) for n in range(0, len(tone), 640))
    assert tones.level_dbfs(heard[4000:]) < -40, "6 kHz would be heard as 2 kHz"


@pytest.mark.parametrize("codec", list(Codec))
def test_silence_is_silent_whatever_was_heard_before(codec: Codec) -> None:
    encoder, decoder = make_encoder(codec), make_decoder(codec)
    for n in range(10):
        decoder.decode(encoder.encode(tones.sine(440, 0.02, start_sample=160 * n)))
    heard = [decoder.decode(silence(codec)) for _ in range(5)]
    assert tones.level_dbfs(heard[-1]) < -50
    assert {len(pcm) for pcm in heard} == {FRAME_BYTES}


def test_opus_recovers_a_lost_frame_from_the_next_packet() -> None:
    encoder, decoder = OpusEncoder(expected_loss_percent=20), OpusDecoder()
    tone = tones.sine(440, 0.4, level_dbfs=-12)
    packets = [encoder.encode(tone[n : n + FRAME_BYTES]) for n in range(0, len(tone), FRAME_BYTES)]
    for packet in packets[:10]:
        decoder.decode(packet)
    recovered = decoder.recover(packets[11], 160)
    assert len(recovered) == FRAME_BYTES
    assert tones.level_dbfs(recovered) == pytest.approx(-12, abs=3)


def test_opus_refuses_garbage_without_harm() -> None:
    decoder = OpusDecoder()
    with pytest.raises(OpusError):
        decoder.decode(b"\xff" * 40)
    assert len(decoder.conceal(160)) == FRAME_BYTES
    decoder.close()
    decoder.close()


def test_lost_g711_is_concealed_by_what_was_heard_fading() -> None:
    decoder = WaveformDecoder(Codec.PCMU)
    assert decoder.conceal(160) == bytes(FRAME_BYTES)
    heard = decoder.decode(g711.ulaw_encode(tones.sine(400, 0.06, level_dbfs=-6)))
    levels = [tones.level_dbfs(decoder.conceal(160)) for _ in range(4)]
    assert levels[0] == pytest.approx(tones.level_dbfs(heard), abs=1)
    assert levels[0] > levels[1] > levels[2] > levels[3]
