"""How a call takes an event: look it up in the table of its state, act, move on."""

from bridge.calls import (
    announcement,
    early,
    established,
    failover,
    fetch,
    glare,
    handover,
    hunting,
    inbound,
    menu_walk,
    message_box,
    outbound,
    transfer,
)
from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_events as mxev
from bridge.calls.call import Call
from bridge.calls.state import Direction, State
from bridge.calls.steps import Table

_ANSWERED: Table = {**established.TABLE, **transfer.TABLE, **handover.TABLE, **announcement.TABLE}
TABLES: dict[Direction, Table] = {
    Direction.OUTBOUND: {
        **outbound.TABLE,
        **failover.TABLE,
        **early.TABLE,
        **fetch.TABLE,
        **announcement.REFUSED,
        **_ANSWERED,
        **glare.OUTBOUND,
    },
    Direction.INBOUND: {
        **inbound.TABLE,
        **message_box.TABLE,
        **menu_walk.TABLE,
        **_ANSWERED,
        **glare.INBOUND,
        **hunting.TABLE,
    },
}
"""Later tables win: crossing calls refine some rows of the plain call."""


def handle(call: Call, event: ev.Event, now: float) -> list[cmd.Command]:
    """Take one event at time `now` (seconds); every returned command is carried out before the next event.

    An event without a row for the current state is counted in `call.illegal_events` and changes nothing.
    """
    if isinstance(event, ev.TimerFired):
        call.deadlines.pop(event.timer, None)
    if (
        isinstance(event, mxev.OfMatrixCall)
        and event.matrix_call_id != call.matrix.call_id
        and call.state is not State.HUNTING
    ):
        return glare.of_another_call(call, event, now)
    row = TABLES[call.direction].get((call.state, type(event)))
    if row is None:
        call.illegal_events += not call.ended
        return []
    return row.act(call, event, now)
