"""Whatever both ends of a call ask for in whatever order, over a wire that loses and delays: it ends at both ends."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ids import DialogKey
from bridge.sip.events import CallReoffered, IncomingCall, SipEvent
from bridge.sip.usage_commands import (
    AcceptAsked,
    CancelAsked,
    HangUpAsked,
    RejectAsked,
    ReofferAsked,
    RingAsked,
    UsageCommand,
)
from tests.sip.test_wire import assert_nothing_left
from tests.sip.wire import LATENCY_S, SDP, Node, Sent, Wire, pair

OTHER = SDP.replace("4000", "4002")
LAST_S = 150.0
QUIET_S = 500.0
ENDINGS = ("CallFailed", "CallEnded", "CallCancelled")

COMMANDS: tuple[UsageCommand, ...] = (
    RingAsked(status=180, sdp=None),
    RingAsked(status=183, sdp=SDP),
    AcceptAsked(sdp=SDP),
    AcceptAsked(sdp=OTHER),
    AcceptAsked(sdp=None),
    ReofferAsked(sdp=OTHER),
    ReofferAsked(sdp=SDP),
    RejectAsked(status=488),
    HangUpAsked(),
    CancelAsked(),
)
TIMES = st.one_of(st.sampled_from([0.0, 0.01, 0.02, 0.03, 0.05, 1.0, 45.0]), st.floats(0, LAST_S))
PLAN = st.lists(st.tuples(st.booleans(), TIMES, st.sampled_from(COMMANDS)), max_size=20)
FATES = st.lists(
    st.sampled_from([(), (LATENCY_S,), (LATENCY_S,), (LATENCY_S, 0.6), (0.03,), (0.3,), (1.1,)]), max_size=40
)


def steer(node: Node, command: UsageCommand) -> None:
    """Whatever the state of the call, and if there is one at all."""
    dialogs = list(node.agent._context.usages) or [DialogKey("gone")]
    node.steer(dialogs[0], command)


def obliging(node: Node) -> None:
    """Rings, accepts the call a little later, and takes every offer."""

    def handle(event: SipEvent) -> None:
        match event:
            case IncomingCall():
                steer(node, RingAsked(status=183, sdp=SDP))
                node.wire.later(2.0, lambda: steer(node, AcceptAsked(sdp=SDP)))
            case CallReoffered():
                steer(node, AcceptAsked(sdp=OTHER))

    node.on_event = handle


@given(st.booleans(), st.sampled_from([SDP, SDP, None]), PLAN, FATES)
def test_no_order_of_wishes_at_both_ends_leaves_anything_behind(
    obliged: bool, offer: str | None, plan: list[tuple[bool, float, UsageCommand]], fates: list[tuple[float, ...]]
) -> None:
    def tamper(number: int, sent: Sent) -> tuple[float, ...]:
        return fates[number] if number < len(fates) else (LATENCY_S,)

    wire, caller, callee = pair(wire=Wire(tamper=tamper), session_expires_s=90)
    for node in (caller, callee):
        if obliged:
            obliging(node)
    caller.call(sdp=offer)
    for ours, at_s, command in plan:
        node = caller if ours else callee
        wire.later(at_s, lambda node=node, command=command: steer(node, command))  # type: ignore[misc]
    for node in (caller, callee):
        wire.later(LAST_S, lambda node=node: steer(node, HangUpAsked()))  # type: ignore[misc]
    wire.run(LAST_S + QUIET_S)
    assert_nothing_left(caller, callee)
    for node in (caller, callee):
        assert sum(kind in ENDINGS for kind in node.kinds()) <= 1
