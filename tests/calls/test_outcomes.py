"""Whatever a client cannot put into words is said in the room, in words that people understand."""

import pytest

from bridge.calls import outcomes
from bridge.core.verdict import MatrixReason, Verdict
from bridge.media import verdicts
from bridge.numbers import policy

ALL = [
    value
    for module in (outcomes, verdicts, policy)
    for name, value in vars(module).items()
    if isinstance(value, Verdict)
]
OF_THEIR_OWN = {MatrixReason.USER_HANGUP, MatrixReason.USER_BUSY, MatrixReason.INVITE_TIMEOUT}
"""Reasons for which every client has words: "Call ended", "User busy", "No answer"."""

NOBODY_CAN_BE_TOLD = (outcomes.MATRIX_UNREACHABLE, outcomes.MATRIX_REFUSED, outcomes.STORE_FAILED)
"""The homeserver is away, or takes nothing into the room, or nothing can be written down to be sent."""


@pytest.mark.parametrize("verdict", ALL, ids=lambda verdict: verdict.reason)
def test_a_failure_is_explained_where_the_client_would_only_say_that_there_was_one(verdict: Verdict) -> None:
    needs_words = verdict.matrix_reason not in {*OF_THEIR_OWN, MatrixReason.ANSWERED_ELSEWHERE, None}
    if needs_words and verdict not in NOBODY_CAN_BE_TOLD:
        assert verdict.user_text


@pytest.mark.parametrize("verdict", [v for v in ALL if v.user_text], ids=lambda verdict: verdict.reason)
def test_explanations_are_sentences_without_our_trade_s_words(verdict: Verdict) -> None:
    text = verdict.user_text or ""
    assert text[0].isupper()
    assert text.endswith(".")
    for word in ("SIP", "ICE", "DTLS", "INVITE", "trunk", "codec", "RTP", "Matrix", "verdict"):
        assert word.lower() not in text.lower().split()
