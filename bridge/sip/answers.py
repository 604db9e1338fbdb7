"""Responses of ours to what the peer asks in a call (RFC 3261 §12.1.1, §13.3.1)."""

from typing import TYPE_CHECKING

from bridge.sip.active_transaction import ActiveServer
from bridge.sip.capabilities import allow, supported
from bridge.sip.message import Response
from bridge.sip.requests import SDP_TYPE, Fields

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage


def pending(usage: "InviteUsage") -> ActiveServer:
    """The request that is ours to answer."""
    if usage.incoming is None:
        raise LookupError("the table allows this only while a request of the peer is pending")
    return usage.incoming


def response_to(
    usage: "InviteUsage",
    server: ActiveServer,
    status: int,
    phrase: str | None = None,
    *,
    sdp: str | None = None,
    fields: Fields = (),
) -> Response:
    """A response with what makes or refreshes the dialog."""
    headers = list(fields)
    if status < 300:
        trunk = usage.trunk.trunk
        headers += [usage.contact(server.flow), ("Allow", allow(trunk)), ("Supported", supported(trunk))]
    if sdp is not None:
        headers.append(("Content-Type", SDP_TYPE))
    body = b"" if sdp is None else sdp.encode(errors="replace")
    return server.request.response(status, phrase, to_tag=usage.local_tag, headers=headers, body=body)


def response_to_pending(
    usage: "InviteUsage", status: int, phrase: str | None = None, *, sdp: str | None = None, fields: Fields = ()
) -> Response:
    """A response to the request that is ours to answer."""
    return response_to(usage, pending(usage), status, phrase, sdp=sdp, fields=fields)


def respond(usage: "InviteUsage", response: Response, now: float) -> None:
    """Send a response to the request that is ours to answer."""
    usage.context.layer.respond(pending(usage), response, now)
