"""What every request has to pass before it is worked on (RFC 3261 §8.2)."""

from dataclasses import dataclass

from bridge.sip.bodies import session_description, wants_sdp
from bridge.sip.capabilities import ALLOW, ALLOWED_METHODS, METHODS, SUPPORTED_EXTENSIONS
from bridge.sip.errors import SipError
from bridge.sip.message import Request, Response
from bridge.sip.requests import SDP_TYPE

MAX_TOLD = 20
"""Unknown extensions that a 420 names: who asks for more does not want to know."""

_WITH_SESSION = frozenset(("INVITE", "UPDATE", "PRACK"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The response to a request that is not acceptable."""

    status: int
    fields: tuple[tuple[str, str], ...] = ()
    reason_phrase: str | None = None

    def response(self, request: Request, to_tag: str) -> Response:
        """The response itself."""
        return request.response(self.status, self.reason_phrase, to_tag=to_tag, headers=self.fields)


def refusal_of(request: Request) -> Refusal | None:
    """The first thing that is wrong: method, extensions, body, in this order (§8.2.1 to §8.2.3)."""
    return _wrong_method(request) or _misplaced_replaces(request) or _wrong_extension(request) or _wrong_body(request)


def _wrong_method(request: Request) -> Refusal | None:
    method = request.method
    if method in ALLOWED_METHODS:
        return None
    return Refusal(status=405 if method in METHODS else 501, fields=(("Allow", ALLOW),))


def _misplaced_replaces(request: Request) -> Refusal | None:
    """Only a call can replace one (RFC 3891 §3)."""
    return Refusal(status=400) if request.method != "INVITE" and "Replaces" in request.headers else None


def _wrong_extension(request: Request) -> Refusal | None:
    """Require in a CANCEL is ignored (§8.2.2.3)."""
    if request.method == "CANCEL":
        return None
    unknown = [tag for tag in request.require if tag not in SUPPORTED_EXTENSIONS]
    return Refusal(status=420, fields=(("Unsupported", ", ".join(unknown[:MAX_TOLD])),)) if unknown else None


def _wrong_body(request: Request) -> Refusal | None:
    if request.method not in _WITH_SESSION:
        return None
    try:
        session_description(request)
    except SipError as error:
        fields = (("Accept", SDP_TYPE), ("Accept-Encoding", "identity"))
        return Refusal(status=error.status or 400, fields=fields, reason_phrase=error.reason)
    return None if wants_sdp(request) else Refusal(status=406)
