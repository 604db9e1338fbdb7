"""After the two calls: the phone stays on, so that a person can call it and be called by it."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from deploy.demo.errors import DemoError
from deploy.demo.keyboard import Keyboard
from deploy.demo.milestones import Milestone
from deploy.demo.phone import Phone, PhoneCall
from deploy.demo.terminal import Terminal, describe_sound

_REPORT_EVERY_S = 5.0
_RING_LIMIT_S = 60.0
_CALL_LIMIT_S = 3600.0


class OpenPhone:
    """Shows what the phone does, and does what the keyboard says, until it is cancelled."""

    def __init__(self, *, terminal: Terminal, phone: Phone, user_number: str) -> None:
        self._terminal = terminal
        self._phone = phone
        self._user_number = user_number
        self._running: set[asyncio.Task[None]] = set()

    async def stay(self) -> None:
        """Serve people; ends when cancelled or when `quit` is typed."""
        async with asyncio.TaskGroup() as tasks:
            self._begin(tasks, self._serve_callers(tasks))
            await self._obey_keyboard(tasks)
            for task in self._running:
                task.cancel()

    def _begin(self, tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        task = tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve_callers(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            call = await self._phone.incoming.get()
            self._say(f"the phone rings, it sees {call.other}")
            self._begin(tasks, self._show(call))

    async def _obey_keyboard(self, tasks: asyncio.TaskGroup) -> None:
        keyboard = Keyboard()
        try:
            while True:
                match (await keyboard.next_line()).strip().lower():
                    case "" | "call":
                        self._begin(tasks, self._call_user())
                    case "quit" | "exit" | "q":
                        return
                    case _:
                        self._say("type call (or only Enter) and the phone calls you; type quit to end the demo")
        finally:
            keyboard.close()

    async def _call_user(self) -> None:
        call = await self._phone.dial(self._user_number)
        self._say(f"the phone calls {self._user_number}")
        try:
            await self._show(call)
        finally:
            self._phone.hang_up(call)

    async def _show(self, call: PhoneCall) -> None:
        """Print how a call goes on, with what the phone hears, until it is over."""
        try:
            await call.milestones.wait(Milestone.ANSWERED, within_s=_RING_LIMIT_S)
        except DemoError as error:
            self._say(str(error))
            return
        answered_at = time.monotonic()
        self._say("answered")
        while not await self._ends_within(call, _REPORT_EVERY_S) and time.monotonic() < answered_at + _CALL_LIMIT_S:
            heard = call.audio.ear.measure()
            self._say(f"the phone hears {describe_sound(heard)}" if heard else "the phone hears nothing yet")
        self._say(f"over after {time.monotonic() - answered_at:.1f} s: {call.milestones.why_ended or 'long enough'}")
        self._phone.hang_up(call)

    async def _ends_within(self, call: PhoneCall, limit_s: float) -> bool:
        try:
            await call.milestones.wait(Milestone.ENDED, within_s=limit_s)
        except DemoError:
            return False
        return True

    def _say(self, text: str) -> None:
        self._terminal.line(f"  {time.strftime('%H:%M:%S')}   {text}")
