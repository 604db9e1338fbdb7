"""Requests of the peer inside a call that came in: BYE, re-INVITE, UPDATE and others (RFC 3261 §14.2, RFC 3311)."""

import pytest

from bridge.sip.events import (
    CallConfirmed,
    CallEnded,
    CallReoffered,
    IncomingCall,
)
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked, RejectAsked
from tests.sip.scripted_peer import SDP, STRANGER, Scripted, peer_request


def test_bye_ends_the_call() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    reason = ("Reason", "Q.850;cause=31")
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag, fields=(reason,)))
    assert peer.titles() == ["200 BYE"]
    assert peer.last_event() == CallEnded(dialog=dialog, q850=31)
    assert peer.agent.open_dialogs == 0


def test_a_reinvite_is_offered_and_answered() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    assert peer.last_event() == CallReoffered(dialog=dialog, sdp=SDP)
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.titles() == ["100 INVITE", "200 INVITE"]
    peer.receive(peer_request("ACK", cseq=2, branch="ack2", to_tag=tag))
    assert peer.last_event() == CallConfirmed(dialog=dialog)
    peer.sent.clear()
    peer.advance(40)
    assert peer.titles() == []


def test_a_refused_reinvite_leaves_the_call_as_it_was() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    peer.steer(dialog, RejectAsked(status=488))
    assert peer.titles()[-1] == "488 INVITE"
    peer.receive(peer_request("BYE", cseq=3, branch="bye", to_tag=tag))
    assert peer.last_event() == CallEnded(dialog=dialog)


def test_a_cancelled_reinvite_leaves_the_call_as_it_was() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    peer.receive(peer_request("CANCEL", cseq=2, branch="two", to_tag=tag))
    assert peer.titles()[-2:] == ["200 CANCEL", "487 INVITE"]
    assert peer.agent.open_dialogs == 1
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.counted("sip_late_commands_total") == 1


def test_a_second_reinvite_before_the_first_is_answered_is_told_to_wait() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    peer.receive(peer_request("INVITE", cseq=3, branch="three", to_tag=tag, sdp=SDP))
    assert peer.last_response().status == 500
    assert 0 <= int(peer.last_response().headers.get("Retry-After") or "-1") <= 10


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(("offer", "status"), [(SDP, 500), (None, 491)])
def test_an_offer_before_the_ack_waits_or_crosses_ours(method: str, offer: str | None, status: int) -> None:
    """491 while the ACK has to answer an offer of ours (RFC 3311 §5.2); 500 while there is only the ACK to come."""
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=offer))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request(method, cseq=2, branch="early", to_tag=tag, sdp=SDP))
    assert peer.last_response().status == status
    assert ("Retry-After" in peer.last_response().headers) is (status == 500)


def test_a_request_out_of_order_is_500() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    peer.receive(peer_request("OPTIONS", cseq=9, branch="options", to_tag=tag))
    peer.receive(peer_request("BYE", cseq=8, branch="bye", to_tag=tag))
    assert peer.titles() == ["200 OPTIONS", "500 BYE"]


def test_an_update_without_offer_moves_the_peer() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    request = peer_request("UPDATE", cseq=2, branch="two", to_tag=tag)
    request.headers.set("Contact", "<sip:moved@192.0.2.55:5090>")
    peer.receive(request)
    assert peer.titles() == ["200 UPDATE"]
    peer.steer(dialog, HangUpAsked())
    assert peer.last_request("BYE").uri_text == "sip:moved@192.0.2.55:5090"
    assert peer.sent[-1][1].address == ("192.0.2.55", 5090)


def test_an_update_with_offer_is_offered_and_answered_without_ack() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("UPDATE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    assert peer.last_event() == CallReoffered(dialog=dialog, sdp=SDP)
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.titles() == ["200 UPDATE"]
    peer.advance(100)
    assert peer.titles() == ["200 UPDATE"]


@pytest.mark.parametrize(
    ("method", "sdp", "status"),
    [
        ("INFO", None, 200),
        ("INFO", "Signal=1", 415),
        ("REFER", None, 403),
        ("NOTIFY", None, 489),
        ("SUBSCRIBE", None, 405),
        ("STRANGE", None, 501),
    ],
)
def test_other_requests_inside_a_call_get_a_clean_answer(method: str, sdp: str | None, status: int) -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    peer.receive(peer_request(method, cseq=2, branch="two", to_tag=tag, sdp=sdp))
    assert peer.last_response().status == status
    assert peer.agent.open_dialogs == 1


def test_a_bye_that_crosses_ours_is_answered() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.steer(dialog, HangUpAsked())
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag))
    assert peer.titles() == ["BYE", "200 BYE"]
    assert not any(isinstance(event, CallEnded) for event in peer.events)


def test_the_peer_of_a_call_may_have_another_address_than_the_trunk() -> None:
    peer = Scripted()
    invite = peer_request("INVITE", sdp=SDP)
    invite.headers.set("Contact", f"<sip:peer@{STRANGER}:5060>")
    peer.receive(invite)
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    tag = peer.last_response().to.tag or ""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"), source=STRANGER)
    peer.receive(peer_request("INVITE", call_id="other", branch="other"), source=STRANGER)
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag), source=STRANGER)
    assert [type(event) for event in peer.events] == [IncomingCall, CallConfirmed, CallEnded]
    assert not peer.agent.admits(STRANGER)
