"""A flood of SIP is no reason for a gap in the audio of a call, nor for a trunk's call to fail."""

import pytest

from tests.bench import flood


@pytest.mark.parametrize("kind", flood.FLOODS)
async def test_no_packet_is_lost_and_every_call_is_answered_under_a_flood(kind: str) -> None:
    measured = await flood.measure(kind, 2.0)
    assert len(measured.delays_s) == measured.sent
    assert len(measured.setups_s) >= max(1, measured.calls - 1)
