"""Transfers and keys over an emulated wire: every message of every flow lost, doubled and delayed once."""

from collections.abc import Callable

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.events import (
    CallAnswered,
    CallReferred,
    DigitsReceived,
    IncomingCall,
    OutgoingCall,
    ReferralProgress,
    SipEvent,
)
from bridge.sip.inputs import DialogCommand, PlaceCall
from bridge.sip.keypad import DigitAsked
from bridge.sip.referral_commands import ReferAsked, ReferralAccepted, ReferralRefused, ReferralReported
from bridge.sip.replaces import Replaces
from bridge.sip.settings import Transport
from bridge.sip.usage_commands import AcceptAsked, HangUpAsked
from tests.sip.test_wire import FAULTS, QUIET_S, Fault, assert_nothing_left
from tests.sip.wire import SDP, TRUNK, Node, Wire, pair

Flow = Callable[[Wire, Node, Node], None]
Step = tuple[float, DialogCommand]


def answered(node: Node, *, then: Callable[[DialogKey], None] = lambda dialog: None) -> Callable[[SipEvent], None]:
    """A callee that answers at once, and does something a second later."""

    def handle(event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            node.steer(event.dialog, AcceptAsked(sdp=SDP))
            node.wire.later(1.0, lambda: then(event.dialog))

    return handle


def decide(node: Node, *steps: Step) -> Callable[[SipEvent], None]:
    """A party that does these things, so long after it was asked to call somebody else."""

    def handle(event: SipEvent) -> None:
        if isinstance(event, CallReferred):
            for after_s, command in steps:
                node.wire.later(after_s, lambda command=command: node.steer(event.dialog, command))  # type: ignore[misc]

    return handle


def progress(node: Node) -> list[int]:
    return [event.status for event in node.events if isinstance(event, ReferralProgress)]


def refer(node: Node) -> Callable[[DialogKey], None]:
    return lambda dialog: node.steer(dialog, ReferAsked(target_user="+15550177"))


ACCEPTING: tuple[Step, ...] = (
    (0.0, ReferralAccepted()),
    (2.0, ReferralReported(status=180)),
    (5.0, ReferralReported(status=200)),
)


def transferred(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = answered(callee, then=refer(callee))
    caller.on_event = decide(caller, *ACCEPTING, (40.0, HangUpAsked()))
    caller.call()
    wire.run(QUIET_S)
    asked = next(event for event in caller.events if isinstance(event, CallReferred))
    assert (asked.target.user, asked.target.replaces) == ("+15550177", None)
    assert caller.kinds().count("CallReferred") == 1
    assert progress(callee) == [100, 180, 200]
    assert callee.kinds()[-1] == "CallEnded"


def refused(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = answered(callee, then=refer(callee))
    caller.on_event = decide(caller, (0.0, ReferralRefused(status=603)), (40.0, HangUpAsked()))
    caller.call()
    wire.run(QUIET_S)
    assert progress(callee) == [603]


def transferred_in_vain(wire: Wire, caller: Node, callee: Node) -> None:
    """The reports come faster than they are answered: the outcome is never lost."""
    steps = ((0.0, ReferralAccepted()), (0.0, ReferralReported(status=180)), (0.0, ReferralReported(status=486)))
    callee.on_event = answered(callee, then=refer(callee))
    caller.on_event = decide(caller, *steps, (0.0, ReferralReported(status=180)), (40.0, HangUpAsked()))
    caller.call()
    wire.run(QUIET_S)
    assert progress(callee)[-1] == 486
    assert set(progress(callee)) <= {100, 180, 486}


def transferred_and_hung_up_at_once(wire: Wire, caller: Node, callee: Node) -> None:
    """The subscription goes on without the call."""

    def refer_and_hang_up(event: SipEvent) -> None:
        answered(callee, then=refer(callee))(event)
        if event == ReferralProgress(dialog=callee.incoming.dialog, status=100):
            callee.steer(callee.incoming.dialog, HangUpAsked())

    callee.on_event = refer_and_hang_up
    caller.on_event = decide(caller, (0.0, ReferralAccepted()), (20.0, ReferralReported(status=200)))
    caller.call()
    wire.run(QUIET_S)
    assert caller.kinds()[-1] == "CallEnded"
    assert progress(callee) == [100, 200]


def referred_while_hung_up(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = answered(callee, then=refer(callee))

    def handle(event: SipEvent) -> None:
        if isinstance(event, CallAnswered):
            wire.later(1.01, lambda: caller.steer(event.dialog, HangUpAsked()))
        if isinstance(event, CallReferred):
            caller.steer(event.dialog, ReferralAccepted())
            caller.steer(event.dialog, ReferralReported(status=487))

    caller.on_event = handle
    caller.call()
    wire.run(QUIET_S)
    assert callee.kinds().count("CallEnded") == 1
    assert progress(callee)[-1:] in ([], [408], [481], [487], [491])


def replaced(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = answered(callee)
    calls: list[IncomingCall] = []

    def replace(event: SipEvent) -> None:
        if event == CallAnswered(dialog=DialogKey("first"), sdp=SDP):
            dialog = caller.agent._context.usages[DialogKey("first")].dialog
            assert dialog is not None
            call = OutgoingCall(
                trunk=TRUNK,
                called="",
                caller="1",
                sdp=SDP,
                replaces=str(Replaces.at_peer(dialog)),
                referred_by="<sip:b@h>",
            )
            caller.feed(PlaceCall(dialog=DialogKey("second"), call=call))
        elif isinstance(event, CallAnswered):
            wire.later(30.0, lambda: caller.steer(event.dialog, HangUpAsked()))

    def take(event: SipEvent) -> None:
        answered(callee)(event)
        if isinstance(event, IncomingCall):
            calls.append(event)
            if event.replaces is not None:
                callee.steer(event.replaces, HangUpAsked())

    caller.on_event, callee.on_event = replace, take
    caller.call("first")
    wire.run(QUIET_S)
    assert [call.replaces for call in calls] == [None, calls[0].dialog]
    assert caller.kinds().count("CallAnswered") == 2
    assert caller.kinds().count("CallEnded") == 1


def dialled(wire: Wire, caller: Node, callee: Node) -> None:
    """Keys in both directions, faster than they are answered."""

    def press(node: Node, dialog: DialogKey, digits: str) -> None:
        for digit in digits:
            node.steer(dialog, DigitAsked(digit=digit, duration_ms=100))

    def handle(event: SipEvent) -> None:
        if isinstance(event, CallAnswered):
            wire.later(1.0, lambda: press(caller, event.dialog, "123#"))
            wire.later(60.0, lambda: caller.steer(event.dialog, HangUpAsked()))

    callee.on_event = answered(callee, then=lambda dialog: press(callee, dialog, "4*5"))
    caller.on_event = handle
    caller.call()
    wire.run(QUIET_S)
    assert [event.digits for event in callee.events if isinstance(event, DigitsReceived)] == list("123#")
    assert [event.digits for event in caller.events if isinstance(event, DigitsReceived)] == list("4*5")


FLOWS: tuple[Flow, ...] = (
    transferred,
    refused,
    transferred_in_vain,
    transferred_and_hung_up_at_once,
    referred_while_hung_up,
    replaced,
    dialled,
)


def nothing_left(*nodes: Node) -> None:
    assert_nothing_left(*nodes)
    for node in nodes:
        assert not node.agent._transfers.received
        assert not node.agent._transfers.sent
        assert not node.agent._keypads.waiting


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_on_a_perfect_wire_repeats_nothing(flow: Flow, transport: Transport) -> None:
    wire, caller, callee = pair(transport=transport, accept_transfers=True)
    flow(wire, caller, callee)
    nothing_left(caller, callee)
    for node in (caller, callee):
        assert node.counted("sip_retransmissions_total") == 0
        assert node.counted("sip_unexpected_events_total") == 0


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_survives_any_one_message_going_astray(flow: Flow, fault: str) -> None:
    wire, caller, callee = pair(accept_transfers=True)
    flow(wire, caller, callee)
    for number in range(len(wire.log)):
        wire, caller, callee = pair(wire=Wire(tamper=Fault(number=number, delays=FAULTS[fault])), accept_transfers=True)
        flow(wire, caller, callee)
        nothing_left(caller, callee)
