"""Clocks, entropy and verdicts."""

import string

import pytest

from bridge.core.clock import SystemClock
from bridge.core.entropy import Entropy, SeededEntropy, SystemEntropy
from bridge.core.errors import CallError
from bridge.core.telemetry import NoTelemetry
from bridge.core.verdict import MatrixReason, Result, Verdict


def test_the_monotonic_clock_does_not_run_backwards() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall() > 1_600_000_000


@pytest.mark.parametrize("entropy", [SystemEntropy(), SeededEntropy(1)])
def test_tokens_are_alphanumeric_and_of_the_length_asked_for(entropy: Entropy) -> None:
    token = entropy.token(64)
    assert len(token) == 64
    assert set(token) <= set(string.ascii_letters + string.digits)
    assert entropy.token(64) != token
    assert 3 <= entropy.integer(3, 5) <= 5
    assert 0.5 <= entropy.uniform(0.5, 0.75) <= 0.75


def test_every_character_of_a_token_is_as_likely_as_any_other() -> None:
    tokens = "".join(SystemEntropy().token(100) for _ in range(310))
    counts = [tokens.count(character) for character in string.ascii_letters + string.digits]
    assert sum(counts) == 31_000
    assert min(counts) > 350  # 500 on average, and seven standard deviations on each side
    assert max(counts) < 650


def test_seeded_entropy_repeats_itself() -> None:
    assert SeededEntropy(7).token(20) == SeededEntropy(7).token(20) != SeededEntropy(8).token(20)


def test_an_error_carries_its_verdict() -> None:
    verdict = Verdict(result=Result.CLIENT, reason="busy", sip_status=486, matrix_reason=MatrixReason.USER_BUSY)
    error = CallError(verdict, "line 3")
    assert error.verdict is verdict
    assert str(error) == "busy: line 3"
    assert str(CallError(verdict)) == "busy"


def test_counting_nothing_is_possible() -> None:
    telemetry = NoTelemetry()
    telemetry.count("a_total", 2, label="x")
    telemetry.observe("b_seconds", 0.5)
    telemetry.gauge("c", 1)
