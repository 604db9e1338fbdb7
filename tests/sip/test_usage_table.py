"""The table of calls: each step is written once, and nothing is forgotten that can come at any time."""

import itertools

import pytest

from bridge.sip.talking_table import EARLY, OFFERING, SESSION, TALKING
from bridge.sip.usage_events import ByeReceived, ReinviteReceived, UpdateReceived
from bridge.sip.usage_states import UsageState
from bridge.sip.usage_table import CALLEE, CALLER, TRANSITIONS

PARTS = (CALLER, CALLEE, TALKING, OFFERING, EARLY, SESSION)
S = UsageState
WITHOUT_DIALOG = {S.CALLING, S.CANCEL_QUEUED, S.ENDED}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(range(len(PARTS)), 2)))
def test_no_step_is_written_twice(one: int, other: int) -> None:
    assert not PARTS[one].keys() & PARTS[other].keys()


@pytest.mark.parametrize("event", [ByeReceived, ReinviteReceived, UpdateReceived])
@pytest.mark.parametrize("state", [state for state in S if state not in WITHOUT_DIALOG])
def test_what_a_peer_may_ask_in_a_dialog_has_an_answer_in_every_state(
    state: UsageState, event: type[ByeReceived | ReinviteReceived | UpdateReceived]
) -> None:
    assert (state, event) in TRANSITIONS
