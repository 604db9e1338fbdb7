"""Dialogs: the state that two user agents share between a request and a BYE (RFC 3261 §12)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.core.ids import SipCallId
from bridge.sip.errors import SipError
from bridge.sip.fields import CSeq, NameAddr
from bridge.sip.headers import Headers
from bridge.sip.message import Message, Request, Response
from bridge.sip.uri import SipUri, Uri

MAX_FORWARDS = 70
"""RFC 3261 §8.1.1.6."""


class DialogId(NamedTuple):
    """What names a dialog at one of its ends (RFC 3261 §12)."""

    sip_call_id: str
    local_tag: str
    remote_tag: str


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """What the two ends of a dialog have told each other about audio (RFC 3264, RFC 6337)."""

    local_sdp: str | None = None
    """Ours, as the peer has it."""
    remote_sdp: str | None = None
    settled: bool = False
    """Whether the first offer has an answer that nothing can lose: in a 2xx, an ACK, or with a PRACK (RFC 3262 §5)."""


@dataclass(slots=True, kw_only=True, eq=False)
class Dialog:
    """One dialog, early or confirmed. The tag of an RFC 2543 peer may be empty (§12.1.1)."""

    sip_call_id: SipCallId
    local: NameAddr
    remote: NameAddr
    local_cseq: int
    remote_cseq: int | None
    remote_target: SipUri
    route_set: tuple[NameAddr, ...]
    session: Session = field(default_factory=Session)
    allowed: frozenset[str] = frozenset()
    """Methods that the peer takes, as far as it said (§20.5)."""
    rseq: int | None = None
    """Of the peer's newest reliable provisional response (RFC 3262 §4)."""

    @classmethod
    def from_response(cls, request: Request, response: Response) -> "Dialog":
        """The caller's end, from a 101-299 response to its INVITE (§12.1.2)."""
        return cls(
            sip_call_id=SipCallId(response.call_id),
            local=request.from_,
            remote=response.to,
            local_cseq=request.cseq.number,
            remote_cseq=None,
            remote_target=contact_uri(response.contacts) or _sip(request.uri),
            route_set=_route_set(reversed(response.record_routes)),
            allowed=response.allow,
        )

    @classmethod
    def from_request(cls, request: Request, local_tag: str) -> "Dialog":
        """The callee's end, from the INVITE (§12.1.1)."""
        target = contact_uri(request.contacts) or _older_target(request)
        if target is None:
            raise SipError(400, "Missing Contact")
        return cls(
            sip_call_id=SipCallId(request.call_id),
            local=request.to.with_tag(local_tag),
            remote=request.from_,
            local_cseq=0,
            remote_cseq=request.cseq.number,
            remote_target=target,
            route_set=_route_set(request.record_routes),
            allowed=request.allow,
        )

    @property
    def name(self) -> DialogId:
        """How requests inside the dialog find it."""
        return DialogId(self.sip_call_id, self.local.tag or "", self.remote.tag or "")

    @property
    def next_hop(self) -> SipUri:
        """Where a request inside the dialog is sent: the first route, else the remote target (§8.1.2)."""
        return _sip(self.route_set[0].uri) if self.route_set else self.remote_target

    @property
    def hosts(self) -> frozenset[str]:
        """Where requests of the peer may come from: its own host, and the one that ours are sent to."""
        return frozenset((self.next_hop.destination, self.remote_target.destination))

    def takes(self, request: Request) -> bool:
        """Whether the request comes in order; if so its CSeq is the newest (§12.2.2)."""
        if self.remote_cseq is not None and request.cseq.number <= self.remote_cseq:
            return False
        self.remote_cseq = request.cseq.number
        return True

    def refresh_target(self, message: Message) -> None:
        """A target refresh request, or the answer to one, moves the peer (§12.2)."""
        self.remote_target = contact_uri(message.contacts) or self.remote_target
        self.allowed = message.allow or self.allowed

    def confirm_as(self, other: "Dialog") -> None:
        """The 2xx says anew which way requests go (§13.2.2.4); all else goes on as it was in the early dialog."""
        self.remote_target, self.route_set = other.remote_target, other.route_set
        self.allowed = other.allowed or self.allowed

    def request(self, method: str, *, cseq: int | None = None) -> Request:
        """A request inside the dialog, without Via (§12.2.1.1); an ACK has the CSeq of its INVITE."""
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        uri, routes = self._request_uri_and_routes()
        headers = Headers((("Max-Forwards", str(MAX_FORWARDS)),))
        for route in routes:
            headers.add("Route", route)
        headers.add("From", str(self.local))
        headers.add("To", str(self.remote))
        headers.add("Call-ID", self.sip_call_id)
        headers.add("CSeq", str(CSeq(cseq, method)))
        return Request(method, uri, headers)

    def _request_uri_and_routes(self) -> tuple[Uri, list[str]]:
        """Loose routes leave the target in the Request-URI; a strict router gets its own address there."""
        routes = [str(route) for route in self.route_set]
        if not routes:
            return self.remote_target, []
        first = self.route_set[0].uri
        if not isinstance(first, SipUri) or "lr" in first.params:
            return self.remote_target, routes
        return request_uri(first), [*routes[1:], f"<{self.remote_target}>"]


def contact_uri(contacts: Sequence[NameAddr]) -> SipUri | None:
    """The SIP URI of the first contact that has one, fit for the Request-URI that it will be."""
    return next((request_uri(contact.uri) for contact in contacts if isinstance(contact.uri, SipUri)), None)


def _older_target(request: Request) -> SipUri | None:
    """The caller itself: peers of RFC 2543 leave Contact out, and are known by the tag that From lacks."""
    caller = request.from_
    return request_uri(caller.uri) if caller.tag is None and isinstance(caller.uri, SipUri) else None


def wants_sips(request: Request) -> bool:
    """Whether a request that begins a dialog makes our contact a `sips` one (§12.1.1)."""
    hops = request.record_routes[:1] or request.contacts[:1]
    uris = [request.uri, *(hop.uri for hop in hops)]
    return any(isinstance(uri, SipUri) and uri.scheme == "sips" for uri in uris)


def request_uri(uri: SipUri) -> SipUri:
    """Without headers and `method`, which must not stand in a Request-URI (§12.2.1.1, §19.1.1).

    With them a peer would have us send a Route or a body of its own making.
    """
    if not uri.headers and "method" not in uri.params:
        return uri
    params = {name: value for name, value in uri.params.items() if name != "method"}
    return SipUri(uri.scheme, uri.user, uri.password, uri.host, uri.port, params)


def _route_set(record_routes: Iterable[NameAddr]) -> tuple[NameAddr, ...]:
    """Record-Route holds SIP URIs only (§20.30); any other kind would leave requests of ours without a way."""
    routes = tuple(record_routes)
    if not all(isinstance(route.uri, SipUri) for route in routes):
        raise SipError(400, "Malformed Record-Route")
    return routes


def _sip(uri: Uri) -> SipUri:
    if not isinstance(uri, SipUri):
        raise SipError(416, "Unsupported URI Scheme")
    return uri
