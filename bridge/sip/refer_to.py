"""Whom a REFER wants called, and who wants it: Refer-To and Referred-By (RFC 3515 §2.1, RFC 3892 §3)."""

from dataclasses import replace

from bridge.sip.dialog import request_uri
from bridge.sip.errors import SipError
from bridge.sip.events import ReferTarget
from bridge.sip.fields import NameAddr
from bridge.sip.grammar import split_list
from bridge.sip.message import Request
from bridge.sip.number_forms import user_of, written_called
from bridge.sip.replaces import Replaces
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri, TelUri, Uri


def refer_target(request: Request, trunk: TrunkState) -> ReferTarget:
    """The one target of a REFER.

    A URI may carry headers for the request to come. Of these Replaces counts, and nothing else gets out through us.
    """
    uri = _only_address(request, "Refer-To").uri
    target = _sip_uri(uri, trunk)
    if target.params.get("method") not in (None, "INVITE"):
        raise SipError(400, "Unsupported Method in Refer-To")
    return ReferTarget(user=user_of(uri, trunk.trunk), uri=request_uri(target), replaces=_replaces(target))


def referred_by(request: Request) -> str:
    """Who sent the REFER, for the request to come; the token of its body would prove nothing there (RFC 3892 §3)."""
    if "Referred-By" not in request.headers:
        return ""
    address = _only_address(request, "Referred-By")
    return str(NameAddr(address.display_name, address.uri))


def refer_to(target: SipUri, replaces: Replaces | None) -> str:
    """The value of Refer-To (RFC 3515 §2.1, RFC 3891 §6.1)."""
    headers = () if replaces is None else (("Replaces", str(replaces)),)
    return f"<{replace(target, headers=headers)}>"


def _only_address(request: Request, name: str) -> NameAddr:
    elements = [element for value in request.headers.get_all(name) for element in split_list(value)]
    if len(elements) != 1:
        raise SipError(400, f"Not One {name}")
    return NameAddr.parse(elements[0])


def _sip_uri(uri: Uri, trunk: TrunkState) -> SipUri:
    """A bare telephone number is one at the trunk that named it."""
    match uri:
        case SipUri():
            return uri
        case TelUri():
            return trunk.uri(written_called(user_of(uri, trunk.trunk), trunk.trunk))
        case _:
            raise SipError(416, "Unsupported URI Scheme")


def _replaces(target: SipUri) -> str | None:
    values = [value for name, value in target.headers if name.lower() == "replaces"]
    if len(values) > 1:
        raise SipError(400, "Conflicting Replaces")
    return str(Replaces.parse(values[0])) if values else None
