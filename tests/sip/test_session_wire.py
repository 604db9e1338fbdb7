"""Session timers over an emulated wire: confirmed in time, refused intervals, and peers that vanish (RFC 4028)."""

import pytest

from bridge.sip.events import CallAnswered, CallEnded
from bridge.sip.settings import SessionTimer, Transport
from bridge.sip.usage_commands import HangUpAsked, ReofferAsked
from tests.sip.test_offers_wire import HELD, Talking
from tests.sip.test_wire import FAULTS, QUIET_S, Flow, assert_nothing_left, play, play_with_each_message_astray
from tests.sip.wire import LATENCY_S, Node, Sent, Wire, pair

SHORT_S = 90
TALK_S = 250.0


def confirmed_while_it_lasts(wire: Wire, caller: Node, callee: Node) -> None:
    Talking(callee)
    Talking(caller, (TALK_S, HangUpAsked()))
    caller.call()
    wire.run(TALK_S + QUIET_S)
    assert [title for title in wire.titles(callee) if title == "UPDATE"]
    assert callee.kinds()[-1] == "CallEnded"
    assert not any(isinstance(event, CallEnded) and event.expired for event in callee.events)
    assert set(caller.kinds()) <= {"CallProgress", "CallAnswered"}


def confirmed_by_an_offer(wire: Wire, caller: Node, callee: Node) -> None:
    """Any re-INVITE confirms."""
    Talking(callee)
    Talking(caller, (40, ReofferAsked(sdp=HELD)), (80, ReofferAsked(sdp=HELD)), (TALK_S, HangUpAsked()))
    caller.call()
    wire.run(TALK_S + QUIET_S)
    assert caller.kinds().count("CallReofferAnswered") == 2
    assert callee.kinds()[-1] == "CallEnded"
    assert not any(isinstance(event, CallEnded) and event.expired for event in (*caller.events, *callee.events))


FLOWS: tuple[Flow, ...] = (confirmed_while_it_lasts, confirmed_by_an_offer)


@pytest.mark.parametrize("setting", [SessionTimer.SUPPORTED, SessionTimer.REQUIRED])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("flow", FLOWS)
def test_a_confirmed_call_on_a_perfect_wire_repeats_nothing(
    flow: Flow, transport: Transport, setting: SessionTimer
) -> None:
    play(flow, transport=transport, session_timer=setting, session_expires_s=SHORT_S)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_confirmed_call_survives_any_one_message_going_astray(flow: Flow, fault: str) -> None:
    play_with_each_message_astray(flow, fault, session_expires_s=SHORT_S)


def test_without_session_timers_nothing_is_confirmed() -> None:
    wire, caller, callee = pair(session_timer=SessionTimer.OFF, session_expires_s=SHORT_S)
    Talking(callee)
    Talking(caller, (TALK_S, HangUpAsked()))
    caller.call()
    wire.run(TALK_S + QUIET_S)
    assert "UPDATE" not in wire.titles()
    assert b"Session-Expires" not in b"".join(sent.payload for sent in wire.log)


@pytest.mark.parametrize("cut_s", [1.0, 44.0, 100.0])
def test_when_the_wire_is_cut_both_ends_notice(cut_s: float) -> None:
    def tamper(number: int, sent: Sent) -> tuple[float, ...]:
        return (LATENCY_S,) if sent.at < cut_s else ()

    wire, caller, callee = pair(wire=Wire(tamper=tamper), session_expires_s=SHORT_S)
    Talking(callee)
    Talking(caller)
    dialog = caller.call()
    wire.run(cut_s + 90 + QUIET_S)
    assert caller.events[-1] == CallEnded(dialog=dialog, by_peer=False, expired=True)
    assert callee.events[-1] == CallEnded(dialog=callee.incoming.dialog, by_peer=False, expired=True)
    assert_nothing_left(caller, callee)


def test_an_interval_that_is_too_short_for_the_callee_is_made_longer() -> None:
    wire, caller, callee = pair(theirs={"min_se_s": 600}, session_expires_s=SHORT_S)
    Talking(callee)
    Talking(caller, (1000, HangUpAsked()))
    caller.call()
    wire.run(1000 + QUIET_S)
    assert wire.titles()[:4] == ["INVITE", "422 INVITE", "ACK", "INVITE"]
    assert caller.kinds().count("CallAnswered") == 1
    assert [sent.at for sent in wire.log if sent.title == "UPDATE"] == pytest.approx([300.05, 600.07, 900.09], abs=0.1)


def test_an_offer_made_while_a_confirmation_is_under_way_waits_for_it_or_goes_beside_it() -> None:
    wire, caller, callee = pair(session_expires_s=SHORT_S)
    Talking(callee, (45.0, ReofferAsked(sdp=HELD)))
    Talking(caller, (45.0, ReofferAsked(sdp=HELD)), (TALK_S, HangUpAsked()))
    caller.call()
    wire.run(TALK_S + QUIET_S)
    for node in (caller, callee):
        assert node.kinds().count("CallReofferAnswered") == 1
    assert callee.kinds()[-1] == "CallEnded"
    assert any(isinstance(event, CallAnswered) for event in caller.events)
    assert_nothing_left(caller, callee)
