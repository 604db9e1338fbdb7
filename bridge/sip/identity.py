"""Who calls and who is called, as the headers of an INVITE say (RFC 3261 §20, RFC 3323, RFC 3325)."""

from dataclasses import dataclass

from bridge.sip.errors import SipError
from bridge.sip.fields import NameAddr
from bridge.sip.grammar import printable
from bridge.sip.message import Request
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri, TelUri, Uri

ANONYMOUS_USER = "anonymous"
ANONYMOUS_HOST = "anonymous.invalid"
"""RFC 3323 §4.1.1.3."""

_WITHHELD = frozenset(("id", "user", "header"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Number or name of the calling party; empty when withheld."""

    number: str = ""
    name: str = ""


def caller_of(request: Request, *, trusted: bool) -> Caller:
    """The asserted identity where the trunk is believed, else From (RFC 3325 §7)."""
    if _is_private(request):
        return Caller()
    identity = (_asserted(request) if trusted else None) or request.from_
    if _is_anonymous(identity.uri):
        return Caller()
    return Caller(number=user_of(identity.uri), name=printable(identity.display_name or request.from_.display_name))


def called_of(request: Request, state: TrunkState) -> str:
    """The user of the Request-URI; where that is only our registered contact, the one of To."""
    user = user_of(request.uri)
    if not user or user == state.contact_user:
        return user_of(request.to.uri) or user
    return user


def user_of(uri: Uri) -> str:
    """The number or name in a URI, without parameters that some peers put into the user part (RFC 3261 §19.1.6)."""
    match uri:
        case SipUri(user=user):
            return printable((user or "").partition(";")[0])
        case TelUri(digits=digits):
            return digits
        case _:
            return ""


def _asserted(request: Request) -> NameAddr | None:
    """The first identity with a user: there may be a SIP and a TEL one (RFC 3325 §9.1)."""
    try:
        return next((identity for identity in request.asserted_identities if user_of(identity.uri)), None)
    except SipError:
        return None


def _is_private(request: Request) -> bool:
    """The caller asked that the called party is not told (RFC 3323 §4.2, RFC 3325 §9.3)."""
    values = ";".join(request.headers.get_all("Privacy")).lower().replace(",", ";").split(";")
    return any(value.strip() in _WITHHELD for value in values)


def _is_anonymous(uri: Uri) -> bool:
    if not isinstance(uri, SipUri):
        return False
    return uri.host.lower() == ANONYMOUS_HOST or (uri.user or "").lower() == ANONYMOUS_USER
