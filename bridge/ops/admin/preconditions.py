"""Whether what a program has read of a resource is still so when it changes it (RFC 9110 §8.8.3, §13)."""

import hashlib
import json

from aiohttp import ETag, web

from bridge.ops.admin.desk import Document
from bridge.ops.admin.problems import Problem

_ANY = "*"


def tag_of(document: Document) -> str:
    """The entity tag of a representation: the same for the same words, whichever process says them."""
    written = json.dumps(document, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()[:32]


def require(request: web.Request, current: str | None) -> None:
    """Raise 412 for a change that is only wanted of another state; `current` is the tag of what is there, if anything.

    A tag that cannot be read fits nothing, and neither does an empty header, nor a weak tag in If-Match (RFC 9110
    §13.1.1).
    """
    if "If-Match" in request.headers and not _fits(request, "If-Match", request.if_match, current, weakly=False):
        detail = "It is not what you have read any more: read it again, and decide anew."
        raise Problem(412, detail if current is not None else "It is not there.")
    if _fits(request, "If-None-Match", request.if_none_match, current, weakly=True):
        raise Problem(412, "It is there already.")


def is_known(request: web.Request, tag: str) -> bool:
    """Whether whoever reads has this version already (RFC 9110 §13.1.2)."""
    return _fits(request, "If-None-Match", request.if_none_match, tag, weakly=True)


def _fits(request: web.Request, name: str, tags: tuple[ETag, ...] | None, current: str | None, *, weakly: bool) -> bool:
    """Whether a header means what is there: `*` alone is anything, and `"*"` a tag like others, which we never give."""
    if current is None:
        return False
    if request.headers.get(name, "").strip() == _ANY:
        return True
    return any(tag.value == current and (weakly or not tag.is_weak) for tag in tags or ())
