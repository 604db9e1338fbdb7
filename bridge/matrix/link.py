"""HTTP to the homeserver: one request with its retries, and the error it may end with."""

import asyncio
import email.utils
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.errors import TrunklineError
from bridge.core.ids import UserId
from bridge.core.pii import Pii
from bridge.matrix.events import Json
from bridge.matrix.settings import MatrixSettings

WITHDRAWN = "M_WITHDRAWN"
"""The error code, of our own making, of a request that was given up because nobody wanted it any more."""
_MAX_ANSWER = 32 * 1024 * 1024
_LONGEST_WAIT_S = 86_400.0
"""Whoever asks for more time than this does not mean it, and is tried again in our own time."""


class MatrixError(TrunklineError):
    """The homeserver refused a request, or could not be reached (`status` is `None`)."""

    def __init__(
        self, errcode: str, message: str = "", *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{errcode} ({status or 'unreachable'})")
        self.errcode = errcode
        self.message = Pii(message)
        """The homeserver's own words, in which it likes to name users."""
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status is None or self.status in {408, 429} or self.status >= 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Waits between attempts: doubled each time, with some chance in them so that a crowd does not march in step."""

    first_s: float = 0.5
    longest_s: float = 4.0
    """A hangup that waits for a homeserver to come back must not wait much longer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request of the client-server API; `path` is made of raw segments, encoded here and nowhere else."""

    method: str
    path: tuple[str, ...]
    user: UserId | None = None
    query: tuple[tuple[str, str], ...] = ()
    body: Json | None = None
    file: bytes | None = field(default=None, repr=False)
    """Content that is no JSON, of `file_kind`."""
    file_kind: str = ""
    repeatable: bool = True
    """Whether doing it twice is the same as doing it once."""
    token: str = field(default="", repr=False)
    """Whose access token; empty is the application service's."""
    wanted: Callable[[], bool] = lambda: True
    """Asked before each attempt: what nobody wants any more is not tried again."""

    def content(self) -> tuple[bytes | None, str]:
        """Body and its media type."""
        if self.file is not None:
            return self.file, self.file_kind
        return None if self.body is None else json.dumps(self.body).encode(), "application/json"

    def target(self) -> str:
        """Path and query. A `+` in a query would be read as a space, so everything is encoded."""
        path = "/".join(quote(segment, safe="") for segment in self.path)
        query = (("user_id", self.user), *self.query) if self.user else self.query
        encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
        return f"/{path}?{encoded}" if encoded else f"/{path}"


class HomeserverLink:
    """The connection pool to the homeserver. `open` it on the running loop."""

    def __init__(self, settings: MatrixSettings, *, clock: Clock, entropy: Entropy, retry: RetryPolicy) -> None:
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._retry = retry
        self._base = settings.homeserver_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        headers = {"Authorization": f"Bearer {self._settings.as_token}"}
        self._session = aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=64))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, request: Request, *, give_up_after_s: float) -> Any:
        """The answer's JSON. Raises :class:`MatrixError` for a refusal, or when time is up.

        A homeserver that asks for time is waited for as long as it asks; other failures wait longer each time.
        """
        deadline = self._clock.monotonic() + give_up_after_s
        backoff_s = self._retry.first_s
        while True:
            if not request.wanted():
                raise MatrixError(WITHDRAWN, "nobody wants it any more")
            remaining_s = deadline - self._clock.monotonic()
            try:
                return await self._once(request, min(remaining_s, self._settings.request_timeout_s))
            except MatrixError as error:
                if not self._may_repeat(request, error):
                    raise
                wait_s = error.retry_after_s
                if not wait_s:
                    # Also for a homeserver that asks for no time at all, and means it again the next time.
                    wait_s = backoff_s * self._entropy.uniform(0.75, 1.0)
                    backoff_s = min(backoff_s * 2, self._retry.longest_s)
                wait_s = max(wait_s, self._retry.first_s * 0.75)
                if self._clock.monotonic() + wait_s >= deadline:
                    raise
            await asyncio.sleep(wait_s)

    def _may_repeat(self, request: Request, error: MatrixError) -> bool:
        # A 429 has done nothing; any other failure may have happened after the deed.
        return error.temporary and (request.repeatable or error.status == 429)

    async def _once(self, request: Request, limit_s: float) -> Any:
        if self._session is None:
            raise MatrixError("M_CLOSED", "the link is closed")
        url = URL(self._base + request.target(), encoded=True)
        body, kind = request.content()
        headers = {"Content-Type": kind} if body is not None else {}
        if request.token:
            headers["Authorization"] = f"Bearer {request.token}"
        try:
            async with (
                asyncio.timeout(max(limit_s, 0.001)),
                self._session.request(request.method, url, data=body, headers=headers) as response,
            ):
                return _parsed(response, await _read(response))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise MatrixError("M_UNREACHABLE", type(error).__name__) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, if it has a size that makes sense."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise MatrixError("M_TOO_LARGE", "the answer is too large", status=413)
    return bytes(body)


def _parsed(response: aiohttp.ClientResponse, body: bytes) -> Any:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if 200 <= response.status < 300:
        if document is None:
            raise MatrixError("M_NOT_JSON", "the answer is no JSON", status=502)
        return document
    fields = document if isinstance(document, Mapping) else {}
    raise MatrixError(
        _text(fields.get("errcode")) or "M_UNKNOWN",
        _text(fields.get("error")),
        status=response.status,
        retry_after_s=_retry_after_s(response, fields),
    )


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""


def _retry_after_s(response: aiohttp.ClientResponse, fields: Mapping[str, object]) -> float | None:
    """How long the homeserver, or a proxy before it, wants to be left alone.

    `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), or the older `retry_after_ms` of the body.
    """
    if response.status not in (429, 503):
        return None
    wait_ms = fields.get("retry_after_ms")
    # Compared before it is divided: an integer may be too large for that.
    if isinstance(wait_ms, int | float) and 0 <= wait_ms <= _LONGEST_WAIT_S * 1000:
        return wait_ms / 1000
    header = response.headers.get("Retry-After", "").strip()
    in_seconds = header.isascii() and header.isdigit()
    wait_s = float(header) if in_seconds else _seconds_between(response.headers.get("Date", ""), header)
    return wait_s if wait_s is not None and wait_s <= _LONGEST_WAIT_S else None


def _seconds_between(now: str, then: str) -> float | None:
    """By the clock of the homeserver, which is the one that its date is written by."""
    try:
        wait = email.utils.parsedate_to_datetime(then) - email.utils.parsedate_to_datetime(now)
        return max(0.0, wait.total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
