"""All that is kept about one Matrix user, wherever it lies: to be handed out, or erased."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bridge.config import Config, trace_settings
from bridge.core.ids import UserId
from bridge.ops.record_keeping import forget_user, records_of
from bridge.store.personal import erase_rows, personal_rows
from bridge.store.traces.file import TraceFile
from bridge.store.traces.reader import TraceReader


def message_folder(database: Path) -> Path:
    """Where recordings of messages lie: beside the database, which is where we may write."""
    return database.with_name(f"{database.stem}-messages")


def export_user(config: Config, user: UserId) -> dict[str, Any]:
    """Everything, as JSON could have it. Raises `TrunklineError` or `OSError`."""
    database, records, traces = config.store.path, config.ops.call_records, trace_settings(config).path
    rows = personal_rows(database, user)
    recordings = [message_folder(database) / f"{row['message_id']}.ogg" for row in rows.get("messages", ())]
    return {
        "user": user,
        "call_records": list(records_of(records, user)) if records is not None else [],
        "database": rows,
        "recordings": [str(file) for file in recordings if file.exists()],
        "traces": _traces_of(traces, user) if traces is not None and traces.exists() else [],
    }


def erase_user(config: Config, user: UserId) -> dict[str, int]:
    """Erase it, and say how much of what it was. Raises `TrunklineError` or `OSError`, also while the bridge runs.

    The database comes first, since its lock shows that no bridge runs.
    """
    database, records, traces = config.store.path, config.ops.call_records, trace_settings(config).path
    recordings = [message_folder(database) / f"{row['message_id']}.ogg" for row in _messages(database, user)]
    erased = erase_rows(database, user)
    erased["recordings"] = sum(_unlink(file) for file in recordings)
    erased["call_records"] = forget_user(records, user) if records is not None else 0
    erased["traces"] = _forget_traces(traces, user) if traces is not None and traces.exists() else 0
    return erased


def _traces_of(path: Path, user: UserId) -> list[dict[str, Any]]:
    reader = TraceReader(path)
    return [
        {**asdict(call), "entries": [asdict(entry) for entry in reader.entries(call.call_id)]}
        for call in reader.calls_of(user)
    ]


def _messages(database: Path, user: UserId) -> list[Any]:
    return list(personal_rows(database, user).get("messages", ()))


def _unlink(file: Path) -> bool:
    there = file.exists()
    file.unlink(missing_ok=True)
    return there


def _forget_traces(path: Path, user: UserId) -> int:
    file = TraceFile(path)
    try:
        return file.forget_user(user)
    finally:
        file.close()
