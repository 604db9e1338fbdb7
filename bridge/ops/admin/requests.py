"""Reads what a program sends: bounded, in time, and JSON without its loopholes."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from aiohttp import web

from bridge.ops.admin.problems import Problem

MAX_BODY = 64 * 1024
BODY_LIMIT_S = 10.0
_JSON = "application/json"


async def read_body(request: web.Request) -> Mapping[str, Any]:
    """The object of JSON in a request's body."""
    if request.content_type != _JSON:
        raise Problem(415, f"the body has to be {_JSON}")
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            content = await _read(request)
    except TimeoutError as error:
        raise Problem(408, "the body did not come in time") from error
    except web.RequestPayloadError as error:
        raise Problem(400, "the body cannot be decoded") from error
    except ConnectionError as error:
        # Nobody hears this: whoever asked is gone in the middle of it.
        raise Problem(400, "the body broke off") from error
    try:
        document = json.loads(content, object_pairs_hook=_without_doubles, parse_constant=_no_number)
        # Half of a surrogate pair can be written as an escape, and is no character (RFC 7493 §2.1).
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is no JSON that can be read") from error
    if not isinstance(document, dict):
        raise Problem(400, "the body has to be an object")
    return document


async def _read(request: web.Request) -> bytes:
    """Never more of it than is allowed, whatever length it claims to have."""
    content = bytearray()
    async for chunk in request.content.iter_any():
        content += chunk
        if len(content) > MAX_BODY:
            raise Problem(413, f"the body may have {MAX_BODY} octets")
    return bytes(content)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two members of one name a program would mean either (RFC 8259 §4)."""
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a name comes twice")
    return document


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def whole_number(query: Mapping[str, str], name: str, *, otherwise: int, most: int) -> int:
    """A parameter from 1 to `most`."""
    text = query.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise Problem(400, f"{name} has to be a whole number from 1 to {most}")
    return int(text)
