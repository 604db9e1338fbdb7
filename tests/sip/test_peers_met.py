"""Whose messages are read while requests, dialogs and names come and go."""

import pytest

from bridge.sip.actions import Flow, NameFound, Received, TrunkResolved
from bridge.sip.events import CallConfirmed, CallEnded, CallFailed
from bridge.sip.message import Request
from bridge.sip.settings import Transport
from bridge.sip.targets import server_at
from bridge.sip.trunks import FORMER_S, MAX_FORMER
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked, RejectAsked
from tests.sip.scripted_peer import PEER, SDP, STRANGER, TRUNK, Scripted, peer_request

NAME = "gateway.example.org"


def moved(peer: Scripted, host: str = "192.0.2.77") -> None:
    """The trunk's name has another address now."""
    peer.feed(TrunkResolved(trunk=TRUNK, servers=server_at((host,), 5060, Transport.UDP)))


def test_an_answer_is_read_although_the_trunk_has_moved_meanwhile() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 100)
    for _ in range(3):
        moved(peer)
        peer.now += FORMER_S
    peer.answer(peer.last_request("INVITE"), 486)
    assert peer.last_event() == CallFailed(dialog=dialog, status=486, reason_phrase="Busy Here")


def test_a_former_address_of_the_trunk_counts_for_a_while() -> None:
    peer = Scripted()
    moved(peer)
    assert peer.agent.admits(PEER)
    peer.now += FORMER_S - 1
    moved(peer)
    assert peer.agent.admits(PEER)
    peer.now += 1
    moved(peer)
    assert not peer.agent.admits(PEER)


def test_a_name_that_has_ever_new_addresses_leaves_only_so_many_behind() -> None:
    peer = Scripted()
    for number in range(2 * MAX_FORMER):
        moved(peer, f"198.51.100.{number}")
    state = peer.agent._context.trunks.get(TRUNK)
    assert state is not None
    assert len(state.former) == MAX_FORMER
    assert peer.agent.admits(f"198.51.100.{2 * MAX_FORMER - 2}")


def test_a_peer_that_calls_itself_by_name_is_looked_up_and_read() -> None:
    peer = Scripted()
    invite = peer_request("INVITE", sdp=SDP)
    invite.headers.set("Contact", f"<sip:peer@{NAME.upper()}>")
    peer.receive(invite)
    assert peer.sought == [NAME]
    assert not peer.agent.admits(STRANGER)
    peer.feed(NameFound(host=NAME, addresses=(STRANGER,)))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"), source=STRANGER)
    assert isinstance(peer.last_event(), CallConfirmed)
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag), source=STRANGER)
    assert isinstance(peer.last_event(), CallEnded)
    assert not peer.agent.admits(STRANGER)


def test_a_route_by_name_is_looked_up_and_read() -> None:
    peer = Scripted()
    peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Record_Route=f"<sip:{NAME};lr>")
    assert peer.sought == [NAME]
    peer.feed(NameFound(host=NAME, addresses=(STRANGER,)))
    assert peer.agent.admits(STRANGER)


def test_a_named_peer_that_moves_is_read_at_its_newest_address_only() -> None:
    peer = Scripted()
    peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact=f"<sip:peer@{NAME}>")
    peer.feed(NameFound(host=NAME, addresses=(STRANGER, "198.51.100.1")))
    peer.feed(NameFound(host=NAME, addresses=("198.51.100.1", "198.51.100.2")))
    admitted = [peer.agent.admits(host) for host in (STRANGER, "198.51.100.1", "198.51.100.2")]
    assert admitted == [False, True, True]


def test_a_name_that_nobody_spoke_of_admits_nobody() -> None:
    peer = Scripted()
    peer.feed(NameFound(host=NAME, addresses=(STRANGER,)))
    assert not peer.agent.admits(STRANGER)


@pytest.mark.parametrize("spelling", ["2001:DB8:0::1", "2001:db8::1", "::ffff:198.51.100.9"])
def test_an_address_is_known_in_each_spelling(spelling: str) -> None:
    peer = Scripted()
    peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact=f"<sip:peer@[{spelling}]>")
    assert peer.agent.admits(STRANGER if "ffff" in spelling else "2001:db8::1")


# Peers that move within a call.


def reinvite(number: int, tag: str, host: str, method: str = "INVITE") -> Request:
    request = peer_request(method, cseq=number, branch=f"b{number}", to_tag=tag, sdp=SDP)
    request.headers.set("Contact", f"<sip:peer@{host}:5060>")
    return request


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_call_admits_no_more_hosts_however_often_it_moves(method: str) -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    hosts = [f"198.51.100.{number}" for number in range(2, 12)]
    for number, host in enumerate(hosts, 2):
        peer.receive(reinvite(number, tag, host, method))
        assert not peer.agent.admits(host)
        peer.steer(dialog, AcceptAsked(sdp=SDP))
        peer.receive(peer_request("ACK", cseq=number, branch=f"a{number}", to_tag=tag))
    assert [peer.agent.admits(host) for host in hosts] == [False] * 9 + [True]


def test_an_offer_that_is_refused_moves_nobody() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(reinvite(2, tag, STRANGER))
    peer.steer(dialog, RejectAsked(status=488))
    assert not peer.agent.admits(STRANGER)
    peer.receive(peer_request("ACK", cseq=2, branch="b2", to_tag=tag))
    peer.steer(dialog, HangUpAsked())
    assert peer.sent[-1][1].address == (PEER, 5060)


def test_a_malformed_contact_is_refused_before_the_offer_is_told() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    request = peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP)
    request.headers.set("Contact", "<<<")
    peer.receive(request)
    assert peer.titles() == ["400 INVITE"]


def test_the_forks_of_a_call_are_forgotten_when_one_has_answered() -> None:
    peer = Scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    for number in range(3):
        peer.answer(invite, 180, tag=str(number), Contact=f"<sip:peer@198.51.100.{number}>")
    peer.answer(invite, 200, tag="0", sdp=SDP, Contact="<sip:peer@198.51.100.0>")
    assert [peer.agent.admits(f"198.51.100.{number}") for number in range(3)] == [True, False, False]


def test_a_strangers_answer_to_nothing_is_not_read() -> None:
    peer = Scripted()
    flow = Flow(transport=peer.transport, host=STRANGER, port=5060)
    peer.feed(Received(payload=b"SIP/2.0 200 OK\r\n\r\n", flow=flow))
    assert peer.counted("sip_dropped_total", reason="acl") == 1
