"""Our own offers inside a call, message by message (RFC 3261 §12.2.1, §14.1)."""

import pytest

from bridge.sip.dialog_request import REINVITE_LIMIT_S
from bridge.sip.events import CallEnded, CallReofferAnswered, CallReofferRefused
from bridge.sip.message import Request
from bridge.sip.offering import MAX_RETRIES
from bridge.sip.settings import TrunkAuth
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked, ReofferAsked
from tests.sip.scripted_peer import PEER, SDP, STRANGER, US, Scripted, peer_request, trunk

HELD = SDP + "a=sendonly\r\n"


def reoffered() -> tuple[Scripted, Request]:
    """A call that we placed, and our re-INVITE in it."""
    peer = Scripted()
    dialog = peer.answered_call()
    peer.steer(dialog, ReofferAsked(sdp=HELD))
    return peer, peer.last_request("INVITE")


def _offers(peer: Scripted) -> int:
    """How many were made, not counting repetitions."""
    requests = [message for message, _ in peer.sent if isinstance(message, Request) and message.method == "INVITE"]
    return len({request.cseq.number for request in requests})


def test_a_reoffer_says_where_and_what_we_are() -> None:
    peer, invite = reoffered()
    assert invite.uri_text == f"sip:peer@{PEER}:5060"
    assert (invite.cseq.number, invite.to.tag) == (2, "peer")
    assert str(invite.contacts[0].uri) == f"sip:trunkline@{US}:5060"
    assert {"INVITE", "UPDATE", "BYE"} <= invite.allow
    assert invite.body.decode() == HELD
    assert peer.titles() == ["INVITE"]


def test_each_answer_to_a_reoffer_is_acknowledged_and_the_first_is_told() -> None:
    peer, invite = reoffered()
    for _ in range(2):
        peer.answer(invite, 200, sdp=SDP)
    assert peer.titles() == ["INVITE", "ACK", "ACK"]
    assert peer.last_request("ACK").cseq.number == 2
    assert [event for event in peer.events if isinstance(event, CallReofferAnswered)] == [peer.last_event()]


def test_the_peer_may_have_moved_when_it_answers() -> None:
    peer, invite = reoffered()
    peer.answer(invite, 200, sdp=SDP, Contact="<sip:moved@192.0.2.55:5090>")
    assert peer.last_request("ACK").uri_text == "sip:moved@192.0.2.55:5090"
    assert peer.sent[-1][1].address == ("192.0.2.55", 5090)


def test_a_contact_that_nobody_can_read_leaves_the_peer_where_it_was() -> None:
    peer, invite = reoffered()
    peer.answer(invite, 200, sdp=SDP, Contact="<<<")
    assert peer.last_request("ACK").uri_text == f"sip:peer@{PEER}:5060"
    assert isinstance(peer.last_event(), CallReofferAnswered)


@pytest.mark.parametrize("status", [403, 488, 500, 503, 606])
def test_a_refused_reoffer_leaves_the_call_as_it_was(status: int) -> None:
    peer, invite = reoffered()
    peer.answer(invite, status)
    assert isinstance(peer.last_event(), CallReofferRefused)
    assert peer.titles() == ["INVITE", "ACK"]
    assert peer.agent.open_dialogs == 1


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_has_left_ends_the_call(status: int) -> None:
    peer, invite = reoffered()
    peer.answer(invite, status)
    assert isinstance(peer.last_event(), CallEnded)
    assert peer.titles() == ["INVITE", "ACK", "BYE"]


def test_a_peer_that_is_silent_ends_the_call() -> None:
    peer, _ = reoffered()
    peer.advance(33)
    assert isinstance(peer.last_event(), CallEnded)
    assert peer.titles()[-1] == "BYE"


def _received() -> tuple[Scripted, Request]:
    peer = Scripted()
    dialog, _, _ = peer.accepted_call()
    peer.steer(dialog, ReofferAsked(sdp=HELD))
    return peer, peer.last_request("INVITE")


@pytest.mark.parametrize(("ours", "low_s", "high_s"), [(True, 2.1, 4.0), (False, 0.0, 2.0)])
def test_after_491_the_owner_of_the_call_id_waits_longer(ours: bool, low_s: float, high_s: float) -> None:
    peer, invite = reoffered() if ours else _received()
    peer.answer(invite, 491)
    deadline = min(
        timer.deadline for timer in next(iter(peer.agent._context.usages.values())).timers.values() if timer.active
    )
    assert low_s <= round(deadline - peer.now, 6) <= high_s
    peer.advance(high_s)
    assert _offers(peer) == 2
    assert peer.last_request("INVITE").body.decode() == HELD
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert isinstance(peer.last_event(), CallReofferAnswered)


def test_a_peer_that_says_when_is_asked_then() -> None:
    peer, invite = reoffered()
    peer.answer(invite, 500, Retry_After="7 (busy)")
    peer.advance(6.9)
    assert _offers(peer) == 1
    peer.advance(0.2)
    assert _offers(peer) == 2


def test_a_peer_that_is_always_busy_is_not_asked_for_ever() -> None:
    peer, _ = reoffered()
    for _ in range(MAX_RETRIES + 1):
        peer.answer(peer.last_request("INVITE"), 491)
        peer.advance(4)
    assert _offers(peer) == MAX_RETRIES + 1
    event = peer.last_event()
    assert isinstance(event, CallReofferRefused)
    assert event.status == 491


def test_a_newer_offer_takes_the_place_of_one_that_waits_after_491() -> None:
    peer, invite = reoffered()
    peer.answer(invite, 491)
    peer.steer(next(iter(peer.agent._context.usages)), ReofferAsked(sdp=SDP))
    peer.advance(4)
    assert peer.last_request("INVITE").body.decode() == SDP


def test_an_offer_waits_until_the_peers_own_is_answered() -> None:
    peer = Scripted()
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    peer.steer(dialog, ReofferAsked(sdp=HELD))
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert "INVITE" not in peer.titles()
    peer.receive(peer_request("ACK", cseq=2, branch="ack2", to_tag=tag))
    assert peer.titles()[-1] == "INVITE"


def test_a_reoffer_that_only_rings_is_cancelled_and_then_given_up() -> None:
    peer, invite = reoffered()
    peer.answer(invite, 180)
    peer.advance(REINVITE_LIMIT_S)
    cancel = peer.last_request("CANCEL")
    assert (cancel.via, cancel.cseq.number) == (invite.via, 2)
    peer.answer(cancel, 200)
    peer.advance(32)
    assert isinstance(peer.last_event(), CallEnded)
    assert peer.titles()[-1] == "BYE"


def test_a_reoffer_that_is_cancelled_is_refused() -> None:
    peer, invite = reoffered()
    peer.answer(invite, 180)
    peer.advance(REINVITE_LIMIT_S)
    peer.answer(invite, 487)
    assert isinstance(peer.last_event(), CallReofferRefused)


@pytest.mark.parametrize("status", [200, 487])
def test_what_comes_of_a_reoffer_after_the_end_is_acknowledged(status: int) -> None:
    peer, invite = reoffered()
    peer.steer(next(iter(peer.agent._context.usages)), HangUpAsked())
    peer.answer(peer.last_request("BYE"), 200)
    assert peer.agent.open_dialogs == 0
    peer.answer(invite, status, sdp=SDP)
    assert peer.titles()[-1] == "ACK"
    assert not any(isinstance(event, CallReofferAnswered) for event in peer.events)


def test_the_trunk_may_ask_for_credentials_of_a_reoffer() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST))
    dialog = peer.call()
    peer.challenge(peer.last_request("INVITE"))
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    peer.steer(dialog, ReofferAsked(sdp=HELD))
    peer.challenge(peer.last_request("INVITE"), nonce="n2")
    again = peer.last_request("INVITE")
    assert 'nonce="n2"' in (again.headers.get("Proxy-Authorization") or "")
    peer.answer(again, 200, sdp=SDP)
    assert peer.last_event() == CallReofferAnswered(dialog=dialog, sdp=SDP)
    assert peer.last_request("ACK").cseq.number == again.cseq.number


def test_a_callee_elsewhere_gets_no_credentials_for_a_reoffer() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST))
    dialog = peer.call()
    peer.challenge(peer.last_request("INVITE"))
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact=f"<sip:peer@{STRANGER}:5060>")
    peer.steer(dialog, ReofferAsked(sdp=HELD))
    invite = peer.last_request("INVITE")
    challenge = ("Proxy-Authenticate", 'Digest realm="lab", nonce="x"')
    peer.receive(invite.response(407, headers=(challenge,)), source=STRANGER)
    assert peer.last_event() == CallReofferRefused(dialog=dialog, status=407)
