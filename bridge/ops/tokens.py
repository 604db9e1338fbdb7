"""Bearer tokens, and whoever guesses at them: compared in constant time, guesses limited by address."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping

from bridge.core.addresses import source_key
from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.telemetry import Telemetry

BLOCK_S = 30.0
_GUESSES = 5
_GUESS_EVERY_S = 10.0
_MAX_BLOCKED = 1_000
BEYOND_GUESSING = 32
"""Characters of a token that nobody guesses, however many they try; `generate-registration` writes more."""


class TooManyGuesses(Exception):  # noqa: N818 - it names a state, like queue.Full
    """This address has to wait."""


class Tokens:
    """Those that are believed, each under a name for the log. `at`: where wrong ones are counted."""

    def __init__(self, tokens: Mapping[str, str], clock: Clock, telemetry: Telemetry, *, at: str) -> None:
        self._digests = {name: digest(token) for name, token in tokens.items() if token}
        self._safe = frozenset(name for name, token in tokens.items() if len(token) >= BEYOND_GUESSING)
        self._clock = clock
        self._telemetry = telemetry
        self._at = at
        self._guesses = Budgets(burst=_GUESSES, refill_s=_GUESS_EVERY_S)
        self._blocked: OrderedDict[str | bytes, float] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner(self, guess: str, remote: str) -> str | None:
        """The name of a token; `None` for a wrong one. Raises :class:`TooManyGuesses`.

        A right token that could be guessed is not believed either from an address that has guessed too often. Any other
        is: behind a proxy strangers have the same address, and must not be able to lock its owner out.
        """
        if not self._digests:
            return None
        try:
            owner = self._compared(guess, remote)
        except TooManyGuesses:
            self._count(guess)
            raise
        if owner is None:
            self._count(guess)
        return owner

    def _count(self, guess: str) -> None:
        """Whether or not it was looked at. Who sends none does not guess."""
        if guess:
            self._telemetry.count("wrong_tokens_total", at=self._at)

    def _compared(self, guess: str, remote: str) -> str | None:
        now, who, guessed = self._clock.monotonic(), source_key(remote), digest(guess)
        matches = [name for name, known in self._digests.items() if hmac.compare_digest(guessed, known)]
        is_blocked = now < self._blocked.get(who, 0.0)
        if matches and (matches[0] in self._safe or not is_blocked):
            return matches[0]
        if is_blocked:
            raise TooManyGuesses
        if not self._guesses.spend(who, now):
            self._blocked[who] = now + BLOCK_S
            while len(self._blocked) > _MAX_BLOCKED:
                self._blocked.popitem(last=False)
            raise TooManyGuesses
        return None


def bearer(authorization: str) -> str | None:
    """The token of an Authorization header field (RFC 6750 §2.1); `None` when it has none."""
    kind, _, token = authorization.partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def digest(text: str) -> bytes:
    """Of one length, whatever a stranger sends."""
    return hashlib.sha256(text.encode(errors="replace")).digest()
