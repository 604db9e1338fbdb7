"""One process for one database: a second one would take the calls of the first for left over, and hang them up."""

import fcntl
import os
from pathlib import Path

from bridge.store.database import StoreError


class DatabaseLock:
    """Held from the beginning to `release`, or to the end of the process however it ends.

    On a file of its own: SQLite locks the database itself, and loses that lock when any other descriptor of it closes.
    """

    def __init__(self, path: Path) -> None:
        """Raises :class:`StoreError` with a sentence for the admin when somebody else holds it."""
        # By whatever name a database is opened, its lock is the same.
        database = path.resolve()
        self._descriptor: int | None = _open(path, database.with_name(f"{database.name}.lock"))
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise StoreError(f"the database {path} is in use by another trunkline process; end that first") from error
        except OSError as error:
            self.release()
            raise StoreError(f"the database {path} cannot be locked: {error.strerror}") from error

    def release(self) -> None:
        """Let others have it; may be called twice. The file stays: one that is removed can be locked by two."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(path: Path, lock: Path) -> int:
    try:
        return os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        remedy = "; its folder must belong to the user who runs this" if isinstance(error, PermissionError) else ""
        raise StoreError(f"the database {path} cannot be opened: {error.strerror}{remedy}") from error
