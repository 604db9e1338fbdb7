"""The names of numbers follow a file."""

import asyncio
import os
from pathlib import Path

import pytest

from bridge.app import address_book
from bridge.app.address_book import AddressBookFile
from bridge.core.errors import TrunklineError
from tests.patience import PATIENCE_S


def write(path: Path, text: str, *, age_s: int) -> None:
    """With a time of change of its own, for two writes can fall into one tick of the file system's clock."""
    path.write_text(text)
    os.utime(path, (1_700_000_000 - age_s, 1_700_000_000 - age_s))


def test_names_change_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    write(path, "+15550100,Jane\n", age_s=10)
    book = AddressBookFile(path, lambda: "US")
    assert book.reload()
    assert (book.name_of("+15550100"), book.name_of("+15550101")) == ("Jane", None)
    assert not book.reload()
    write(path, "+15550100,Joan\n", age_s=5)
    assert book.reload()
    assert book.name_of("+15550100") == "Joan"


@pytest.mark.parametrize("trouble", ["gone", "not text", "too large"])
def test_a_file_that_cannot_be_read_leaves_the_names_as_they_are(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "names.csv"
    write(path, "+15550100,Jane\n", age_s=10)
    book = AddressBookFile(path, lambda: "US")
    book.reload()
    if trouble == "gone":
        path.unlink()
    elif trouble == "not text":
        path.write_bytes(b"\xff\xfe\xff")
    else:
        monkeypatch.setattr(address_book, "MAX_BYTES", 10)
        write(path, "+15550100,Joan Example\n", age_s=5)
    assert not book.reload()
    assert book.name_of("+15550100") == "Jane"


def test_without_a_file_nobody_has_a_name() -> None:
    book = AddressBookFile(None, lambda: "US")
    assert not book.reload()
    assert book.name_of("+15550100") is None


async def test_whoever_shows_names_is_told_of_changes_until_it_has_worked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_book, "LOOK_INTERVAL_S", 0.001)
    path = tmp_path / "names.csv"
    write(path, "+15550100,Jane\n", age_s=10)
    book = AddressBookFile(path, lambda: "US")
    told: asyncio.Queue[str | None] = asyncio.Queue()
    failures = 2

    async def rename() -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise TrunklineError("the homeserver is away")
        told.put_nowait(book.name_of("+15550100"))

    watching = asyncio.create_task(book.keep_current(rename))
    async with asyncio.timeout(PATIENCE_S):
        assert await told.get() == "Jane"
        write(path, "+15550100,Joan\n", age_s=5)
        assert await told.get() == "Joan"
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert failures == 0
    assert told.empty()
