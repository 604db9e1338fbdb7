"""Limits of a trunk: at once, per second, in each direction; and emergency calls, which none of them stops."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.actions import TrunkResolved
from bridge.sip.call_backs import CALL_BACK_S, CALLS_AT_ONCE, CALLS_PER_S
from bridge.sip.call_limits import MAX_ABOVE, TOLD_BURST, TOLD_PER_S
from bridge.sip.events import CallAnswered, CallFailed, IncomingCall, IncomingRefused, OutgoingCall
from bridge.sip.inputs import PlaceCall, Stop
from bridge.sip.message import Request
from bridge.sip.settings import Transport
from bridge.sip.targets import server_at
from bridge.sip.trunk_changes import ChangeTrunks
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked
from tests.sip.scripted_peer import SDP, Scripted, peer_request, trunk


def limited(**limits: Any) -> Scripted:
    return Scripted(trunk(**limits), emergency=("112",))


def failures(peer: Scripted) -> list[tuple[str, int, bool]]:
    return [(event.dialog, event.status, event.local) for event in peer.events if isinstance(event, CallFailed)]


def invites(peer: Scripted) -> list[str]:
    """Whom we called, each once, in order."""
    requests = [message for message, _ in peer.sent if isinstance(message, Request)]
    uris = [request.uri_text for request in requests if request.method == "INVITE"]
    return list(dict.fromkeys(uri.partition("@")[0].removeprefix("sip:") for uri in uris))


def test_calls_that_exceed_the_rate_wait_in_order() -> None:
    peer = limited(max_calls_per_s=2)
    for number in range(6):
        peer.call(f"call-{number}", called=f"+1555010{number}")
    began: list[int] = []
    for _ in range(20):
        began.append(len(invites(peer)))
        peer.advance(0.1)
    assert began[0] == 2
    assert began[6] == 3
    assert invites(peer) == [f"+1555010{number}" for number in range(6)]
    assert failures(peer) == []


def test_a_call_that_takes_the_place_of_another_needs_no_line_of_its_own() -> None:
    peer = limited(max_calls=1, accept_transfers=True)
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.steer(peer.incoming.dialog, AcceptAsked(sdp=SDP))
    replaced, tag = peer.incoming.dialog, peer.last_response().to.tag
    fields = (("Replaces", f"peer-call;to-tag={tag};from-tag=peer"),)
    peer.receive(peer_request("INVITE", sdp=SDP, call_id="new", branch="new", fields=fields))
    assert peer.incoming.replaces == replaced
    peer.receive(peer_request("INVITE", sdp=SDP, call_id="newer", branch="newer"))
    assert peer.last_response().status == 486


def test_a_call_that_would_wait_too_long_fails_at_once() -> None:
    peer = limited(max_calls_per_s=1)
    for number in range(5):
        peer.call(f"call-{number}", called=f"+1555010{number}")
    assert failures(peer) == [("call-3", 503, True), ("call-4", 503, True)]
    assert peer.counted("calls_limited_total", limit="max_calls_per_s") == 2
    peer.advance(2.1)
    assert len(invites(peer)) == 3


def test_a_quiet_hour_does_not_allow_more_in_the_next_second() -> None:
    peer = limited(max_calls_per_s=3)
    peer.advance(3600)
    for number in range(6):
        peer.call(f"call-{number}", called=f"+1555010{number}")
    assert len(invites(peer)) == 3


@pytest.mark.parametrize("command", [CancelAsked(), HangUpAsked()])
def test_a_call_that_is_given_up_while_it_waits_is_never_sent(command: CancelAsked | HangUpAsked) -> None:
    peer = limited(max_calls_per_s=1)
    for number in range(3):
        peer.call(f"call-{number}", called=f"+1555010{number}")
    peer.steer(DialogKey("call-1"), command)
    assert failures(peer) == [("call-1", 487, True)]
    peer.advance(3)
    assert invites(peer) == ["+15550100", "+15550102"]


def test_stopping_lets_waiting_calls_go() -> None:
    peer = limited(max_calls_per_s=1)
    for number in range(3):
        peer.call(f"call-{number}", called=f"+1555010{number}")
    peer.feed(Stop())
    peer.advance(3)
    assert len(invites(peer)) == 1
    assert {dialog for dialog, _, _ in failures(peer)} >= {"call-1", "call-2"}


def called_in(peer: Scripted, number: str, nth: int) -> int:
    """A phone calls a number; gives what it is told."""
    uri = f"sip:{number}@192.0.2.1"
    peer.receive(peer_request("INVITE", sdp=SDP, uri=uri, call_id=f"in-{nth}", branch=f"in-{nth}"))
    return peer.last_response().status


def test_who_has_called_for_help_can_be_called_back_for_an_hour_however_many_calls_there_are() -> None:
    peer = limited(max_calls=1, max_incoming_per_s=1)
    peer.call("help", called="112", caller="+15550177")
    peer.advance(CALL_BACK_S - 1)
    peer.call("other")
    assert [called_in(peer, number, nth) for nth, number in enumerate(["+15550166", "+15550177"])] == [486, 100]
    peer.advance(CALL_BACK_S)
    assert called_in(peer, "+15550177", 2) == 486


def full_after_help(caller: str = "+15550177", **limits: Any) -> Scripted:
    """A trunk whose only line is in use, by somebody who calls for help."""
    peer = limited(**{"max_calls": 1, **limits})
    peer.call("help", called="112", caller=caller)
    return peer


def test_a_trunk_may_write_the_number_without_its_plus() -> None:
    peer = full_after_help()
    assert [called_in(peer, number, nth) for nth, number in enumerate(["15550166", "15550177"])] == [486, 100]


def test_a_call_for_help_that_shows_no_number_opens_nothing() -> None:
    peer = full_after_help(caller="")
    peer.receive(peer_request("INVITE", sdp=SDP, uri="sip:192.0.2.1", to="<sip:192.0.2.1>"))
    assert peer.last_response().status == 486


def test_the_hour_begins_once_more_when_the_call_for_help_is_over() -> None:
    peer = full_after_help()
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    peer.advance(CALL_BACK_S - 1)
    peer.steer(DialogKey("help"), HangUpAsked())
    peer.answer(peer.last_request("BYE"), 200)
    peer.advance(CALL_BACK_S - 1)
    peer.call("other")
    assert called_in(peer, "+15550177", 0) == 100
    peer.advance(2)
    assert called_in(peer, "+15550177", 1) == 486


def test_who_was_called_over_one_trunk_calls_back_over_another() -> None:
    peer = limited()
    other = replace(trunk(host="192.0.2.7"), name=TrunkName("other"))
    peer.feed(ChangeTrunks(trunks=(trunk(max_calls=1), other), emergency=frozenset(("112",))))
    peer.feed(TrunkResolved(trunk=other.name, servers=server_at((other.host,), 5060, other.transport)))
    help_call = OutgoingCall(trunk=other.name, called="112", caller="+15550177", sdp=SDP)
    peer.feed(PlaceCall(dialog=DialogKey("help"), call=help_call))
    told = [called_in(peer, number, nth) for nth, number in enumerate(["+15550166", "+15550177", "+15550166"])]
    assert told == [100, 100, 486]


def test_a_flood_of_one_number_is_held_up_all_the_same() -> None:
    peer = full_after_help(max_calls=0, max_incoming_per_s=0.001)
    told = Counter(called_in(peer, "+15550177", nth) for nth in range(20))
    assert told == {100: 1 + CALLS_AT_ONCE, 503: 19 - CALLS_AT_ONCE}
    peer.advance(1 / CALLS_PER_S + 1)
    assert [called_in(peer, "+15550177", nth) for nth in (20, 21)] == [100, 503]


def test_calls_back_go_only_so_far_above_what_a_trunk_may_carry() -> None:
    peer = limited(max_calls=1)
    numbers = [f"+155502{nth:02}" for nth in range(4)]
    for number in numbers:
        peer.call(f"help-{number}", called="112", caller=number)
    told = [called_in(peer, number, nth) for nth, number in enumerate(numbers * 3)]
    assert told == [100] * (1 + MAX_ABOVE - len(numbers)) + [486] * (11 - MAX_ABOVE + len(numbers))


def test_only_so_many_numbers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sip.call_backs.MAX_CALL_BACKS", 1)
    peer = full_after_help()
    peer.call("more help", called="112", caller="+15550178")
    assert [called_in(peer, number, nth) for nth, number in enumerate(["+15550177", "+15550178"])] == [486, 100]


def test_an_emergency_call_is_neither_stopped_nor_made_to_wait() -> None:
    peer = limited(max_calls_per_s=1, max_calls=1)
    peer.call("one", called="+15550100")
    peer.call("two", called="+15550101")
    peer.call("help", called="112")
    assert invites(peer) == ["+15550100", "112"]


def test_lines_are_counted_in_both_directions_and_freed_when_a_call_ends() -> None:
    peer = limited(max_calls=2)
    dialog = peer.call("out")
    peer.answer(peer.last_request("INVITE"), 200, sdp=SDP)
    assert isinstance(peer.last_event(), CallAnswered)
    peer.receive(peer_request("INVITE", sdp=SDP))
    peer.receive(peer_request("INVITE", sdp=SDP, call_id="second", branch="second"))
    assert peer.titles()[-2:] == ["100 INVITE", "486 INVITE"]
    peer.call("refused")
    assert failures(peer) == [("refused", 503, True)]
    assert peer.counted("calls_limited_total", limit="max_calls") == 2
    peer.steer(dialog, HangUpAsked())
    peer.answer(peer.last_request("BYE"), 200)
    peer.receive(peer_request("INVITE", sdp=SDP, call_id="third", branch="third"))
    assert peer.titles()[-1] == "100 INVITE"


def test_calls_that_come_too_fast_are_sent_away_with_the_time_to_come_back() -> None:
    peer = limited(max_incoming_per_s=2)
    for number in range(5):
        peer.receive(peer_request("INVITE", sdp=SDP, call_id=f"c{number}", branch=f"b{number}"))
    assert Counter(peer.titles()) == {"100 INVITE": 2, "503 INVITE": 3}
    assert 1 <= int(peer.last_response().headers.get("Retry-After") or 0) <= 5
    peer.advance(0.6)
    peer.receive(peer_request("INVITE", sdp=SDP, call_id="later", branch="later"))
    assert peer.titles()[-1] == "100 INVITE"


@pytest.mark.parametrize(
    ("limits", "limit", "status"),
    [({"max_calls": 1}, "max_calls", 486), ({"max_incoming_per_s": 0.01}, "max_incoming_per_s", 503)],
)
def test_each_call_that_a_limit_keeps_out_is_told_once_however_often_its_invite_comes(
    limits: dict[str, float], limit: str, status: int
) -> None:
    peer = limited(**limits)
    for number in range(4):
        for _ in range(3):
            peer.receive(peer_request("INVITE", sdp=SDP, call_id=f"c{number}", branch=f"b{number}"))
    taken = [event.sip_call_id for event in peer.events if isinstance(event, IncomingCall)]
    refused = [event for event in peer.events if isinstance(event, IncomingRefused)]
    assert [*taken, *(event.call.sip_call_id for event in refused)] == ["c0", "c1", "c2", "c3"]
    assert {event.limit for event in refused} == {limit}
    assert {event.call.called for event in refused} == {peer.incoming.called}
    assert peer.counted("calls_limited_total", limit=limit) == len(refused)
    assert peer.last_response().status == status


@pytest.mark.parametrize(
    ("limits", "limit", "calls"),
    [({"max_calls": 1}, "max_calls", 2_000), ({"max_incoming_per_s": 0.001}, "max_incoming_per_s", 10_000)],
)
def test_a_flood_of_calls_that_a_limit_keeps_out_is_counted_and_little_of_it_told(
    limits: dict[str, Any], limit: str, calls: int
) -> None:
    per_s = 200
    peer = Scripted(trunk(transport=Transport.TCP, **limits), transport=Transport.TCP)
    for number in range(calls + 1):
        peer.receive(peer_request("INVITE", sdp=SDP, call_id=f"c{number}", branch=f"b{number}"))
        peer.advance(1 / per_s)
    told = [event.call.sip_call_id for event in peer.events if isinstance(event, IncomingRefused)]
    assert told[: int(TOLD_BURST)] == [f"c{number}" for number in range(1, int(TOLD_BURST) + 1)]
    assert len(told) == pytest.approx(TOLD_BURST + TOLD_PER_S * calls / per_s, abs=2)
    assert peer.counted("calls_limited_total", limit=limit) == calls


def change(peer: Scripted, *, max_calls: int = 0, per_s: float = 0.0, incoming_per_s: float = 0.0) -> None:
    limits = trunk(max_calls=max_calls, max_calls_per_s=per_s, max_incoming_per_s=incoming_per_s)
    peer.feed(ChangeTrunks(trunks=(limits,), emergency=frozenset()))


@pytest.mark.parametrize(("per_s", "begun"), [(0.0, 3), (2.0, 3), (1.0, 1)])
def test_a_rate_that_is_raised_lets_waiting_calls_go_at_once(per_s: float, begun: int) -> None:
    peer = limited(max_calls_per_s=1)
    for number in range(3):
        peer.call(f"call-{number}", called=f"+1555010{number}")
    change(peer, per_s=per_s)
    assert len(invites(peer)) == begun
    peer.advance(3)
    assert invites(peer) == ["+15550100", "+15550101", "+15550102"]


def test_other_limits_hold_from_the_next_call_on() -> None:
    peer = limited()
    peer.call("one", called="+15550100")
    change(peer, max_calls=1, incoming_per_s=1)
    peer.call("two", called="+15550101")
    assert failures(peer) == [("two", 503, True)]
    change(peer)
    peer.call("three", called="+15550102")
    assert invites(peer) == ["+15550100", "+15550102"]
