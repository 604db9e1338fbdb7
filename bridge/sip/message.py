"""Requests and responses: headers as text, with typed views that are made when somebody looks (RFC 3261 §7)."""

import re
from collections.abc import Callable
from typing import TypeVar, cast

from bridge.sip import views
from bridge.sip.digest import Challenge
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.fields import CSeq, NameAddr, RAck, Via
from bridge.sip.grammar import check_sendable, check_token, split_list
from bridge.sip.headers import Headers, Pairs
from bridge.sip.status import reason_phrase as phrase_of
from bridge.sip.uri import Recognized, SipUri, TelUri, Uri, parse_uri, recognized_uri

_T = TypeVar("_T")
_NOT_MADE = object()
_URI_TEXT = re.compile(r"[!-;=?-~]+")

_DIALOG_FORMING = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


class Message:
    """What requests and responses share. Views raise `SipError` when the header is malformed."""

    __slots__ = ("body", "headers")

    def __init__(self, headers: Headers | Pairs, body: bytes) -> None:
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body

    @property
    def start_line(self) -> str:
        """The first line, without its end."""
        raise NotImplementedError

    def _blame(self, error: SipError) -> SipError:
        """The error to raise for a malformed header of this message."""
        return error

    def _view(self, name: str, make: Callable[[Headers], _T]) -> _T:
        made = self.headers.views
        view = made.get(name, _NOT_MADE)
        if view is _NOT_MADE or type(view) is re.Match:
            try:
                view = made[name] = make(self.headers)
            except SipError as error:
                raise self._blame(error) from None
        return cast(_T, view)

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return self._view("via", views.top_via)

    @property
    def vias(self) -> list[Via]:
        """All Via elements, topmost first."""
        return self._view("vias", views.vias)

    @property
    def from_(self) -> NameAddr:
        """Who sent the request."""
        return self._view("from", views.from_)

    @property
    def to(self) -> NameAddr:
        """Whom the request was first meant for."""
        return self._view("to", views.to)

    @property
    def call_id(self) -> str:
        """Call-ID, compared byte by byte (RFC 3261 §20.8)."""
        return self._view("call_id", views.call_id)

    @property
    def cseq(self) -> CSeq:
        """Order and method of the transaction."""
        return self._view("cseq", views.cseq)

    @property
    def contacts(self) -> list[NameAddr]:
        """All Contact elements; `Contact: *` counts as none."""
        return self._view("contacts", views.contacts)

    @property
    def routes(self) -> list[NameAddr]:
        """All Route elements, topmost first."""
        return self._view("routes", views.routes)

    @property
    def record_routes(self) -> list[NameAddr]:
        """All Record-Route elements, topmost first."""
        return self._view("record_routes", views.record_routes)

    @property
    def asserted_identities(self) -> list[NameAddr]:
        """All P-Asserted-Identity elements (RFC 3325 §9.1); whether to believe them is the trunk's setting."""
        return self._view("asserted_identities", views.asserted_identities)

    @property
    def expires(self) -> int | None:
        """The Expires header in seconds; a malformed one, which the parser refuses in requests, counts as absent."""
        return self._view("expires", views.expires)

    @property
    def rack(self) -> RAck:
        """Which provisional response a PRACK acknowledges (RFC 3262 §7.2)."""
        return self._view("rack", views.rack)

    @property
    def rseq(self) -> int | None:
        """The number of a reliable provisional response (RFC 3262 §7.1)."""
        return self._view("rseq", views.rseq)

    @property
    def retry_after(self) -> int | None:
        """When to try again, in seconds from now (RFC 3261 §20.33)."""
        return self._view("retry_after", views.retry_after)

    @property
    def content_type(self) -> str | None:
        """Media type in lower case, without parameters."""
        return self._view("content_type", views.content_type)

    @property
    def allow(self) -> frozenset[str]:
        """Methods that the peer takes; empty when it does not say (RFC 3261 §20.5)."""
        return self._view("allow", views.allow)

    @property
    def supported(self) -> frozenset[str]:
        """Option tags that the peer understands, in lower case; what it requires it understands as well."""
        return self._view("supported", views.supported)

    @property
    def require(self) -> tuple[str, ...]:
        """Option tags that the peer insists on, in lower case."""
        return self._view("require", views.require)

    @property
    def challenges(self) -> list[Challenge]:
        """Digest challenges of WWW-Authenticate and Proxy-Authenticate, in order; other schemes are left out."""
        return self._view("challenges", views.challenges)

    def stamp_source(self, host: str, port: int) -> None:
        """Note in the topmost Via where the request came from (RFC 3261 §18.2.1, RFC 3581 §4)."""
        via = self.via.stamped(host, port)
        _, *others = split_list(self.headers.get("Via") or "")
        unchanged = {name: view for name, view in self.headers.views.items() if name not in views.OF_VIA}
        self.headers.replace_first("Via", ", ".join([str(via), *others]))
        self.headers.views.update(unchanged, via=via)

    def __bytes__(self) -> bytes:
        lines = [": ".join(field) for field in self.headers if field[0] != "Content-Length"]
        head = "\r\n".join([self.start_line, *lines, f"Content-Length: {len(self.body)}", "\r\n"])
        return head.encode() + self.body

    def __eq__(self, other: object) -> bool:
        """Same start line, fields and body; Content-Length follows from the body and does not count."""
        return (
            isinstance(other, Message)
            and self.start_line == other.start_line
            and self.body == other.body
            and _fields(self.headers) == _fields(other.headers)
        )

    __hash__ = None  # type: ignore[assignment]


class Request(Message):
    """A request (RFC 3261 §7.1)."""

    __slots__ = ("_uri", "method", "uri_text")

    def __init__(self, method: str, uri: Uri | str, headers: Headers | Pairs = (), body: bytes = b"") -> None:
        super().__init__(headers, body)
        check_token(method)
        self.method = method
        self.uri_text = str(uri)
        """The Request-URI as it stands in the start line."""
        if not _URI_TEXT.fullmatch(self.uri_text):
            raise LocalSipError("not a Request-URI")
        self._uri: Recognized | None = None

    @classmethod
    def trusted(cls, method: str, uri_text: str, uri: Recognized | None, headers: Headers, body: bytes) -> "Request":
        """A request whose parts the parser has checked."""
        request = cls.__new__(cls)
        request.method = method
        request.uri_text = uri_text
        request.headers = headers
        request.body = body
        request._uri = uri
        return request

    def outline(self) -> "Request":
        """A request of the same method, without all that takes memory."""
        return Request.trusted(self.method, "", None, Headers.trusted([]), b"")

    @property
    def uri(self) -> SipUri | TelUri:
        """The Request-URI."""
        uri = self._uri = parse_uri(self.uri_text) if self._uri is None else recognized_uri(self._uri)
        return uri

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri_text} SIP/2.0"

    def response(
        self,
        status: int,
        reason_phrase: str | None = None,
        *,
        to_tag: str | None = None,
        headers: Pairs = (),
        body: bytes = b"",
    ) -> "Response":
        """A response with the headers that tie it to this request (RFC 3261 §8.2.6.2, §12.1.1)."""
        answer = Headers.trusted(self._echoed(status, to_tag))
        for name, value in headers:
            answer.add(name, value)
        return Response(status, reason_phrase, answer, body)

    def _echoed(self, status: int, to_tag: str | None) -> list[tuple[str, str]]:
        names = {"Via", "From", "To", "Call-ID", "CSeq"}
        if status == 100:
            names.add("Timestamp")
        elif status < 300 and self.method in _DIALOG_FORMING:
            names.add("Record-Route")
        pairs = [pair for pair in self.headers if pair[0] in names]
        if to_tag is not None and self.to.tag is None:
            check_token(to_tag)
            pairs = [(name, f"{value};tag={to_tag}" if name == "To" else value) for name, value in pairs]
        return pairs

    def __repr__(self) -> str:
        return f"<Request {self.method}>"


class Response(Message):
    """A response (RFC 3261 §7.2)."""

    __slots__ = ("reason_phrase", "status")

    def __init__(
        self, status: int, reason_phrase: str | None = None, headers: Headers | Pairs = (), body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        if not 100 <= status <= 699:
            raise LocalSipError("status out of range")
        self.status = status
        self.reason_phrase = phrase_of(status) if reason_phrase is None else reason_phrase
        check_sendable(self.reason_phrase)

    @property
    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason_phrase}"

    def _blame(self, error: SipError) -> SipError:
        """Nobody answers a response: a malformed one is dropped."""
        return SipError(None, error.reason)

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


def _fields(headers: Headers) -> list[tuple[str, str]]:
    return [pair for pair in headers if pair[0] != "Content-Length"]
