"""Who may see the console: whoever knows the token, or whom a trusted proxy has logged in.

Guesses are limited by address, tokens compared in constant time. What changes something needs more than a cookie, which
a browser also sends for other people's pages: a word that only our own pages know (CSRF).
"""

import hmac
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from aiohttp import web

from bridge.core.addresses import address_of
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.telemetry import Telemetry
from bridge.ops.tokens import Tokens, bearer, digest

COOKIE = "trunkline_console"
SESSION_S = 12 * 3600.0
IDLE_S = 3600.0
NUMBERS_S = 900.0
"""How long numbers are shown after somebody has asked for them."""
MAX_SESSIONS = 100
_MAX_NAME = 255
_SAME_SITE = ("same-origin", "none")
"""Of Sec-Fetch-Site: our own pages, or what a person typed or a program sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """Who may log in, and how."""

    token: str = field(default="", repr=False)
    proxies: Sequence[IPv4Network | IPv6Network] = ()
    user_header: str = "X-Forwarded-Email"


@dataclass(slots=True, kw_only=True, eq=False)
class Visitor:
    """Somebody who may see the console."""

    name: str
    """For the log: `token`, or whom the proxy has named."""
    csrf: str = field(repr=False)
    """What forms have to carry; empty for programs, which send the token itself with each request."""
    has_session: bool = False
    expires: float = float("inf")
    seen: float = 0.0
    numbers_until: float = 0.0


class Access:
    """Sessions are in memory: after a restart everybody logs in anew."""

    def __init__(self, settings: ConsoleSettings, *, clock: Clock, entropy: Entropy, telemetry: Telemetry) -> None:
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._tokens = Tokens({"token": settings.token}, clock, telemetry, at="console")
        self._sessions: OrderedDict[bytes, Visitor] = OrderedDict()
        self._of_proxies: OrderedDict[str, Visitor] = OrderedDict()

    @property
    def takes_token(self) -> bool:
        """Whether there is a token to log in with."""
        return bool(self._tokens)

    def visitor(self, request: web.Request) -> Visitor | None:
        """Who asks, if that is known. Raises :class:`TooManyGuesses`."""
        if (named := self._by_proxy(request)) is not None:
            return named  # Whatever else it passes on: some proxies add a token of their own.
        if (token := bearer(request.headers.get("Authorization", ""))) is not None:
            return Visitor(name="token", csrf="") if self._is_token(token, request) else None
        return self._by_cookie(request)

    def still(self, visitor: Visitor) -> bool:
        """Whether somebody who was let in may go on looking."""
        if not visitor.has_session:
            return True
        return visitor in self._sessions.values() and not self._is_over(visitor)

    def log_in(self, token: str, request: web.Request) -> str | None:
        """A new session's name for the cookie; `None` for a wrong token. Raises :class:`TooManyGuesses`."""
        if not self._is_token(token, request):
            return None
        name, now = self._entropy.token(43), self._clock.monotonic()
        visitor = Visitor(
            name="token", csrf=self._entropy.token(32), has_session=True, expires=now + SESSION_S, seen=now
        )
        self._sessions[digest(name)] = visitor
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return name

    def log_out(self, request: web.Request) -> None:
        """Forget a session."""
        self._sessions.pop(digest(request.cookies.get(COOKIE, "")), None)

    def is_own_form(self, visitor: Visitor, request: web.Request, csrf: str) -> bool:
        """Whether a request that changes something comes from a page of ours, or from a program with the token."""
        if not visitor.csrf:
            return True
        return self.is_same_site(request) and hmac.compare_digest(digest(csrf), digest(visitor.csrf))

    def is_same_site(self, request: web.Request) -> bool:
        """What the browser says, if it says anything."""
        return request.headers.get("Sec-Fetch-Site", "none") in _SAME_SITE

    def shows_numbers(self, visitor: Visitor) -> bool:
        """Whether this visitor has asked for numbers lately."""
        return self._clock.monotonic() < visitor.numbers_until

    def show_numbers(self, visitor: Visitor, *, on: bool) -> None:
        """Show people as they are for a while, or not any more."""
        visitor.numbers_until = self._clock.monotonic() + NUMBERS_S if on else 0.0

    def _by_cookie(self, request: web.Request) -> Visitor | None:
        visitor = self._sessions.get(digest(request.cookies.get(COOKIE, "")))
        if visitor is None or self._is_over(visitor):
            self.log_out(request)
            return None
        visitor.seen = self._clock.monotonic()
        return visitor

    def _is_over(self, visitor: Visitor) -> bool:
        now = self._clock.monotonic()
        return now >= visitor.expires or now >= visitor.seen + IDLE_S

    def _by_proxy(self, request: web.Request) -> Visitor | None:
        """Exactly one header field, from one of the proxies: more than one would mean that it lets them through."""
        names = request.headers.getall(self._settings.user_header, [])
        if len(names) != 1 or not self._is_proxy(request.remote or ""):
            return None
        name = names[0].strip()
        if not name or len(name) > _MAX_NAME or not name.isprintable():
            return None
        visitor = self._of_proxies.setdefault(name, Visitor(name=name, csrf=self._entropy.token(32)))
        self._of_proxies.move_to_end(name)
        while len(self._of_proxies) > MAX_SESSIONS:
            self._of_proxies.popitem(last=False)
        return visitor

    def _is_proxy(self, remote: str) -> bool:
        address = address_of(remote)
        return address is not None and any(address in network for network in self._settings.proxies)

    def _is_token(self, guess: str, request: web.Request) -> bool:
        return self._tokens.owner(guess, request.remote or "") is not None
