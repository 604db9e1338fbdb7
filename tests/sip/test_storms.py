"""Peers that send far more than a call needs: nothing piles up, and nobody is flooded by means of us."""

import pytest

from bridge.sip.checks import MAX_TOLD
from bridge.sip.inbound import MAX_IN_DIALOG
from bridge.sip.message import Request, Response
from bridge.sip.prack import MAX_UNANSWERED
from tests.sip.scripted_peer import SDP, Scripted, peer_request

STORM = 1500


def statuses(peer: Scripted) -> list[int]:
    return [message.status for message, _ in peer.sent if isinstance(message, Response)]


@pytest.mark.parametrize("method", ["CANCEL", "BYE", "PRACK"])
def test_requests_that_belong_to_nothing_leave_nothing_behind(method: str) -> None:
    peer = Scripted()
    for number in range(100):
        peer.receive(peer_request(method, branch=f"b{number}", call_id=f"c{number}"))
    assert peer.agent.open_transactions == 0
    assert statuses(peer) == [481] * 100


def test_each_copy_of_a_request_that_belongs_to_nothing_gets_the_same_answer() -> None:
    peer = Scripted()
    for _ in range(2):
        peer.receive(peer_request("CANCEL"))
    first, second = (bytes(message) for message, _ in peer.sent)
    assert first == second
    assert b";tag=" in first.partition(b"\r\nTo: ")[2].partition(b"\r\n")[0]


def test_a_storm_inside_one_call_fills_no_table_and_the_call_can_still_be_ended() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    for number in range(STORM):
        peer.receive(peer_request("INVITE", branch=f"b{number}", to_tag=tag, cseq=number + 10, sdp=SDP))
    assert peer.agent.open_transactions <= MAX_IN_DIALOG + 1
    assert peer.counted("sip_dropped_total", reason="overload") == STORM - MAX_IN_DIALOG
    peer.receive(peer_request("BYE", branch="bye", to_tag=tag, cseq=STORM + 10))
    assert statuses(peer)[-1] == 200
    assert peer.agent.open_dialogs == 0


def test_a_storm_inside_one_call_does_not_silence_another_and_is_forgiven() -> None:
    peer = Scripted()
    _, _, tag = peer.accepted_call()
    for number in range(STORM):
        peer.receive(peer_request("INFO", branch=f"b{number}", to_tag=tag, cseq=number + 10))
    peer.receive(peer_request("INVITE", branch="other", call_id="other", sdp=SDP))
    assert statuses(peer)[-1] == 100
    peer.advance(33)
    peer.receive(peer_request("INFO", branch="later", to_tag=tag, cseq=STORM + 10))
    assert statuses(peer)[-1] == 200


def test_a_storm_of_reliable_ringing_is_not_answered_with_a_larger_one() -> None:
    peer = Scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    for number in range(STORM):
        peer.answer(invite, 183, Require="100rel", RSeq=str(number + 1))
    peer.advance(40)
    sent = [message for message, _ in peer.sent if isinstance(message, Request) and message.method == "PRACK"]
    assert len(sent) <= MAX_UNANSWERED * 11
    peer.answer(invite, 183, Require="100rel", RSeq=str(MAX_UNANSWERED + 1))
    assert peer.last_request("PRACK").headers.get("RAck") == f"{MAX_UNANSWERED + 1} 1 INVITE"


def test_a_request_for_a_thousand_extensions_gets_a_short_answer() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP, fields=(("Require", ",".join(f"x{n}" for n in range(1000))),)))
    assert statuses(peer) == [420]
    assert (peer.last_response().headers.get("Unsupported") or "").split(", ") == [f"x{n}" for n in range(MAX_TOLD)]
