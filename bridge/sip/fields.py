"""Typed values of the headers that routing, dialogs and transactions are made of."""

import re
from dataclasses import field
from typing import NamedTuple

from bridge.core.pii import Pii
from bridge.core.values import Kept, value_type
from bridge.sip.errors import SipError
from bridge.sip.grammar import (
    HOST,
    QUOTED,
    TOKEN,
    Params,
    format_params,
    parse_params,
    plain_params,
    printable,
    quote,
    split_list,
    unquote,
)
from bridge.sip.uri import (
    PLAIN_SIP,
    Uri,
    bare_host,
    join_host_port,
    parse_any_uri,
    plain_sip_uri,
    port_number,
)

MAX_CSEQ = 2**31 - 1
"""RFC 3261 §8.1.1.5."""

MAX_DELTA_SECONDS = 2**32 - 1
"""RFC 3261 §20.19."""

_VIA = re.compile(
    rf"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*({TOKEN})[ \t]+({HOST})(?:[ \t]*:[ \t]*([0-9]{{1,5}}))?[ \t]*", re.IGNORECASE
)
_NAME_ADDR = re.compile(rf'(?:({QUOTED})[ \t]*|([^"<>]*))<([^<>]*)>')
_ADDR_SPEC = re.compile(r'[^ \t"<>;,?]+')

_PLAIN_PARAMS = r"((?:;[A-Za-z0-9.!%*_+`'~-]++(?:=[!#-+\--:=?-\[\]-~]++)?)*+)"
PLAIN_VIA = rf"SIP/2\.0/([A-Z]++) ([A-Za-z0-9._-]++)(?::([1-5]?[0-9]{{1,4}}))?{_PLAIN_PARAMS}"
PLAIN_ADDRESS = rf'(?:"([ !#-\[\]-~]*+)" ?|([A-Za-z0-9 ]*+))<({PLAIN_SIP})>{_PLAIN_PARAMS}'
"""Whole values as nearly all senders write them, parsed at a fraction of the cost of what else the RFC allows."""

_PLAIN_VIA = re.compile(PLAIN_VIA)
_PLAIN_ADDRESS = re.compile(PLAIN_ADDRESS)

_CSEQ = re.compile(rf"([0-9]{{1,20}})[ \t]+({TOKEN})")
_RACK = re.compile(rf"([0-9]{{1,10}})[ \t]+([0-9]{{1,10}})[ \t]+({TOKEN})")
DELTA_SECONDS = re.compile(r"[0-9]{1,10}")


@value_type
class Via:
    """One hop of the way back (RFC 3261 §20.42)."""

    transport: str
    """In upper case."""
    host: str
    """IPv6 without the brackets."""
    port: int | None = None
    params: Params = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, text: str) -> "Via":
        """Parse one element of a Via header."""
        found = _PLAIN_VIA.fullmatch(text)
        return cls._parse(text) if found is None else cls.recognized(found)

    @classmethod
    def recognize(cls, value: str) -> "list[re.Match[str] | Via]":
        """The elements of a Via header, which `recognized` takes on if anybody looks."""
        if found := _PLAIN_VIA.fullmatch(value):
            return [found]
        return [cls.parse(element) for element in split_list(value)]

    @classmethod
    def recognized(cls, found: "re.Match[str] | Via") -> "Via":
        """The element itself."""
        if not isinstance(found, re.Match):
            return found
        transport, host, port, params = found.groups()
        return cls(transport, host, int(port) if port else None, plain_params(params) if params else {})

    @classmethod
    def _parse(cls, text: str) -> "Via":
        found = _VIA.match(text)
        if found is None:
            raise SipError(400, "Malformed Via")
        transport, host, port = found.groups()
        number = port_number(port) if port else None
        return cls(transport.upper(), bare_host(host), number, parse_params(text, found.end()))

    @property
    def branch(self) -> str | None:
        """The transaction's name, if the client follows RFC 3261 (§8.1.1.7)."""
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """Where the request really came from (RFC 3261 §18.2.1); some peers put IPv6 in brackets (RFC 5118 §4.5)."""
        value = self.params.get("received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The source port that a server filled in (RFC 3581); one that is only asked for is in `params`."""
        value = self.params.get("rport")
        return int(value) if value and len(value) <= 5 and value.isdigit() and value.isascii() else None

    @property
    def sent_by(self) -> str:
        """Host and port as the sender calls itself: a part of the transaction's identity (RFC 3261 §17.2.3)."""
        return join_host_port(self.host, self.port)

    def stamped(self, host: str, port: int) -> "Via":
        """With `received` and `rport` as a server adds them (RFC 3261 §18.2.1, RFC 3581 §4)."""
        params = dict(self.params)
        if "rport" in params:
            params["rport"] = str(port)
        if "rport" in params or host != self.host:
            params["received"] = host
        return Via(self.transport, self.host, self.port, params)

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{format_params(self.params)}"


@value_type
class NameAddr:
    """A URI with a display name and header parameters: From, To, Contact, Route … (RFC 3261 §20.10)."""

    display_name: str
    uri: Uri
    params: Params = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """Parse a `name-addr` or `addr-spec` with its parameters."""
        # The messages of a dialog have the same From, To, Contact and routes.
        if known := _KEPT.get(text):
            return known
        found = _PLAIN_ADDRESS.fullmatch(text)
        return cls._parse(text) if found is None else cls.recognized(found)

    @classmethod
    def recognize(cls, text: str) -> "re.Match[str] | NameAddr":
        """The value of a header with one address, which `recognized` takes on if anybody looks."""
        return _KEPT.get(text) or _PLAIN_ADDRESS.fullmatch(text) or cls._parse(text)

    @classmethod
    def recognized(cls, found: "re.Match[str] | NameAddr") -> "NameAddr":
        """The address itself."""
        if not isinstance(found, re.Match):
            return found
        quoted, plain, uri, scheme, user, host, port, uri_params, params = found.groups()
        name = plain.rstrip(" ") if quoted is None else quoted
        sip_uri = plain_sip_uri(uri, scheme, user, host, port, uri_params)
        return _KEPT.keep(found[0], cls(name, sip_uri, plain_params(params) if params else {}))

    @classmethod
    def _parse(cls, text: str) -> "NameAddr":
        found = _NAME_ADDR.match(text)
        if found is None:
            return cls._parse_addr_spec(text)
        # Unquoted names with commas and dots are common (RFC 4475 §3.1.2.15), and harmless.
        quoted, plain, uri = found.groups()
        name = unquote(quoted) if quoted else plain.rstrip(" \t")
        return cls(printable(name), parse_any_uri(uri), parse_params(text, found.end()))

    @classmethod
    def _parse_addr_spec(cls, text: str) -> "NameAddr":
        """Without brackets, all parameters are the header's, and a URI with headers is refused (RFC 3261 §20)."""
        found = _ADDR_SPEC.match(text)
        if found is None:
            raise SipError(400, "Malformed Address")
        return cls("", parse_any_uri(found[0]), parse_params(text, found.end()))

    @property
    def tag(self) -> str | None:
        """This party's half of the dialog's name (RFC 3261 §19.3)."""
        return self.params.get("tag")

    @property
    def expires(self) -> int | None:
        """The `expires` parameter of a Contact; a malformed one counts as absent (RFC 3261 §20.10)."""
        value = self.params.get("expires")
        return int(value) if value and DELTA_SECONDS.fullmatch(value) else None

    def with_tag(self, tag: str) -> "NameAddr":
        """The same party in a dialog."""
        return NameAddr(self.display_name, self.uri, {**self.params, "tag": tag})

    def __repr__(self) -> str:
        return f"NameAddr({Pii(str(self))})"

    def __str__(self) -> str:
        name = f"{quote(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{format_params(self.params)}"


_KEPT: Kept[NameAddr] = Kept()


@value_type
class CSeq:
    """Order and method of a transaction (RFC 3261 §20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> "CSeq":
        """Parse a CSeq header; the number is below 2**31 (RFC 3261 §8.1.1.5)."""
        if known := _KEPT_CSEQS.get(text):
            return known
        found = _CSEQ.fullmatch(text)
        if found is None or (number := int(found[1])) > MAX_CSEQ:
            raise SipError(400, "Malformed CSeq")
        return _KEPT_CSEQS.keep(text, cls(number, found[2]))

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


class RAck(NamedTuple):
    """Which provisional response a PRACK acknowledges (RFC 3262 §7.2)."""

    rseq: int
    cseq: int
    method: str

    @classmethod
    def parse(cls, text: str) -> "RAck":
        """Parse a RAck header."""
        found = _RACK.fullmatch(text)
        if found is None or (rseq := int(found[1])) > MAX_DELTA_SECONDS or (cseq := int(found[2])) > MAX_CSEQ:
            raise SipError(400, "Malformed RAck")
        return cls(rseq, cseq, found[3])


_KEPT_CSEQS: Kept[CSeq] = Kept(longest=32)
