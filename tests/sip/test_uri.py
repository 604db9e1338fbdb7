"""SIP, SIPS and tel URIs: reading, writing, comparing (RFC 3261 §19.1, RFC 3966)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip import LocalSipError, OtherUri, SipError, SipUri, TelUri, parse_any_uri, parse_uri
from bridge.sip.uri import _SIP, PLAIN_SIP, _sip_uri

HOSTS = st.sampled_from(["example.org", "192.0.2.1", "2001:db8::10", "a_b.example", "localhost"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def sip(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


def test_all_parts_are_read() -> None:
    uri = sip("SIPS:alice:secret@[2001:db8::1]:5061;transport=TCP;lr?Subject=hi%20there&x=")
    assert (uri.scheme, uri.user, uri.password) == ("sips", "alice", "secret")
    assert (uri.host, uri.port, uri.host_port) == ("2001:db8::1", 5061, "[2001:db8::1]:5061")
    assert uri.params == {"transport": "TCP", "lr": None}
    assert uri.transport == "tcp"
    assert uri.headers == (("Subject", "hi there"), ("x", ""))


def test_a_received_uri_is_written_as_it_came() -> None:
    text = "SIP:%61lice%3Bx@EXAMPLE.org:5060;Rinstance=%61"
    assert str(sip(text)) == text
    assert sip(text).user == "alice;x"


def test_our_own_uri_is_escaped() -> None:
    uri = SipUri(
        "sip", "room #1 <x>\r\nVia: evil", None, "example.org", 5060, {"a b": "c;d", "lr": None}, (("s", "?&="),)
    )
    assert str(uri) == "sip:room%20%231%20%3Cx%3E%0D%0AVia%3A%20evil@example.org:5060;a%20b=c%3Bd;lr?s=?%26%3D"


@pytest.mark.parametrize(
    "uri",
    [
        SipUri("sip", None, None, "example.org\r\nVia: x"),
        SipUri("sip", None, None, "a b"),
        SipUri("sip", None, None, ""),
        SipUri("http", None, None, "example.org"),
        SipUri("sip", "\ud800", None, "example.org"),
        TelUri("+1555\r\n"),
        TelUri("abc xyz"),
        OtherUri("urn", "a>b"),
    ],
)
def test_a_uri_that_is_none_cannot_be_written(uri: SipUri | TelUri | OtherUri) -> None:
    with pytest.raises(LocalSipError):
        str(uri)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@example.org",
        "sip:alice@",
        "sip:alice@exa mple.org",
        "sip:alice@example.org:",
        "sip:alice@example.org:65536",
        "sip:alice@example.org:123456",
        "sip:alice@example.org;;lr",
        "sip:alice@example.org;=x",
        "sip:a%zz@example.org",
        "sip:a%4@example.org",
        "sip:alice@example.org;x=%g0",
        "sip:alice@b@example.org",
        "sip:[2001:db8::1",
        "sip:2001:db8::10",
        "sip:[::::]",
        "sip:[1.2.3.4]",
        "sip:al\u00efce@example.org",
        "sip:\u0661\u0662@example.org",
        "sip:alice@example.org\n",
        "<sip:alice@example.org>",
        "tel:",
        "tel:+",
        "tel:+1-555 0100",
        "tel:\u0669\u0661\u0661",
        "12345",
        "://x",
    ],
)
def test_a_malformed_uri_is_a_400(text: str) -> None:
    with pytest.raises(SipError) as caught:
        parse_uri(text)
    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["http://example.org/", "urn:service:sos", "mailto:a@example.org"])
def test_another_scheme_is_a_416_where_one_must_call_it_and_fine_elsewhere(text: str) -> None:
    with pytest.raises(SipError) as caught:
        parse_uri(text)
    assert caught.value.status == 416
    assert str(parse_any_uri(text)) == text
    with pytest.raises(SipError):
        SipUri.parse(text)


@pytest.mark.parametrize(
    "user", ["*06#", "+15550100", "%2B15550100", "911", "1;phone-context=+44", "12345678*+15550100"]
)
def test_dialled_users_are_read(user: str) -> None:
    assert sip(f"sip:{user}@example.org;user=phone").user == user.replace("%2B", "+")


def test_telephone_numbers_are_read_with_and_without_separators() -> None:
    uri = parse_uri("tel:+49(0)30-1.23;ext=7")
    assert isinstance(uri, TelUri)
    assert (uri.number, uri.digits, dict(uri.params)) == ("+49(0)30-1.23", "+4903 0123".replace(" ", ""), {"ext": "7"})
    assert str(uri) == "tel:+49(0)30-1.23;ext=7"
    assert str(parse_uri("TEL:7042;phone-context=example.com")) == "tel:7042;phone-context=example.com"


def test_uris_can_be_keys() -> None:
    assert len({sip("sip:a@b;x"), sip("sip:a@b;x"), sip("sip:c@b")}) == 2


@given(
    user=st.none() | TEXT.filter(bool),
    password=st.none() | TEXT,
    host=HOSTS,
    port=st.none() | st.integers(0, 65535),
    params=st.dictionaries(TEXT.filter(bool).map(lambda text: text.lower()), st.none() | TEXT, max_size=4),
    headers=st.lists(st.tuples(TEXT, TEXT), max_size=3),
)
def test_whatever_is_written_is_read_back(
    user: str | None,
    password: str | None,
    host: str,
    port: int | None,
    params: dict[str, str | None],
    headers: list[tuple[str, str]],
) -> None:
    password = None if user is None else password
    params = {name: value for name, value in params.items() if name.lower() == name}
    uri = SipUri("sip", user, password, host, port, params, tuple(headers))
    assert sip(str(uri)) == uri


@given(st.text(max_size=60) | st.from_regex(r"(?a)sips?:[ -~]{0,40}", fullmatch=True))
def test_any_text_is_a_uri_or_a_sip_error(text: str) -> None:
    try:
        uri = parse_any_uri(text)
    except SipError:
        return
    assert parse_any_uri(str(uri)) == uri


@given(st.from_regex(rf"(?a){PLAIN_SIP}", fullmatch=True))
def test_a_uri_of_the_plain_kind_is_what_the_whole_grammar_makes_of_it(text: str) -> None:
    found = re.compile(rf"(?a){PLAIN_SIP}").fullmatch(text)
    whole = _SIP.fullmatch(text)
    assert found is not None
    assert whole is not None
    try:
        expected = _sip_uri(text, whole)
    except SipError:
        with pytest.raises(SipError):
            sip(text)
    else:
        assert (sip(text), str(sip(text))) == (expected, str(expected))
