"""Offers inside a call over an emulated wire: hold and resume both ways, crossing, refused, cut off by a hangup."""

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import (
    CallAnswered,
    CallReofferAnswered,
    CallReoffered,
    CallReofferRefused,
    IncomingCall,
    SipEvent,
)
from bridge.sip.settings import Transport
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked, RejectAsked, ReofferAsked, UsageCommand
from tests.sip.test_wire import FAULTS, QUIET_S, Flow, play, play_with_each_message_astray
from tests.sip.wire import SDP, Node, Wire

HELD = SDP + "a=sendonly\r\n"
LONG_S = 60.0
"""Longer than a lost ACK is waited for."""


class Talking:
    """One end of a call that answers what it is offered, and does things at given times after the answer."""

    def __init__(self, node: Node, *plan: tuple[float, UsageCommand], refuse: int = 0) -> None:
        self.node = node
        self.plan = plan
        self.refuse = refuse
        node.on_event = self

    def __call__(self, event: SipEvent) -> None:
        match event:
            case IncomingCall(dialog=dialog):
                self.node.steer(dialog, AcceptAsked(sdp=SDP))
                self._start(dialog)
            case CallAnswered(dialog=dialog):
                self._start(dialog)
            case CallReoffered(dialog=dialog):
                refusal = RejectAsked(status=self.refuse)
                self.node.steer(dialog, refusal if self.refuse else AcceptAsked(sdp=SDP))

    def _start(self, dialog: DialogKey) -> None:
        for after_s, command in self.plan:
            self.node.wire.later(after_s, lambda command=command: self.node.steer(dialog, command))  # type: ignore[misc]


def reoffered_by_the_caller(wire: Wire, caller: Node, callee: Node) -> None:
    Talking(callee)
    Talking(caller, (3, ReofferAsked(sdp=HELD)), (LONG_S, HangUpAsked()))
    dialog = caller.call()
    wire.run(QUIET_S + LONG_S)
    assert caller.events.count(CallReofferAnswered(dialog=dialog, sdp=SDP)) == 1
    assert callee.events.count(CallReoffered(dialog=callee.incoming.dialog, sdp=HELD)) == 1
    assert callee.kinds()[-1] == "CallEnded"


def reoffered_by_the_callee(wire: Wire, caller: Node, callee: Node) -> None:
    Talking(caller, (LONG_S, HangUpAsked()))
    Talking(callee, (3, ReofferAsked(sdp=HELD)))
    dialog = caller.call()
    wire.run(QUIET_S + LONG_S)
    assert callee.events.count(CallReofferAnswered(dialog=callee.incoming.dialog, sdp=SDP)) == 1
    assert caller.events.count(CallReoffered(dialog=dialog, sdp=HELD)) == 1
    assert callee.kinds()[-1] == "CallEnded"


def reoffered_before_the_ack(wire: Wire, caller: Node, callee: Node) -> None:
    """The callee's offer waits for the ACK (§14.1 allows none before)."""
    Talking(caller, (LONG_S, HangUpAsked()))
    Talking(callee, (0, ReofferAsked(sdp=HELD)))
    caller.call()
    wire.run(QUIET_S + LONG_S)
    assert callee.kinds().count("CallReofferAnswered") == 1
    assert caller.kinds().count("CallReoffered") == 1


def held_and_resumed_in_one_breath(wire: Wire, caller: Node, callee: Node) -> None:
    """One offer at a time: of those that wait, the newest goes out."""
    Talking(callee)
    commands = tuple((3.0, ReofferAsked(sdp=sdp)) for sdp in (HELD, HELD, HELD, SDP))
    Talking(caller, *commands, (LONG_S, HangUpAsked()))
    caller.call()
    wire.run(QUIET_S + LONG_S)
    offered = [event.sdp for event in callee.events if isinstance(event, CallReoffered)]
    assert offered == [HELD, SDP]
    assert caller.kinds().count("CallReofferAnswered") == 2


def reoffered_at_once_by_both(wire: Wire, caller: Node, callee: Node) -> None:
    """Both get 491, wait for different times, and both come through."""
    Talking(caller, (3, ReofferAsked(sdp=HELD)), (LONG_S, HangUpAsked()))
    Talking(callee, (3, ReofferAsked(sdp=HELD)))
    caller.call()
    wire.run(QUIET_S + LONG_S)
    for node in (caller, callee):
        assert node.kinds().count("CallReofferAnswered") == 1
        assert node.kinds().count("CallReoffered") == 1
        assert "CallReofferRefused" not in node.kinds()


def reoffer_refused(wire: Wire, caller: Node, callee: Node) -> None:
    Talking(callee, refuse=488)
    Talking(caller, (3, ReofferAsked(sdp=HELD)), (LONG_S, HangUpAsked()))
    dialog = caller.call()
    wire.run(QUIET_S + LONG_S)
    assert caller.events.count(CallReofferRefused(dialog=dialog, status=488)) == 1
    assert "CallReofferAnswered" not in caller.kinds()
    assert callee.kinds()[-1] == "CallEnded"


def hung_up_as_the_reoffer_is_out(wire: Wire, caller: Node, callee: Node) -> None:
    Talking(callee)
    Talking(caller, (3, ReofferAsked(sdp=HELD)), (3, HangUpAsked()))
    caller.call()
    wire.run(QUIET_S)
    assert callee.kinds()[-1] == "CallEnded"
    assert "CallReofferAnswered" not in caller.kinds()


def hung_up_by_the_peer_of_a_reoffer(wire: Wire, caller: Node, callee: Node) -> None:
    """BYE and re-INVITE cross."""
    Talking(callee, (3, HangUpAsked()))
    Talking(caller, (3, ReofferAsked(sdp=HELD)))
    caller.call()
    wire.run(QUIET_S)
    assert caller.kinds()[-1] == "CallEnded"
    assert caller.kinds().count("CallEnded") == 1


FLOWS: tuple[Flow, ...] = (
    reoffered_by_the_caller,
    reoffered_by_the_callee,
    reoffered_before_the_ack,
    held_and_resumed_in_one_breath,
    reoffered_at_once_by_both,
    reoffer_refused,
    hung_up_as_the_reoffer_is_out,
    hung_up_by_the_peer_of_a_reoffer,
)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("flow", FLOWS)
def test_an_offer_on_a_perfect_wire_repeats_nothing(flow: Flow, transport: Transport) -> None:
    play(flow, transport=transport)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flow", FLOWS)
def test_an_offer_survives_any_one_message_going_astray(flow: Flow, fault: str) -> None:
    play_with_each_message_astray(flow, fault)
