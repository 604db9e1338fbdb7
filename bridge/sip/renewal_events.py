"""What can happen to any request that is renewed: a REGISTER (RFC 3261 §10.2) or a SUBSCRIBE (RFC 6665 §4.1)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Send the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenged:
    """401 or 407 that we can answer."""

    credentials: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TooBrief:
    """423: the server wants longer intervals (RFC 3261 §10.2.8, RFC 6665 §4.1.2.1)."""

    min_expires_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No answer, no way, or a failure that may pass."""

    status: int
    retry_after_s: float = 0.0
    soon: bool = False
    """Whether the server has ended it, and wants a new one (RFC 6665 §4.1.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDue:
    """Time to refresh, or to try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressFound:
    """The server's name has an address at last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAsked:
    """Take it back."""
