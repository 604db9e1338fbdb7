"""The trail of changes: which program has done what, when, and what came of it."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import structlog

from bridge.core.clock import Clock
from bridge.core.pii import Pii
from bridge.ops.admin.desk import Document
from bridge.store.administration import ChangeTable, StoredChange

MAX_BODY = 4_096
"""Characters of what was sent that the trail keeps."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """In the database, which has people as they are; the log has them as keyed hashes."""

    table: ChangeTable
    clock: Clock

    async def note(self, *, who: str, action: str, subject: str, body: Document, status: int) -> None:
        """Write down a change that was made, or refused. Raises `StoreError`."""
        _log.info("admin_change", who=who, action=action, subject=Pii(subject), status=status)
        sent = json.dumps(body, ensure_ascii=True)[:MAX_BODY] if body else ""
        await self.table.add(
            StoredChange(at=self.clock.wall(), who=who, action=action, subject=subject, body=sent, status=status)
        )

    async def last(self, *, before: int | None, limit: int) -> Document:
        """The newest first; `next` continues with older ones."""
        found = await self.table.last(before=before, limit=limit)
        changes = [{"position": position, **asdict(change), "at": utc(change.at)} for position, change in found]
        return {"changes": changes, **({"next": found[-1][0]} if len(found) == limit else {})}


def utc(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 has them."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
