"""The trail of changes: which program has done what, when, and what came of it."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import structlog

from bridge.core.clock import Clock
from bridge.core.pii import Pii
from bridge.ops.admin.desk import Document
from bridge.store.administration import BEGUN, ChangeTable, StoredChange
from bridge.store.database import StoreError

MAX_BODY = 4_096
"""Characters of what was sent that the trail keeps."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A change that is being made."""

    position: int
    """In the trail."""
    change: StoredChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """In the database, which has people as they are; the log has them as keyed hashes."""

    table: ChangeTable
    clock: Clock

    async def begin(self, *, who: str, action: str, subject: str, body: Document) -> Begun:
        """Write down what is about to be done; raises `StoreError`, and then nothing may be done."""
        sent = json.dumps(body, ensure_ascii=True)[:MAX_BODY] if body else ""
        change = StoredChange(at=self.clock.wall(), who=who, action=action, subject=subject, body=sent, status=BEGUN)
        return Begun(position=await self.table.add(change), change=change)

    async def end(self, begun: Begun, *, status: int) -> None:
        """And what came of it. Where that cannot be written, the trail says that it was begun, which is true."""
        change = begun.change
        _log.info("admin_change", who=change.who, action=change.action, subject=Pii(change.subject), status=status)
        try:
            await self.table.finish(begun.position, status)
        except StoreError as error:
            _log.error("admin_outcome_not_written", position=begun.position, status=status, detail=str(error))

    async def last(self, *, before: int | None, limit: int) -> Document:
        """The newest first; `next` continues with older ones."""
        found = await self.table.last(before=before, limit=limit)
        changes = [
            {"position": position, **asdict(change), "at": utc(change.at), "status": change.status or None}
            for position, change in found
        ]
        return {"changes": changes, **({"next": found[-1][0]} if len(found) == limit else {})}


def utc(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 has them."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
