"""The store as a whole."""

import asyncio
from pathlib import Path

from bridge.core.telemetry import Telemetry
from bridge.store.administration import ChangeTable, EntryTable
from bridge.store.calls import ActiveCalls, EndedCalls
from bridge.store.database import Database, open_database
from bridge.store.forwards import ForwardTable
from bridge.store.inbox import Inbox
from bridge.store.lock import DatabaseLock
from bridge.store.messages import MessageTable
from bridge.store.outbox import Outbox
from bridge.store.people import BlockedNumbers, OwnNames, PastCalls, SettingsTable
from bridge.store.rooms import GhostRooms, GhostTable, NoticeTable, PortalTable
from bridge.store.spending import SpendTable, SuspensionTable
from bridge.store.texts import SentTexts
from bridge.store.trunks import TrunksOut
from bridge.store.upgrade import upgrade_database

_KEPT_S = 7 * 24 * 3600.0
"""How long what has been dealt with is remembered; a homeserver repeats a transaction for as long as we are away."""
_TOMBSTONE_S = 3600.0
_FORWARDS_COUNT_S = 24 * 3600.0
_TEXTS_COUNT_S = 2 * 24 * 3600.0
"""A day, wherever this machine is."""


class Store:
    """Everything that survives the process. `open` it first."""

    def __init__(self, database: Database, lock: DatabaseLock) -> None:
        self._database = database
        self._lock = lock
        self.inbox = Inbox(database)
        self.outbox = Outbox(database)
        self.ghosts = GhostTable(database)
        self.rooms = GhostRooms(database)
        self.portals = PortalTable(database)
        self.notices = NoticeTable(database)
        self.calls = ActiveCalls(database)
        self.ended_calls = EndedCalls(database)
        self.settings = SettingsTable(database)
        self.messages = MessageTable(database)
        self.blocked = BlockedNumbers(database)
        self.own_names = OwnNames(database)
        self.past_calls = PastCalls(database)
        self.spending = SpendTable(database)
        self.suspensions = SuspensionTable(database)
        self.forwards = ForwardTable(database)
        self.sent_texts = SentTexts(database)
        self.trunks_out = TrunksOut(database)
        self.admin_entries = EntryTable(database)
        self.admin_changes = ChangeTable(database)

    @classmethod
    async def open(cls, path: str | Path, telemetry: Telemetry | None = None) -> "Store":
        """Open or create the database at `path` and bring it up to date.

        Raises :class:`bridge.store.StoreError` with a sentence for the admin when that is impossible: a bridge that
        forgets what it has done would place calls twice.
        """
        lock = DatabaseLock(Path(path))
        try:
            await asyncio.to_thread(upgrade_database, Path(path))
            return cls(open_database(Path(path), telemetry), lock)
        except BaseException:
            lock.release()
            raise

    @property
    def healthy(self) -> bool:
        """Whether the last write succeeded: on a full disk nothing can be promised to the homeserver any more."""
        return self._database.healthy

    @property
    def waiting(self) -> int:
        """How many writes have not begun."""
        return self._database.waiting

    async def close(self) -> None:
        """Finish what is being written and read, then close the file; may be called twice."""
        try:
            await self._database.close()
        finally:
            self._lock.release()

    async def prune(self, *, now: float) -> None:
        """Forget what nobody will ask for any more."""
        await self.inbox.prune(before=now - _KEPT_S)
        await self.outbox.prune(before=now - _KEPT_S)
        await self.ended_calls.prune(before=now - _TOMBSTONE_S)
        await self.forwards.prune(before=now - _FORWARDS_COUNT_S, after=now + _FORWARDS_COUNT_S)
        await self.sent_texts.prune(before=now - _TEXTS_COUNT_S, after=now + _TEXTS_COUNT_S)
