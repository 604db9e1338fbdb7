"""Ends what the last process left behind: nobody may hang in a call whose other side is gone."""

from dataclasses import replace

import structlog

from bridge.app.directory import Directory
from bridge.app.live_call import LiveCall
from bridge.app.memory import Memory
from bridge.app.switchboard import Switchboard
from bridge.calls import events as ev
from bridge.calls import outcomes
from bridge.calls.call import Call, Milestones
from bridge.calls.state import SipLeg
from bridge.core.clock import Clock
from bridge.store import Store

log = structlog.get_logger(__name__)

_AFTER_RESTART = 1_000
"""Transaction ids of this process begin here, so that they cannot meet those of the last one."""


async def end_left_over_calls(memory: Memory, switchboard: Switchboard, clock: Clock) -> int:
    """Hang up, on the Matrix side, every call of the last process, and write its record; returns how many."""
    left_over = await memory.left_over()
    for call in left_over:
        live = LiveCall.of(_without_past(call, clock.monotonic()), clock=clock, called=call.number)
        live.sent = _AFTER_RESTART
        log.warning("call_left_over", call_id=call.call_id)
        switchboard.open(live, ev.Aborted(verdict=outcomes.BRIDGE_RESTARTED))
    return len(left_over)


def _without_past(call: Call, now: float) -> Call:
    """Its SIP dialog and its clock died with the process; what the Matrix side was told still holds."""
    return replace(
        call, at=Milestones(invited=now), sip_leg=SipLeg.NONE, dialog=None, deadlines={}, rival=None, buffered={}
    )


async def remember_ended_calls(store: Store, directory: Directory, clock: Clock) -> None:
    """Repeated invites of calls that are over must not begin them again, restart or not."""
    now_wall, now = clock.wall(), clock.monotonic()
    for (room_id, matrix_call_id), ended_at in (await store.ended_calls.since(now_wall - 600.0)).items():
        directory.bury(room_id, matrix_call_id, now - max(0.0, now_wall - ended_at))
