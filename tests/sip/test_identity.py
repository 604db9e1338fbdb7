"""Who calls, by whom a call was forwarded, and what networks say of the number: read and written."""

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ids import DialogKey
from bridge.sip.diversion import MAX_DIVERSIONS
from bridge.sip.events import Attestation, IncomingCall, OutgoingCall, Verification
from bridge.sip.inputs import PlaceCall
from bridge.sip.message import Request
from bridge.sip.settings import DialRules, DiversionHeader, FromUser, IdentityHeader, NumberFormat, Trunk, TrunkAuth
from tests.sip.scripted_peer import SDP, TRUNK, Scripted, peer_request, trunk

Fields = tuple[tuple[str, str], ...]
CALLER = "<sip:+15550123@example.org>;tag=p"
HEADERS = ("P-Asserted-Identity", "Remote-Party-ID", "Diversion", "History-Info", "Identity", "Privacy")
GERMAN = DialRules(country_code="49", national_prefix="0")


def incoming(
    *fields: tuple[str, str], from_: str = "<sip:+15550123@example.org>;tag=p", **settings: Any
) -> IncomingCall:
    peer = Scripted(trunk(**settings))
    peer.receive(peer_request("INVITE", sdp=SDP, from_=from_, fields=fields))
    return peer.incoming


def placed(
    *,
    withheld: bool = False,
    caller: str = "+4930123456",
    name: str = "",
    diverted: tuple[str, ...] = (),
    **settings: Any,
) -> Request:
    peer = Scripted(trunk(**settings))
    call = OutgoingCall(
        trunk=TRUNK,
        called="+12065550100",
        caller=caller,
        caller_name=name,
        withheld=withheld,
        diverted_from=diverted,
        sdp=SDP,
    )
    peer.feed(PlaceCall(dialog=DialogKey("call"), call=call))
    return peer.last_request("INVITE")


# Read.


@pytest.mark.parametrize(
    ("fields", "trusted", "number"),
    [
        ((), True, "+15550123"),
        ((("P-Asserted-Identity", "<sip:+15550177@x>"),), True, "+15550177"),
        ((("P-Asserted-Identity", "<sip:+15550177@x>"),), False, "+15550123"),
        ((("P-Asserted-Identity", "<sip:x>, <tel:+1-555-0177>"),), True, "+15550177"),
        ((("P-Asserted-Identity", "\x80 broken"), ("P-Asserted-Identity", "<tel:+15550177>")), True, "+15550177"),
        ((("Remote-Party-ID", "<sip:+15550188@x>;party=calling;screen=yes"),), True, "+15550188"),
        ((("Remote-Party-ID", "<sip:+15550188@x>;screen=no"),), True, "+15550123"),
        ((("Remote-Party-ID", "<sip:+15550188@x>;party=called"),), True, "+15550123"),
        ((("Remote-Party-ID", '<sip:+15550188@x>;privacy="full"'),), True, ""),
        ((("Remote-Party-ID", "<sip:+1@x>"), ("P-Asserted-Identity", "<sip:+15550177@x>")), True, "+15550177"),
        ((("P-Asserted-Identity", "<sip:+15550177@x>"), ("Privacy", "id")), True, ""),
        ((("Privacy", "header; critical"),), True, ""),
        ((("Privacy", "USER"),), False, ""),
        ((("Privacy", "none"),), True, "+15550123"),
        ((("Privacy", "critical;session"),), True, "+15550123"),
    ],
)
def test_the_caller_is_whom_a_trusted_trunk_names(fields: Fields, trusted: bool, number: str) -> None:
    assert incoming(*fields, trust_identity=trusted).caller == number


def test_only_a_trusted_trunk_can_give_its_caller_a_name() -> None:
    named = '"Jane" <sip:+15550123@example.org>;tag=p'
    assert incoming(from_=named).caller_name == "Jane"
    assert incoming(from_=named, trust_identity=False).caller_name == ""


@pytest.mark.parametrize(
    "from_", ["<sip:anonymous@anonymous.invalid>;tag=p", "<sip:x@Anonymous.Invalid>;tag=p", "<sip:Anonymous@x>;tag=p"]
)
def test_an_anonymous_from_names_nobody(from_: str) -> None:
    assert incoming(from_=from_).caller == ""


def test_numbers_are_read_in_the_trunks_format() -> None:
    peer = Scripted(trunk(number_format=NumberFormat.NATIONAL, dial_rules=GERMAN, number_prefix="99*"))
    peer.receive(peer_request("INVITE", sdp=SDP, uri="sip:99*030654321@192.0.2.1", from_="<sip:030123456@x>;tag=p"))
    assert (peer.incoming.called, peer.incoming.caller) == ("+4930654321", "+4930123456")


ONE, TWO = "<sip:+15550001@x>", "<sip:+15550002@x>"


@pytest.mark.parametrize(
    ("name", "value", "numbers"),
    [
        ("Diversion", f"{TWO};reason=user-busy, <tel:+1-555-0001>;reason=unconditional", ("+15550002", "+15550001")),
        ("Diversion", f"{TWO};privacy=full, {ONE};privacy=off", ("+15550001",)),
        ("Diversion", f"{TWO}, {TWO}, {TWO}", ("+15550002",)),
        ("Diversion", '"', ()),
        (
            "History-Info",
            f"{ONE};index=1, <sip:+15550002@x;cause=302>;index=1.1;mp=1, <sip:us@x;cause=486>;index=1.1.1",
            ("+15550002", "+15550001"),
        ),
        ("History-Info", "<sip:+15550001@x?Reason=SIP%3Bcause%3D302>;index=1, <sip:us@x>;index=1.1", ("+15550001",)),
        ("History-Info", f"{ONE};index=1, <sip:us@192.0.2.1>;index=1.1;rc=1", ()),
        ("History-Info", "<sip:+15550001@x?Privacy=history>;index=1, <sip:us@x>;index=1.1;mp=1", ()),
    ],
)
def test_who_forwarded_a_call_is_told_the_newest_first(name: str, value: str, numbers: tuple[str, ...]) -> None:
    assert incoming((name, value)).diverted_from == numbers
    assert incoming((name, value), trust_identity=False).diverted_from == ()


def test_diversions_may_stand_in_fields_of_their_own() -> None:
    assert incoming(("Diversion", TWO), ("Diversion", ONE)).diverted_from == ("+15550002", "+15550001")


def test_a_call_that_was_forwarded_without_end_is_read_to_a_bound() -> None:
    value = ", ".join(f"<sip:+1555{number:04}@x>" for number in range(200))
    assert len(incoming(("Diversion", value)).diverted_from) == MAX_DIVERSIONS


def passport(payload: object, header: object = None) -> str:
    parts = (header or {"alg": "ES256", "typ": "passport", "ppt": "shaken", "x5u": "https://c.example"}, payload)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2ln"]) + ";info=<https://c.example>;alg=ES256;ppt=shaken"


SIGNED = {"attest": "B", "orig": {"tn": "15550123"}, "dest": {"tn": ["15550199"]}, "iat": 1, "origid": "x"}


@pytest.mark.parametrize(
    ("fields", "verification"),
    [
        ((), None),
        ((("P-Asserted-Identity", "<sip:+15550123;verstat=TN-Validation-Passed-A@x;user=phone>"),), ("A", True)),
        ((("P-Asserted-Identity", "<tel:+15550123;verstat=TN-Validation-Failed-C>"),), ("C", False)),
        ((("P-Asserted-Identity", "<sip:+15550123@x;verstat=tn-validation-passed>"),), (None, True)),
        ((("P-Asserted-Identity", "<sip:+15550123@x;verstat=No-TN-Validation>"),), (None, None)),
        ((("P-Asserted-Identity", "<sip:+15550123@x;verstat=Certainly>"),), None),
        ((("Identity", passport(SIGNED)),), ("B", None)),
        ((("y", passport(SIGNED)),), ("B", None)),
        ((("Identity", "..c2ln;info=<https://c.example>;ppt=shaken"),), None),
        ((("Identity", passport({**SIGNED, "orig": {"tn": "15550666"}})),), None),
        ((("Identity", passport({**SIGNED, "attest": "D"})),), None),
        ((("Identity", passport({**SIGNED, "attest": ["A"]})),), None),
        ((("Identity", passport([1, 2])),), None),
        ((("Identity", passport(SIGNED, {"typ": "passport", "ppt": "div"})),), None),
        ((("Identity", "####.####.####"),), None),
        ((("Identity", passport({**SIGNED, "x": "y" * 5000})),), None),
    ],
)
def test_what_networks_say_of_the_number_is_passed_on(
    fields: Fields, verification: tuple[str | None, bool | None] | None
) -> None:
    expected = verification and Verification(
        attestation=Attestation(verification[0]) if verification[0] else None, passed=verification[1]
    )
    assert incoming(*fields).verification == expected
    assert incoming(*fields, trust_identity=False).verification is None


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    "piece", ["<sip:a@x>,", "<sip:a;a=b@x?a=b&c=d>;p=q,", ";a=b", "a.", "[[[[", '"\\', "eyJhIjpb", "id;", "<", ","]
)
def test_no_header_takes_long_to_read(name: str, piece: str) -> None:
    request = peer_request("INVITE", sdp=SDP, fields=((name, piece * (60_000 // len(piece))),))
    peer = Scripted(trunk())
    begin = time.thread_time()
    peer.receive(request)
    assert time.thread_time() - begin < 0.5
    assert peer.titles()[0].startswith(("100", "4", "513"))


@given(
    st.sampled_from(HEADERS),
    st.text(alphabet='<>"\\;=,.:@?&%+sip:telx019 ', max_size=60),
)
def test_whatever_they_hold_the_call_comes_in(name: str, value: str) -> None:
    assert incoming((name, value)).called == "+15550199"


# Written.


def field(request: Request, name: str) -> list[str]:
    return request.headers.get_all(name)


def test_the_trunk_gets_the_identity_headers_that_it_wants() -> None:
    request = placed(identity_headers=tuple(IdentityHeader), user_phone=True, domain="example.org")
    caller = "<sip:+4930123456@example.org;user=phone>"
    assert field(request, "P-Asserted-Identity") == field(request, "P-Preferred-Identity") == [caller]
    assert field(request, "Remote-Party-ID") == [f"{caller};party=calling;screen=yes;privacy=off"]
    assert request.uri_text == "sip:+12065550100@example.org;user=phone"
    assert str(request.to.uri) == request.uri_text
    assert "Privacy" not in request.headers


def test_a_withheld_caller_is_known_to_the_trunk_only() -> None:
    request = placed(withheld=True, identity_headers=(IdentityHeader.ASSERTED, IdentityHeader.REMOTE_PARTY_ID))
    assert str(request.from_.uri) == "sip:anonymous@anonymous.invalid"
    assert "+4930123456" not in request.headers.get(
        "Contact",
    )  # type: ignore[operator]
    assert field(request, "P-Asserted-Identity") == ["<sip:+4930123456@192.0.2.2>"]
    assert field(request, "Remote-Party-ID")[0].endswith("privacy=full")
    assert field(request, "Privacy") == ["id"]


def test_a_caller_without_a_number_is_anonymous_and_asserts_nothing() -> None:
    request = placed(caller="")
    assert (field(request, "Privacy"), field(request, "P-Asserted-Identity")) == (["id"], [])


def test_from_may_name_the_account_and_a_domain_of_its_own() -> None:
    request = placed(auth=TrunkAuth.DIGEST, from_user=FromUser.ACCOUNT, from_domain="callers.example")
    assert str(request.from_.uri) == "sip:alice@callers.example"
    assert field(request, "P-Asserted-Identity") == ["<sip:+4930123456@callers.example>"]


def test_numbers_are_sent_in_the_trunks_format_behind_its_prefix() -> None:
    request = placed(number_format=NumberFormat.NATIONAL, dial_rules=GERMAN, number_prefix="77*", domain="x.example")
    assert request.uri_text == "sip:77*0012065550100@x.example"
    assert str(request.from_.uri) == "sip:030123456@x.example"


def test_fixed_headers_are_sent_with_calls_and_survive_a_challenge() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST, headers=(("X-Telnyx-Token", "secret"),)))
    peer.call()
    peer.challenge(peer.last_request("INVITE"))
    again = peer.last_request("INVITE")
    assert again.cseq.number == 2
    assert field(again, "X-Telnyx-Token") == ["secret"]


def test_forwarding_is_told_in_the_header_that_the_trunk_reads() -> None:
    forwarders = ("+15550002", "+15550001")
    request = placed(diverted=forwarders)
    assert field(request, "Diversion") == [
        "<sip:+15550002@192.0.2.2>;reason=unconditional",
        "<sip:+15550001@192.0.2.2>;reason=unconditional",
    ]
    request = placed(diverted=forwarders, diversion_header=DiversionHeader.HISTORY_INFO)
    assert field(request, "History-Info") == [
        "<sip:+15550001@192.0.2.2>;index=1",
        "<sip:+15550002@192.0.2.2;cause=302>;index=1.1;mp=1",
        "<sip:+12065550100@192.0.2.2;cause=302>;index=1.1.1;mp=1.1",
    ]
    assert field(placed(diverted=forwarders, diversion_header=DiversionHeader.NONE), "Diversion") == []


@pytest.mark.parametrize("header", [DiversionHeader.DIVERSION, DiversionHeader.HISTORY_INFO])
def test_what_is_written_about_forwarding_is_read_as_it_was_meant(header: DiversionHeader) -> None:
    forwarders = ("+15550003", "+15550002", "+15550001")
    request = placed(diverted=forwarders, diversion_header=header)
    fields = [pair for pair in request.headers if pair[0] in ("Diversion", "History-Info")]
    assert incoming(*fields).diverted_from == forwarders


def test_a_proxy_in_front_of_the_domain_is_routed_through() -> None:
    request = placed(outbound_proxy=True, host="edge.example", port=5070, domain="example.org", domain_port=5080)
    assert field(request, "Route") == ["<sip:edge.example:5070;lr>"]
    assert request.uri_text == "sip:+12065550100@example.org:5080"


def test_settings_do_not_show_secret_headers() -> None:
    assert "hush" not in repr(Trunk(name=TRUNK, host="x", headers=(("X-Token", "hush"),)))


@pytest.mark.parametrize(("send_names", "shown"), [(True, '"Zoë \\"Z\\" Smith" '), (False, "")])
def test_a_trunk_is_told_the_callers_name_where_it_wants_names(send_names: bool, shown: str) -> None:
    request = placed(name='Zoë "Z" Smith', send_names=send_names)
    for field in ("From", "P-Asserted-Identity"):
        assert (request.headers.get(field) or "").startswith(f"{shown}<sip:+4930123456@")


def test_a_caller_without_a_number_has_no_name_either() -> None:
    assert (placed(name="Zoë", caller="").headers.get("From") or "").startswith('"Anonymous" <')
