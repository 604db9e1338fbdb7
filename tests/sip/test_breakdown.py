"""Calls that go wrong inside: both sides hear of it, and nothing is left."""

import pytest

from bridge.sip import usage_table
from bridge.sip.events import CallAnswered, CallCancelled, CallEnded, CallFailed, SipEvent
from bridge.sip.usage_commands import AcceptAsked, RingAsked
from bridge.sip.usage_events import AnswerReceived, ByeReceived, ProgressReceived, ReinviteReceived, UsageEvent
from bridge.sip.usage_states import UsageState
from tests.sip.scripted_peer import PEER, SDP, Scripted, peer_request

BAD_ROUTE = "<tel:+1>"


def broken(*_: object) -> None:
    raise ZeroDivisionError("a bug")


@pytest.fixture
def peer() -> Scripted:
    subject = Scripted()
    subject.faults = []
    return subject


def break_step(monkeypatch: pytest.MonkeyPatch, state: UsageState, event: type[UsageEvent]) -> None:
    """Let a step of the table fail after its first effect."""
    after, effects = usage_table.TRANSITIONS[state, event]
    monkeypatch.setitem(usage_table.TRANSITIONS, (state, event), (after, (*effects[:1], broken)))


def finish(peer: Scripted) -> None:
    """Answer what can be answered, and see that nothing is left."""
    if "BYE" in peer.titles():
        peer.answer(peer.last_request("BYE"), 200)
    assert peer.faults
    assert peer.agent.open_dialogs == 0
    peer.advance(200)
    assert peer.agent.open_transactions == 0
    assert not peer.agent._context.dialogs
    assert not peer.agent._context.peers._met
    assert peer.agent.next_deadline() is None


def ends(peer: Scripted) -> list[SipEvent]:
    return [event for event in peer.events if isinstance(event, CallFailed | CallEnded | CallCancelled)]


# Routes that are none.


def test_an_invite_with_a_route_that_is_no_sip_uri_is_refused_and_leaves_nothing() -> None:
    peer = Scripted()
    for number in range(3):
        fields = (("Record-Route", BAD_ROUTE),)
        peer.receive(peer_request("INVITE", sdp=SDP, call_id=f"c{number}", branch=f"b{number}", fields=fields))
        assert peer.last_response().status == 400
    assert peer.events == []
    assert peer.agent.open_dialogs == 0
    assert not peer.agent._context.dialogs
    assert not peer.agent._context.peers._met


def test_an_answer_with_a_route_that_is_no_sip_uri_is_acknowledged_and_told() -> None:
    peer = Scripted()
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 180, Record_Route=BAD_ROUTE)
    peer.answer(invite, 200, sdp=SDP, Record_Route=BAD_ROUTE)
    assert peer.titles() == ["INVITE", "ACK"]
    assert peer.sent[-1][1].address == (PEER, 5060)
    assert peer.last_event() == CallAnswered(dialog=dialog, sdp=SDP)


# Steps that fail.


def test_an_answer_that_cannot_be_taken_is_acknowledged_hung_up_and_told(
    peer: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        usage_table.TRANSITIONS,
        (UsageState.CALLING, AnswerReceived),
        (UsageState.ESTABLISHED, (broken,)),
    )
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert peer.titles() == ["INVITE", "ACK", "BYE"]
    assert peer.events == [CallFailed(dialog=dialog, status=500, local=True)]
    finish(peer)


def test_a_call_that_breaks_while_it_rings_is_cancelled(peer: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, UsageState.PROCEEDING, ProgressReceived)
    dialog = peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 100)
    peer.answer(invite, 180)
    assert peer.titles() == ["INVITE", "CANCEL"]
    assert peer.events == [CallFailed(dialog=dialog, status=500, local=True)]
    peer.answer(peer.last_request("CANCEL"), 200)
    peer.answer(invite, 487)
    finish(peer)


def test_an_answer_to_a_call_that_broke_is_hung_up(peer: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, UsageState.CALLING, ProgressReceived)
    peer.call()
    invite = peer.last_request("INVITE")
    peer.answer(invite, 180)
    peer.answer(invite, 200, sdp=SDP)
    assert peer.titles()[-2:] == ["ACK", "BYE"]
    assert len(ends(peer)) == 1
    finish(peer)


def test_a_call_that_cannot_ring_is_refused(peer: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, UsageState.RINGING, RingAsked)
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, RingAsked(status=180, sdp=None))
    assert peer.titles() == ["100 INVITE", "180 INVITE", "500 INVITE"]
    assert ends(peer) == [CallCancelled(dialog=peer.incoming.dialog)]
    peer.receive(peer_request("ACK"))
    finish(peer)


def test_a_call_that_breaks_as_it_is_answered_is_hung_up(peer: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, UsageState.RINGING, AcceptAsked)
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    assert peer.titles() == ["100 INVITE", "200 INVITE", "BYE"]
    assert len(ends(peer)) == 1
    finish(peer)


def test_a_reinvite_that_breaks_is_refused_and_the_call_hung_up(
    peer: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_step(monkeypatch, UsageState.ESTABLISHED, ReinviteReceived)
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    assert sorted(peer.titles()) == ["100 INVITE", "500 INVITE", "BYE"]
    assert ends(peer) == [CallEnded(dialog=dialog, by_peer=False)]
    peer.receive(peer_request("ACK", cseq=2, branch="two", to_tag=tag))
    finish(peer)


def test_a_hangup_that_breaks_still_ends_the_call(peer: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, UsageState.ESTABLISHED, ByeReceived)
    dialog, _, tag = peer.accepted_call()
    peer.receive(peer_request("BYE", cseq=2, branch="bye", to_tag=tag))
    assert peer.titles()[0] == "200 BYE"
    assert ends(peer) == [CallEnded(dialog=dialog, by_peer=False)]
    finish(peer)


def test_what_breaks_the_farewell_too_does_not_keep_it_from_being_told(
    peer: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_step(monkeypatch, UsageState.ESTABLISHED, ReinviteReceived)
    dialog, _, tag = peer.accepted_call()
    monkeypatch.setattr(peer.agent._context.layer, "send_request", broken)
    peer.receive(peer_request("INVITE", cseq=2, branch="two", to_tag=tag, sdp=SDP))
    assert ends(peer) == [CallEnded(dialog=dialog, by_peer=False)]
    assert peer.titles()[-1] == "500 INVITE"
    assert len(peer.faults or ()) == 2
    assert peer.agent.open_dialogs == 0
