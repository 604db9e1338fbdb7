"""What the clients of Matrix users say within a call, in the language of calls."""

from bridge.calls import matrix_events as mxev
from bridge.core.ids import UserId
from bridge.matrix.events import (
    CallAnswer,
    CallCandidates,
    CallHangup,
    CallNegotiate,
    CallReject,
    CallSelectAnswer,
)

WithinCall = CallCandidates | CallAnswer | CallSelectAnswer | CallReject | CallHangup | CallNegotiate


def of_client(user: UserId, content: WithinCall) -> mxev.OfMatrixCall | None:
    """The same fact in the language of calls; `None` for what calls do not take (an answer that we never asked for)."""
    call_id, party = content.call_id, content.party_id
    match content:
        case CallCandidates():
            candidates = tuple(
                mxev.Candidate(candidate=c.candidate, sdp_mid=c.sdp_mid, sdp_m_line_index=c.sdp_m_line_index)
                for c in content.candidates
            )
            return mxev.CandidatesReceived(matrix_call_id=call_id, user=user, party=party, candidates=candidates)
        case CallAnswer():
            return mxev.AnswerReceived(
                matrix_call_id=call_id, user=user, party=party, version=content.version, sdp=content.sdp
            )
        case CallSelectAnswer():
            return mxev.AnswerSelected(
                matrix_call_id=call_id, user=user, party=party, selected_party=content.selected_party_id
            )
        case CallReject():
            return mxev.RejectReceived(matrix_call_id=call_id, user=user, party=party, reason=content.reason)
        case CallHangup():
            return mxev.HangupReceived(matrix_call_id=call_id, user=user, party=party, reason=content.reason)
        case CallNegotiate(description_type="offer"):
            return mxev.MatrixReoffered(matrix_call_id=call_id, user=user, party=party, sdp=content.sdp)
        case CallNegotiate():
            return None
