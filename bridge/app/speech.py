"""Texts as telephone audio, by espeak-ng where it is installed."""

import asyncio
import io
import wave

import av

from bridge.core.errors import TrunklineError
from bridge.media.coders import RATE
from bridge.media.sounds import Sound, SoundError
from bridge.media.speech_program import PROGRAM

LIMIT_S = 20.0
MAX_WAV_OCTETS = 64 << 20


class SpeechError(TrunklineError):
    """The text cannot be spoken."""


async def speak(text: str, *, language: str) -> Sound:
    """A text as telephone audio. Raises :class:`SpeechError`; the text is one line, and no option of the program's."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "-v", language, "--stdin", "--stdout"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise SpeechError(f"{PROGRAM} cannot be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(LIMIT_S):
            said, complaint = await process.communicate(text.encode())
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise SpeechError(f"{PROGRAM} took longer than {LIMIT_S:.0f} s") from error
    if process.returncode != 0 or not 44 < len(said) < MAX_WAV_OCTETS:
        raise SpeechError(f"{PROGRAM}: {complaint.decode(errors='replace').strip()[:200] or 'no sound'}")
    try:
        return Sound(await asyncio.to_thread(_telephone_audio, said))
    except (SoundError, EOFError, wave.Error, av.FFmpegError) as error:
        raise SpeechError(f"{PROGRAM}: {error}") from error


def _telephone_audio(said: bytes) -> bytes:
    """8000 Hz, one channel, 16 bits. A WAV file that was written to a pipe does not know its own length."""
    with wave.open(io.BytesIO(said), "rb") as recording:
        rate, channels, width = recording.getframerate(), recording.getnchannels(), recording.getsampwidth()
        pcm = recording.readframes(recording.getnframes())
    if (channels, width) != (1, 2):
        raise wave.Error(f"{channels} channels of {width * 8} bits")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate = rate
    frame.planes[0].update(pcm[: frame.planes[0].buffer_size].ljust(frame.planes[0].buffer_size, b"\0"))
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return b"".join(bytes(part.planes[0])[: part.samples * 2] for part in frames)
