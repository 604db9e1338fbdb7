"""Refer-To, Referred-By, Replaces and the status lines of NOTIFY, as peers write them (RFC 3515, 3891, 3892, 3420)."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entropy import SeededEntropy
from bridge.sip.errors import SipError
from bridge.sip.events import ReferTarget
from bridge.sip.message import Request
from bridge.sip.refer_to import refer_target, refer_to, referred_by
from bridge.sip.replaces import Replaces, replaces_of
from bridge.sip.sipfrag import sipfrag, status_of
from bridge.sip.trunks import Directory, TrunkState
from bridge.sip.uri import SipUri
from tests.sip.scripted_peer import PEER, TRUNK, peer_request, trunk

CALL_IDS = st.text(st.sampled_from("abcXYZ0189.-!%*_+`'~()<>:\\\"/[]?{}@"), min_size=1, max_size=60)
TAGS = st.text(st.sampled_from("abcXYZ0189.-!%*_+`'~"), min_size=1, max_size=40)
USERS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")), min_size=1)


def state() -> TrunkState:
    found = Directory((trunk(),), SeededEntropy(1)).get(TRUNK)
    assert found is not None
    return found


def refer(*values: str, name: str = "Refer-To") -> Request:
    return peer_request("REFER", to_tag="us", fields=tuple((name, value) for value in values))


@pytest.mark.parametrize(
    ("value", "user", "uri"),
    [
        ("<sip:+15550100@pbx.example;user=phone>", "+15550100", "sip:+15550100@pbx.example;user=phone"),
        ("sip:100@pbx.example", "100", "sip:100@pbx.example"),
        ('"Carol" <sips:carol@pbx.example:5071>;ext=1', "carol", "sips:carol@pbx.example:5071"),
        ("<sip:100@pbx.example;method=INVITE>", "100", "sip:100@pbx.example"),
        ("<sip:100@pbx.example?Route=%3Csip:evil.example%3E&body=x>", "100", "sip:100@pbx.example"),
        ("<tel:+1-555-0100>", "+15550100", f"sip:+15550100@{PEER}"),
        ("<sip:pbx.example>", "", "sip:pbx.example"),
    ],
)
def test_a_target_is_read_and_nothing_but_the_target_gets_out(value: str, user: str, uri: str) -> None:
    target = refer_target(refer(value), state())
    assert (target.user, str(target.uri), target.replaces) == (user, uri, None)


def test_a_compact_refer_to_is_one_too() -> None:
    assert refer_target(refer("sip:100@pbx.example", name="r"), state()).user == "100"


def test_an_attended_transfer_names_the_call_to_take_over() -> None:
    value = "<sip:c@pbx.example?Replaces=a1%40b;to-tag%3Dx%3Bfrom-tag%3Dy%3Bearly-only&Require=replaces>"
    target = refer_target(refer(value.replace(";to", "%3Bto")), state())
    assert target.replaces == "a1@b;to-tag=x;from-tag=y;early-only"
    assert target.uri.headers == ()


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ((), 400),
        (("<sip:a@h>", "<sip:b@h>"), 400),
        (("<sip:a@h>, <sip:b@h>",), 400),
        (("<sip:a@h",), 400),
        (("",), 400),
        (("<sip:a@h;method=BYE>",), 400),
        (("<sip:a@h?Replaces=x>",), 400),
        (("<sip:a@h?Replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db%0D%0AEvil:%20x>",), 400),
        (("<sip:a@h?Replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db&replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db>",), 400),
        (("<sip:a@h?Replaces=%GG>",), 400),
        (("sip:a@h?Replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db",), 400),
        (("<http://example.org/>",), 416),
        (("<mailto:a@example.org>",), 416),
    ],
)
def test_what_cannot_be_called_is_refused(values: tuple[str, ...], status: int) -> None:
    with pytest.raises(SipError) as caught:
        refer_target(refer(*values), state())
    assert caught.value.status == status


def test_the_referrer_is_told_without_its_token() -> None:
    request = refer('"Bob" <sip:bob@pbx.example>;cid="20398823.2UWQFN309shb3@pbx.example"', name="Referred-By")
    assert referred_by(request) == '"Bob" <sip:bob@pbx.example>'
    assert referred_by(refer()) == ""
    with pytest.raises(SipError):
        referred_by(refer("<sip:a@h>", "<sip:b@h>", name="b"))


@pytest.mark.parametrize(
    "value",
    [
        "call;to-tag=a;from-tag=b",
        "98732@sip.example.com ; from-tag=r33th4x0r ; to-tag=ff87ff",
        "call;to-tag=a;from-tag=0;early-only",
        "12adf2f34456gs5;to-tag=12345;from-tag=54321;whatever=1",
    ],
)
def test_a_replaces_header_is_read(value: str) -> None:
    found = Replaces.parse(value)
    assert Replaces.parse(str(found)) == found
    assert found.early_only is ("early-only" in value)


@pytest.mark.parametrize(
    "value",
    ["", ";to-tag=a;from-tag=b", "call", "call;to-tag=a", "call;from-tag=a", 'call;to-tag="a";from-tag=b', "a b;c"],
)
def test_a_replaces_header_without_its_parts_is_refused(value: str) -> None:
    with pytest.raises(SipError) as caught:
        Replaces.parse(value)
    assert caught.value.status == 400


def test_two_wishes_for_one_call_are_refused() -> None:
    good = ("Replaces", "call;to-tag=a;from-tag=b")
    assert replaces_of(peer_request("INVITE", fields=(good,))) is not None
    assert replaces_of(peer_request("INVITE")) is None
    for fields in ((good, good), (good, ("Join", "call;to-tag=a;from-tag=b"))):
        with pytest.raises(SipError):
            replaces_of(peer_request("INVITE", fields=fields))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"SIP/2.0 100 Trying\r\n", 100),
        (b"SIP/2.0 200 OK", 200),
        (b"SIP/2.0 603 Declined\r\nWarning: 399 x\r\nContact: <sip:a@h>\r\n\r\n", 603),
        (b"SIP/2.0 486\r\n", 486),
        (b"", None),
    ],
)
def test_the_status_of_a_report(body: bytes, status: int | None) -> None:
    assert status_of(notify(body)) == status


@pytest.mark.parametrize("body", [b"SIP/2.0 1000 x", b"SIP/2.0 099 x", b"INVITE sip:a@h SIP/2.0", b"200 OK", b"\xff"])
def test_a_report_without_a_status_is_refused(body: bytes) -> None:
    with pytest.raises(SipError) as caught:
        status_of(notify(body))
    assert caught.value.status == 400


def test_a_report_of_another_kind_is_refused() -> None:
    with pytest.raises(SipError) as caught:
        status_of(notify(b"SIP/2.0 200 OK", kind="text/plain"))
    assert caught.value.status == 415


def notify(body: bytes, kind: str = "message/sipfrag;version=2.0") -> Request:
    request = peer_request("NOTIFY", to_tag="us", fields=(("Content-Type", kind),))
    request.body = body
    return request


@given(CALL_IDS, TAGS, TAGS, st.booleans(), USERS)
def test_a_refer_to_comes_back_as_it_was_written(
    call_id: str, to_tag: str, from_tag: str, early_only: bool, user: str
) -> None:
    replaces = Replaces(sip_call_id=call_id, to_tag=to_tag, from_tag=from_tag, early_only=early_only)
    uri = SipUri("sip", user, None, "pbx.example")
    found = refer_target(refer(refer_to(uri, replaces)), state())
    assert found == ReferTarget(user=found.user, uri=uri, replaces=str(replaces))
    assert Replaces.parse(str(replaces)) == replaces


@given(st.integers(100, 699))
def test_a_status_comes_back_as_it_was_written(status: int) -> None:
    assert status_of(notify(sipfrag(status))) == status


def refusal(read: Callable[[], object]) -> int | None:
    try:
        read()
    except SipError as error:
        return error.status
    return None


LINES = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=80)
NEARLY = st.lists(
    st.sampled_from(
        ["<", ">", "sip:", "tel:", "a", "@", "h", "?", "Replaces=", ";", "to-tag", "=", "%3B", "%", ",", '"']
    )
).map("".join)


@given(LINES | NEARLY)
def test_whatever_stands_in_a_header_only_a_sip_error_comes_out(text: str) -> None:
    for read in (
        lambda: refer_target(refer(text), state()),
        lambda: referred_by(refer(text, name="Referred-By")),
        lambda: Replaces.parse(text),
    ):
        assert refusal(read) in (None, 400, 416)


@given(st.binary(max_size=80) | LINES.map(lambda text: b"SIP/2.0 " + text.encode()))
def test_whatever_stands_in_a_report_only_a_sip_error_comes_out(body: bytes) -> None:
    assert refusal(lambda: status_of(notify(body))) in (None, 400)
