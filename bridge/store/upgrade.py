"""Checks a database file and brings it to the shape this version needs, before anything else touches it."""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from bridge.store.database import StoreError

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade_database(path: Path) -> None:
    """Create `path` or bring it up to date; blocking. Raises :class:`StoreError` with a sentence for the admin."""
    _create_private(path)
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            _check(connection, path)
            # All or nothing: else each new table would be there at once, before the revision that made it is noted.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            command.upgrade(_alembic_config(connection), "head")
            connection.commit()
    except CommandError as error:
        raise StoreError(f"the database {path} was made by a newer version of Trunkline: {error}") from error
    except DatabaseError as error:
        raise StoreError(_explain(path, str(error.orig))) from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database {path} cannot be used: {error}") from error
    finally:
        engine.dispose()


def _create_private(path: Path) -> None:
    """Nobody but us may read it: it holds telephone numbers and session descriptions."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"the database {path} cannot be opened: {error.strerror}") from error


def _check(connection: Connection, path: Path) -> None:
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if verdict != "ok":
        raise StoreError(_explain(path, str(verdict)))
    connection.rollback()


def _alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _explain(path: Path, detail: str) -> str:
    return (
        f"the database {path} is damaged or not a Trunkline database ({detail}); "
        "put back a copy, or move it away to start with an empty one"
    )
