"""Where a 3xx may send a call that we place (RFC 3261 §8.1.3.4): never to another number, never to a stranger.

Whoever answers with 3xx chooses what the next request says and where it goes: a premium number, or a service of this
machine. So the number stays, for another has to pass the call's policy first, and only the trunk itself gets the call.
"""

from collections.abc import Iterator

from bridge.sip.actions import Flow
from bridge.sip.context import Context
from bridge.sip.dialog import request_uri
from bridge.sip.errors import SipError
from bridge.sip.failover import Hop, hops_of
from bridge.sip.fields import NameAddr
from bridge.sip.message import Request, Response
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri, TelUri, Uri

MAX_REDIRECTIONS = 5
"""Request-URIs of one call, the first included: more is a loop, or an attack on somebody by means of us."""


def redirected_to(response: Response, request: Request) -> str:
    """The other number that a 3xx names, for whoever may call it; empty when it names none."""
    for contact in _by_preference(response):
        user = _user(contact.uri)
        if user:
            return "" if user == _user(request.uri) else user
    return ""


def redirections(
    response: Response,
    request: Request,
    trunk: TrunkState,
    *,
    context: Context,
    like: Flow,
    tried: set[str],
    now: float,
) -> list[Hop]:
    """The ways that a 3xx names and that may be gone, best first; their URIs count as tried from now on."""
    hops: list[Hop] = []
    for contact in _by_preference(response):
        uri = contact.uri
        if not isinstance(uri, SipUri) or _user(uri) != _user(request.uri) or len(tried) >= MAX_REDIRECTIONS:
            continue
        uri = request_uri(uri)
        if str(uri) not in tried:
            found = _ways(uri, trunk, context, like, now)
            tried |= {str(uri)} if found else set()
            hops.extend(found)
    return hops


def _ways(uri: SipUri, trunk: TrunkState, context: Context, like: Flow, now: float) -> list[Hop]:
    """To a name of the trunk's by its servers, to an address of the trunk's directly."""
    try:
        flow = context.flow_to(uri, trunk, like=like)
    except SipError:
        return []
    names = (trunk.trunk.host, trunk.trunk.domain)
    if uri.destination in names and uri.port in (None, trunk.trunk.port):
        servers = hops_of(trunk, context.entropy, now)
        return [Hop(flow=hop.flow, uri=uri, spare=hop.spare) for hop in servers if hop.flow.transport is flow.transport]
    return [Hop(flow=flow, uri=uri)] if trunk.may_be_sent_to(flow.host) else []


def _by_preference(response: Response) -> Iterator[NameAddr]:
    """Highest q first, as listed where they are equal (§20.10)."""
    try:
        yield from sorted(response.contacts, key=_preference, reverse=True)
    except SipError:
        return


def _preference(contact: NameAddr) -> float:
    try:
        return float(contact.params.get("q") or 1.0)
    except ValueError:
        return 0.0


def _user(uri: Uri) -> str:
    """The number or name that a URI means."""
    match uri:
        case SipUri(user=user):
            return user or ""
        case TelUri():
            return uri.digits
        case _:
            return ""
