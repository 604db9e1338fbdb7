"""RFC 4475 and RFC 5118: the messages that break parsers."""

import pytest

from bridge.sip import Headers, Request, Response, SipError, SipUri, StreamFramer, parse_message
from tests.fuzz import sip_messages
from tests.sip.torture_messages import ACCEPTED, LATE, REFUSED


def accepted(name: str) -> Request:
    message = parse_message(ACCEPTED[name])
    assert isinstance(message, Request)
    return message


def accepted_response(name: str) -> Response:
    message = parse_message(ACCEPTED[name])
    assert isinstance(message, Response)
    return message


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_odd_but_valid_message_is_accepted_and_survives_being_written_again(name: str) -> None:
    message = parse_message(ACCEPTED[name])
    again = parse_message(bytes(message))
    assert again == message
    assert bytes(again) == bytes(message)


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_message_is_refused_with_the_status_of_the_rfc(name: str) -> None:
    case = REFUSED[name]
    with pytest.raises(SipError) as caught:
        parse_message(case.wire)
    assert caught.value.status == case.status


@pytest.mark.parametrize("name", [name for name, case in REFUSED.items() if case.status is not None])
def test_a_refused_request_comes_with_the_answer_to_send(name: str) -> None:
    with pytest.raises(SipError) as caught:
        parse_message(REFUSED[name].wire)
    answer = caught.value.response
    assert answer is not None
    assert answer.status == REFUSED[name].status
    assert answer.headers.get("CSeq")
    assert bytes(answer).startswith(f"SIP/2.0 {answer.status} ".encode())


@pytest.mark.parametrize("name", LATE)
def test_a_malformed_contact_is_refused_when_it_is_looked_at(name: str) -> None:
    message = parse_message(LATE[name])
    with pytest.raises(SipError) as caught:
        _ = message.contacts
    assert caught.value.status == 400


@pytest.mark.parametrize("name", ["ncl", "mcl01"])
def test_a_stream_with_an_unusable_length_is_given_up_with_an_answer(name: str) -> None:
    framer = StreamFramer()
    with pytest.raises(SipError) as caught:
        list(framer.feed(REFUSED[name].wire))
    assert caught.value.status == 400
    assert caught.value.response is not None


def test_wsinv_reads_the_same_as_without_the_blanks() -> None:
    request = accepted("wsinv")
    assert (request.cseq.number, request.headers.get("Max-Forwards"), request.to.tag) == (9, "0068", "1918181833n")
    assert request.from_.display_name == 'C Caller \\"'
    assert [via.branch for via in request.vias] == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    assert [via.transport for via in request.vias] == ["UDP", "TCP", "UDP"]
    assert request.contacts[0].params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    route = request.routes[0].uri
    assert isinstance(route, SipUri)
    assert (route.host, route.params) == (
        "services.example.com",
        {"lr": None, "unknownwith": "value", "unknown-no-value": None},
    )
    assert request.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert request.headers.get("Subject") == ""
    assert request.body == b"abc"


def test_intmeth_keeps_its_method_and_loses_control_characters_of_the_name() -> None:
    request = accepted("intmeth")
    assert request.method == request.cseq.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert request.to.display_name == "BEL: NUL:\ufffd DEL:"
    assert isinstance(request.uri, SipUri)
    assert request.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert b"\0" not in bytes(request)


def test_esc01_and_escnull_are_decoded_and_written_as_they_came() -> None:
    request = accepted("esc01")
    assert isinstance(request.uri, SipUri)
    assert request.uri.user == "sips:user@example.com"
    contact = request.contacts[0].uri
    assert isinstance(contact, SipUri)
    assert contact.params == {"lr": None, "name": "value%41"}
    null = accepted("escnull").contacts[1].uri
    assert isinstance(null, SipUri)
    assert null.user == "\0\0"
    assert str(null) == "sip:%00%00@host5.example.com"


def test_esc02_does_not_decode_where_percent_is_an_ordinary_character() -> None:
    request = accepted("esc02")
    assert request.method == "RE%47IST%45R"
    assert request.to.display_name == "%Z%45"
    assert len(request.contacts) == 2


def test_longreq_is_read_to_its_end() -> None:
    request = accepted("longreq")
    assert len(request.vias) == 34
    assert str(request.call_id).endswith("longcallid")


def test_dblreq_is_one_message_in_a_datagram_and_two_in_a_stream() -> None:
    assert accepted("dblreq").method == "REGISTER"
    assert [len(frame) > 100 for frame in StreamFramer().feed(ACCEPTED["dblreq"]) if isinstance(frame, bytes)] == [
        True
    ] * 2


def test_semiuri_keeps_the_semicolon_in_the_user_part() -> None:
    uri = accepted("semiuri").uri
    assert isinstance(uri, SipUri)
    assert (uri.user, uri.host, dict(uri.params)) == ("user;par=u@example.net", "example.com", {})


def test_mpart01_keeps_a_binary_body() -> None:
    request = accepted("mpart01")
    assert request.content_type == "multipart/mixed"
    assert b"\x00\xff\r\n\r\n\x80" in request.body


def test_reason_phrases_may_be_unicode_or_absent() -> None:
    assert accepted_response("unreason").reason_phrase.startswith("= 2**3 * 5**2 ")
    assert accepted_response("noreason").reason_phrase == ""


def test_baddn_is_read_leniently() -> None:
    assert accepted("baddn").from_.display_name == "Bell, Alexander"


def test_badbranch_and_inv2543_have_no_rfc_3261_transaction() -> None:
    assert accepted("badbranch").via.branch == "z9hG4bK"
    assert accepted("inv2543").via.branch is None
    assert accepted("inv2543").from_.tag is None


def test_bext01_and_bcast_show_what_the_user_agent_must_act_on() -> None:
    assert accepted("bext01").require == ("nothingsupportsthis", "nothingsupportsthiseither")
    assert len(accepted_response("bcast").vias) == 2


def test_parameters_of_a_contact_and_of_its_uri_are_told_apart() -> None:
    bare, bracketed = accepted("cparam01").contacts[0], accepted("cparam02").contacts[0]
    assert isinstance(bare.uri, SipUri)
    assert isinstance(bracketed.uri, SipUri)
    assert (dict(bare.params), dict(bare.uri.params)) == ({"unknownparam": None}, {})
    assert (dict(bracketed.params), dict(bracketed.uri.params)) == ({}, {"unknownparam": None})


def test_regescrt_headers_of_a_contact_are_seen_apart_from_the_address() -> None:
    uri = accepted("regescrt").contacts[0].uri
    assert isinstance(uri, SipUri)
    assert uri.headers == (("Route", "<sip:sip.example.com>"),)


def test_multi01_answer_echoes_each_header_once() -> None:
    with pytest.raises(SipError) as caught:
        parse_message(REFUSED["multi01"].wire)
    answer = caught.value.response
    assert answer is not None
    assert [len(answer.headers.get_all(name)) for name in ("CSeq", "Call-ID", "To", "From")] == [1, 1, 1, 1]


def test_insuf_is_answered_without_the_headers_that_are_missing() -> None:
    with pytest.raises(SipError) as caught:
        parse_message(REFUSED["insuf"].wire)
    answer = caught.value.response
    assert answer is not None
    assert isinstance(answer.headers, Headers)
    assert (answer.headers.get("To"), answer.headers.get("CSeq")) == (None, "1 INVITE")


def test_ipv6_addresses_with_and_without_port() -> None:
    ambiguous, unambiguous = accepted("port-ambiguous").uri, accepted("port-unambiguous").uri
    assert isinstance(ambiguous, SipUri)
    assert isinstance(unambiguous, SipUri)
    assert (ambiguous.host, ambiguous.port) == ("2001:db8::10:5070", None)
    assert (unambiguous.host, unambiguous.port) == ("2001:db8::10", 5070)
    for name in ("via-received-param-with-delim", "via-received-param-no-delim"):
        assert accepted(name).via.received == "2001:db8::9:255"
    assert accepted("ipv6-good").via.sent_by == "[2001:db8::9:1]"


def test_random_damage_raises_nothing_else() -> None:
    outcomes = sip_messages.run(2_000, seed=4475)
    assert min(outcomes["accepted"], outcomes["answered"], outcomes["dropped"]) > 100
