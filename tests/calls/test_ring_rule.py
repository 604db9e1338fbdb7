"""Who is rung, by presence."""

import pytest

from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import sip_commands as sipcmd
from bridge.calls.state import State
from bridge.core.presence import IDLE_S, Presence, PresenceState, RingWhen, rings
from tests.calls import scenes

ONLINE, UNAVAILABLE, OFFLINE = PresenceState.ONLINE, PresenceState.UNAVAILABLE, PresenceState.OFFLINE


@pytest.mark.parametrize(
    ("rule", "ringing"),
    [
        (RingWhen.ALWAYS, {ONLINE, UNAVAILABLE, OFFLINE, None}),
        (RingWhen.NOT_OFFLINE, {ONLINE, UNAVAILABLE, None}),
        (RingWhen.ONLINE, {ONLINE, None}),
    ],
)
def test_who_is_rung_in_which_state(rule: RingWhen, ringing: set[PresenceState | None]) -> None:
    assert {state for state in (*PresenceState, None) if rings(rule, state)} == ringing


@pytest.mark.parametrize(
    ("state", "active_ago_s", "seen"),
    [
        (ONLINE, None, ONLINE),
        (ONLINE, IDLE_S - 1, ONLINE),
        (ONLINE, IDLE_S + 1, UNAVAILABLE),
        (UNAVAILABLE, 1, UNAVAILABLE),
        (OFFLINE, IDLE_S + 1, OFFLINE),
    ],
)
def test_somebody_who_has_long_done_nothing_is_not_there(
    state: PresenceState, active_ago_s: float | None, seen: PresenceState
) -> None:
    presence = Presence(state=state, active_at=None if active_ago_s is None else 10_000 - active_ago_s)
    assert presence.state_at(10_000) is seen


def test_nothing_rings_before_it_is_known_whether_the_user_is_there() -> None:
    call = scenes.incoming()
    call.ring_when = RingWhen.NOT_OFFLINE
    assert mxcmd.OpenPortal() not in scenes.run(call, ev.CallPermitted())
    assert scenes.run(call, mxev.PresenceKnown(state=ONLINE)) == [mxcmd.OpenPortal()]


def test_a_caller_is_told_at_once_that_the_user_is_not_there() -> None:
    call = scenes.incoming()
    call.ring_when = RingWhen.NOT_OFFLINE
    commands = scenes.run(call, ev.CallPermitted(), mxev.PresenceKnown(state=OFFLINE))
    assert [command for command in commands if isinstance(command, sipcmd.RejectSip)] == [
        sipcmd.RejectSip(status=480, q850=20)
    ]
    assert call.state is State.ENDED
