"""Numbers and permissions that are set while the bridge runs: on disk first, then in the plan that calls go by."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from bridge.app.live_plan import LivePlan
from bridge.config import Config, ConfigError, Fault
from bridge.config.additions import (
    NUMBER,
    PERMISSION,
    Additions,
    GrantedPermission,
    Key,
    called_number,
    read_number,
    read_permission,
)
from bridge.config.reached import InboundConfig
from bridge.core.pii import Pii
from bridge.core.turn import Turn
from bridge.store.administration import EntryTable, StoredEntry

log = structlog.get_logger(__name__)

MAX_NUMBERS = 10_000
MAX_PERMISSIONS = 1_000
"""Each call looks through all of them."""


class TooManyEntriesError(Exception):
    """There is no room for another one."""


class InFileError(Exception):
    """The entry stands in the configuration file, and is changed there."""


def read_entries(config: Config, stored: Iterable[StoredEntry]) -> Additions:
    """What was set before. An entry that can no longer be read stays on disk and has no effect."""
    numbers, permissions = dict[str, InboundConfig](), dict[str, GrantedPermission]()
    for entry in stored:
        try:
            if entry.kind == NUMBER:
                key, number = read_number(config, entry.name, entry.body)
                numbers[key] = number
            else:
                permissions[entry.name] = read_permission(config, entry.name, entry.body)
        except ConfigError as error:
            log.warning("added_entry_not_read", kind=entry.kind, entry=Pii(entry.name), reason=Pii(str(error)))
    return Additions(numbers=numbers, permissions=permissions)


class AddedEntries:
    """One change at a time: each is judged together with all others."""

    def __init__(self, live: LivePlan, table: EntryTable, turn: Turn) -> None:
        self._live = live
        self._table = table
        self._turn = turn

    async def load(self) -> None:
        """Take up what was set before."""
        self._live.add(self._live.added_to(read_entries(self._live.file(), await self._table.all())))
        self._live.say_what_rests()

    async def set_number(self, number: str, body: Mapping[str, Any]) -> tuple[str, bool]:
        """Assign a number; gives its canonical form, and whether it is new.

        Raises `ConfigError` for what the file could not say either, `InFileError`, `TooManyEntriesError`, `StoreError`.
        """
        async with self._turn.taken():
            file, added = self._live.file(), self._live.additions()
            key, entry = read_number(file, number, body)
            if key in file.numbers.inbound:
                raise InFileError
            candidate = replace(added, numbers={**added.numbers, key: entry})
            await self._set(candidate, (NUMBER, key), body, full=len(candidate.numbers) > MAX_NUMBERS)
            return key, key not in added.numbers

    async def drop_number(self, number: str) -> bool:
        """Take a number away; false when it was not assigned here. Raises as `set_number`."""
        async with self._turn.taken():
            try:
                key = called_number(self._live.file(), number)
            except ValueError:
                return False
            if key in self._live.file().numbers.inbound:
                raise InFileError
            known = key in self._live.additions().numbers
            if known:
                await self._drop((NUMBER, key))
            return known

    async def set_permission(self, name: str, body: Mapping[str, Any]) -> bool:
        """Permit calls; gives whether the name is new. Raises as `set_number`."""
        async with self._turn.taken():
            added = self._live.additions()
            permission = read_permission(self._live.file(), name, body)
            candidate = replace(added, permissions={**added.permissions, name: permission})
            full = len(candidate.permissions) > MAX_PERMISSIONS
            await self._set(candidate, (PERMISSION, name), body, full=full)
            return name not in added.permissions

    async def drop_permission(self, name: str) -> bool:
        """Permit them no more; false when there is none of that name."""
        async with self._turn.taken():
            known = name in self._live.additions().permissions
            if known:
                await self._drop((PERMISSION, name))
            return known

    async def _set(self, candidate: Additions, key: Key, body: Mapping[str, Any], *, full: bool) -> None:
        if full:
            raise TooManyEntriesError
        ready = await asyncio.to_thread(self._live.added_to, candidate)
        if (why := ready.left_out.get(key)) is not None:
            raise ConfigError([Fault(path="", message=why)])
        kind, name = key
        await self._table.put(StoredEntry(kind=kind, name=name, body=body))
        self._live.add(ready)

    async def _drop(self, key: Key) -> None:
        left = self._live.additions().without({key: ""})
        ready = await asyncio.to_thread(self._live.added_to, left)
        await self._table.drop(*key)
        self._live.add(ready)
