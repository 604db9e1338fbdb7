"""What networks say about whether a caller may use the number that is shown (RFC 8224, RFC 8225, RFC 8588)."""

import enum
from dataclasses import dataclass


class Attestation(enum.StrEnum):
    """What the network where a call began knows of its caller (RFC 8588 §4)."""

    FULL = "A"
    """The caller, and that the number is the caller's."""
    PARTIAL = "B"
    """The caller, but not the number."""
    GATEWAY = "C"
    """Only where the call came in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A statement about the caller's number. We check no signature: it is as good as the trunk that passes it on."""

    attestation: Attestation | None = None
    passed: bool | None = None
    """Whether the trunk's network verified the signature; `None` when it does not say."""
