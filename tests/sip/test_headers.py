"""The header multimap and the typed values: From, Via, CSeq and their kind."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip import CSeq, Headers, LocalSipError, NameAddr, Request, Response, SipError, SipUri, Via
from bridge.sip.fields import PLAIN_ADDRESS, PLAIN_VIA
from bridge.sip.grammar import split_list
from bridge.sip.headers import CANONICAL

INJECTIONS = ["a\r\nVia: x", "a\nb", "a\rb", "a\0b", "\r\n", "\ud800"]


def test_names_compare_without_case_and_in_compact_form() -> None:
    headers = Headers([("v", "SIP/2.0/UDP a"), ("CALL-id", "x"), ("Via", "SIP/2.0/UDP b"), ("x-foo", "1")])
    assert list(headers) == [
        ("Via", "SIP/2.0/UDP a"),
        ("Call-ID", "x"),
        ("Via", "SIP/2.0/UDP b"),
        ("X-Foo", "1"),
    ]
    assert headers.get_all("V") == ["SIP/2.0/UDP a", "SIP/2.0/UDP b"]
    assert headers.get("i") == "x"
    assert "X-FOO" in headers
    assert "Contact" not in headers
    assert 1 not in headers
    assert len(headers) == 4


def test_fields_are_changed_in_place() -> None:
    headers = Headers([("Route", "<sip:a>"), ("To", "<sip:t>"), ("Route", "<sip:b>")])
    headers.prepend("Via", "SIP/2.0/UDP x")
    headers.set("route", "<sip:c>")
    headers.set("Subject", "s")
    headers.replace_first("Via", "SIP/2.0/UDP y")
    headers.replace_first("Expires", "5")
    assert list(headers) == [
        ("Via", "SIP/2.0/UDP y"),
        ("Route", "<sip:c>"),
        ("To", "<sip:t>"),
        ("Subject", "s"),
        ("Expires", "5"),
    ]
    headers.remove("r")
    headers.remove("ROUTE")
    assert headers.get("Route") is None


def test_a_copy_is_independent() -> None:
    headers = Headers([("To", "<sip:t>")])
    other = headers.copy()
    assert other == headers
    other.add("Subject", "s")
    assert other != headers


@pytest.mark.parametrize("value", INJECTIONS)
def test_no_line_can_be_smuggled_out_in_a_value(value: str) -> None:
    headers = Headers()
    for change in (headers.add, headers.set, headers.prepend, headers.replace_first):
        with pytest.raises(LocalSipError):
            change("Subject", value)
    with pytest.raises(LocalSipError):
        Headers([("Subject", value)])
    assert len(headers) == 0


@pytest.mark.parametrize("name", [*INJECTIONS, "", " ", "a b", "a:", "\u00e4", "From "])
def test_no_line_can_be_smuggled_out_in_a_name(name: str) -> None:
    with pytest.raises(LocalSipError):
        Headers().add(name, "x")


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_line_can_be_smuggled_out_of_a_start_line_or_response(text: str) -> None:
    with pytest.raises(LocalSipError):
        Request(text, "sip:a@example.org")
    with pytest.raises(LocalSipError):
        Request("INVITE", f"sip:{text}@example.org")
    with pytest.raises(LocalSipError):
        Response(486, text)
    request = Request("INVITE", "sip:a@example.org", [("To", "<sip:a@example.org>")])
    with pytest.raises(LocalSipError):
        request.response(200, text)
    with pytest.raises(LocalSipError):
        request.response(200, to_tag=text)
    with pytest.raises(LocalSipError):
        request.response(200, headers=[("Subject", text)])


def test_a_display_name_cannot_leave_its_quotes() -> None:
    address = NameAddr('x" <sip:evil@example.org>;tag=1 \\\r\nVia: y\0', SipUri("sip", "a", None, "example.org"))
    assert str(address) == '"x\\" <sip:evil@example.org>;tag=1 \\\\Via: y" <sip:a@example.org>'
    again = NameAddr.parse(str(address))
    assert again.uri == address.uri
    assert again.tag is None


def test_what_others_call_headers_fills_the_name_cache_only_to_a_bound() -> None:
    for number in range(3000):
        assert Headers([(f"X-Made-Up-{number}", "1")]).get(f"x-made-up-{number}") == "1"
    Headers([("X" * 5000, "1")])
    assert len(CANONICAL) <= 1024


def test_values_are_not_shown_in_a_trace() -> None:
    assert "+15550100" not in repr(Headers([("From", "<sip:+15550100@example.org>")]))
    assert "+15550100" not in repr(Request("INVITE", "sip:+15550100@example.org"))
    for address in ("<sip:+15550100@example.org>", "<tel:+15550100>", "<x:+15550100>"):
        assert "15550100" not in repr(NameAddr.parse(address)) + repr(NameAddr.parse(address).uri)
    assert repr(Response(486)) == "<Response 486>"


@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        ("<sip:a@b>", "", "sip:a@b", {}),
        ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", {"tag": "1"}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        ('"A \\"quoted\\" name" <sip:a@b>;TAG=1;x', 'A "quoted" name', "sip:a@b", {"tag": "1", "x": None}),
        ("Alice Example <sip:a@b>", "Alice Example", "sip:a@b", {}),
        ("Alice<sip:a@b>", "Alice", "sip:a@b", {}),
        ('"" <sip:a@b>', "", "sip:a@b", {}),
        ('"\u00c4\u00d6" <sip:a@b>', "\u00c4\u00d6", "sip:a@b", {}),
        ("Anonymous <sip:anonymous@anonymous.invalid>;tag=a=b/c", "Anonymous", "sip:anonymous@anonymous.invalid", None),
        ('<tel:+15550100>;x="a;b,c<d>"', "", "tel:+15550100", {"x": '"a;b,c<d>"'}),
        ("<sip:a@b>;tag=1;tag=2", "", "sip:a@b", {"tag": "1"}),
        ("<urn:service:sos>", "", "urn:service:sos", {}),
    ],
)
def test_addresses_are_read(text: str, name: str, uri: str, params: dict[str, str | None] | None) -> None:
    address = NameAddr.parse(text)
    assert (address.display_name, str(address.uri)) == (name, uri)
    assert params is None or address.params == params
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "<sip:a@b",
        "sip:a@b>",
        '"alice <sip:a@b>',
        '"alice" sip:a@b',
        "<sip:a@b>x",
        "<sip:a@b>;",
        "<sip:a@b>;;x",
        "<sip:a@b>;x=",
        '<sip:a@b>;x="y',
        "<sip:a@b>, <sip:c@d>",
        "sip:a@b?x=y",
        "< sip:a@b >",
        "<>",
    ],
)
def test_a_malformed_address_is_a_400(text: str) -> None:
    with pytest.raises(SipError) as caught:
        NameAddr.parse(text)
    assert caught.value.status == 400


def test_an_address_gets_a_tag_and_tells_its_expiry() -> None:
    address = NameAddr.parse("<sip:a@b>;expires=60")
    assert str(address.with_tag("t1")) == "<sip:a@b>;expires=60;tag=t1"
    assert address.expires == 60
    assert NameAddr.parse("<sip:a@b>;expires=soon").expires is None
    assert NameAddr.parse("<sip:a@b>").expires is None


def test_a_via_is_read_and_stamped_with_its_source() -> None:
    via = Via.parse("SIP/2.0/udp example.org:5062;branch=z9hG4bK1;rport")
    assert (via.transport, via.host, via.port, via.branch, via.rport) == ("UDP", "example.org", 5062, "z9hG4bK1", None)
    stamped = via.stamped("192.0.2.9", 40000)
    assert str(stamped) == "SIP/2.0/UDP example.org:5062;branch=z9hG4bK1;rport=40000;received=192.0.2.9"
    assert (stamped.received, stamped.rport) == ("192.0.2.9", 40000)
    plain = Via.parse("SIP/2.0/TCP 192.0.2.9")
    assert plain.stamped("192.0.2.9", 5060) == plain
    assert plain.stamped("192.0.2.10", 5060).received == "192.0.2.10"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/3.0/UDP example.org",
        "SIP/2.0 UDP example.org",
        "SIP/2.0/UDP example.org:99999",
        "SIP/2.0/UDP example.org:x",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP [zz]",
        "SIP/2.0/UDP example.org;",
        "SIP/2.0/UDP ex\u00e4mple.org",
        "SIP/2.0/UDP example.org;branch=",
    ],
)
def test_a_malformed_via_is_a_400(text: str) -> None:
    with pytest.raises(SipError) as caught:
        Via.parse(text)
    assert caught.value.status == 400


def test_a_made_up_rport_is_ignored() -> None:
    for value in ("x", "\u0661", "1234567"):
        assert Via("UDP", "a", None, {"rport": value}).rport is None


def test_cseq_is_read_within_its_range() -> None:
    assert CSeq.parse("2147483647 INVITE") == CSeq(2**31 - 1, "INVITE")
    assert str(CSeq(7, "BYE")) == "7 BYE"
    for text in (
        "2147483648 INVITE",
        "-1 INVITE",
        "1",
        "INVITE",
        "1INVITE",
        "1 INVITE x",
        "\u0661 INVITE",
        "9" * 5000 + " A",
    ):
        with pytest.raises(SipError):
            CSeq.parse(text)


def test_lists_are_split_outside_quotes_and_brackets_only() -> None:
    assert split_list('"a, b" <sip:c,d@e>;x="y,z" , <sip:f>,g') == ['"a, b" <sip:c,d@e>;x="y,z"', "<sip:f>", "g"]
    assert split_list("a, b,c") == ["a", "b", "c"]
    assert split_list("a") == ["a"]
    for text in ('a, "b', "a, <b", '"\\", b'):
        with pytest.raises(SipError):
            split_list(text)


def test_views_follow_changes_of_the_headers() -> None:
    request = Request("INVITE", "sip:a@example.org", [("To", "<sip:a@example.org>"), ("Via", "SIP/2.0/UDP a;rport")])
    tags = [request.to.tag]
    request.headers.set("To", "<sip:a@example.org>;tag=1")
    assert [*tags, request.to.tag] == [None, "1"]
    request.stamp_source("192.0.2.1", 5070)
    assert request.via.rport == 5070
    assert request.headers.get("Via") == "SIP/2.0/UDP a;rport=5070;received=192.0.2.1"


@pytest.mark.parametrize(
    ("name", "value", "view"),
    [
        ("Via", "nonsense", "via"),
        ("From", "nonsense", "from_"),
        ("CSeq", "nonsense", "cseq"),
        ("Contact", "nonsense", "contacts"),
        ("Route", "<sip:a>,", "routes"),
        ("Record-Route", "<sip:a", "record_routes"),
        ("P-Asserted-Identity", "nonsense", "asserted_identities"),
    ],
)
def test_a_malformed_header_is_a_400_in_a_request_and_dropped_in_a_response(name: str, value: str, view: str) -> None:
    with pytest.raises(SipError) as in_request:
        getattr(Request("INVITE", "sip:a@example.org", [(name, value)]), view)
    assert in_request.value.status == 400
    with pytest.raises(SipError) as in_response:
        getattr(Response(200, None, [(name, value)]), view)
    assert in_response.value.status is None


def test_lists_of_tokens_are_normalised() -> None:
    request = Request(
        "INVITE",
        "sip:a@example.org",
        [
            ("Require", "100Rel,, Foo"),
            ("c", "Text/Plain;a=b"),
        ],
    )
    assert request.require == ("100rel", "foo")
    assert request.content_type == "text/plain"
    assert request.contacts == []
    assert request.expires is None
    assert Response(200, None, [("Expires", "Sat, 01 Jan 2050 00:00:00 GMT")]).expires is None
    assert Request("REGISTER", "sip:a", [("Contact", "*")]).contacts == []


def test_a_response_carries_what_ties_it_to_its_request() -> None:
    request = Request(
        "INVITE",
        "sip:a@example.org",
        [
            ("Via", "SIP/2.0/UDP a;branch=1"),
            ("Via", "SIP/2.0/UDP b;branch=2"),
            ("Record-Route", "<sip:p;lr>"),
            ("From", "<sip:f>;tag=1"),
            ("To", "sip:a@example.org"),
            ("Call-ID", "c"),
            ("CSeq", "1 INVITE"),
            ("Timestamp", "54"),
            ("Contact", "<sip:x>"),
        ],
        b"body",
    )
    trying = request.response(100)
    assert (trying.headers.get("Timestamp"), trying.headers.get("Record-Route"), trying.to.tag) == ("54", None, None)
    ok = request.response(200, to_tag="t", headers=[("Contact", "<sip:us>")], body=b"v=0")
    assert (ok.to.tag, ok.headers.get("Record-Route"), len(ok.vias), ok.headers.get("Timestamp")) == (
        "t",
        "<sip:p;lr>",
        2,
        None,
    )
    assert bytes(ok).endswith(b"Content-Length: 3\r\n\r\nv=0")
    assert request.response(486, to_tag="t").headers.get("Record-Route") is None
    assert request.response(486).reason_phrase == "Busy Here"
    assert request.response(299).reason_phrase == "OK"
    request.headers.set("To", "<sip:a@example.org>;tag=own")
    assert request.response(200, to_tag="t").to.tag == "own"


def test_a_status_out_of_range_cannot_be_sent() -> None:
    for status in (99, 700):
        with pytest.raises(LocalSipError):
            Response(status)


@given(st.from_regex(PLAIN_ADDRESS, fullmatch=True))
def test_an_address_of_the_plain_kind_is_what_the_whole_grammar_makes_of_it(text: str) -> None:
    _same(NameAddr.parse, NameAddr._parse, text)


@given(st.from_regex(PLAIN_VIA, fullmatch=True))
def test_a_via_of_the_plain_kind_is_what_the_whole_grammar_makes_of_it(text: str) -> None:
    _same(Via.parse, Via._parse, text)


def _same(plain: Callable[[str], object], whole: Callable[[str], object], text: str) -> None:
    """Ports beyond the highest are refused by both."""
    try:
        expected = whole(text)
    except SipError:
        with pytest.raises(SipError):
            plain(text)
    else:
        assert (plain(text), str(plain(text))) == (expected, str(expected))


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_a_sip_error(text: str) -> None:
    try:
        address = NameAddr.parse(text)
    except SipError:
        return
    assert NameAddr.parse(str(address)) == address
