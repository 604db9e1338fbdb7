"""The database for a command that runs beside the bridge, and so may block."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from bridge.store.database import StoreError


@contextmanager
def open_beside(path: Path) -> Iterator[Connection]:
    """Read, or write what no bridge has in memory. Raises :class:`StoreError`, also for what happens inside."""
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StoreError(f"the database {path} cannot be used: {error}") from error
    finally:
        engine.dispose()
