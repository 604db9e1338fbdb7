"""Takes transactions in: on disk, then acknowledged, then worked on, each event once and in the order of its room."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bridge.core.clock import Clock
from bridge.core.ids import RoomId
from bridge.core.telemetry import Telemetry
from bridge.matrix.envelope import (
    Arrival,
    BrokenEventError,
    CheckedEvent,
    arrival,
    check_event,
    hung_up_later,
    load_json,
    take_apart,
)
from bridge.matrix.events import RoomEvent
from bridge.matrix.ghosts import GhostNames
from bridge.matrix.membership import Membership
from bridge.matrix.presence import PresenceBook
from bridge.matrix.room_queues import RoomQueues
from bridge.store import Store, StoreError
from bridge.store.inbox import Accepted, DeadLetter, NewEvent, NewTransaction, StoredEvent

_log = structlog.get_logger()

_WORK_LIMIT_S = 120.0
_HISTORY_AGE_MS = 180_000

Handler = Callable[[RoomEvent], Awaitable[None]]


class Receiver:
    """The one way in from rooms. Whatever must happen to an event before it is worked on, happens here."""

    def __init__(
        self,
        *,
        hs_token: str,
        names: GhostNames,
        presence: PresenceBook,
        membership: Membership,
        store: Store,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._fingerprint = hashlib.sha256(hs_token.encode()).hexdigest()[:16]
        self._names = names
        self._presence = presence
        self._membership = membership
        self._inbox = store.inbox
        self._clock = clock
        self._telemetry = telemetry
        self._handler: Handler | None = None
        self._queues: RoomQueues[Arrival] = RoomQueues(self, component="matrix_receiver", telemetry=telemetry)

    def start(self, group: asyncio.TaskGroup, handler: Handler) -> None:
        """Begin, with what an earlier process had acknowledged but not worked on."""
        self._handler = handler
        self._queues.start(group)

    async def stop(self) -> None:
        """Finish the events at work; the others stay on disk for the next process."""
        await self._queues.stop(finish=False)

    async def accept(self, txn_id: str, body: bytes) -> None:
        """Store a transaction; when this returns it may be acknowledged.

        Raises :class:`bridge.matrix.envelope.NotJsonError` when the body is no JSON, and
        :class:`bridge.store.StoreError` when it could not be stored and must come again.
        """
        started = self._clock.monotonic()
        document = load_json(body)
        delivery = take_apart(document, now_ms=self._clock.wall() * 1000)
        transaction = NewTransaction(
            token_fingerprint=self._fingerprint,
            txn_id=txn_id,
            body_hash=delivery.body_hash,
            events=tuple(event.new for event in delivery.good if not self._is_echo(event)),
            dead_letters=delivery.broken,
        )
        accepted = await self._inbox.accept(transaction, now=self._clock.wall())
        self._count(transaction, accepted, self._clock.monotonic() - started)
        if not accepted.replay:
            self._presence.take(document)
        for event in accepted.events:
            self._offer(event)

    def _is_echo(self, event: CheckedEvent) -> bool:
        """Our own messages come back; our state events tell something about the room all the same."""
        return not event.is_state and self._names.is_ours(event.sender)

    def _offer(self, stored: StoredEvent) -> None:
        item = self._arrival(stored)
        self._telemetry.observe("matrix_event_lag_seconds", item.event.age_ms / 1000)
        self._queues.offer(stored.room_id, item)

    def _arrival(self, stored: StoredEvent) -> Arrival:
        return arrival(stored, now=self._clock.monotonic(), now_wall=self._clock.wall())

    def _count(self, transaction: NewTransaction, accepted: Accepted, took_s: float) -> None:
        replay = accepted.replay or (bool(transaction.events) and not accepted.events)
        self._telemetry.count("matrix_txn_total", outcome="replay" if replay else "new")
        self._telemetry.observe("matrix_txn_seconds", took_s)
        if accepted.replay:
            return
        for letter in transaction.dead_letters:
            self._telemetry.count("matrix_dead_letters_total", reason="broken")
            _log.warning("event_was_broken", txn_id=transaction.txn_id[:64], reason=letter.reason)

    # --- what the room queues ask -------------------------------------------------------------------------------

    async def load(self, room_id: RoomId, limit: int) -> Sequence[Arrival]:
        return [self._arrival(stored) for stored in await self._inbox.waiting(room_id, limit=limit)]

    async def rooms(self, limit: int) -> Sequence[RoomId]:
        return await self._inbox.rooms_waiting(limit=limit)

    async def handle(self, item: Arrival) -> None:
        """Work on one event: ours first, which may be repeated, then the handler's, which may not."""
        history = await self._own_work(item)
        await self._work_once(item)
        for past in await self._missed(history):
            await self._work_once(past)

    async def _own_work(self, item: Arrival) -> Sequence[object]:
        """A fault in our own part must not keep the event from the calls."""
        try:
            return await self._membership.handle(item)
        except StoreError:
            raise
        except Exception:
            self._telemetry.count("internal_errors_total", component="matrix_membership")
            _log.exception("membership_failed", event_id=item.event.event_id, room_id=item.event.room_id)
            return []

    async def _work_once(self, item: Arrival) -> None:
        """Claim the event, then hand it over: a process that dies in between loses it rather than dial twice."""
        if not await self._inbox.claim(item.position):
            return
        if self._handler is None or self._names.is_ours(item.event.sender):
            return
        try:
            async with asyncio.timeout(_WORK_LIMIT_S):
                await self._handler(item.event)
        except Exception as error:
            self._telemetry.count("internal_errors_total", component="matrix_handler")
            self._telemetry.count("matrix_dead_letters_total", reason="failed")
            _log.exception("event_failed", event_id=item.event.event_id, room_id=item.event.room_id)
            letter = DeadLetter(reason=type(error).__name__, body=f"{item.event.type} {item.event.event_id}")
            await self._inbox.bury(letter, now=self._clock.wall())

    async def _missed(self, history: Sequence[object]) -> Sequence[Arrival]:
        """Recent events of a room's history that nobody has worked on."""
        fresh: list[NewEvent] = []
        over = hung_up_later(history)
        for index, raw in enumerate(history):
            try:
                event = check_event(raw, now_ms=self._clock.wall() * 1000, hung_up=index in over)
            except BrokenEventError as error:
                _log.info("history_event_was_broken", reason=error.reason)
                continue
            if event.age_ms <= _HISTORY_AGE_MS:
                fresh.append(event.new)
        if not fresh:
            return []
        return [self._arrival(stored) for stored in await self._inbox.add(fresh, now=self._clock.wall())]
