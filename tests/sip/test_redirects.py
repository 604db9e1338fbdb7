"""3xx to our INVITE (RFC 3261 §8.1.3.4): followed to the trunk itself and for the same number, or not at all."""

from ipaddress import ip_network

import pytest

from bridge.sip.actions import Address, TrunkResolved, Unreachable
from bridge.sip.events import CallAnswered, CallFailed
from bridge.sip.message import Request
from bridge.sip.redirects import MAX_REDIRECTIONS
from bridge.sip.settings import DiversionHeader, Transport
from bridge.sip.targets import server_at
from bridge.sip.usage_commands import RejectAsked
from tests.sip.scripted_peer import PEER, SDP, TRUNK, Scripted, peer_request, trunk

NUMBER = "+15550100"
NEAR, OTHER = "198.51.100.7", "198.51.100.8"
SOURCES = (ip_network("198.51.100.0/28"),)


def calling(**settings: object) -> Scripted:
    peer = Scripted(trunk(**{"follow_redirects": True, "sources": SOURCES, "domain": "example.org", **settings}))  # type: ignore[arg-type]
    peer.call(called=NUMBER)
    return peer


def redirect(peer: Scripted, *contacts: str, status: int = 302) -> None:
    peer.answer(peer.last_request("INVITE"), status, Contact=", ".join(contacts))


def way(peer: Scripted) -> tuple[str, str, int]:
    """Request-URI, host and port of the newest request."""
    message, flow = peer.sent[-1]
    assert isinstance(message, Request)
    return message.uri_text, flow.host, flow.port


def test_a_redirection_to_another_server_of_the_trunk_is_followed() -> None:
    peer = calling()
    first = peer.last_request("INVITE")
    redirect(peer, f"<sip:{NUMBER}@{NEAR}:5070>")
    second = peer.last_request("INVITE")
    assert way(peer) == (f"sip:{NUMBER}@{NEAR}:5070", NEAR, 5070)
    assert (str(second.to), str(second.from_), second.call_id) == (str(first.to), str(first.from_), first.call_id)
    assert second.cseq.number == first.cseq.number + 1
    assert second.via.branch != first.via.branch
    peer.answer(second, 200, sdp=SDP)
    assert isinstance(peer.last_event(), CallAnswered)


@pytest.mark.parametrize("host", [PEER, "example.org"])
def test_the_trunk_s_own_name_is_the_trunk(host: str) -> None:
    peer = calling()
    redirect(peer, f"<sip:{NUMBER}@{host};user=phone>")
    assert way(peer) == (f"sip:{NUMBER}@{host};user=phone", PEER, 5060)


def test_it_is_not_followed_unless_the_trunk_may_redirect() -> None:
    peer = calling(follow_redirects=False)
    redirect(peer, f"<sip:{NUMBER}@{NEAR}>")
    assert peer.titles() == ["INVITE", "ACK"]
    assert isinstance(peer.last_event(), CallFailed)


@pytest.mark.parametrize(
    "contact",
    [
        f"<sip:{NUMBER}@127.0.0.1>",
        f"<sip:{NUMBER}@[::1]:5060>",
        f"<sip:{NUMBER}@203.0.113.1>",
        f"<sip:{NUMBER}@evil.example.net>",
        f"<sip:{NUMBER}@example.org;maddr=127.0.0.1>",
        f"<sip:{NUMBER}@{NEAR};transport=sctp>",
        f"<tel:{NUMBER}>",
        "<mailto:alice@example.org>",
        f"<sips:{NUMBER}@203.0.113.1>",
        "<sip:example.org>",
    ],
)
def test_nobody_but_the_trunk_gets_the_call(contact: str) -> None:
    peer = calling()
    redirect(peer, contact)
    assert peer.titles() == ["INVITE", "ACK"]
    failure = peer.last_event()
    assert isinstance(failure, CallFailed)
    assert (failure.status, failure.redirected_to) == (302, "")


@pytest.mark.parametrize("contact", [f"<sip:+88213@{PEER}>", f"<sip:+88213@{NEAR}>", "<tel:+882-13>"])
def test_another_number_is_told_and_not_called(contact: str) -> None:
    peer = calling()
    redirect(peer, contact)
    assert peer.titles() == ["INVITE", "ACK"]
    failure = peer.last_event()
    assert isinstance(failure, CallFailed)
    assert failure.redirected_to == "+88213"


def test_headers_in_the_contact_do_not_reach_our_request() -> None:
    peer = calling()
    redirect(peer, f"<sip:{NUMBER}@{NEAR};method=REGISTER?Route=%3Csip:evil%3E&X-Bad=1>")
    assert way(peer)[0] == f"sip:{NUMBER}@{NEAR}"
    assert peer.last_request("INVITE").headers.get_all("X-Bad") == []


def test_contacts_are_tried_by_their_preference() -> None:
    peer = calling()
    redirect(peer, f"<sip:{NUMBER}@{NEAR}>;q=0.1", f"<sip:{NUMBER}@{OTHER}>;q=0.9")
    assert way(peer)[1] == OTHER
    peer.feed(Unreachable(transport=Transport.UDP, address=Address(OTHER, 5060)))
    assert way(peer) == (f"sip:{NUMBER}@{NEAR}", NEAR, 5060)
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert isinstance(peer.last_event(), CallAnswered)


def test_a_loop_ends() -> None:
    peer = calling()
    original = peer.last_request("INVITE").uri_text
    redirect(peer, f"<sip:{NUMBER}@{NEAR}>")
    redirect(peer, f"<sip:{NUMBER}@{NEAR}>", f"<{original}>")
    assert peer.titles().count("INVITE") == 2
    assert isinstance(peer.last_event(), CallFailed)


def test_five_destinations_are_enough() -> None:
    peer = calling()
    for number in range(20):
        redirect(peer, f"<sip:{NUMBER}@198.51.100.{number % 14 + 1};n={number}>")
    assert peer.titles().count("INVITE") == MAX_REDIRECTIONS
    assert isinstance(peer.last_event(), CallFailed)


def test_fifty_contacts_are_not_fifty_calls() -> None:
    peer = calling()
    redirect(peer, *(f"<sip:{NUMBER}@{NEAR}:{5060 + number}>" for number in range(50)))
    for number in range(50):
        peer.feed(Unreachable(transport=Transport.UDP, address=Address(NEAR, 5060 + number)))
    assert peer.titles().count("INVITE") == MAX_REDIRECTIONS
    assert isinstance(peer.last_event(), CallFailed)


@pytest.mark.parametrize("contact", ["<sip:", "*", "<sip:+15550100@[::1>;q=x", f"<sip:{NUMBER}@{NEAR}>;q=nan"])
def test_a_contact_that_nobody_can_read_ends_the_call(contact: str) -> None:
    peer = calling()
    peer.receive(bytes(peer.last_request("INVITE").response(302, to_tag="peer", headers=(("Contact", contact),))))
    assert peer.events == [] or isinstance(peer.last_event(), CallFailed)


def test_a_redirection_to_the_trunk_s_name_goes_through_its_servers() -> None:
    peer = Scripted(trunk(follow_redirects=True, domain="example.org"))
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((PEER, "192.0.2.3"), 5060, Transport.UDP)))
    peer.call(called=NUMBER)
    redirect(peer, f"<sip:{NUMBER}@example.org;x=1>")
    peer.feed(Unreachable(transport=Transport.UDP, address=Address(PEER, 5060)))
    assert way(peer) == (f"sip:{NUMBER}@example.org;x=1", "192.0.2.3", 5060)


@pytest.mark.parametrize(
    ("header", "field", "value"),
    [
        (DiversionHeader.DIVERSION, "Diversion", "<sip:+15550199@192.0.2.2>;reason=unconditional"),
        (DiversionHeader.NONE, "Diversion", ""),
    ],
)
def test_a_call_that_our_user_forwards_is_sent_back_to_the_trunk(
    header: DiversionHeader, field: str, value: str
) -> None:
    peer = Scripted(trunk(diversion_header=header, number_prefix="9*"))
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RejectAsked(status=302, forward_to="+15550122"))
    response = peer.last_response()
    assert response.status == 302
    assert response.headers.get("Contact") == f"<sip:9*+15550122@{PEER}>"
    assert (response.headers.get(field) or "") == value
