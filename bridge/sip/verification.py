"""What networks say about whether a caller may use the number that is shown (RFC 8224, RFC 8225, RFC 8588)."""

import base64
import json
import re
from collections.abc import Mapping

from bridge.sip.events import Attestation, Verification
from bridge.sip.identity import believed_identity
from bridge.sip.message import Request
from bridge.sip.number_forms import number_params
from bridge.sip.settings import Trunk
from bridge.sip.uri import SipUri, TelUri, Uri

MAX_PASSPORTS = 4
MAX_PASSPORT_LENGTH = 4096
"""A SHAKEN PASSporT has some 700 characters."""

_LEVELS = frozenset(Attestation)
_VERSTAT = re.compile(r"(TN-Validation-Passed|TN-Validation-Failed|No-TN-Validation)(?:-([ABC]))?", re.IGNORECASE)


def verification_of(request: Request, trunk: Trunk, caller: str) -> Verification | None:
    """What the trunk's network says; only a trunk that is believed can say it.

    The network's own verdict is the `verstat` parameter of the identity that it asserts, and counts before what the
    caller's network signed: that signature was for the network to check.
    """
    if not trunk.trust_identity:
        return None
    identity = believed_identity(request, trunk) or request.from_
    return _verstat(identity.uri) or _signed(request, caller)


def _verstat(uri: Uri) -> Verification | None:
    """`verstat=TN-Validation-Passed-A` (3GPP TS 24.229 §7.2A.20, ATIS-1000074), in the number or beside it."""
    params = {**number_params(uri), **(uri.params if isinstance(uri, SipUri | TelUri) else {})}
    found = _VERSTAT.fullmatch(params.get("verstat") or "")
    if found is None:
        return None
    outcome, level = found.groups()
    return Verification(
        attestation=Attestation(level.upper()) if level else None,
        passed={"passed": True, "failed": False}.get(outcome.lower().removeprefix("tn-validation-")),
    )


def _signed(request: Request, caller: str) -> Verification | None:
    """The attestation of the first PASSporT that speaks of this caller (RFC 8224 §4.1, RFC 8588 §3)."""
    for value in request.headers.get_all("Identity")[:MAX_PASSPORTS]:
        claims = _claims(value)
        level = claims.get("attest")
        origin = claims.get("orig")
        number = origin.get("tn") if isinstance(origin, dict) else None
        if isinstance(level, str) and level in _LEVELS and number == caller.removeprefix("+"):
            return Verification(attestation=Attestation(level))
    return None


def _claims(value: str) -> Mapping[str, object]:
    """The payload of a full-form PASSporT (RFC 8225 §5); the compact form has none that could be read (§7)."""
    token = value.partition(";")[0]
    parts = token.split(".", 3)
    if len(value) > MAX_PASSPORT_LENGTH or len(parts) != 3:
        return {}
    header, payload = (_decoded(part) for part in parts[:2])
    return payload if header.get("typ") == "passport" and header.get("ppt") == "shaken" else {}


def _decoded(part: str) -> Mapping[str, object]:
    """One part of a JSON Web Signature, its object or nothing (RFC 7515 §2)."""
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
