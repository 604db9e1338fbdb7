"""Acknowledged ringing, early media and early offers over an emulated wire (RFC 3262, RFC 3311, RFC 6337)."""

from collections.abc import Callable

import pytest

from bridge.sip.events import CallAnswered, CallConfirmed, CallProgress, CallReoffered, IncomingCall, SipEvent
from bridge.sip.settings import Reliable, Transport
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, ReofferAsked, RingAsked
from tests.sip.test_wire import FAULTS, QUIET_S, Flow, play, play_with_each_message_astray
from tests.sip.wire import SDP, Node, Wire, pair

OTHER = SDP.replace("4000", "4002")
LONG_S = 60.0
"""Longer than anything lost is waited for."""


def react(node: Node, *reactions: Callable[[SipEvent], None]) -> None:
    """An application of several rules."""

    def handle(event: SipEvent) -> None:
        for reaction in reactions:
            reaction(event)

    node.on_event = handle


def hang_up(node: Node, after_s: float = LONG_S) -> Callable[[SipEvent], None]:
    """Some time after the answer."""

    def handle(event: SipEvent) -> None:
        if isinstance(event, CallAnswered):
            node.wire.later(after_s, lambda: node.steer(event.dialog, HangUpAsked()))

    return handle


def ring(
    node: Node, *rings: tuple[int, str | None], accept_after_s: float | None = 2.0, answer: str = SDP
) -> Callable[[SipEvent], None]:
    """At once, and accept later."""

    def handle(event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            for status, sdp in rings:
                node.steer(event.dialog, RingAsked(status=status, sdp=sdp))
            if accept_after_s is not None:
                node.wire.later(accept_after_s, lambda: node.steer(event.dialog, AcceptAsked(sdp=answer)))

    return handle


def accept_offers(node: Node) -> Callable[[SipEvent], None]:
    """Whatever is offered."""

    def handle(event: SipEvent) -> None:
        if isinstance(event, CallReoffered):
            node.steer(event.dialog, AcceptAsked(sdp=OTHER))

    return handle


def rung_and_answered(wire: Wire, caller: Node, callee: Node) -> None:
    react(callee, ring(callee, (180, None)))
    react(caller, hang_up(caller))
    dialog = caller.call()
    wire.run(QUIET_S + LONG_S)
    assert caller.events.count(CallProgress(dialog=dialog, status=180)) == 1
    assert caller.events.count(CallAnswered(dialog=dialog, sdp=SDP)) == 1
    assert callee.kinds() == ["IncomingCall", "CallConfirmed", "CallEnded"]


def answered_with_early_media(wire: Wire, caller: Node, callee: Node) -> None:
    """The answer is in the 183, and nowhere else; our user has it twice all the same."""
    react(callee, ring(callee, (183, SDP)))
    react(caller, hang_up(caller))
    dialog = caller.call()
    wire.run(QUIET_S + LONG_S)
    assert caller.events.count(CallProgress(dialog=dialog, status=183, sdp=SDP)) == 1
    assert caller.events.count(CallAnswered(dialog=dialog, sdp=SDP)) == 1


def accepted_in_the_same_breath_as_early_media(wire: Wire, caller: Node, callee: Node) -> None:
    """The 2xx waits for the PRACK (RFC 3262 §3)."""
    react(callee, ring(callee, (183, SDP), accept_after_s=0.0))
    react(caller, hang_up(caller))
    dialog = caller.call()
    wire.run(QUIET_S + LONG_S)
    titles = wire.titles()
    assert titles.index("PRACK") < titles.index("200 INVITE")
    assert [event for event in caller.events if isinstance(event, CallAnswered)] == [
        CallAnswered(dialog=dialog, sdp=SDP)
    ]


def rung_in_several_ways(wire: Wire, caller: Node, callee: Node) -> None:
    """One at a time, the newest of those that wait; what was described is not lost."""
    react(callee, ring(callee, (180, None), (181, None), (183, SDP), (182, None), accept_after_s=30.0))
    react(caller, hang_up(caller))
    caller.call()
    wire.run(QUIET_S + LONG_S)
    told = [(event.status, event.sdp) for event in caller.events if isinstance(event, CallProgress)]
    assert told == [(180, None), (182, SDP)]


def offered_by_the_callee_while_it_rings(wire: Wire, caller: Node, callee: Node) -> None:
    """No offer in the INVITE: it is in the 183, and the answer in its PRACK."""

    def answer(event: SipEvent) -> None:
        if isinstance(event, CallProgress) and event.sdp is not None:
            caller.steer(event.dialog, AcceptAsked(sdp=OTHER))

    react(callee, ring(callee, (183, SDP), accept_after_s=10.0))
    react(caller, answer, hang_up(caller))
    dialog = caller.call(sdp=None)
    wire.run(QUIET_S + LONG_S)
    assert caller.events.count(CallProgress(dialog=dialog, status=183, sdp=SDP)) == 1
    assert callee.events.count(CallConfirmed(dialog=callee.incoming.dialog, sdp=OTHER)) == 1


def cancelled_as_it_rings(wire: Wire, caller: Node, callee: Node) -> None:
    react(callee, ring(callee, (183, SDP), accept_after_s=None))
    dialog = caller.call()
    wire.later(0.025, lambda: caller.steer(dialog, CancelAsked()))
    wire.run(QUIET_S)
    assert caller.kinds()[-1] == "CallFailed"
    assert callee.kinds() == ["IncomingCall", "CallCancelled"]


def updated_by_the_caller_while_it_rings(wire: Wire, caller: Node, callee: Node) -> None:
    react(callee, ring(callee, (183, SDP), accept_after_s=20.0, answer=OTHER), accept_offers(callee))
    react(caller, hang_up(caller))
    dialog = caller.call()
    wire.later(5, lambda: caller.steer(dialog, ReofferAsked(sdp=OTHER)))
    wire.run(QUIET_S + LONG_S)
    assert "UPDATE" in wire.titles(caller)
    assert caller.kinds().count("CallReofferAnswered") == 1
    assert callee.kinds().count("CallReoffered") == 1
    assert caller.events.count(CallAnswered(dialog=dialog, sdp=OTHER)) == 1


def updated_by_the_callee_while_it_rings(wire: Wire, caller: Node, callee: Node) -> None:
    react(callee, ring(callee, (183, SDP), accept_after_s=20.0, answer=OTHER))
    react(caller, accept_offers(caller), hang_up(caller))
    caller.call()
    wire.later(5, lambda: callee.steer(callee.incoming.dialog, ReofferAsked(sdp=OTHER)))
    wire.run(QUIET_S + LONG_S)
    assert "UPDATE" in wire.titles(callee)
    assert callee.kinds().count("CallReofferAnswered") == 1
    assert caller.kinds().count("CallReoffered") == 1
    assert caller.kinds().count("CallAnswered") == 1


def updated_by_both_while_it_rings(wire: Wire, caller: Node, callee: Node) -> None:
    react(callee, ring(callee, (183, SDP), accept_after_s=30.0, answer=OTHER), accept_offers(callee))
    react(caller, accept_offers(caller), hang_up(caller))
    dialog = caller.call()
    wire.later(5, lambda: caller.steer(dialog, ReofferAsked(sdp=OTHER)))
    wire.later(5, lambda: callee.steer(callee.incoming.dialog, ReofferAsked(sdp=OTHER)))
    wire.run(QUIET_S + LONG_S)
    for node in (caller, callee):
        assert node.kinds().count("CallReofferAnswered") == 1
        assert node.kinds().count("CallReoffered") == 1


FLOWS: tuple[Flow, ...] = (
    rung_and_answered,
    answered_with_early_media,
    accepted_in_the_same_breath_as_early_media,
    rung_in_several_ways,
    offered_by_the_callee_while_it_rings,
    cancelled_as_it_rings,
    updated_by_the_caller_while_it_rings,
    updated_by_the_callee_while_it_rings,
    updated_by_both_while_it_rings,
)


@pytest.mark.parametrize("reliable", [Reliable.SUPPORTED, Reliable.REQUIRED])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("flow", FLOWS)
def test_ringing_on_a_perfect_wire_repeats_nothing(flow: Flow, transport: Transport, reliable: Reliable) -> None:
    assert "PRACK" in play(flow, transport=transport, reliable=reliable).titles()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flow", FLOWS)
def test_ringing_survives_any_one_message_going_astray(flow: Flow, fault: str) -> None:
    play_with_each_message_astray(flow, fault)


@pytest.mark.parametrize("flow", [rung_and_answered, answered_with_early_media, cancelled_as_it_rings])
def test_a_trunk_without_100rel_rings_all_the_same(flow: Flow) -> None:
    assert "PRACK" not in play(flow, reliable=Reliable.OFF).titles()


def without_prack() -> Wire:
    return Wire(tamper=lambda number, sent: () if sent.title == "PRACK" else (0.01,))


def test_without_any_prack_a_call_that_needs_it_is_refused_and_both_ends_know() -> None:
    wire, caller, callee = pair(wire=without_prack(), reliable=Reliable.REQUIRED)
    react(callee, ring(callee, (180, None), accept_after_s=None))
    caller.call()
    wire.run(QUIET_S)
    assert callee.kinds() == ["IncomingCall", "CallCancelled"]
    assert "504 INVITE" in wire.titles(callee)
    assert caller.kinds()[-1] == "CallFailed"


def test_without_any_prack_a_call_that_only_rings_goes_on_ringing_and_is_answered() -> None:
    wire, caller, callee = pair(wire=without_prack())
    react(callee, ring(callee, (180, None), accept_after_s=50.0))
    caller.call()
    wire.run(QUIET_S)
    assert "CallConfirmed" in callee.kinds()
    assert "CallAnswered" in caller.kinds()
