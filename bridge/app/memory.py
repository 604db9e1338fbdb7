"""What the next process must know of the calls of this one: which were going on, and which Matrix calls are over."""

from collections.abc import Awaitable, Callable

import structlog

from bridge.app.live_call import LiveCall
from bridge.calls import snapshot
from bridge.calls.call import Call
from bridge.calls.ports import SipPort
from bridge.calls.snapshot import SnapshotError
from bridge.core.clock import Clock
from bridge.core.telemetry import Telemetry
from bridge.store import Store, StoreError

log = structlog.get_logger(__name__)


class Memory:
    """Writes in the call's Matrix lane: a call is forgotten only after its last event is safely stored for sending.

    And after its record is on the disk: whatever a process leaves undone when it dies, the next one does once more.
    """

    def __init__(self, store: Store, sip: SipPort, clock: Clock, telemetry: Telemetry) -> None:
        self._store = store
        self._sip = sip
        self._clock = clock
        self._telemetry = telemetry

    def remember(self, live: LiveCall) -> None:
        """Write the call down, so that the next process can end it if this one dies."""
        if live.snapshot_due:
            return
        live.remembered = live.snapshot_due = True
        live.matrix_lane.submit(lambda: self._guarded(lambda: self._put(live)))

    def forget(self, live: LiveCall) -> None:
        """The call is over, both sides have been told, and its record is written."""
        live.matrix_lane.submit(lambda: self._guarded(lambda: self._delete(live)))

    async def left_over(self) -> list[Call]:
        """The calls that the last process had not ended; unreadable ones are dropped and counted."""
        calls = []
        for call_id, text in (await self._store.calls.all()).items():
            try:
                calls.append(snapshot.load(text))
            except SnapshotError:
                log.warning("call_snapshot_unreadable", call_id=call_id)
                await self._store.calls.delete(call_id)
        return calls

    async def _put(self, live: LiveCall) -> None:
        live.snapshot_due = False
        if live.call.ended:
            return
        legs = ((dialog, self._sip.saved_leg(dialog)) for dialog in live.dialogs)
        live.call.sip_legs = {dialog: leg for dialog, leg in legs if leg is not None}
        text = snapshot.dump(live.call)
        if live.written != (written := hash(text)):
            await self._store.calls.put(live.call.call_id, text)
            live.written = written

    async def _delete(self, live: LiveCall) -> None:
        for room_id, matrix_call_id in live.matrix_calls:
            await self._store.ended_calls.put(room_id, matrix_call_id, now=self._clock.wall())
        if live.remembered:
            await self._store.calls.delete(live.call.call_id)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """A store in trouble costs a call its safety net, never the call."""
        try:
            await work()
        except StoreError as error:
            # A full disk is no bug of ours; the store tells by itself that it cannot write.
            log.warning("call_not_remembered", detail=str(error))
        except Exception:
            log.exception("call_memory_failed")
            self._telemetry.count("internal_errors_total", component="store")
