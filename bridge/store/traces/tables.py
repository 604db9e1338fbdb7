"""The tables of the file of traces, and how it is opened."""

import sqlite3
from dataclasses import fields
from pathlib import Path

from bridge.store.traces.rows import TracedCall, TraceEntry

VERSION = 2
"""Of the tables below; a file with another one is begun anew."""
BUSY_S = 5.0

_TABLES = """
CREATE TABLE calls (
    call_id TEXT PRIMARY KEY, began_at REAL NOT NULL, ended_at REAL, direction TEXT NOT NULL, trunk TEXT NOT NULL,
    user TEXT NOT NULL, number TEXT NOT NULL, own_number TEXT NOT NULL, result TEXT NOT NULL, reason TEXT NOT NULL,
    sip_status INTEGER NOT NULL, talk_s REAL NOT NULL, ended_by TEXT NOT NULL,
    cost INTEGER NOT NULL
);
CREATE INDEX calls_by_time ON calls (began_at);
CREATE TABLE names (name TEXT NOT NULL, call_id TEXT NOT NULL, PRIMARY KEY (name, call_id)) WITHOUT ROWID;
CREATE INDEX names_by_call ON names (call_id);
CREATE TABLE entries (
    position INTEGER PRIMARY KEY, call_id TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, way TEXT NOT NULL,
    title TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX entries_by_call ON entries (call_id, at);
"""

CALL_FIELDS = ", ".join(field.name for field in fields(TracedCall))
ENTRY_FIELDS = ", ".join(field.name for field in fields(TraceEntry))


def open_anew(path: Path) -> sqlite3.Connection:
    """Open the file; one that is damaged, or of another version, makes room for an empty one."""
    path.touch(mode=0o600)
    try:
        connection = _connect(path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.OperationalError:
        # The disk is full, or another program holds the file: that passes, and the traces are wanted then.
        raise
    except sqlite3.DatabaseError:
        version = -1
    if version == VERSION:
        return connection
    if version:
        for name in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
        path.touch(mode=0o600)
        connection = _connect(path)
    connection.executescript(f"PRAGMA auto_vacuum = INCREMENTAL; VACUUM; {_TABLES} PRAGMA user_version = {VERSION};")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
