"""What a program is told when something is not done (RFC 9457)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing to put right in what was sent."""

    pointer: str
    """Where (RFC 6901): `/prefixes/0`; empty is the whole."""
    detail: str


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818 - the RFC's word
    """An answer that is no success."""

    status: int
    detail: str
    mistakes: Sequence[Mistake] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON could have it; its type is the status alone, `about:blank`."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.mistakes:
            document["errors"] = [{"pointer": m.pointer, "detail": m.detail} for m in self.mistakes]
        return document
