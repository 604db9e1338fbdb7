"""A bridge in this process with a phone that does as it is told, and users who call it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from structlog.testing import capture_logs

from bridge.core.ids import UserId
from bridge.sip.events import IncomingCall, SipEvent
from tests.clients.house import PHONE, SERVER_NAME, House, open_house
from tests.e2e.alerts.story import Story
from tests.e2e.running_bridge import Section
from tests.e2e.scripted_users import ScriptedUser
from tests.e2e.webrtc import mute_offer
from tests.sip.phone import Phone, answer_at_once, ring

_AT_ONCE = 8

Behaviour = Callable[[Phone, SipEvent], None]


def busy(phone: Phone, event: SipEvent) -> None:
    """A phone that is taken."""
    if isinstance(event, IncomingCall):
        phone.endpoint.reject(event.dialog, 486)


@dataclass(slots=True, kw_only=True)
class Callers:
    """A scene with telephone calls in it."""

    house: House
    story: Story
    behaviour: Behaviour = ring
    """What the phone does with calls."""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def react(self, phone: Phone, event: SipEvent) -> None:
        """The phone's events."""
        self.behaviour(phone, event)

    async def user(self, number: str = PHONE, who: UserId | None = None) -> ScriptedUser:
        """Somebody, new unless said otherwise, in a new room with a number."""
        homeserver = self.house.homeserver
        user_id = who or self.house.newcomer().user_id
        room_id = await self.house.room(user_id, UserId(f"@_sip_{number}:{SERVER_NAME}"))
        return ScriptedUser(homeserver=homeserver, user_id=user_id, room_id=room_id)

    async def call(self, behaviour: Behaviour, *, times: int = 1) -> None:
        """So many users call once each."""
        await self.all_call(behaviour, [await self.user() for _ in range(times)])

    async def all_call(self, behaviour: Behaviour, users: Sequence[ScriptedUser]) -> None:
        """They call, a few at once; those who are answered hang up. Returns when all calls are over."""
        self.behaviour, times = behaviour, len(users)
        ended = await self.house.bridge.metric("calls_total")
        for few in (users[first : first + _AT_ONCE] for first in range(0, times, _AT_ONCE)):
            await asyncio.gather(*(self._call(user, answered=behaviour is answer_at_once) for user in few))
        await self.house.bridge.wait_metric("calls_total", ended + times)

    async def _call(self, user: ScriptedUser, *, answered: bool) -> None:
        number = next(self._numbers)
        await user.invite(f"call{number}", mute_offer(number, port=self.house.mute_port))
        if answered:
            await user.answered(f"call{number}")
            await user.hang_up(f"call{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A scene that has more in it than calls."""

    callers: Callers

    @property
    def story(self) -> Story:
        """As the bridge's Prometheus has it."""
        return self.callers.story


@asynccontextmanager
async def callers(
    directory: Path, trunk: Section | None = None, *, step_s: int = 60, **settings: Section
) -> AsyncIterator[Callers]:
    """Open the house, with the phone in it."""
    # Tracebacks that are shown with their variables, as at a terminal, would make the loop late.
    with capture_logs():
        async with open_house(directory, trunk, **settings) as house:
            scene = Callers(house=house, story=Story(house.bridge.metrics, step_s=step_s))
            await house.bridge.wait_metric("matrix_homeserver_up", 1)
            async with house.phone(scene.react):
                yield scene
