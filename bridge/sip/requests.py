"""Requests outside dialogs, and those that follow from another message (RFC 3261 §8.1.1, §9.1, §17.1.1.3)."""

from collections.abc import Iterable

from bridge.sip.fields import CSeq, NameAddr
from bridge.sip.headers import Headers
from bridge.sip.message import Request, Response
from bridge.sip.uri import Uri

SDP_TYPE = "application/sdp"
TEXT_TYPE = "text/plain"

_CREDENTIALS = ("Authorization", "Proxy-Authorization")
_TO_CANCEL = ("Via", "Max-Forwards", "Route", "From", "To", "Call-ID")

Fields = Iterable[tuple[str, str]]


def new_request(
    method: str, uri: Uri, *, from_: NameAddr, to: NameAddr, sip_call_id: str, cseq: int, fields: Fields = ()
) -> Request:
    """A request outside any dialog, without Via (RFC 3261 §8.1.1)."""
    headers = Headers((("Max-Forwards", "70"),))
    headers.add("From", str(from_))
    headers.add("To", str(to))
    headers.add("Call-ID", sip_call_id)
    headers.add("CSeq", str(CSeq(cseq, method)))
    for name, value in fields:
        headers.add(name, value)
    return Request(method, uri, headers)


def with_sdp(request: Request, sdp: str | None) -> Request:
    """The request with a session description as its body, if there is one."""
    if sdp is not None:
        request.headers.set("Content-Type", SDP_TYPE)
        request.body = sdp.encode(errors="replace")
    return request


def with_reason(request: Request, q850: int | None) -> Request:
    """The request with the cause of ITU-T Q.850, if there is one (RFC 3326)."""
    if q850 is not None:
        request.headers.add("Reason", q850_reason(q850))
    return request


def q850_reason(q850: int) -> str:
    """The value of a Reason header (RFC 3326 §2)."""
    return f"Q.850;cause={q850}"


def ack_for_failure(invite: Request, response: Response) -> Request:
    """The ACK for a 300-699 response: the INVITE's Via, Route and CSeq number, the response's To (§17.1.1.3)."""
    headers = Headers((("Via", str(invite.via)), ("Max-Forwards", "70")))
    for route in invite.headers.get_all("Route"):
        headers.add("Route", route)
    headers.add("From", invite.headers.get("From") or "")
    headers.add("To", response.headers.get("To") or "")
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", str(CSeq(invite.cseq.number, "ACK")))
    return Request("ACK", invite.uri_text, headers)


def cancel_of(invite: Request, *, q850: int | None = None) -> Request:
    """The CANCEL of a request: everything that identifies it, and its only Via (§9.1)."""
    headers = Headers.trusted([pair for pair in invite.headers if pair[0] in _TO_CANCEL])
    headers.add("CSeq", str(CSeq(invite.cseq.number, "CANCEL")))
    return with_reason(Request("CANCEL", invite.uri_text, headers), q850)


def repeated(request: Request, *, cseq: int, credentials: Fields) -> Request:
    """The same request as a new transaction with credentials: same Call-ID and tags, next CSeq (§8.1.3.5, §22.2)."""
    headers = request.headers.copy()
    headers.remove("Via")
    headers.set("CSeq", str(CSeq(cseq, request.method)))
    for name, value in credentials:
        headers.set(name, value)
    return Request(request.method, request.uri_text, headers, request.body)


def readdressed(request: Request, uri: Uri | None = None) -> Request:
    """The same request for another target: no Via, and no credentials, which belong to who asked for them.

    A registrar takes a CSeq that it has seen for old (§10.3); an INVITE keeps it, so that copies of it that meet behind
    two targets are known for what they are (§8.2.2.2).
    """
    headers = request.headers.copy()
    for name in ("Via", *_CREDENTIALS):
        headers.remove(name)
    if request.method == "REGISTER":
        headers.set("CSeq", str(CSeq(request.cseq.number + 1, request.method)))
    return Request(request.method, request.uri_text if uri is None else uri, headers, request.body)


def copy_credentials(source: Request, target: Request) -> None:
    """An ACK carries the credentials of its INVITE, since nobody can challenge it (§22.1)."""
    for name in _CREDENTIALS:
        for value in source.headers.get_all(name):
            target.headers.add(name, value)
