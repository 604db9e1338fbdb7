"""What a trunk's password may be used for, and answering challenges with it (RFC 3261 §22, RFC 7616, RFC 8760)."""

from collections import OrderedDict
from dataclasses import dataclass, field

from bridge.core.entropy import Entropy
from bridge.sip.digest import Challenge, authorization, choose
from bridge.sip.errors import SipError
from bridge.sip.message import Request, Response
from bridge.sip.settings import Trunk, TrunkAuth

MAX_ATTEMPTS = 3
"""401 of a server behind 407 of its proxy, and one stale nonce: more is a peer that will never be content."""


MAX_NONCES = 64
"""Nonces whose uses are counted; a server that hands out more hands out a new one each time."""


@dataclass(slots=True, kw_only=True, eq=False)
class Attempts:
    """How often one request was repeated with credentials."""

    made: int = 0
    stale: int = 0
    realms: set[str] = field(default_factory=set)
    """Realms that saw credentials."""


class Credentials:
    """The password of one trunk. It is shown to one realm only: the configured one, or the first that asked."""

    def __init__(self, trunk: Trunk, entropy: Entropy) -> None:
        self._trunk = trunk
        self._entropy = entropy
        self._realm = trunk.realm
        self._uses: OrderedDict[str, int] = OrderedDict()

    def answer(self, request: Request, response: Response, attempts: Attempts) -> list[tuple[str, str]]:
        """The headers that answer the challenges to `request`; empty when it must not or cannot be answered."""
        if self._trunk.auth is TrunkAuth.ADDRESS or not self._trunk.username or attempts.made >= MAX_ATTEMPTS:
            return []
        try:
            challenges = response.challenges
        except SipError:
            return []
        attempts.made += 1
        chosen = (self._choose(request, challenges, attempts, proxy=proxy) for proxy in (False, True))
        return [self._authorize(request, challenge) for challenge in chosen if challenge is not None]

    def _choose(
        self, request: Request, challenges: list[Challenge], attempts: Attempts, *, proxy: bool
    ) -> Challenge | None:
        challenge = choose((item for item in challenges if item.proxy is proxy), realm=self._realm)
        if challenge is None or not self._may_try(request, challenge, attempts):
            return None
        self._realm = challenge.realm
        attempts.realms.add(challenge.realm)
        return challenge

    def _may_try(self, request: Request, challenge: Challenge, attempts: Attempts) -> bool:
        """Credentials that were refused are wrong, unless only their nonce was too old; and that is believed once."""
        if challenge.credentials_header not in request.headers:
            return True
        if not challenge.stale or attempts.stale:
            return False
        attempts.stale += 1
        return True

    def _authorize(self, request: Request, challenge: Challenge) -> tuple[str, str]:
        value = authorization(
            challenge,
            method=request.method,
            uri=request.uri_text,
            username=self._trunk.username,
            password=self._trunk.password,
            cnonce=self._entropy.token(16),
            nc=self._count_use(challenge.nonce),
        )
        return challenge.credentials_header, value

    def _count_use(self, nonce: str) -> int:
        """How often we used a nonce, now included: a server takes a repeated count for a replay (RFC 7616 §3.4)."""
        count = self._uses[nonce] = self._uses.pop(nonce, 0) + 1
        if len(self._uses) > MAX_NONCES:
            self._uses.popitem(last=False)
        return count
