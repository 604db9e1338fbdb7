"""A process dies in the middle of a call: the next one ends it at the phone, by what was written down."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.events import CallCancelled, CallEnded, CallFailed
from bridge.sip.message import Request
from bridge.sip.revival import CSEQ_GAP, Revive
from bridge.sip.saved import SavedLeg
from bridge.sip.settings import Transport, Trunk, TrunkAuth, TrunkTls
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RejectAsked, ReofferAsked, RingAsked
from tests.sip.scripted_peer import SDP, Scripted, peer_request, trunk
from tests.sip.test_wire import QUIET_S, assert_nothing_left
from tests.sip.wire import Node, Wire, pair

_WRITTEN = TypeAdapter(SavedLeg)
TRANSPORTS = (Transport.UDP, Transport.TCP)


def _written(node: Node | Scripted, dialog: DialogKey) -> SavedLeg:
    """The leg as a process leaves it behind: as text."""
    leg = node.agent.saved_leg(dialog)
    assert leg is not None
    return _WRITTEN.validate_json(_WRITTEN.dump_json(leg))


def _next_process(wire: Wire, died: Node, trunk: Trunk, dialog: DialogKey) -> Node:
    """Another process at the address of one that is gone, with the call of that one."""
    leg = _written(died, dialog)
    wire.disconnect(died)
    node = wire.add(Node(wire, died.host, (trunk.host,), trunk, seed=99))
    node.feed(Revive(dialog=dialog, leg=leg))
    return node


def _trunk(died: Node) -> Trunk:
    return next(iter(died.agent._context.trunks)).trunk


def _talking(transport: Transport) -> tuple[Wire, Node, Node, DialogKey]:
    wire, caller, callee = pair(transport=transport)
    dialog = caller.call()
    wire.run(1)
    callee.steer(callee.incoming.dialog, AcceptAsked(sdp=SDP))
    wire.run(1)
    return wire, caller, callee, dialog


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_was_called_is_hung_up_on(transport: Transport) -> None:
    wire, caller, callee, dialog = _talking(transport)
    again = _next_process(wire, caller, _trunk(caller), dialog)
    again.steer(dialog, HangUpAsked(q850=41))
    wire.run(QUIET_S)
    assert callee.events[-1] == CallEnded(dialog=callee.incoming.dialog, q850=41)
    assert_nothing_left(again, callee)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_called_is_hung_up_on(transport: Transport) -> None:
    wire, caller, callee, dialog = _talking(transport)
    theirs = callee.incoming.dialog
    again = _next_process(wire, callee, _trunk(callee), theirs)
    again.steer(theirs, HangUpAsked())
    wire.run(QUIET_S)
    assert caller.events[-1] == CallEnded(dialog=dialog)
    assert_nothing_left(caller, again)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_rings_is_told_to_stop(transport: Transport) -> None:
    wire, caller, callee = pair(transport=transport)
    dialog = caller.call()
    wire.run(1)
    callee.steer(callee.incoming.dialog, RingAsked(status=180, sdp=None))
    wire.run(1)
    again = _next_process(wire, caller, _trunk(caller), dialog)
    again.steer(dialog, CancelAsked())
    wire.run(QUIET_S)
    assert callee.events[-1] == CallCancelled(dialog=callee.incoming.dialog)
    assert [event.status for event in again.events if isinstance(event, CallFailed)] == [487]
    assert_nothing_left(again, callee)


def test_a_phone_that_answers_as_it_is_given_up_is_hung_up_on() -> None:
    wire, caller, callee = pair()
    dialog = caller.call()
    wire.run(1)
    again = _next_process(wire, caller, _trunk(caller), dialog)
    callee.steer(callee.incoming.dialog, AcceptAsked(sdp=SDP))
    again.steer(dialog, CancelAsked())
    wire.run(QUIET_S)
    assert isinstance(callee.events[-1], CallEnded)
    assert_nothing_left(again, callee)


def test_a_phone_that_answers_while_nobody_is_there_is_hung_up_on() -> None:
    """Requests were sent where it rang (PRACK): the hangup must not use their numbers again."""
    wire, caller, callee = pair()
    dialog = caller.call()
    wire.run(1)
    callee.steer(callee.incoming.dialog, RingAsked(status=180, sdp=None))
    wire.run(1)
    assert "PRACK" in wire.titles(caller)
    leg, trunk = _written(caller, dialog), _trunk(caller)
    wire.disconnect(caller)
    callee.steer(callee.incoming.dialog, AcceptAsked(sdp=SDP))
    wire.run(0.3)
    again = wire.add(Node(wire, caller.host, (trunk.host,), trunk, seed=99))
    again.feed(Revive(dialog=dialog, leg=leg))
    again.steer(dialog, CancelAsked())
    wire.run(QUIET_S)
    assert isinstance(callee.events[-1], CallEnded)
    assert "500 BYE" not in wire.titles(callee)
    assert_nothing_left(again, callee)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_waits_for_an_answer_gets_one(transport: Transport) -> None:
    wire, caller, callee = pair(transport=transport)
    caller.call()
    wire.run(1)
    theirs = callee.incoming.dialog
    callee.steer(theirs, RingAsked(status=180, sdp=None))
    wire.run(1)
    again = _next_process(wire, callee, _trunk(callee), theirs)
    again.steer(theirs, RejectAsked(status=500, q850=41))
    wire.run(QUIET_S)
    (failed,) = [event for event in caller.events if isinstance(event, CallFailed)]
    assert (failed.status, failed.q850) == (500, 41)
    assert_nothing_left(caller, again)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_phone_that_was_answered_after_it_was_written_down_is_hung_up_on(transport: Transport) -> None:
    wire, caller, callee = pair(transport=transport)
    dialog = caller.call()
    wire.run(1)
    theirs = callee.incoming.dialog
    leg, trunk = _written(callee, theirs), _trunk(callee)
    callee.steer(theirs, AcceptAsked(sdp=SDP))
    wire.run(0.1)
    wire.disconnect(callee)
    again = wire.add(Node(wire, callee.host, (trunk.host,), trunk, seed=99))
    again.feed(Revive(dialog=theirs, leg=leg))
    again.steer(theirs, RejectAsked(status=500, q850=41))
    wire.run(QUIET_S)
    assert caller.events[-1] == CallEnded(dialog=dialog, q850=41)
    assert_nothing_left(caller, again)


def test_a_phone_may_hang_up_before_it_is_told() -> None:
    wire, caller, callee, dialog = _talking(Transport.UDP)
    again = _next_process(wire, caller, _trunk(caller), dialog)
    callee.steer(callee.incoming.dialog, HangUpAsked())
    wire.run(QUIET_S)
    assert again.events == [CallEnded(dialog=dialog)]
    assert_nothing_left(again, callee)


def test_the_hangup_goes_where_the_phone_has_moved() -> None:
    peer = Scripted()
    dialog = _answered(peer)
    peer.receive(_inside(peer, "INVITE", 5, contact="<sip:peer@192.0.2.44:5070>"))
    peer.steer(dialog, AcceptAsked(sdp=SDP))
    assert peer.moves == 2, "it was not written down anew"
    again = Scripted()
    again.feed(Revive(dialog=dialog, leg=_written(peer, dialog)))
    again.steer(dialog, HangUpAsked())
    bye, flow = again.sent[-1]
    assert isinstance(bye, Request)
    assert (bye.method, bye.uri_text) == ("BYE", "sip:peer@192.0.2.44:5070")
    assert flow.address == ("192.0.2.44", 5070)


def test_the_hangup_follows_the_route_and_whatever_was_sent_before_it() -> None:
    peer = Scripted()
    dialog = _answered(peer, Record_Route="<sip:192.0.2.9;lr>, <sip:192.0.2.8;lr>")
    before = peer.last_request("ACK").cseq.number
    again = Scripted()
    again.feed(Revive(dialog=dialog, leg=_written(peer, dialog)))
    again.steer(dialog, HangUpAsked())
    bye = again.last_request("BYE")
    assert [str(route) for route in bye.routes] == ["<sip:192.0.2.8;lr>", "<sip:192.0.2.9;lr>"]
    assert bye.cseq.number == before + CSEQ_GAP + 1
    assert (bye.from_, bye.to, bye.call_id) == _names(peer.last_request("ACK"))


def test_a_trunk_that_wanted_credentials_gets_them_with_the_hangup() -> None:
    settings = trunk(TrunkAuth.DIGEST)
    peer = Scripted(settings)
    dialog = peer.call()
    peer.challenge(peer.last_request("INVITE"))
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    leg = _written(peer, dialog)
    assert "uthorization" not in _WRITTEN.dump_json(leg).decode()
    again = Scripted(settings)
    again.feed(Revive(dialog=dialog, leg=leg))
    again.steer(dialog, HangUpAsked())
    again.challenge(again.last_request("BYE"))
    assert "Proxy-Authorization" in again.last_request("BYE").headers


def test_a_phone_of_a_trunk_that_was_taken_away_is_hung_up_on_by_the_way_of_its_call() -> None:
    peer = Scripted()
    dialog = _answered(peer)
    again = Scripted(trunk(name=TrunkName("another")))
    leg = _written(peer, dialog)
    again.feed(Revive(dialog=dialog, leg=leg))
    again.steer(dialog, HangUpAsked())
    bye = again.last_request("BYE")
    assert leg.dialog is not None
    assert (bye.uri_text, bye.call_id) == (leg.dialog.remote_target, leg.dialog.sip_call_id)
    again.answer(bye, 200)
    assert again.agent.open_dialogs == 0


def test_an_invite_of_a_trunk_that_was_taken_away_is_cancelled() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 180)
    again = Scripted(trunk(name=TrunkName("another")))
    again.feed(Revive(dialog=dialog, leg=_written(peer, dialog)))
    again.steer(dialog, CancelAsked())
    assert again.last_request("CANCEL").call_id == peer.last_request("INVITE").call_id


def test_a_call_over_tls_of_a_trunk_that_was_taken_away_is_let_go() -> None:
    peer = Scripted()
    dialog = _answered(peer)
    leg = _written(peer, dialog)
    leg.flow = replace(leg.flow, transport=Transport.TLS)  # type: ignore[misc]
    again = Scripted(trunk(name=TrunkName("another")))
    again.feed(Revive(dialog=dialog, leg=leg))
    again.steer(dialog, HangUpAsked())
    assert again.agent.open_dialogs == 0


def test_a_call_over_tls_is_ended_by_what_is_believed_now() -> None:
    before, after = (TrunkTls(ca_file=Path(name)) for name in ("before.pem", "after.pem"))
    peer = Scripted(trunk(transport=Transport.TLS, tls=before), transport=Transport.TLS)
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 180)
    again = Scripted(trunk(transport=Transport.TLS, tls=after), transport=Transport.TLS)
    again.feed(Revive(dialog=dialog, leg=_written(peer, dialog)))
    again.steer(dialog, CancelAsked())
    assert again.titles() == ["CANCEL"]
    assert again.sent[-1][1].tls == after.files


def test_what_cannot_be_understood_any_more_is_let_go() -> None:
    peer = Scripted()
    leg = _written(peer, peer.call())
    again = Scripted()
    again.faults = []
    leg.invite = "nonsense"  # type: ignore[misc]
    again.feed(Revive(dialog=DialogKey("call"), leg=leg))
    assert len(again.faults) == 1
    assert again.agent.open_dialogs == 0


def test_a_call_is_written_down_anew_when_it_is_answered_and_not_for_each_step() -> None:
    peer = Scripted()
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 100)
    peer.answer(peer.last_request("INVITE"), 180)
    assert peer.moves == 0
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert peer.moves == 1
    peer.steer(dialog, ReofferAsked(sdp=SDP))
    peer.advance(0.01)
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    peer.steer(dialog, HangUpAsked())
    assert peer.moves == 1
    assert peer.agent.saved_leg(dialog) is None


def _answered(peer: Scripted, **fields: str) -> DialogKey:
    dialog = peer.call()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP, **fields)
    return dialog


def _inside(peer: Scripted, method: str, cseq: int, *, contact: str) -> Request:
    """A request of the callee inside the dialog."""
    ack = peer.last_request("ACK")
    request = peer_request(method, cseq=cseq, branch=f"z9hG4bK{cseq}", sdp=SDP)
    request.headers.set("From", str(ack.to))
    request.headers.set("To", str(ack.from_))
    request.headers.set("Call-ID", ack.call_id)
    request.headers.set("Contact", contact)
    return request


def _names(request: Request) -> tuple[object, object, str]:
    return (request.from_, request.to, request.call_id)
