"""Sounds of our own, before anybody hears them."""

import pytest

from bridge.media import g711, tones
from bridge.media.formats import Codec
from bridge.media.g722 import G722Decoder
from bridge.media.opus import OpusDecoder
from bridge.media.sounds import Sound, SoundError, pause
from tests.media.phone import tone_frames

DECODE = {
    Codec.PCMU: g711.ulaw_decode,
    Codec.PCMA: g711.alaw_decode,
    Codec.OPUS: OpusDecoder().decode,
    Codec.G722: G722Decoder(8000).decode,
}


@pytest.mark.parametrize("codec", list(DECODE))
def test_every_codec_has_the_sound_in_frames_that_are_made_once(codec: Codec) -> None:
    sound = Sound(b"".join(tone_frames(600, 30)) + b"\0\0")
    frames = sound.frames(codec)
    assert (len(frames), sound.frame_count, sound.duration_ms) == (30, 30, 600)
    heard = b"".join(DECODE[codec](frame) for frame in frames)
    assert tones.dominant_pitch_hz(heard) == pytest.approx(600, abs=4)
    sound.prepare()
    assert sound.frames(codec) is frames


def test_a_pause_lasts_as_long_as_it_is_asked_for() -> None:
    assert pause(1.5).duration_ms == 1500
    assert set(pause(0.1).frames(Codec.PCMU)) == {b"\xff" * 160}
    assert pause(0).frame_count == 1


@pytest.mark.parametrize("length_ms", [10, 20, 30, 50, 60])
def test_packets_of_any_length_have_the_same_sound(length_ms: int) -> None:
    sound = Sound(b"".join(tone_frames(600, 3)))
    whole = b"".join(sound.frames(Codec.PCMU))
    once = [sound.payload(Codec.PCMU, start, length_ms, repeats=False) for start in range(0, 60, length_ms)]
    assert b"".join(once) == whole.ljust(len(once) * 8 * length_ms, b"\xff")
    again = [sound.payload(Codec.PCMU, start, length_ms, repeats=True) for start in range(0, 300, length_ms)]
    assert b"".join(again) == 5 * whole


def test_nothing_at_all_is_no_sound() -> None:
    with pytest.raises(SoundError, match="shorter"):
        Sound(bytes(318))
