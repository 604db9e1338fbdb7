"""The end of a phone's call that nobody takes, or the beginning of its message."""

from bridge.calls import commands as cmd
from bridge.calls import message_commands as mcmd
from bridge.calls.call import Call
from bridge.calls.message import Message
from bridge.calls.state import EndedBy, MatrixLeg, SipLeg, State
from bridge.core.verdict import Verdict


def turn_away(call: Call, verdict: Verdict, ended_by: EndedBy, now: float) -> list[cmd.Command]:
    """End a phone's call that nobody takes, or let the phone leave a message where the called user has it so."""
    box = call.message_box
    if box is None or verdict.reason not in box.reasons or call.sip_leg is not SipLeg.INCOMING or call.forward_to:
        return call.end(verdict, ended_by, now)
    return attend(call, verdict)


def attend(call: Call, verdict: Verdict) -> list[cmd.Command]:
    """Answer the phone, which may leave a message for the call's user; `verdict` is why nobody else does."""
    take = [cmd.TakeSipOffer(sip_sdp=call.sip_sdp)] if call.state is State.NEW and call.sip_sdp is not None else []
    farewell = call.farewell_matrix(verdict)
    call.state, call.matrix_leg, call.message = State.ATTENDING, MatrixLeg.ENDED, Message(why=verdict)
    call.deadlines.clear()
    call.buffered.clear()
    return [*farewell, *take, mcmd.WriteOwnAnswer(late_offer=call.late_offer)]
