"""Two user agents over an emulated wire: every message of every flow lost, doubled and delayed once."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bridge.core.ids import DialogKey
from bridge.sip.actions import TimeElapsed
from bridge.sip.active_transaction import ActiveClient
from bridge.sip.events import CallAnswered, CallEnded, CallFailed, CallReoffered, IncomingCall, SipEvent
from bridge.sip.message import Response
from bridge.sip.requests import with_sdp
from bridge.sip.settings import Transport
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RejectAsked, RingAsked
from tests.sip.wire import LATENCY_S, SDP, Node, Sent, Wire, pair

QUIET_S = 200.0
"""Longer than any timer of a finished call."""


@dataclass(slots=True, kw_only=True)
class Answering:
    """A callee that rings at once, and answers or refuses a little later."""

    node: Node
    answer_after_s: float | None = 1.0
    reject_status: int = 0
    hang_up_after_s: float | None = None

    def __call__(self, event: SipEvent) -> None:
        match event:
            case IncomingCall(dialog=dialog):
                self.node.steer(dialog, RingAsked(status=180, sdp=None))
                if self.answer_after_s is not None:
                    self.node.wire.later(self.answer_after_s, lambda: self._decide(dialog))
            case CallReoffered(dialog=dialog):
                self.node.steer(dialog, AcceptAsked(sdp=SDP))

    def _decide(self, dialog: DialogKey) -> None:
        if self.reject_status:
            self.node.steer(dialog, RejectAsked(status=self.reject_status))
            return
        self.node.steer(dialog, AcceptAsked(sdp=SDP))
        if self.hang_up_after_s is not None:
            self.node.wire.later(self.hang_up_after_s, lambda: self.node.steer(dialog, HangUpAsked(q850=16)))


def on_answer(node: Node, action: Callable[[DialogKey], None]) -> None:
    """Do something as soon as the call is answered."""

    def handle(event: SipEvent) -> None:
        if isinstance(event, CallAnswered):
            action(event.dialog)

    node.on_event = handle


class Reinviter:
    """Sends a re-INVITE inside a dialog of a node, as a peer would, and acknowledges what comes."""

    def __init__(self, node: Node, dialog: DialogKey, *, sdp: str | None = SDP) -> None:
        self.node = node
        self.usage = node.agent._context.usages[dialog]
        self.statuses: list[int] = []
        self._sdp = sdp

    def send(self) -> None:
        """Out with it."""
        if self.usage.dialog is None:
            raise LookupError("no dialog")
        request = with_sdp(self.usage.dialog.request("INVITE"), self._sdp)
        request.headers.add(*self.usage.contact(self.usage.flow))
        flow = self.usage.flow_of(self.usage.dialog)
        self.node.agent._context.layer.send_request(request, flow, self, self.node.wire.now)
        self.node.feed(TimeElapsed())

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """Note finals and acknowledge 2xx."""
        if response.status >= 200:
            self.statuses.append(response.status)
        if 200 <= response.status < 300 and self.usage.dialog is not None:
            layer = self.node.agent._context.layer
            ack = with_sdp(
                self.usage.dialog.request("ACK", cseq=client.request.cseq.number), None if self._sdp else SDP
            )
            layer.add_via(ack, client.flow, layer.new_branch())
            layer.send_ack(ack, client.flow, now)

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """Note the timeout."""
        self.statuses.append(status)


Flow = Callable[[Wire, Node, Node], None]


def answered_and_hung_up_by_caller(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = Answering(node=callee)
    on_answer(caller, lambda dialog: wire.later(5, lambda: caller.steer(dialog, HangUpAsked(q850=16))))
    caller.call()
    wire.run(QUIET_S)
    assert caller.kinds().count("CallAnswered") == 1
    assert callee.kinds().count("IncomingCall") == 1
    assert callee.kinds().count("CallEnded") == 1
    assert callee.kinds()[-1] == "CallEnded"
    assert set(caller.kinds()) <= {"CallProgress", "CallAnswered"}
    assert callee.events[-1] == CallEnded(dialog=callee.incoming.dialog, q850=16)


def answered_and_hung_up_by_callee(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = Answering(node=callee, hang_up_after_s=5)
    dialog = caller.call()
    wire.run(QUIET_S)
    assert caller.kinds().count("CallAnswered") == 1
    assert caller.events[-1] == CallEnded(dialog=dialog, q850=16)
    assert callee.kinds().count("IncomingCall") == 1
    assert "CallEnded" not in callee.kinds()


def refused(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = Answering(node=callee, reject_status=486)
    dialog = caller.call()
    wire.run(QUIET_S)
    assert caller.events[-1] == CallFailed(dialog=dialog, status=486, reason_phrase="Busy Here")
    assert callee.kinds() == ["IncomingCall"]


def cancelled(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = Answering(node=callee, answer_after_s=None)
    dialog = caller.call()
    wire.later(3, lambda: caller.steer(dialog, CancelAsked()))
    wire.run(QUIET_S)
    assert caller.events[-1] == CallFailed(dialog=dialog, status=487, reason_phrase="Request Terminated")
    assert callee.kinds() == ["IncomingCall", "CallCancelled"]


def reinvited(wire: Wire, caller: Node, callee: Node) -> None:
    callee.on_event = Answering(node=callee)
    inviters: list[Reinviter] = []

    def reinvite(dialog: DialogKey) -> None:
        inviters.append(Reinviter(caller, dialog))
        wire.later(3, inviters[0].send)
        wire.later(60, lambda: caller.steer(dialog, HangUpAsked()))

    on_answer(caller, reinvite)
    caller.call()
    wire.run(QUIET_S + 60)
    assert set(inviters[0].statuses) == {200}
    assert callee.kinds().count("CallReoffered") == 1
    assert callee.kinds()[-1] == "CallEnded"


FLOWS: tuple[Flow, ...] = (
    answered_and_hung_up_by_caller,
    answered_and_hung_up_by_callee,
    refused,
    cancelled,
    reinvited,
)


def assert_nothing_left(*nodes: Node) -> None:
    for node in nodes:
        assert node.agent.open_dialogs == 0
        assert node.agent.open_transactions == 0
        assert node.agent.next_deadline() is None
        assert not node.agent._context.dialogs
        assert not node.agent._context.peers._met


def play(flow: Flow, **settings: object) -> Wire:
    """The flow on a perfect wire repeats nothing, and surprises nobody."""
    wire, caller, callee = pair(**settings)  # type: ignore[arg-type]
    flow(wire, caller, callee)
    assert_nothing_left(caller, callee)
    assert caller.counted("sip_retransmissions_total") == 0
    assert caller.counted("sip_unexpected_events_total") == callee.counted("sip_unexpected_events_total") == 0
    return wire


def play_with_each_message_astray(flow: Flow, fault: str, **settings: object) -> None:
    """The flow again and again, one message after the other lost, doubled or late."""
    for number in range(len(play(flow, **settings).log)):
        tampered = Wire(tamper=Fault(number=number, delays=FAULTS[fault]))
        wire, caller, callee = pair(wire=tampered, **settings)  # type: ignore[arg-type]
        flow(wire, caller, callee)
        assert_nothing_left(caller, callee)


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_on_a_perfect_wire_repeats_nothing(flow: Flow, transport: Transport) -> None:
    play(flow, transport=transport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one message."""

    number: int
    delays: tuple[float, ...]

    def __call__(self, number: int, sent: Sent) -> tuple[float, ...]:
        return self.delays if number == self.number else (LATENCY_S,)


FAULTS: dict[str, tuple[float, ...]] = {
    "lost": (),
    "doubled": (LATENCY_S, LATENCY_S),
    "doubled late": (LATENCY_S, 0.8),
    "overtaken": (0.03,),
    "late": (0.7,),
    "very late": (2.5,),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_survives_any_one_message_going_astray(flow: Flow, fault: str) -> None:
    play_with_each_message_astray(flow, fault)
