"""What happens in a call that is answered: offers both ways, confirmations, the end (RFC 3261 §14, §15, RFC 4028)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bridge.sip.callee_effects import (
    repeat_answer,
    send_answer,
    send_rejection,
    send_update_answer,
    stop_answering,
    tell_confirmed,
    terminate_invite,
)
from bridge.sip.caller_effects import (
    acknowledge,
    reacknowledge,
)
from bridge.sip.dialog_effects import (
    answer_bye,
    keep_bye_reason,
    refuse_overlapping,
    refuse_pending,
    refuse_unacknowledged,
    refuse_unknown,
    send_bye,
    take_offer,
    tell_ended,
)
from bridge.sip.early_effects import answer_early_offer, refuse_early_offer
from bridge.sip.offer_effects import (
    keep_offer,
    offer_longer,
    retry_offer,
    send_reinvite,
    send_update,
    take_reoffer_answer,
    tell_reoffer_refused,
)
from bridge.sip.reliable_effects import (
    answer_prack,
)
from bridge.sip.session_effects import refresh, retry_refresh, take_refresh, tell_expired
from bridge.sip.usage_commands import AcceptAsked, CancelAsked, HangUpAsked, RejectAsked, ReofferAsked
from bridge.sip.usage_events import (
    AckOverdue,
    AckReceived,
    AnswerDue,
    AnswerReceived,
    ByeFinished,
    ByeReceived,
    CancelReceived,
    DialogLost,
    GlareMet,
    IntervalTooSmall,
    OfferDue,
    OfferReceived,
    PrackReceived,
    RefreshAccepted,
    RefreshDue,
    RefreshLost,
    RefreshRefused,
    ReinviteReceived,
    ReofferAccepted,
    ReofferRefused,
    SessionExpired,
    UpdateReceived,
    UsageEvent,
)
from bridge.sip.usage_states import UsageState as S

if TYPE_CHECKING:
    from bridge.sip.invite_usage import InviteUsage

Effect = Callable[["InviteUsage", UsageEvent, float], None]
Row = tuple[S, tuple[Effect, ...]]
Rows = Mapping[tuple[S, type[UsageEvent]], Row]

TALKING: Rows = {
    (S.ESTABLISHED, AckReceived): (S.ESTABLISHED, ()),
    (S.ESTABLISHED, AnswerReceived): (S.ESTABLISHED, (reacknowledge,)),
    (S.ESTABLISHED, OfferReceived): (S.ESTABLISHED, (reacknowledge,)),
    (S.ESTABLISHED, ByeReceived): (S.ENDED, (answer_bye, tell_ended)),
    (S.ESTABLISHED, CancelAsked): (S.ENDING, (send_bye,)),
    (S.ESTABLISHED, HangUpAsked): (S.ENDING, (send_bye,)),
    (S.ESTABLISHED, ReinviteReceived): (S.REOFFERED, (take_offer,)),
    (S.ESTABLISHED, UpdateReceived): (S.UPDATE_OFFERED, (take_offer,)),
    (S.REOFFERED, AckReceived): (S.REOFFERED, ()),
    (S.REOFFERED, AnswerReceived): (S.REOFFERED, (reacknowledge,)),
    (S.REOFFERED, OfferReceived): (S.REOFFERED, (reacknowledge,)),
    (S.REOFFERED, AcceptAsked): (S.REANSWERED, (send_answer,)),
    (S.REOFFERED, RejectAsked): (S.ESTABLISHED, (send_rejection,)),
    (S.REOFFERED, CancelReceived): (S.ESTABLISHED, (terminate_invite,)),
    (S.REOFFERED, ByeReceived): (S.ENDED, (terminate_invite, answer_bye, tell_ended)),
    (S.REOFFERED, CancelAsked): (S.ENDING, (terminate_invite, send_bye)),
    (S.REOFFERED, HangUpAsked): (S.ENDING, (terminate_invite, send_bye)),
    (S.REOFFERED, ReinviteReceived): (S.REOFFERED, (refuse_overlapping,)),
    (S.REOFFERED, UpdateReceived): (S.REOFFERED, (refuse_overlapping,)),
    (S.UPDATE_OFFERED, AckReceived): (S.UPDATE_OFFERED, ()),
    (S.UPDATE_OFFERED, AnswerReceived): (S.UPDATE_OFFERED, (reacknowledge,)),
    (S.UPDATE_OFFERED, OfferReceived): (S.UPDATE_OFFERED, (reacknowledge,)),
    (S.UPDATE_OFFERED, AcceptAsked): (S.ESTABLISHED, (send_update_answer,)),
    (S.UPDATE_OFFERED, RejectAsked): (S.ESTABLISHED, (send_rejection,)),
    (S.UPDATE_OFFERED, ByeReceived): (S.ENDED, (terminate_invite, answer_bye, tell_ended)),
    (S.UPDATE_OFFERED, CancelAsked): (S.ENDING, (terminate_invite, send_bye)),
    (S.UPDATE_OFFERED, HangUpAsked): (S.ENDING, (terminate_invite, send_bye)),
    (S.UPDATE_OFFERED, ReinviteReceived): (S.UPDATE_OFFERED, (refuse_overlapping,)),
    (S.UPDATE_OFFERED, UpdateReceived): (S.UPDATE_OFFERED, (refuse_overlapping,)),
    (S.REANSWERED, AnswerDue): (S.REANSWERED, (repeat_answer,)),
    (S.REANSWERED, AnswerReceived): (S.REANSWERED, (reacknowledge,)),
    (S.REANSWERED, OfferReceived): (S.REANSWERED, (reacknowledge,)),
    (S.REANSWERED, AckReceived): (S.ESTABLISHED, (stop_answering, tell_confirmed)),
    (S.REANSWERED, AckOverdue): (S.ENDING, (stop_answering, send_bye, tell_ended)),
    (S.REANSWERED, ByeReceived): (S.ENDED, (stop_answering, answer_bye, tell_ended)),
    (S.REANSWERED, CancelAsked): (S.HANGING_UP, (keep_bye_reason,)),
    (S.REANSWERED, HangUpAsked): (S.HANGING_UP, (keep_bye_reason,)),
    (S.REANSWERED, ReinviteReceived): (S.REANSWERED, (refuse_unacknowledged,)),
    (S.REANSWERED, UpdateReceived): (S.REANSWERED, (refuse_unacknowledged,)),
    (S.ENDING, AckReceived): (S.ENDING, ()),
    (S.ENDING, AnswerReceived): (S.ENDING, (reacknowledge,)),
    (S.ENDING, OfferReceived): (S.ENDING, (reacknowledge,)),
    (S.ENDING, ByeReceived): (S.ENDING, (answer_bye,)),
    (S.ENDING, ByeFinished): (S.ENDED, ()),
    (S.ENDING, ReinviteReceived): (S.ENDING, (refuse_unknown,)),
    (S.ENDING, UpdateReceived): (S.ENDING, (refuse_unknown,)),
    (S.ENDED, AckReceived): (S.ENDED, ()),
    (S.ENDED, AnswerReceived): (S.ENDED, (reacknowledge,)),
    (S.ENDED, OfferReceived): (S.ENDED, (reacknowledge,)),
}

_OVER = (S.HANGING_UP, S.ENDING, S.ENDED)
_OPEN = frozenset(S) - frozenset(_OVER)
_OUTCOMES = (
    *(ReofferAccepted, ReofferRefused, GlareMet, IntervalTooSmall, DialogLost),
    *(RefreshAccepted, RefreshRefused, RefreshLost),
)

_MAY_WAIT = (
    *(S.CALLING, S.PROCEEDING, S.ANSWER_OWED, S.RINGING, S.ACCEPTING, S.ANSWERED),
    *(S.ESTABLISHED, S.REOFFERED, S.UPDATE_OFFERED, S.REANSWERED, S.REOFFERING),
)
"""Where an offer of ours waits for its time."""

OFFERING: Rows = {
    **{(state, ReofferAsked): (state, (keep_offer,)) for state in _MAY_WAIT},
    **{(state, OfferDue): (state, ()) for state in _OPEN},
    **{(state, ReofferAccepted): (state, (take_reoffer_answer,)) for state in _OPEN},
    **{(state, ReofferRefused): (state, (tell_reoffer_refused,)) for state in _OPEN},
    **{(state, GlareMet): (state, (retry_offer,)) for state in _OPEN},
    **{(state, IntervalTooSmall): (state, (tell_reoffer_refused,)) for state in _OPEN},
    **{(state, DialogLost): (state, (tell_reoffer_refused,)) for state in _OPEN},
    **{(state, outcome): (state, ()) for state in _OVER for outcome in (*_OUTCOMES, OfferDue)},
    (S.PROCEEDING, OfferDue): (S.PROCEEDING, (send_update,)),
    (S.RINGING, OfferDue): (S.RINGING, (send_update,)),
    (S.ESTABLISHED, OfferDue): (S.REOFFERING, (send_reinvite,)),
    (S.REOFFERING, ReofferAccepted): (S.ESTABLISHED, (take_reoffer_answer,)),
    (S.REOFFERING, ReofferRefused): (S.ESTABLISHED, (tell_reoffer_refused,)),
    (S.REOFFERING, GlareMet): (S.ESTABLISHED, (retry_offer,)),
    (S.REOFFERING, IntervalTooSmall): (S.ESTABLISHED, (offer_longer,)),
    (S.REOFFERING, DialogLost): (S.ENDING, (send_bye, tell_expired)),
    (S.REOFFERING, AckReceived): (S.REOFFERING, ()),
    (S.REOFFERING, AnswerReceived): (S.REOFFERING, (reacknowledge,)),
    (S.REOFFERING, OfferReceived): (S.REOFFERING, (reacknowledge,)),
    (S.REOFFERING, ReinviteReceived): (S.REOFFERING, (refuse_pending,)),
    (S.REOFFERING, UpdateReceived): (S.REOFFERING, (refuse_pending,)),
    (S.REOFFERING, ByeReceived): (S.ENDED, (answer_bye, tell_ended)),
    (S.REOFFERING, CancelAsked): (S.ENDING, (send_bye,)),
    (S.REOFFERING, HangUpAsked): (S.ENDING, (send_bye,)),
}
"""Our own offers (§14.1): re-INVITE in an answered call, UPDATE before; what comes of one after the end is nothing."""

_AFTER_THE_OFFER = (S.PROCEEDING, S.ANSWERED, S.ESTABLISHED)
"""Where our user may answer an early offer late: the INVITE needs no word of ours there."""

EARLY: Rows = {
    **{(state, AcceptAsked): (state, (answer_early_offer,)) for state in _AFTER_THE_OFFER},
    **{(state, RejectAsked): (state, (refuse_early_offer,)) for state in (S.PROCEEDING, S.ESTABLISHED)},
    **{(state, PrackReceived): (state, (answer_prack,)) for state in frozenset(S) - {S.RINGING, S.ACCEPTING, S.ENDED}},
}
"""Offers beside an INVITE that is not answered, and PRACKs that come after the answer (RFC 3262, RFC 3311)."""

_WATCHED = (S.ESTABLISHED, S.REOFFERING, S.REOFFERED, S.UPDATE_OFFERED, S.REANSWERED)
_TOO_EARLY = (S.ANSWERED, S.ANSWER_OWED, S.HANGING_UP, S.ENDING)
"""A missing ACK, or the end itself, comes before any session interval is over."""

SESSION: Rows = {
    **{(state, RefreshDue): (state, (refresh,)) for state in _WATCHED},
    **{(state, RefreshAccepted): (state, (take_refresh,)) for state in _WATCHED},
    **{(state, RefreshRefused): (state, (retry_refresh,)) for state in _WATCHED},
    **{(state, RefreshLost): (S.ENDING, (send_bye, tell_expired)) for state in _WATCHED},
    **{(state, RefreshDue): (state, ()) for state in _TOO_EARLY},
    **{(state, SessionExpired): (state, ()) for state in (*_TOO_EARLY, S.REANSWERED)},
    (S.ANSWER_OWED, SessionExpired): (S.ENDING, (acknowledge, send_bye, tell_expired)),
    (S.ESTABLISHED, SessionExpired): (S.ENDING, (send_bye, tell_expired)),
    (S.REOFFERING, SessionExpired): (S.ENDING, (send_bye, tell_expired)),
    (S.REOFFERED, SessionExpired): (S.ENDING, (terminate_invite, send_bye, tell_expired)),
    (S.REOFFERED, RefreshLost): (S.ENDING, (terminate_invite, send_bye, tell_expired)),
    (S.UPDATE_OFFERED, SessionExpired): (S.ENDING, (terminate_invite, send_bye, tell_expired)),
    (S.UPDATE_OFFERED, RefreshLost): (S.ENDING, (terminate_invite, send_bye, tell_expired)),
    (S.REANSWERED, RefreshLost): (S.ENDING, (stop_answering, send_bye, tell_expired)),
}
"""Calls that have to be confirmed from time to time (RFC 4028)."""
