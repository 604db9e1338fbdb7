"""Whether what a program has read of a resource is still so when it changes it (RFC 9110 §8.8.3, §13)."""

import hashlib
import json

from aiohttp import web

from bridge.ops.admin.desk import Document
from bridge.ops.admin.problems import Problem

_ANY = "*"


def tag_of(document: Document) -> str:
    """The entity tag of a representation: the same for the same words, whichever process says them."""
    written = json.dumps(document, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()[:32]


def require(request: web.Request, current: str | None) -> None:
    """Raise 412 for a change that is only wanted of another state; `current` is the tag of what is there, if anything.

    A tag that cannot be read fits nothing, and neither does a weak one in If-Match (RFC 9110 §13.1.1).
    """
    wanted, unwanted = request.if_match, request.if_none_match
    if wanted is not None and not any(
        current is not None and not tag.is_weak and tag.value in (current, _ANY) for tag in wanted
    ):
        detail = "It is not what you have read any more: read it again, and decide anew."
        raise Problem(412, detail if current is not None else "It is not there.")
    if unwanted is not None and current is not None and any(tag.value in (current, _ANY) for tag in unwanted):
        raise Problem(412, "It is there already.")


def is_known(request: web.Request, tag: str) -> bool:
    """Whether whoever reads has this version already (RFC 9110 §13.1.2)."""
    return any(known.value in (tag, _ANY) for known in request.if_none_match or ())
