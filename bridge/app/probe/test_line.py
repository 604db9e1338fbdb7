"""The client's end of one test call, and what is noted while it goes on."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection

from bridge.calls import matrix_commands as mxcmd
from bridge.calls.call import Call
from bridge.core.clock import Clock
from bridge.core.verdict import Verdict
from bridge.ops.test_calls.report import Step
from bridge.ops.traces.cleaning import call_id_of, title_of
from bridge.sip.io.capture import Captured

MAX_MESSAGES = 2_000
"""SIP messages that pass while a test goes on; on a busy bridge most of them are other calls'."""
_SECURE = (b"RTP/SAVP", b"a=crypto:")

Tell = Callable[[Step], None]
"""Told of each step when it happens; never raises, and is quick."""


class TestLine:
    """Implements `bridge.app.stand_in.StandIn`."""

    __test__ = False

    def __init__(self, clock: Clock, tell: Tell) -> None:
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[str] = loop.create_future()
        """The description that a client would be answered with."""
        self.over: asyncio.Future[Verdict] = loop.create_future()
        self.began = clock.monotonic()
        self._clock, self._tell = clock, tell
        self._steps: list[Step] = []
        self._messages: deque[tuple[float, Captured]] = deque(maxlen=MAX_MESSAGES)
        self._reached: set[str] = set()

    # As the call sees it.

    def take(self, command: object) -> None:
        """A client is answered once; what else it would be told is of no use here."""
        if isinstance(command, mxcmd.SendAnswer) and not self.answer.done():
            self.answer.set_result(command.sdp)

    def followed(self, call: Call) -> None:
        at = call.at
        reached = {
            "dialled": at.dialled,
            "ringing": at.ringing,
            "answered": at.answered,
            "audio connected": at.connected,
            "hung up": at.ended,
        }
        for what, moment in reached.items():
            if moment is not None and what not in self._reached:
                self._reached.add(what)
                self._note(moment, f"{what} over {call.trunk}" if what == "dialled" else what)

    def finished(self, verdict: Verdict) -> None:
        if not self.over.done():
            self.over.set_result(verdict)

    def _note(self, moment: float, what: str) -> None:
        step = Step(at_s=self.since(moment), what=what)
        self._steps.append(step)
        self._tell(step)

    # As SIP sees it.

    def overhear(self, message: Captured) -> None:
        """A SIP message passes, of this call or of another: which, is known at the end."""
        self._messages.append((self._clock.monotonic(), message))

    def since(self, moment: float) -> float:
        """Seconds since the test began."""
        return round(max(0.0, moment - self.began), 3)

    def steps(self, sip_call_ids: Collection[str]) -> tuple[Step, ...]:
        """All that happened, in order."""
        sip = (
            Step(at_s=self.since(at), what=f"{'->' if message.outgoing else '<-'} {title_of(message.payload)}")
            for at, message in self._of(sip_call_ids)
        )
        return tuple(sorted((*self._steps, *sip), key=lambda step: step.at_s))

    def transport(self, sip_call_ids: Collection[str]) -> str:
        """By what the last of its messages went."""
        return next((message.transport.value for _, message in reversed(self._of(sip_call_ids))), "")

    def is_secure(self, sip_call_ids: Collection[str]) -> bool:
        """Whether the phone agreed to encrypt the audio (RFC 4568)."""
        descriptions = [
            message.payload
            for _, message in self._of(sip_call_ids)
            if not message.outgoing and b"\nm=audio" in message.payload
        ]
        return bool(descriptions) and any(mark in descriptions[-1] for mark in _SECURE)

    def _of(self, sip_call_ids: Collection[str]) -> list[tuple[float, Captured]]:
        return [entry for entry in self._messages if call_id_of(entry[1].payload) in sip_call_ids]
