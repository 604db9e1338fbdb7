"""Ends what the last process left behind: nobody may hang in a call whose other side is gone."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from bridge.app.directory import TOMBSTONE_S, Directory
from bridge.app.live_call import LiveCall
from bridge.app.switchboard import Switchboard
from bridge.calls import events as ev
from bridge.calls import outcomes
from bridge.calls.call import Call
from bridge.calls.ports import MatrixPort, SipPort
from bridge.calls.times import Milestones
from bridge.core.clock import Clock
from bridge.core.ids import CallId, TrunkName
from bridge.ops.record_keeping import with_record
from bridge.store import Store

log = structlog.get_logger(__name__)

_AFTER_RESTART = 1_000
"""Transaction ids of this process begin here, so that they cannot meet those of the last one."""


def end_left_over_calls(
    left_over: Sequence[Call],
    switchboard: Switchboard,
    sip: SipPort,
    clock: Clock,
    trunks: Collection[TrunkName],
    recorded: Collection[CallId] = (),
) -> None:
    """Hang up on both sides of every call of the last process, and write its record; `trunks` are those of now.

    A process that dies meanwhile leaves to the next one what it had not done: those that are `recorded` are not again,
    and what Matrix is told has the same transaction id in every process.
    """
    for call in left_over:
        for dialog, leg in call.sip_legs.items():
            sip.revive(dialog, leg)
        here = _in_this_process(call, clock)
        live = LiveCall(
            call=_without_lost_trunk(here, trunks),
            sent=_AFTER_RESTART,
            remembered=True,
            recorded=call.call_id in recorded,
        )
        log.warning("call_left_over", call_id=call.call_id)
        switchboard.say_the_rest(live)
        switchboard.open(live, ev.Aborted(verdict=outcomes.BRIDGE_RESTARTED))
        for dialog in call.sip_legs.keys() - call.dialogs:
            # Given up before the crash (a silent trunk, a transfer that failed): the call says no more in it.
            sip.bye(dialog)


async def recorded_calls(left_over: Sequence[Call], path: Path | None) -> set[CallId]:
    """Those whose record the last process had written."""
    if path is None or not left_over:
        return set()
    try:
        return await asyncio.to_thread(with_record, path, {call.call_id for call in left_over})
    except OSError as error:
        log.warning("call_records_unreadable", reason=str(error))
        return set()


async def withdraw_invites(left_over: Sequence[Call], matrix: MatrixPort) -> None:
    """Nobody must be rung for calls that are over, by invites that the last process had not got rid of."""
    for call in left_over:
        for matrix_call_id in call.invites:
            await matrix.withdraw(LiveCall(call=call).invite_txn_id(matrix_call_id))


def _in_this_process(call: Call, clock: Clock) -> Call:
    """What both sides were told holds; its moments move to this process's clock, and nothing is waited for."""
    shift = clock.monotonic() - (clock.wall() - call.began_wall) - call.at.invited
    return replace(call, at=_shifted(call.at, shift), deadlines={}, rival=None, buffered={})


def _without_lost_trunk(call: Call, trunks: Collection[TrunkName]) -> Call:
    """A trunk that was taken out of the configuration is none that calls are counted by; the record still names it."""
    if not call.trunk or call.trunk in trunks:
        return call
    return replace(call, trunk=TrunkName(""), tried=(*call.tried, call.trunk))


def _shifted(at: Milestones, by_s: float) -> Milestones:
    def moved(moment: float | None) -> float | None:
        return None if moment is None else moment + by_s

    return Milestones(
        invited=at.invited + by_s,
        dialled=moved(at.dialled),
        ringing=moved(at.ringing),
        early=moved(at.early),
        attended=moved(at.attended),
        answered=moved(at.answered),
        connected=moved(at.connected),
        ended=moved(at.ended),
    )


async def remember_ended_calls(store: Store, directory: Directory, clock: Clock) -> None:
    """Repeated invites of calls that are over must not begin them again, restart or not."""
    now_wall, now = clock.wall(), clock.monotonic()
    for (room_id, matrix_call_id), ended_at in (await store.ended_calls.since(now_wall - TOMBSTONE_S)).items():
        directory.bury(room_id, matrix_call_id, now - max(0.0, now_wall - ended_at))
