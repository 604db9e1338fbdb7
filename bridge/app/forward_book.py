"""What was forwarded within a day: in memory, because an INVITE is decided at once, and on disk for a restart."""

from collections.abc import Callable

from bridge.app.lane import Lane
from bridge.app.store_write import write_down
from bridge.core.clock import Clock
from bridge.core.ids import UserId
from bridge.core.telemetry import Telemetry
from bridge.numbers.forwards import DAY_S, ForwardLimits, ForwardWatch, NotForwarded
from bridge.store import Store
from bridge.store.forwards import StoredForward

MOST_LOADED = 100_000


class ForwardBook:
    """`load` it before the first call."""

    def __init__(self, limits: Callable[[], ForwardLimits], store: Store, clock: Clock, telemetry: Telemetry) -> None:
        self._watch = ForwardWatch(limits)
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._lane = Lane()

    async def load(self) -> None:
        """Learn what the last process has forwarded. A clock that was set back makes nothing of it last longer."""
        wall, now = self._clock.wall(), self._clock.monotonic()
        for known in await self._store.forwards.since(wall - DAY_S, limit=MOST_LOADED):
            self._watch.note(known.user_id, known.caller, now - max(0.0, wall - known.at))

    def refuses(self, user: UserId, caller: str) -> NotForwarded | None:
        """Whether one more call of this caller would be one too many; `caller` is empty where no number is shown."""
        return self._watch.refuses(user, caller, self._clock.monotonic())

    def note(self, user: UserId, caller: str) -> None:
        """One is forwarded."""
        self._watch.note(user, caller, self._clock.monotonic())
        forward = StoredForward(user_id=user, caller=caller, at=self._clock.wall())
        self._lane.submit(
            lambda: write_down(self._store.forwards.add(forward), self._telemetry, if_not="forward_not_written")
        )

    async def drain(self) -> None:
        """Wait until all is written."""
        await self._lane.drain()
