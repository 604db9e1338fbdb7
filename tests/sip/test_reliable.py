"""Acknowledged ringing message by message, as caller and as callee (RFC 3262), and early offers (RFC 3311)."""

import pytest

from bridge.sip.events import CallAnswered, CallCancelled, CallConfirmed, CallProgress, CallReoffered
from bridge.sip.message import Request
from bridge.sip.settings import Reliable, TrunkAuth
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked, RejectAsked, ReofferAsked, RingAsked
from tests.sip.scripted_peer import SDP, Scripted, peer_request, trunk

OTHER = SDP.replace("4000", "4002")
KNOWN = (("Supported", "timer, 100REL"),)


def ring(peer: Scripted, rseq: object, *, status: int = 180, tag: str = "peer", sdp: str | None = None) -> None:
    """The peer sends a reliable provisional response."""
    peer.answer(peer.last_request("INVITE"), status, tag=tag, sdp=sdp, Require="100rel", RSeq=str(rseq), Allow="UPDATE")


def pracks(peer: Scripted) -> list[str]:
    """What was acknowledged so far, repetitions left out."""
    sent = [message for message, _ in peer.sent if isinstance(message, Request) and message.method == "PRACK"]
    return list(dict.fromkeys(f"{prack.to.tag} {prack.headers.get('RAck')}" for prack in sent))


# Caller.


@pytest.mark.parametrize(
    ("setting", "supported", "required"),
    [(Reliable.OFF, False, False), (Reliable.SUPPORTED, True, False), (Reliable.REQUIRED, True, True)],
)
def test_the_invite_says_what_the_trunk_is_set_to(setting: Reliable, supported: bool, required: bool) -> None:
    peer = Scripted(trunk(reliable=setting))
    peer.call()
    invite = peer.last_request("INVITE")
    assert ("100rel" in invite.supported) is supported
    assert ("100rel" in invite.require) is required
    assert "PRACK" in invite.allow


def test_each_fork_is_acknowledged_in_its_own_order() -> None:
    peer = Scripted()
    peer.call()
    ring(peer, 7, tag="a")
    ring(peer, 900, tag="b")
    ring(peer, 8, tag="a", status=183)
    assert pracks(peer) == ["a 7 1 INVITE", "b 900 1 INVITE", "a 8 1 INVITE"]
    assert [event.status for event in peer.events if isinstance(event, CallProgress)] == [180, 180, 183]
    numbers = [message.cseq.number for message, _ in peer.sent if isinstance(message, Request)]
    assert numbers == [1, 2, 2, 3]


def test_what_comes_twice_or_after_a_gap_is_not_taken() -> None:
    peer = Scripted()
    peer.call()
    for rseq in (7, 7, 9, 6):
        ring(peer, rseq)
    assert pracks(peer) == ["peer 7 1 INVITE"]
    assert len(peer.events) == 1
    ring(peer, 8)
    assert len(peer.events) == 2


@pytest.mark.parametrize("rseq", ["0", "nonsense", "4294967296", "-1"])
def test_a_number_that_is_none_makes_no_response_reliable(rseq: str) -> None:
    peer = Scripted()
    peer.call()
    ring(peer, rseq)
    assert pracks(peer) == []
    assert len(peer.events) == 1


def test_an_answer_in_a_reliable_response_is_the_answer() -> None:
    peer = Scripted()
    dialog = peer.call()
    ring(peer, 1, status=183, sdp=SDP)
    peer.answer(peer.last_request("INVITE"), 200, sdp=OTHER)
    assert peer.last_event() == CallAnswered(dialog=dialog, sdp=SDP)


@pytest.mark.parametrize(("sdp", "expected"), [(None, SDP), (OTHER, OTHER)])
def test_an_answer_in_any_other_response_counts_until_the_2xx_has_one(sdp: str | None, expected: str) -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 183, sdp=SDP)
    peer.answer(peer.last_request("INVITE"), 200, sdp=sdp)
    assert peer.last_event() == CallAnswered(dialog=dialog, sdp=expected)


def test_the_answer_is_that_of_the_fork_that_answered() -> None:
    peer = Scripted()
    dialog = peer.call()
    ring(peer, 1, status=183, tag="a", sdp=SDP)
    ring(peer, 1, status=183, tag="b", sdp=OTHER)
    peer.answer(peer.last_request("INVITE"), 200, tag="b")
    assert peer.last_event() == CallAnswered(dialog=dialog, sdp=OTHER)


def test_an_offer_in_a_response_that_is_not_reliable_is_none() -> None:
    peer = Scripted()
    dialog = peer.call(sdp=None)
    peer.answer(peer.last_request("INVITE"), 183, sdp=SDP)
    assert peer.last_event() == CallProgress(dialog=dialog, status=183)


def test_an_offer_in_a_reliable_response_is_answered_in_its_prack() -> None:
    peer = Scripted()
    dialog = peer.call(sdp=None)
    ring(peer, 1, status=183, sdp=SDP)
    assert pracks(peer) == []
    peer.steer(dialog, AcceptAsked(sdp=OTHER))
    assert peer.last_request("PRACK").body.decode() == OTHER
    peer.answer(peer.last_request("INVITE"), 200)
    assert peer.last_event() == CallAnswered(dialog=dialog, sdp=SDP)
    assert peer.titles()[-1] == "ACK"


def test_a_prack_is_authenticated_as_its_invite_was() -> None:
    peer = Scripted(trunk(TrunkAuth.DIGEST))
    peer.call()
    peer.challenge(peer.last_request("INVITE"))
    ring(peer, 5)
    peer.challenge(peer.last_request("PRACK"), nonce="n2")
    again = peer.last_request("PRACK")
    assert 'nonce="n2"' in (again.headers.get("Proxy-Authorization") or "")
    assert again.headers.get("RAck") == "5 2 INVITE"
    peer.answer(again, 200)
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert isinstance(peer.last_event(), CallAnswered)


def test_an_update_before_the_answer_is_told_that_our_offer_is_pending() -> None:
    peer = Scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    ring(peer, 1)
    peer.receive(_inside(invite, "UPDATE", 5, OTHER))
    assert peer.last_response().status == 491


def test_an_update_after_the_answer_is_ours_to_answer_one_at_a_time() -> None:
    peer = Scripted()
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    ring(peer, 1, status=183, sdp=SDP)
    peer.receive(_inside(invite, "UPDATE", 5, OTHER))
    assert peer.last_event() == CallReoffered(dialog=dialog, sdp=OTHER)
    peer.receive(_inside(invite, "UPDATE", 6, OTHER))
    assert peer.last_response().status == 500
    assert "Retry-After" in peer.last_response().headers
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert (peer.titles()[-1], peer.last_response().cseq.number) == ("200 UPDATE", 5)
    peer.receive(_inside(invite, "UPDATE", 7, OTHER))
    peer.steer(dialog, RejectAsked(status=488))
    assert peer.titles()[-1] == "488 UPDATE"


def test_an_update_that_nobody_answered_ends_with_the_call() -> None:
    peer = Scripted()
    peer.call()
    invite = peer.last_request("INVITE")
    ring(peer, 1, status=183, sdp=SDP)
    peer.receive(_inside(invite, "UPDATE", 5, OTHER))
    peer.answer(invite, 486)
    assert peer.last_response().status == 487
    peer.advance(100)
    assert peer.agent.open_transactions == 0


def _inside(invite: Request, method: str, cseq: int, sdp: str | None) -> Request:
    """A request of the callee in the dialog of our INVITE."""
    return peer_request(
        method,
        cseq=cseq,
        branch=f"{method}{cseq}",
        call_id=invite.call_id,
        to_tag=invite.from_.tag or "",
        from_="<sip:p@x>;tag=peer",
        sdp=sdp,
    )


# Callee.


def invited(peer: Scripted, *rings: RingAsked, sdp: str | None = SDP) -> str:
    """An INVITE of a peer that knows 100rel came in and rings; returns our tag."""
    peer.receive(peer_request("INVITE", sdp=sdp, fields=KNOWN))
    for command in rings:
        peer.steer(peer.incoming.dialog, command)
    return peer.last_response().to.tag or ""


def prack(tag: str, rack: object, *, cseq: int = 2, branch: str = "prack", sdp: str | None = None) -> Request:
    """The peer acknowledges."""
    return peer_request("PRACK", cseq=cseq, branch=branch, to_tag=tag, sdp=sdp, fields=(("RAck", str(rack)),))


def test_a_peer_that_requires_what_the_trunk_is_not_to_use_is_told_so() -> None:
    peer = Scripted(trunk(reliable=Reliable.OFF))
    peer.receive(peer_request("INVITE", sdp=SDP, fields=(("Require", "100rel"),)))
    assert peer.titles() == ["420 INVITE"]
    assert peer.last_response().headers.get("Unsupported") == "100rel"
    assert peer.events == []


@pytest.mark.parametrize("fields", [KNOWN, (("Require", "100rel"),)])
def test_a_peer_that_knows_it_is_rung_reliably(fields: tuple[tuple[str, str], ...]) -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP, fields=fields))
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=None))
    ringing = peer.last_response()
    assert ringing.require == ("100rel",)
    assert 1 <= (ringing.rseq or 0) < 2**31
    assert ringing.contacts


def test_a_peer_that_does_not_is_not() -> None:
    peer = Scripted(trunk(reliable=Reliable.REQUIRED))
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=None))
    assert peer.last_response().rseq is None


def test_ringing_is_repeated_at_doubling_intervals_until_its_prack() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=180, sdp=None))
    rseq = peer.last_response().rseq
    peer.sent.clear()
    peer.advance(3.6)
    assert peer.titles() == ["180 INVITE"] * 3
    peer.receive(prack(tag, f"{rseq} 1 INVITE"))
    assert peer.titles()[-1] == "200 PRACK"
    peer.sent.clear()
    peer.advance(40)
    assert peer.titles() == []


def test_the_next_has_the_next_number_and_waits_for_the_prack_of_the_last() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=180, sdp=None), RingAsked(status=183, sdp=SDP))
    first = peer.last_response().rseq or 0
    assert peer.titles() == ["100 INVITE", "180 INVITE"]
    peer.receive(prack(tag, f"{first} 1 INVITE"))
    assert peer.titles()[-2:] == ["200 PRACK", "183 INVITE"]
    assert peer.last_response().rseq == first + 1


def test_a_peer_that_only_says_that_it_knows_prack_is_rung_on_without() -> None:
    peer = Scripted()
    invited(peer, RingAsked(status=180, sdp=None), RingAsked(status=181, sdp=None))
    peer.advance(33)
    ringing = peer.last_response()
    assert (ringing.status, ringing.require, ringing.rseq) == (181, (), None)
    peer.advance(61)
    assert peer.titles()[-2:] == ["181 INVITE", "181 INVITE"]
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    assert (peer.last_response().status, peer.last_response().body.decode()) == (200, SDP)


@pytest.mark.parametrize(
    ("fields", "sdp"), [((("Require", "100rel"),), None), (KNOWN, SDP)], ids=["required", "description"]
)
def test_without_prack_the_call_is_refused(fields: tuple[tuple[str, str], ...], sdp: str | None) -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE", sdp=SDP, fields=fields))
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=sdp))
    peer.advance(33)
    assert peer.last_response().status == 504
    assert peer.last_event() == CallCancelled(dialog=peer.incoming.dialog)
    assert peer.agent.open_dialogs == 0


@pytest.mark.parametrize(
    ("rack", "status"),
    [("{wrong} 1 INVITE", 481), ("{rseq} 2 INVITE", 481), ("{rseq} 1 UPDATE", 481), ("nonsense", 400), ("", 400)],
)
def test_a_prack_that_acknowledges_nothing_is_refused(rack: str, status: int) -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=180, sdp=None))
    rseq = peer.last_response().rseq or 0
    peer.receive(prack(tag, rack.format(rseq=rseq, wrong=rseq + 1)))
    assert peer.last_response().status == status


def test_a_prack_twice_is_answered_twice_but_another_one_is_refused() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=180, sdp=None))
    rack = f"{peer.last_response().rseq} 1 INVITE"
    for cseq, branch in ((2, "x"), (2, "x"), (3, "y")):
        peer.receive(prack(tag, rack, cseq=cseq, branch=branch))
    assert peer.titles()[-3:] == ["200 PRACK", "200 PRACK", "481 PRACK"]


def test_a_prack_that_comes_after_the_answer_is_answered() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=180, sdp=None))
    rseq = peer.last_response().rseq
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    assert peer.titles()[-1] == "200 INVITE"
    peer.receive(prack(tag, f"{rseq} 1 INVITE"))
    assert peer.titles()[-1] == "200 PRACK"


def test_an_answer_that_the_peer_may_not_have_holds_the_2xx_back() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=183, sdp=SDP))
    rseq = peer.last_response().rseq
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    assert peer.titles()[-1] == "183 INVITE"
    peer.receive(prack(tag, f"{rseq} 1 INVITE"))
    assert peer.titles()[-2:] == ["200 PRACK", "200 INVITE"]
    assert peer.last_response().body == b""


def test_an_answer_that_has_changed_since_is_offered_once_the_call_is_confirmed() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=183, sdp=SDP))
    peer.receive(prack(tag, f"{peer.last_response().rseq} 1 INVITE"))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=OTHER))
    assert peer.last_response().body == b""
    peer.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    assert peer.last_request("INVITE").body.decode() == OTHER


def test_a_late_offer_goes_out_reliably_or_not_before_the_2xx() -> None:
    peer = Scripted()
    peer.receive(peer_request("INVITE"))
    peer.steer(peer.incoming.dialog, RingAsked(status=183, sdp=SDP))
    assert peer.last_response().body == b""
    other = Scripted()
    tag = invited(other, RingAsked(status=183, sdp=SDP), sdp=None)
    assert other.last_response().body.decode() == SDP
    other.receive(prack(tag, f"{other.last_response().rseq} 1 INVITE", sdp=OTHER))
    other.steer(other.incoming.dialog, AcceptAsked(sdp=SDP))
    assert other.last_response().body == b""
    other.receive(peer_request("ACK", to_tag=tag, branch="ack"))
    assert other.last_event() == CallConfirmed(dialog=other.incoming.dialog, sdp=OTHER)


def test_a_prack_may_bring_another_offer() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=183, sdp=SDP))
    dialog = peer.incoming.dialog
    peer.receive(prack(tag, f"{peer.last_response().rseq} 1 INVITE", sdp=OTHER))
    assert peer.last_event() == CallReoffered(dialog=dialog, sdp=OTHER)
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.titles()[-1] == "200 PRACK"
    assert peer.last_response().body.decode() == SDP
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.titles()[-1] == "200 INVITE"


def test_refusing_a_description_before_the_answer_refuses_no_call() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=183, sdp=SDP))
    peer.receive(prack(tag, f"{peer.last_response().rseq} 1 INVITE"))
    for cseq, status, title in ((3, 488, "488 UPDATE"), (4, 486, "487 UPDATE")):
        peer.receive(peer_request("UPDATE", cseq=cseq, branch=f"u{cseq}", to_tag=tag, sdp=OTHER))
        peer.steer(peer.incoming.dialog, RejectAsked(status=status))
        assert peer.titles()[-1] == title
    assert peer.titles()[-2] == "486 INVITE"
    assert peer.agent.open_dialogs == 0


def test_an_update_before_our_answer_is_told_to_wait() -> None:
    peer = Scripted()
    tag = invited(peer, RingAsked(status=180, sdp=None))
    peer.receive(peer_request("UPDATE", cseq=2, branch="u", to_tag=tag, sdp=OTHER))
    assert peer.last_response().status == 500


# Forks.


def test_an_offer_to_one_fork_is_made_to_the_one_that_answers() -> None:
    peer = Scripted()
    dialog = peer.call()
    ring(peer, 1, status=183, tag="a", sdp=SDP)
    peer.steer(dialog, ReofferAsked(sdp=OTHER))
    update = peer.last_request("UPDATE")
    peer.answer(peer.last_request("INVITE"), 200, tag="b", sdp=SDP)
    assert "INVITE" not in peer.titles()[2:]
    peer.receive(update.response(200, headers=(("Content-Type", "application/sdp"),), body=SDP.encode()))
    again = peer.last_request("INVITE")
    assert (again.to.tag, again.body.decode()) == ("b", OTHER)


def test_an_offer_of_a_fork_that_did_not_answer_is_no_longer_ours_to_answer() -> None:
    peer = Scripted()
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    ring(peer, 1, status=183, sdp=SDP)
    peer.receive(_inside(invite, "UPDATE", 5, OTHER))
    peer.answer(invite, 200, tag="other", sdp=SDP)
    assert "487 UPDATE" in peer.titles()
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert "200 UPDATE" not in peer.titles()
    assert peer.counted("sip_late_commands_total") == 1


def test_the_2xx_says_anew_where_the_peer_is_and_the_dialog_goes_on_counting() -> None:
    peer = Scripted()
    dialog = peer.call()
    ring(peer, 1)
    assert peer.last_request("PRACK").cseq.number == 2
    route = "<sip:192.0.2.9:5070;lr>"
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, Contact="<sip:moved@192.0.2.55>", Record_Route=route)
    ack, flow = peer.sent[-1]
    assert isinstance(ack, Request)
    assert (ack.uri_text, flow.address) == ("sip:moved@192.0.2.55", ("192.0.2.9", 5070))
    peer.steer(dialog, HangUpAsked())
    assert peer.last_request("BYE").cseq.number == 3
