"""A trunk that cannot carry a call hands it to the next one, as long as nobody has heard of it yet.

Only what the trunk itself lacks is a reason: it cannot be reached, says nothing, refuses our credentials, fails (5xx).
What concerns the callee would be the same over every trunk, and a phone that has rung must not ring twice. An emergency
call goes on whatever happened: whoever refuses it, it has not been answered.
"""

from bridge.calls import commands as cmd
from bridge.calls import media_commands as medcmd
from bridge.calls import outbound
from bridge.calls import sip_events as sipev
from bridge.calls.announcement import unreached
from bridge.calls.call import Call
from bridge.calls.state import SipLeg, State
from bridge.calls.steps import Row, Table
from bridge.core.verdict import Verdict


def trunk_failed(call: Call, event: sipev.SipFailed, now: float) -> list[cmd.Command]:
    """Go on over the next trunk if there is one and this failure allows it."""
    verdict = outbound.note_failure(call, event)
    if not can_go_on(call, verdict):
        return unreached(call, verdict, now)
    return [*next_trunk(call, verdict), *outbound.prepare(call)]


def can_go_on(call: Call, verdict: Verdict) -> bool:
    """Whether there is another trunk that may do better."""
    return bool(call.further) and (call.emergency or (verdict.retryable and call.at.ringing is None))


def next_trunk(call: Call, verdict: Verdict) -> list[cmd.Command]:
    """The audio begins anew as well: each trunk wants it in its own way, and the caller has heard nothing yet."""
    failed, (way, *further) = call.trunk, call.further
    call.tried, call.further = (*call.tried, failed), tuple(further)
    call.trunk, call.number, call.caller = way.trunk, way.number, way.caller
    call.withheld, call.answers_early = way.withheld, way.answers_early
    call.sip_leg, call.dialog, call.sip_call_id, call.at.ringing = SipLeg.NONE, None, None, None
    call.sip_sdp_taken, call.connected_number, call.connected_name = "", None, ""
    call.peer_status = call.peer_q850 = None
    return [cmd.NoteFailover(trunk=failed, reason=verdict.reason), medcmd.CloseMedia()]


TABLE: Table = {
    (State.DIALLING, sipev.SipFailed): Row(trunk_failed, (State.PREPARING, State.REFUSING, State.ENDED)),
    (State.EARLY_ANSWERING, sipev.SipFailed): Row(trunk_failed, (State.REFUSING, State.ENDED)),
    (State.EARLY, sipev.SipFailed): Row(trunk_failed, (State.TELLING, State.ENDED)),
}
"""Early media is played only where no trunk is left to go on to, or a phone has rung: then this is the end."""
