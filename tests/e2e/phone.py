"""The phone of the tests: baresip, with ears."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.e2e.sound import Heard, Samples, Tone, level_db, measure, recorded_rate_hz, recorded_so_far
from tests.patience import PATIENCE_S
from tests.peers.baresip import Baresip
from tests.peers.process import PeerTooSlowError

RATE_HZ = 8000
"""Of what a phone records that speaks G.711."""
TONE = Tone(pitch_hz=660, level_db=-6.02)
OTHER_TONE = Tone(pitch_hz=880, level_db=-6.02)
"""Of a phone beside the first."""
_WINDOW = 4096
_QUIET_DB = -55.0
_STEADY_DB = 0.7


class Phone(Baresip):
    """A telephone whose number is its user name, playing a tone into every call."""

    def __init__(
        self, directory: Path, number: str, *, port: int, answer: str = "auto", tone: Tone = TONE, **options: Any
    ) -> None:
        super().__init__(directory, number, port=port, answer=answer, tone_hz=tone.pitch_hz, **options)
        self.encrypts = options.get("transport") == "tls"

    async def call(self, number: str, *, through: int) -> None:
        """Dial a number at the SIP port `through`."""
        await self.dial(f"sip:{number}@127.0.0.1:{through}")

    def recorded(self) -> Samples:
        """Everything heard in the newest call so far."""
        recording = self._recording()
        return np.array([]) if recording is None else recorded_so_far(recording)

    def _recording(self) -> Path | None:
        return max(self.recordings.glob("dump-*-dec.wav"), default=None)

    async def listen(self, *, limit_s: float = PATIENCE_S) -> Heard:
        """Pitch and level of half a second of steady sound."""
        try:
            await self.wait_until(
                lambda: _is_steady(self.recorded()[-_WINDOW:]), limit_s=limit_s, awaited="hear steady sound"
            )
        except PeerTooSlowError as error:
            raise AssertionError(f"the phone heard no steady sound, last {self.heard()}") from error
        return self.heard()

    def heard(self) -> Heard:
        """Pitch and level of the last half second."""
        recording = self._recording()
        return measure(self.recorded()[-_WINDOW:], 1 if recording is None else recorded_rate_hz(recording))

    async def wait_ringing(self, *, limit_s: float = PATIENCE_S) -> None:
        """Wait for an incoming call."""
        await self.wait_event("CALL_INCOMING", limit_s=limit_s)

    async def wait_answered(self, *, count: int = 1, limit_s: float = PATIENCE_S) -> None:
        """Wait until a call is up."""
        await self.wait_event("CALL_ESTABLISHED", count=count, limit_s=limit_s)

    async def wait_closed(self, *, count: int = 1, limit_s: float = PATIENCE_S) -> str:
        """Wait until a call is over; gives the reason that baresip shows."""
        event = await self.wait_event("CALL_CLOSED", count=count, limit_s=limit_s)
        return str(event.get("param", ""))

    async def wait_digits(self, digits: str, *, limit_s: float = PATIENCE_S) -> str:
        """Wait until as many digits as in `digits` have come; gives what came."""
        try:
            await self.wait_event("CALL_DTMF_START", count=len(digits), limit_s=limit_s)
        except PeerTooSlowError as error:
            raise AssertionError(f"the phone got the digits {self.digits()!r}, not {digits!r}") from error
        return self.digits()

    def digits(self) -> str:
        """The digits pressed at the other end so far."""
        return "".join(str(event["param"]) for event in self.events("CALL_DTMF_START"))


def _is_steady(samples: Samples) -> bool:
    """Whether the quarters of a full window are equally loud, and not silent."""
    if samples.size < _WINDOW:
        return False
    levels = [level_db(quarter) for quarter in np.split(samples, 4)]
    return min(levels) > _QUIET_DB and max(levels) - min(levels) < _STEADY_DB
