"""What users are told of their past calls, kept no longer than the configuration says."""

import asyncio

import structlog

from bridge.calls.call import Call
from bridge.core.clock import Clock
from bridge.core.ids import UserId
from bridge.core.verdict import Verdict
from bridge.store import Store, StoreError
from bridge.store.people import PastCall

log = structlog.get_logger(__name__)

DAY_S = 86_400.0
PRUNE_INTERVAL_S = 3_600.0


class History:
    """`days` 0 keeps nothing, and forgets what an earlier configuration kept."""

    def __init__(self, store: Store, *, days: int, clock: Clock) -> None:
        self._store = store
        self._days = days
        self._clock = clock

    @property
    def kept(self) -> bool:
        return self._days > 0

    async def add(self, call: Call, verdict: Verdict) -> None:
        """Note a call of a user that is over, answered or not. A store in trouble costs only this note."""
        if not self.kept:
            return
        ended_at = call.wall(call.at.ended) or self._clock.wall()
        try:
            for user, reason in _whose(call, verdict).items():
                past = PastCall(
                    user_id=user,
                    number=call.number,
                    direction=call.direction,
                    reason=reason,
                    began_at=call.began_wall,
                    ended_at=ended_at,
                    talk_s=call.talk_s if user == call.matrix.user else 0.0,
                )
                await self._store.past_calls.add(past)
        except StoreError as error:
            log.warning("history_not_written", reason=str(error))

    async def last(self, user: UserId, *, limit: int) -> tuple[PastCall, ...]:
        """A user's calls, the newest first."""
        return await self._store.past_calls.last(user, limit=limit)

    async def forget_old(self) -> None:
        await self._store.past_calls.prune(before=self._clock.wall() - self._days * DAY_S)

    async def keep_short(self) -> None:
        """Forget what is too old, for as long as this runs."""
        while True:
            try:
                await self.forget_old()
            except StoreError as error:
                log.warning("history_not_pruned", reason=str(error))
            await asyncio.sleep(PRUNE_INTERVAL_S)


def _whose(call: Call, verdict: Verdict) -> dict[UserId, str]:
    """Whose call it was, and how it ended for each: of a group, everybody who could see it."""
    rings = call.hunt.rings if call.hunt is not None else []
    shares = {ring.user: ring.why.reason for ring in rings if ring.why is not None and ring.room_id is not None}
    return {**shares, call.matrix.user: verdict.reason} if call.matrix.user else shares
