"""How long call records stay, and whose: lines are taken out of the file, and nothing of them stays on the disk."""

import itertools
import json
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge.core.ids import CallId, UserId
from bridge.core.pii import Pii

_NEWEST_OCTETS = 16_000_000
"""Ten thousand records: more than are written between the end of a call and the moment at which it is forgotten."""
_PEOPLE = ("user", "caller", "called", "connected")


def forget_older(path: Path, before: float, now: float) -> int:
    """Take out records of calls that ended before `before` (seconds since 1970); gives how many. Raises `OSError`.

    Records stand in the order in which calls ended, so those behind the first that is to stay are not looked at. What
    is no record, or one of the time to come, by a clock that was wrong, says nothing of those behind it.
    """
    moments = ((line, _ended_at(line)) for line in record_lines(path))
    head = itertools.takewhile(lambda found: found[1] is None or not before <= found[1] <= now, moments)
    if not any(moment is not None and moment < before for _, moment in head):
        return 0
    return _take_out(path, _Oldest(before, now))


@dataclass(slots=True)
class _Oldest:
    """Says which lines, asked in their order, are to be taken out."""

    before: float
    now: float
    has_ended: bool = False
    """The first record that is to stay was met."""

    def __call__(self, line: str) -> bool:
        if self.has_ended:
            return False
        moment = _ended_at(line)
        self.has_ended = moment is not None and self.before <= moment <= self.now
        return moment is not None and moment < self.before


def forget_user(path: Path, user: UserId) -> int:
    """Take out the records of one user's calls; gives how many. Raises `OSError`."""
    names = _names_of(user)
    if not any(_is_of(line, names) for line in record_lines(path)):
        return 0
    return _take_out(path, lambda line: _is_of(line, names))


def records_of(path: Path, user: UserId) -> Iterator[dict[str, Any]]:
    """The records of one user's calls, as they are in the file."""
    names = _names_of(user)
    for line in record_lines(path):
        record = _record(line)
        if record is not None and _names_in(record) & names:
            yield record


def with_record(path: Path, calls: Collection[CallId]) -> set[CallId]:
    """Which of these calls have a record among the newest ones. Raises `OSError`."""
    found: set[CallId] = set()
    for line in _newest_lines(path):
        record = _record(line)
        if record is not None and record.get("call_id") in calls:
            found.add(CallId(record["call_id"]))
    return found


def _newest_lines(path: Path) -> Iterator[str]:
    """Those at the end of the file; the first one may be half a line, which is no record."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(path.stat().st_size - _NEWEST_OCTETS, 0))
            for line in stream:
                yield line.decode(errors="surrogateescape")
    except FileNotFoundError:
        return


def record_lines(path: Path) -> Iterator[str]:
    """All lines of a file; none of one that is not there."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as stream:
            yield from stream
    except FileNotFoundError:
        return


def _take_out(path: Path, unwanted: Callable[[str], bool]) -> int:
    """Write the other lines to a file that then takes the place of this one; a crash leaves either of them whole."""
    new, taken = path.with_name(f".{path.name}.new"), 0
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            for line in record_lines(path):
                if unwanted(line):
                    taken += 1
                else:
                    stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return taken


def _names_of(user: UserId) -> set[str]:
    """The user as records may name them: by id, or by the keyed hash of it."""
    return {user, str(Pii(user))}


def _is_of(line: str, names: set[str]) -> bool:
    record = _record(line)
    return record is not None and bool(_names_in(record) & names)


def _names_in(record: dict[str, Any]) -> set[str]:
    return {value for name in _PEOPLE if isinstance(value := record.get(name), str)}


def _ended_at(line: str) -> float | None:
    """In seconds since 1970; `None` for a line that is no record, which is for a person to look at."""
    record = _record(line)
    try:
        return None if record is None else datetime.fromisoformat(record["t_end"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
