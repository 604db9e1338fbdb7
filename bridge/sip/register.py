"""The REGISTER of a trunk, and what the registrar's answer says (RFC 3261 §10.2, RFC 3327, RFC 3608, RFC 5626)."""

from bridge.sip.capabilities import allow
from bridge.sip.errors import SipError
from bridge.sip.fields import NameAddr
from bridge.sip.identity import readable_addresses
from bridge.sip.message import Request, Response
from bridge.sip.number_forms import user_part
from bridge.sip.requests import Fields, new_request
from bridge.sip.trunks import LINE_PARAM, TrunkState
from bridge.sip.uri import SipUri, Uri

MAX_ROUTES = 8
MAX_ASSOCIATED = 100
"""Of each header of a registrar."""


def new_register(
    trunk: TrunkState, contact: SipUri, *, expires_s: int, cseq: int, tag: str, sip_call_id: str, user_agent: str
) -> Request:
    """Everything but the Via. A removal is a registration for no time (§10.2.2)."""
    user = NameAddr("", trunk.uri(trunk.register_user))
    fields: Fields = (
        *trunk.proxy_fields(),
        ("Contact", f"<{contact}>;expires={expires_s}{_instance(trunk)}"),
        ("Expires", str(expires_s)),
        ("Supported", "path, outbound" if trunk.instance else "path"),
        ("Allow", allow(trunk.trunk)),
        ("User-Agent", user_agent),
    )
    return new_request(
        "REGISTER",
        trunk.uri(None),
        from_=user.with_tag(tag),
        to=user,
        sip_call_id=sip_call_id,
        cseq=cseq,
        fields=fields,
    )


def granted_s(response: Response, request: Request, asked_s: int) -> int:
    """What our own contact got, else the header, else what we asked for (§10.2.4).

    The answer lists all contacts of the address of record, those of other devices included.
    """
    try:
        ours = request.contacts[0].uri
        listed = [contact for contact in response.contacts if contact.expires is not None]
        found = [contact for same in (_same_line, _same_address) for contact in listed if same(contact.uri, ours)]
        if found:
            return found[0].expires or 0
        return asked_s if response.expires is None else response.expires
    except (SipError, IndexError):
        return asked_s


def service_route(response: Response) -> tuple[SipUri, ...]:
    """The loose routes that requests to this trunk have to take; none clears what was known (RFC 3608 §6.1)."""
    found = (address.uri for address in readable_addresses(response, "Service-Route", MAX_ROUTES))
    return tuple(uri for uri in found if isinstance(uri, SipUri) and "lr" in uri.params)


def associated_users(response: Response, trunk: TrunkState) -> frozenset[str]:
    """Users that calls may be for, besides the one that we registered (RFC 7315 §4.1)."""
    found = readable_addresses(response, "P-Associated-URI", MAX_ASSOCIATED)
    return frozenset(user for item in found if (user := user_part(item.uri, trunk.trunk.dial_rules)))


def _instance(trunk: TrunkState) -> str:
    """Which device and which of its flows this is (RFC 5626 §4.1, §4.2); we have one flow to each trunk."""
    return f';reg-id=1;+sip.instance="<{trunk.instance}>"' if trunk.instance else ""


def _same_line(theirs: Uri, ours: Uri) -> bool:
    """A registrar may write another address into our contact, but gives its parameters back."""
    if not isinstance(theirs, SipUri) or not isinstance(ours, SipUri):
        return False
    return theirs.params.get(LINE_PARAM) == ours.params.get(LINE_PARAM)


def _same_address(theirs: Uri, ours: Uri) -> bool:
    """Some drop or change parameters and case; user, host and port stay."""
    if not isinstance(theirs, SipUri) or not isinstance(ours, SipUri) or LINE_PARAM in theirs.params:
        return False
    return (theirs.user, theirs.host.lower(), theirs.port) == (ours.user, ours.host.lower(), ours.port)
