"""Sends events: stored before they are sent, in the order of each room, repeated until accepted or too late."""

import asyncio
import json
from collections.abc import Sequence

import structlog

from bridge.core.clock import Clock
from bridge.core.ids import EventId, RoomId, UserId
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.matrix.client import Client
from bridge.matrix.events import Json
from bridge.matrix.ghosts import Ghosts
from bridge.matrix.link import WITHDRAWN, MatrixError
from bridge.matrix.room_queues import RoomQueues
from bridge.store import Store, StoreError
from bridge.store.outbox import NewSend, StoredSend

_log = structlog.get_logger()

_KINDS = {
    "m.call.invite": "invite",
    "m.call.answer": "answer",
    "m.call.candidates": "candidates",
    "m.call.select_answer": "select_answer",
    "m.call.reject": "reject",
    "m.call.hangup": "hangup",
    "m.call.negotiate": "negotiate",
    "m.room.message": "notice",
}


class Sender:
    """The one way out into rooms. Whatever must happen to an event before it leaves, happens here."""

    def __init__(self, *, store: Store, client: Client, ghosts: Ghosts, clock: Clock, telemetry: Telemetry) -> None:
        self._store = store
        self._client = client
        self._ghosts = ghosts
        self._clock = clock
        self._telemetry = telemetry
        self._waiters: dict[str, list[asyncio.Future[EventId]]] = {}
        self._withdrawn: set[str] = set()
        """Sends of `_waiters` that are not wanted any more."""
        self._depth = 0
        self._queues: RoomQueues[StoredSend] = RoomQueues(self, component="matrix_sender", telemetry=telemetry)

    async def prepare(self) -> None:
        """Learn what earlier processes did not get rid of."""
        self._change_depth(await self._store.outbox.depth())

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin, with what is on disk."""
        self._queues.start(group)

    async def stop(self) -> None:
        """Try what is in memory once more; the rest stays on disk."""
        await self._queues.stop(finish=True)

    def abandon(self) -> None:
        """Only store from now on: nobody is left to send."""
        self._queues.abandon()

    async def send(
        self,
        *,
        room_id: RoomId,
        sender: UserId,
        event_type: str,
        content: Json,
        txn_id: str,
        give_up_after_s: float,
    ) -> None:
        """Store an event to send, and return. A `txn_id` that is known changes nothing: it has been stored before."""
        now = self._clock.wall()
        send = NewSend(
            txn_id=txn_id,
            room_id=room_id,
            sender=sender,
            event_type=event_type,
            content=json.dumps(content),
            created_at=now,
            give_up_at=now + give_up_after_s,
        )
        stored = await self._store.outbox.put(send)
        if stored is not None:
            self._change_depth(1)
            self._queues.offer(room_id, stored)

    async def send_and_wait(
        self,
        *,
        room_id: RoomId,
        sender: UserId,
        event_type: str,
        content: Json,
        txn_id: str,
        give_up_after_s: float,
    ) -> EventId:
        """Send, and return when the homeserver has accepted the event. Raises :class:`MatrixError` when it has not."""
        accepted: asyncio.Future[EventId] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(txn_id, []).append(accepted)
        try:
            async with asyncio.timeout(give_up_after_s):
                await self.send(
                    room_id=room_id,
                    sender=sender,
                    event_type=event_type,
                    content=content,
                    txn_id=txn_id,
                    give_up_after_s=give_up_after_s,
                )
                await self._look_back(txn_id)
                return await accepted
        except TimeoutError as error:
            raise MatrixError("M_UNREACHABLE", "not accepted in time") from error
        finally:
            self._forget_waiter(txn_id, accepted)

    async def withdraw(self, txn_id: str) -> None:
        """Try to send an event no longer. An attempt that is under way goes on, and whoever waits does not wait for it.

        Whether the event got through is not known then: what follows in its room has to hold either way.
        """
        if txn_id in self._waiters:
            self._withdrawn.add(txn_id)
        if await self._store.outbox.withdraw(txn_id):
            self._change_depth(-1)
        self._settle(txn_id, MatrixError(WITHDRAWN))

    async def _look_back(self, txn_id: str) -> None:
        """A known transaction id may have been decided long ago, even by another process."""
        outcome = await self._store.outbox.outcome(txn_id)
        if outcome is not None and not outcome.pending:
            self._settle(txn_id, outcome.event_id or _not_sent())

    def _forget_waiter(self, txn_id: str, waiter: asyncio.Future[EventId]) -> None:
        if not waiter.done():
            waiter.cancel()
        waiters = self._waiters.get(txn_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(txn_id, None)

    # --- what the room queues ask -------------------------------------------------------------------------------

    async def load(self, room_id: RoomId, limit: int) -> Sequence[StoredSend]:
        return await self._store.outbox.waiting(room_id, limit=limit)

    async def rooms(self, limit: int) -> Sequence[RoomId]:
        return await self._store.outbox.rooms_waiting(limit=limit)

    async def handle(self, item: StoredSend) -> None:
        """Deliver one event, or find out that it cannot be delivered."""
        send = item.send
        result, outcome = await self._deliver(send)
        self._settle(send.txn_id, result)
        if await self._store.outbox.finish(send.txn_id, None if isinstance(result, MatrixError) else result):
            self._change_depth(-1)
        # Again, for who began to wait in between and found the send undecided in the store.
        self._settle(send.txn_id, result)
        self._withdrawn.discard(send.txn_id)
        self._telemetry.count("matrix_send_total", kind=_KINDS.get(send.event_type, "other"), outcome=outcome)

    async def _deliver(self, send: NewSend) -> tuple[EventId | MatrixError, str]:
        remaining_s = send.give_up_at - self._clock.wall()
        if remaining_s <= 0:
            _log.warning("event_expired", room_id=send.room_id, type=send.event_type, txn_id=send.txn_id)
            return _not_sent(), "expired"
        try:
            return await self._put(send, remaining_s), "sent"
        except MatrixError as error:
            if error.errcode == WITHDRAWN:
                _log.info("event_withdrawn", room_id=send.room_id, type=send.event_type, txn_id=send.txn_id)
                return error, "withdrawn"
            _log.warning(
                "event_not_sent",
                room_id=send.room_id,
                type=send.event_type,
                txn_id=send.txn_id,
                sender=Pii(send.sender),
                reason=error.errcode,
                status=error.status,
            )
            return error, "failed" if error.temporary else "refused"
        except StoreError:
            raise
        except Exception:
            # Left undecided, it would come up again for ever.
            self._telemetry.count("internal_errors_total", component="matrix_sender")
            _log.exception("sending_failed", room_id=send.room_id, type=send.event_type, txn_id=send.txn_id)
            return _not_sent(), "failed"

    async def _put(self, send: NewSend, remaining_s: float) -> EventId:
        try:
            return await self._put_once(send, remaining_s)
        except MatrixError as error:
            if error.status != 403:
                raise
        # A ghost that was removed, or that the homeserver has forgotten, comes back once.
        await self._ghosts.ensure(send.sender, again=True)
        await self._client.join(send.room_id, send.sender, give_up_after_s=remaining_s)
        return await self._put_once(send, remaining_s)

    async def _put_once(self, send: NewSend, give_up_after_s: float) -> EventId:
        return await self._client.send(
            send.room_id,
            send.sender,
            send.event_type,
            json.loads(send.content),
            txn_id=send.txn_id,
            give_up_after_s=give_up_after_s,
            wanted=lambda: send.txn_id not in self._withdrawn,
        )

    def _settle(self, txn_id: str, result: EventId | MatrixError) -> None:
        for waiter in self._waiters.pop(txn_id, []):
            if waiter.done():
                continue
            if isinstance(result, MatrixError):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)

    def _change_depth(self, change: int) -> None:
        self._depth = max(0, self._depth + change)
        self._telemetry.gauge("matrix_outbox_depth", self._depth)


def _not_sent() -> MatrixError:
    """What became of it is not known any more, or it was too late."""
    return MatrixError("M_NOT_SENT", "the homeserver did not accept the event")
