"""Who calls and who is called, as the headers of an INVITE say (RFC 3261 §20, RFC 3323, RFC 3325)."""

from contextlib import suppress
from dataclasses import dataclass

from bridge.sip.errors import SipError
from bridge.sip.fields import NameAddr
from bridge.sip.grammar import printable, split_list
from bridge.sip.message import Message, Request
from bridge.sip.number_forms import read_called, user_of, user_part
from bridge.sip.settings import Trunk
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri, Uri

ANONYMOUS_USER = "anonymous"
ANONYMOUS_HOST = "anonymous.invalid"
"""RFC 3323 §4.1.1.3."""

MAX_IDENTITIES = 8
"""Of one header: RFC 3325 §9.1 allows two, one SIP and one telephone number."""

_WITHHELD = frozenset(("id", "user", "header"))
_HIDDEN = frozenset(("full", "uri", "yes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Number or name of the calling party; empty when withheld."""

    number: str = ""
    name: str = ""


def caller_of(request: Request, trunk: Trunk) -> Caller:
    """The asserted identity where the trunk is believed, else the number of From (RFC 3325 §7).

    A name is shown to people as the truth, so only a trunk that is believed can give one.
    """
    if is_private(request):
        return Caller()
    identity = believed_identity(request, trunk) or request.from_
    if _is_anonymous(identity.uri) or _is_hidden(identity):
        return Caller()
    name = identity.display_name or request.from_.display_name if trunk.trust_identity else ""
    return Caller(number=user_of(identity.uri, trunk), name=printable(name))


def connected_party(message: Message, trunk: Trunk, *, by_from: bool) -> Caller | None:
    """Who sent a message inside a call, as far as it says so: an asserted identity, or a From that may change."""
    identity = believed_identity(message, trunk)
    if identity is None and by_from and isinstance(message, Request):
        identity = message.from_
    if identity is None:
        return None
    if is_private(message) or _is_anonymous(identity.uri) or _is_hidden(identity):
        return Caller()
    return Caller(number=user_of(identity.uri, trunk), name=printable(identity.display_name))


def believed_identity(message: Message, trunk: Trunk) -> NameAddr | None:
    """Who the sender is: P-Asserted-Identity, else Remote-Party-ID; only a trunk that is believed can say it.

    A Remote-Party-ID with `screen=no` is what the caller says of himself, just as From.
    """
    if not trunk.trust_identity:
        return None
    asserted = readable_addresses(message, "P-Asserted-Identity", MAX_IDENTITIES)
    claimed = readable_addresses(message, "Remote-Party-ID", MAX_IDENTITIES)
    named = [*asserted, *filter(_is_of_caller, claimed)]
    return next((item for item in named if user_part(item.uri, trunk.dial_rules)), None)


def called_of(request: Request, state: TrunkState) -> str:
    """The user of the Request-URI; where that is only our registered contact, the one of To."""
    rules = state.trunk.dial_rules
    user = user_part(request.uri, rules)
    if not user or user == state.contact_user:
        user = user_part(request.to.uri, rules) or user
    return read_called(user, state.trunk)


def is_private(message: Message) -> bool:
    """Whether the sender asked that nobody is told who it is (RFC 3323 §4.2, RFC 3325 §9.3).

    `critical` only says how much it matters, and `none` that nothing is to be hidden.
    """
    values = ";".join(message.headers.get_all("Privacy")).lower().replace(",", ";").split(";", 32)
    wishes = {value.strip() for value in values}
    return bool(wishes & _WITHHELD) and "none" not in wishes


def readable_addresses(message: Message, name: str, limit: int) -> list[NameAddr]:
    """The first addresses of a header that nobody depends on: what cannot be read is passed over."""
    found: list[NameAddr] = []
    for value in message.headers.get_all(name)[:limit]:
        with suppress(SipError):
            found += [NameAddr.parse(element) for element in split_list(value)[:limit]]
    return found[:limit]


def _is_of_caller(identity: NameAddr) -> bool:
    party, screen = identity.params.get("party") or "calling", identity.params.get("screen") or "yes"
    return party.lower() == "calling" and screen.lower() == "yes"


def _is_hidden(identity: NameAddr) -> bool:
    """Remote-Party-ID has its own `privacy`, quoted or not."""
    privacy = (identity.params.get("privacy") or "").strip('"').lower()
    return bool(_HIDDEN & set(privacy.replace("-", " ").split()))


def _is_anonymous(uri: Uri) -> bool:
    if not isinstance(uri, SipUri):
        return False
    return uri.host.lower() == ANONYMOUS_HOST or (uri.user or "").lower() in (ANONYMOUS_USER, "restricted")
