"""The address book as a file that may change while the bridge runs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from bridge.core.errors import TrunklineError
from bridge.core.ids import E164
from bridge.core.picture import Picture
from bridge.numbers.address_book import AddressBook, parse_address_book

log = structlog.get_logger(__name__)

LOOK_INTERVAL_S = 30.0
MAX_BYTES = 16 << 20

Stamp = tuple[int, int] | None
"""Size and time of change; `None` for a file that is not there."""


class AddressBookFile:
    """Names by number; what cannot be read keeps the names that were read last."""

    def __init__(self, path: Path | None, region: Callable[[], str]) -> None:
        """`region` is the one whose national numbers are meant, which may change as well."""
        self._path = path
        self._region = region
        self._book = AddressBook()
        self._read_as: tuple[Stamp, str] = (None, "")

    def name_of(self, number: str) -> str | None:
        """The name of a canonical number, if it has one."""
        return self._book.names.get(E164(number))

    def picture_of(self, number: str) -> Picture | None:
        """The picture of a canonical number, if it has one."""
        return self._book.pictures.get(E164(number))

    def reload(self) -> bool:
        """Read the file if it is not the one that was read last; whether that changed an entry. Blocking."""
        stamp, region = self._look(), self._region()
        if self._path is None or (stamp, region) == self._read_as:
            return False
        before, self._read_as = (self._book.names, self._book.pictures), (stamp, region)
        if stamp is not None:
            self._read(self._path, region)
        return (self._book.names, self._book.pictures) != before

    async def keep_current(self, on_change: Callable[[], Awaitable[object]]) -> None:
        """Look at the file now and then, for as long as this runs; `on_change` is called after every change.

        And once at the start: the file may have changed while no process watched it.
        """
        pending = True
        while True:
            pending = await asyncio.to_thread(self.reload) or pending
            if pending:
                pending = not await _done(on_change)
            await asyncio.sleep(LOOK_INTERVAL_S)

    def _look(self) -> Stamp:
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return None if found is None else (found.st_size, found.st_mtime_ns)

    def _read(self, path: Path, region: str) -> None:
        try:
            with path.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise ValueError(f"is larger than {MAX_BYTES >> 20} MiB")
            self._book = parse_address_book(content.decode("utf-8-sig"), region)
        except (OSError, ValueError) as error:
            log.warning("address_book_not_read", detail=str(getattr(error, "strerror", None) or error))
            return
        names, pictures = len(self._book.names), len(self._book.pictures)
        log.info("address_book_read", names=names, pictures=pictures, unusable_lines=list(self._book.faults))


async def _done(on_change: Callable[[], Awaitable[object]]) -> bool:
    try:
        await on_change()
    except TrunklineError as error:
        log.warning("names_not_changed", detail=str(error))
        return False
    return True
