"""Candidates that come before their invite are kept for a while, and no stranger can make us keep much."""

from bridge.app.early_candidates import KEPT_S, MAX_CALLS, MAX_CANDIDATES_OF_A_CALL, EarlyCandidates
from bridge.calls.matrix_events import Candidate, CandidatesReceived
from bridge.core.ids import MatrixCallId, PartyId, RoomId, UserId

ROOM = RoomId("!room:example.org")


def candidates(call_id: str, number: int = 0) -> CandidatesReceived:
    return CandidatesReceived(
        matrix_call_id=MatrixCallId(call_id),
        user=UserId("@alice:example.org"),
        party=PartyId("LAPTOP"),
        candidates=(Candidate(candidate=f"candidate:{number}"),),
    )


def test_they_are_handed_over_once_and_in_order() -> None:
    early = EarlyCandidates()
    events = [candidates("call", number) for number in range(3)]
    for event in events:
        early.keep(ROOM, event, 0.0)
    assert early.take(ROOM, MatrixCallId("call"), 1.0) == events
    assert early.take(ROOM, MatrixCallId("call"), 1.0) == []


def test_those_of_another_room_or_call_are_not_mixed_up() -> None:
    early = EarlyCandidates()
    early.keep(ROOM, candidates("call"), 0.0)
    assert early.take(RoomId("!other:example.org"), MatrixCallId("call"), 1.0) == []
    assert early.take(ROOM, MatrixCallId("other"), 1.0) == []


def test_after_two_minutes_they_are_forgotten() -> None:
    early = EarlyCandidates()
    early.keep(ROOM, candidates("call"), 0.0)
    assert early.take(ROOM, MatrixCallId("call"), KEPT_S + 1) == []


def test_a_call_that_was_forgotten_can_begin_anew() -> None:
    early = EarlyCandidates()
    early.keep(ROOM, candidates("call"), 0.0)
    again = candidates("call", 1)
    early.keep(ROOM, again, KEPT_S + 1)
    assert early.take(ROOM, MatrixCallId("call"), KEPT_S + 2) == [again]


def test_there_is_an_end_to_them() -> None:
    early = EarlyCandidates()
    for call in range(2 * MAX_CALLS):
        for number in range(2 * MAX_CANDIDATES_OF_A_CALL):
            early.keep(ROOM, candidates(f"call-{call}", number), 0.0)
    kept = [len(early.take(ROOM, MatrixCallId(f"call-{call}"), 1.0)) for call in range(2 * MAX_CALLS)]
    assert sorted(kept) == [0] * MAX_CALLS + [MAX_CANDIDATES_OF_A_CALL] * MAX_CALLS
    assert kept[-1]
