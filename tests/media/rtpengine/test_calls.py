"""Whole calls through a real server: what is asked of every engine."""

from collections.abc import Callable
from typing import cast

import pytest

from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaEvent
from bridge.media.rtpengine.engine import RtpengineEngine
from tests.media.browser import Browser
from tests.media.phone import Phone
from tests.media.placing import call_in, call_out
from tests.media.test_calls import (
    Place,
    g711_heard_both_ways,
    test_candidates_may_be_trickled,
    test_opus_is_transcoded_with_pitch_and_level_kept,
)
from tests.media.waiting import Collected

__all__ = ["test_candidates_may_be_trickled", "test_opus_is_transcoded_with_pitch_and_level_kept"]


@pytest.mark.parametrize("place", [call_out, call_in])
async def test_g711_passes_through_unchanged_both_ways(
    engine: RtpengineEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: Callable[..., Browser],
    place: Place,
) -> None:
    numbers = await g711_heard_both_ways(cast(EmbeddedEngine, engine), events, phone, new_browser(), place)
    assert numbers.sip.packets_received == 50
    assert 50 <= numbers.matrix.packets_received <= 55, "reports come on the same port, and are counted with the rest"
