"""How many text messages each user has sent today: in memory, and on disk for a restart.

Days begin at midnight of this machine, as those of limits.
"""

from collections.abc import Callable

from bridge.app.store_write import write_down
from bridge.core.clock import Clock, local_day
from bridge.core.ids import UserId
from bridge.core.telemetry import Telemetry
from bridge.store import Store


class TextBook:
    """`load` it before the first text."""

    def __init__(self, per_day: Callable[[], int], store: Store, clock: Clock, telemetry: Telemetry) -> None:
        self._per_day = per_day
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._day = ""
        self._sent: dict[UserId, int] = {}

    async def load(self) -> None:
        """Learn what the last process has sent today."""
        self._day = self._today()
        self._sent = await self._store.sent_texts.on(self._day)

    def allows(self, user: UserId, parts: int) -> bool:
        """Whether a user may send so many more today."""
        return self._sent_today().get(user, 0) + parts <= self._per_day()

    async def note(self, user: UserId, parts: int) -> None:
        """They are sent. Counted before the disk is waited for: the user may write in another room meanwhile."""
        sent = self._sent_today()
        sent[user] = sent.get(user, 0) + parts
        write = self._store.sent_texts.add(user, self._day, parts)
        await write_down(write, self._telemetry, if_not="text_not_counted")

    def _sent_today(self) -> dict[UserId, int]:
        if (today := self._today()) != self._day:
            self._day, self._sent = today, {}
        return self._sent

    def _today(self) -> str:
        return local_day(self._clock).isoformat()
