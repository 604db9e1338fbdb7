"""What our user wants of REFER, in both roles (RFC 3515): not commands of the call, which it may outlive."""

from dataclasses import dataclass

from bridge.core.ids import DialogKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferAsked:
    """Ask the peer to call somebody else, in place of the call `replaces` when that is given."""

    target_user: str
    replaces: DialogKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralAccepted:
    """202 to the peer's REFER; what comes of it is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralRefused:
    """No to the peer's REFER."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralReported:
    """How the call to the target goes on; a final status ends the report."""

    status: int


ReferralCommand = ReferAsked | ReferralAccepted | ReferralRefused | ReferralReported
