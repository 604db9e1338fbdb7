"""Which messages belong together, and which way answers go (RFC 3261 §17.1.3, §17.2.3, §18.2.2)."""

import hashlib

from bridge.sip.actions import Flow
from bridge.sip.dialog import DialogId
from bridge.sip.fields import Via
from bridge.sip.message import Request

MAGIC_COOKIE = "z9hG4bK"
"""Starts every branch that is unique for its transaction (RFC 3261 §8.1.1.7)."""

DEFAULT_PORT = 5060

ServerKey = tuple[str | int, ...]
"""Branch, sent-by and method; or what RFC 2543 peers give us instead (RFC 3261 §17.2.3)."""

MergeKey = tuple[str, str, str]


def reply_flow(via: Via, source: Flow) -> Flow:
    """Where responses to a request go (RFC 3261 §18.2.2, RFC 3581 §4).

    To the source; a datagram client that did not ask for `rport` listens on the port of its Via. A stream's answer
    takes the connection, and the port of the Via counts only once that is closed; who is there must then prove to be
    the host of the Via (RFC 5922 §7.1).
    """
    if not source.reliable and "rport" in via.params:
        return source
    return Flow(
        transport=source.transport,
        host=source.host,
        port=via.port or source.transport.default_port,
        connection=source.connection,
        listener=source.listener,
        name=source.name or via.host,
        trunk=source.trunk,
        tls=source.tls,
    )


def server_key(request: Request, method: str) -> ServerKey:
    """What makes two requests the same transaction (RFC 3261 §17.2.3); an ACK is looked up with method INVITE."""
    via = request.via
    branch = via.branch or ""
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return (branch, via.host.lower(), via.port or DEFAULT_PORT, method)
    names = (str(request.uri), request.from_.tag or "", request.call_id, request.cseq.number)
    return (*names, via.host.lower(), via.port or DEFAULT_PORT, branch, method)


def merge_key(request: Request) -> MergeKey | None:
    """What the copies of a request that came by several ways share (RFC 3261 §8.2.2.2)."""
    if request.to.tag is not None:
        return None
    return (request.from_.tag or "", request.call_id, str(request.cseq))


def dialog_id(request: Request) -> DialogId:
    """The dialog of a request as seen from our end (RFC 3261 §12)."""
    return DialogId(request.call_id, request.to.tag or "", request.from_.tag or "")


def stateless_tag(request: Request) -> str:
    """A To tag that is the same for each copy of a request, though nothing is kept of it (RFC 3261 §8.2.7)."""
    return hashlib.sha256(f"{request.via.branch}\n{request.call_id}".encode()).hexdigest()[:16]
