"""The end of a call in which a step went wrong: nobody may wait for it for ever, neither the peer nor our user."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.sip.caller_effects import acknowledge, send_cancel, trunk_dialog
from bridge.sip.dialog_effects import send_bye
from bridge.sip.events import CallCancelled, CallEnded, CallFailed
from bridge.sip.usage_events import (
    AnswerReceived,
    ByeReceived,
    OfferReceived,
    PrackReceived,
    ReinviteReceived,
    UpdateReceived,
    UsageEvent,
)
from bridge.sip.usage_states import CALLED, DIALLING, OVER, UsageState

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

S = UsageState

Step = Callable[["InviteUsage", UsageState, UsageEvent, float], None]


def break_off(usage: "InviteUsage", before: UsageState, event: UsageEvent, error: Exception, now: float) -> None:
    """End a call that an effect has failed in, as far as its state allows; `before` is the state of that step."""
    usage.context.fault("sip_call_broken_off", error)
    usage.state = S.ENDED
    usage.stop_timers()
    for step in _STEPS:
        try:
            step(usage, before, event, now)
        except Exception as further:  # The other side of the call has to be told all the same.
            usage.context.fault("sip_call_broken_off", further)


def _tell(usage: "InviteUsage", before: UsageState, event: UsageEvent, now: float) -> None:
    """Each row of the table tells in its last effect, so the step that failed has told nothing."""
    if before in DIALLING:
        usage.context.emit(CallFailed(dialog=usage.key, status=500, local=True))
    elif before in CALLED:
        usage.context.emit(CallCancelled(dialog=usage.key))
    elif before not in OVER:
        usage.context.emit(CallEnded(dialog=usage.key, by_peer=False))


def _take_answer(usage: "InviteUsage", before: UsageState, event: UsageEvent, now: float) -> None:
    """A 2xx needs its ACK, or the peer repeats it and then gives up by itself half a minute later (§13.2.2.4)."""
    if isinstance(event, AnswerReceived | OfferReceived) and usage.dialog is None:
        usage.dialog = trunk_dialog(usage, event.response)
    if usage.invite is not None and usage.dialog is not None and not usage.acks:
        acknowledge(usage, event, now)


def _stop_dialling(usage: "InviteUsage", before: UsageState, event: UsageEvent, now: float) -> None:
    """CANCEL; an answer that crosses it is acknowledged and hung up (`ENDED` in the table)."""
    if before in DIALLING and usage.dialog is None:
        send_cancel(usage, event, now)


def _hang_up(usage: "InviteUsage", before: UsageState, event: UsageEvent, now: float) -> None:
    unanswered = usage.incoming is not None and before in CALLED and not usage.incoming.answered
    if usage.dialog is not None and not unanswered and before not in (S.ENDING, S.ENDED):
        send_bye(usage, event, now)
        usage.state = S.ENDING


def _refuse(usage: "InviteUsage", before: UsageState, event: UsageEvent, now: float) -> None:
    """500 to whatever the peer still waits for."""
    servers = {usage.incoming}
    if isinstance(event, ByeReceived | ReinviteReceived | UpdateReceived | PrackReceived):
        servers.add(event.server)
    for server in servers:
        if server is not None and not server.answered:
            response = server.request.response(500, to_tag=usage.local_tag)
            usage.context.layer.respond(server, response, now)


_STEPS: tuple[Step, ...] = (_tell, _take_answer, _stop_dialling, _hang_up, _refuse)
