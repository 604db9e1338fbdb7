"""Malformed `m.call.*` events do no harm; `make fuzz` sends a hundred times as many."""

import pytest

from tests.fuzz.matrix_calls import attack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_malformed_call_events_cause_no_fault_and_leave_no_call() -> None:
    said = await attack(1_000, seed=2)
    assert said["m.call.reject"], "nothing came as far as a call"
