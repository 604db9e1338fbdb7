"""The two calls that happen without anyone clicking, step by step, as the terminal shows them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from deploy.demo.audio import Ear, Tone, listen_for
from deploy.demo.errors import DemoError
from deploy.demo.matrix_caller import MatrixCall, MatrixCaller
from deploy.demo.milestones import Milestone, Milestones
from deploy.demo.phone import Phone, PhoneCall
from deploy.demo.terminal import StepClock, Terminal, describe_heard

_RING_LIMIT_S = 15.0
_ANSWER_LIMIT_S = 15.0
_CONNECT_LIMIT_S = 20.0
_HEAR_LIMIT_S = 10.0
_END_LIMIT_S = 10.0
_SILENCE_DBFS = -60.0
_MATRIX_RINGS_S = 1.0

_Call = TypeVar("_Call")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What came of one call."""

    title: str
    failure: str = ""
    """Empty for a call in which both sides heard each other and that ended when one hung up."""


class TwoCalls:
    """A Matrix user calls the phone, then the phone calls the Matrix user."""

    def __init__(self, *, terminal: Terminal, caller: MatrixCaller, phone: Phone, user_number: str) -> None:
        self._terminal = terminal
        self._caller = caller
        self._phone = phone
        self._user_number = user_number

    async def run(self) -> tuple[CallResult, CallResult]:
        """Both calls, the second also when the first failed."""
        user, phone = self._caller.user_id, self._phone.number
        out = await self._show(f"Call 1: {user} calls {phone}", self._matrix_calls_phone)
        back = await self._show(f"Call 2: {phone} calls {user}", self._phone_calls_matrix)
        return out, back

    async def _show(self, title: str, carry_out: Callable[[StepClock], Awaitable[None]]) -> CallResult:
        self._terminal.heading(title)
        self._terminal.columns()
        steps = StepClock(self._terminal, time.monotonic)
        try:
            await carry_out(steps)
        except DemoError as error:
            steps.step("failed", str(error))
            return CallResult(title=title, failure=str(error))
        return CallResult(title=title)

    async def _matrix_calls_phone(self, steps: StepClock) -> None:
        room_id, ghost = await self._caller.dial(self._phone.number)
        steps.step("looked up", f"{self._phone.number} is {ghost}")
        matrix = self._caller.new_call(room_id)
        try:
            await matrix.invite()
            steps.step("calling", "m.call.invite is sent")
            phone = await rings(self._phone.incoming, placed=matrix.milestones, where="at the phone")
            steps.step("ringing", f"at the phone, which sees {phone.other}")
            await self._be_answered_by_phone(steps, matrix, phone)
        finally:
            await matrix.give_up()

    async def _be_answered_by_phone(self, steps: StepClock, matrix: MatrixCall, phone: PhoneCall) -> None:
        try:
            await matrix.milestones.wait(Milestone.ANSWERED, within_s=_ANSWER_LIMIT_S)
            steps.step("answered", "the phone picked up, m.call.answer is here")
            await self._talk(steps, matrix, phone)
            await matrix.hang_up()
            steps.step("hung up", f"by {self._caller.user_id}")
            await phone.milestones.wait(Milestone.ENDED, within_s=_END_LIMIT_S)
            steps.step("ended", f"at the phone: {phone.milestones.why_ended}")
        finally:
            self._phone.hang_up(phone)

    async def _phone_calls_matrix(self, steps: StepClock) -> None:
        phone = await self._phone.dial(self._user_number)
        steps.step("calling", f"INVITE for {self._user_number} is sent")
        try:
            matrix = await rings(self._caller.incoming, placed=phone.milestones, where="at the Matrix client")
            steps.step("ringing", f"at the Matrix client, which sees {matrix.caller}")
            await self._be_answered_by_matrix(steps, matrix, phone)
        finally:
            self._phone.hang_up(phone)

    async def _be_answered_by_matrix(self, steps: StepClock, matrix: MatrixCall, phone: PhoneCall) -> None:
        try:
            await phone.milestones.wait(Milestone.RINGING, within_s=_RING_LIMIT_S)
            steps.step("ringback", "180 is at the phone")
            await asyncio.sleep(_MATRIX_RINGS_S)
            await matrix.answer()
            await phone.milestones.wait(Milestone.ANSWERED, within_s=_ANSWER_LIMIT_S)
            steps.step("answered", f"{self._caller.user_id} picked up, 200 is at the phone")
            await self._talk(steps, matrix, phone)
            self._phone.hang_up(phone)
            steps.step("hung up", "by the phone")
            await matrix.milestones.wait(Milestone.ENDED, within_s=_END_LIMIT_S)
            steps.step("ended", f"at {self._caller.user_id}: {matrix.milestones.why_ended}")
        finally:
            await matrix.give_up()

    async def _talk(self, steps: StepClock, matrix: MatrixCall, phone: PhoneCall) -> None:
        await matrix.milestones.wait(Milestone.CONNECTED, within_s=_CONNECT_LIMIT_S)
        steps.step("connected", "ICE and DTLS are up at the Matrix client")
        at_matrix = await hears(steps, "Matrix hears", matrix.audio.ear, self._phone.tone)
        at_phone = await hears(steps, "phone hears", phone.audio.ear, self._caller.tone)
        if at_matrix or at_phone:
            raise DemoError(", and ".join(failure for failure in (at_matrix, at_phone) if failure))


async def hears(steps: StepClock, who: str, ear: Ear, tone: Tone, *, within_s: float = _HEAR_LIMIT_S) -> str:
    """Wait for the other side's tone and show what is heard, whatever it is; returns what is wrong with it."""
    heard = await listen_for(tone, ear, within_s=within_s)
    steps.step(who, describe_heard(heard, tone) if heard else "no packet, or too few to tell")
    if tone.matches(heard):
        return ""
    if heard is None or heard.level_dbfs < _SILENCE_DBFS:
        return f"{who} nothing"
    return f"{who} something else than the other side sent"


async def rings(
    queue: asyncio.Queue[_Call], *, placed: Milestones, where: str, within_s: float = _RING_LIMIT_S
) -> _Call:
    """The call that arrives at the other side; raises :class:`DemoError` if the one that was placed ends before."""
    arrives = asyncio.ensure_future(queue.get())
    ends = asyncio.ensure_future(placed.wait(Milestone.ENDED, within_s=2 * within_s))
    try:
        await asyncio.wait((arrives, ends), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if arrives.done():
            return arrives.result()
    finally:
        arrives.cancel()
        ends.cancel()
        await asyncio.gather(arrives, ends, return_exceptions=True)
    if placed.why_ended:
        raise DemoError(f"the call ended before it rang {where}: {placed.why_ended}")
    raise DemoError(f"nothing rang {where} within {within_s:.0f} s")
