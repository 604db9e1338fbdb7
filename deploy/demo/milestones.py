"""How far a call has come, as something that can be waited for."""

import asyncio
import enum

from deploy.demo.errors import DemoError


class Milestone(enum.Enum):
    """The steps of any call, whichever network it is seen from."""

    RINGING = "ringing"
    ANSWERED = "answered"
    CONNECTED = "connected"
    ENDED = "ended"


class Milestones:
    """Each step is reached at most once; after the end none is reached any more, and nobody waits for ever."""

    def __init__(self) -> None:
        self._events = {milestone: asyncio.Event() for milestone in Milestone}
        self._reached: set[Milestone] = set()
        self.why_ended = ""

    def reach(self, milestone: Milestone) -> None:
        """Note a step; one that comes after the end, or again, changes nothing."""
        if Milestone.ENDED not in self._reached:
            self._reached.add(milestone)
            self._events[milestone].set()

    def end(self, why: str) -> None:
        """The call is over: wake everybody; those who wait for something else than the end are told why."""
        if Milestone.ENDED not in self._reached:
            self.why_ended = why
            self._reached.add(Milestone.ENDED)
            for event in self._events.values():
                event.set()

    def reached(self, milestone: Milestone) -> bool:
        """Whether the call came that far."""
        return milestone in self._reached

    async def wait(self, milestone: Milestone, *, within_s: float) -> None:
        """Until the step is reached; raises :class:`DemoError` if the call ends before it, or time is up."""
        try:
            await asyncio.wait_for(self._events[milestone].wait(), within_s)
        except TimeoutError as error:
            raise DemoError(f"the call was not {milestone.value} within {within_s:.0f} s") from error
        if milestone not in self._reached:
            raise DemoError(f"the call ended before it was {milestone.value}: {self.why_ended}")
