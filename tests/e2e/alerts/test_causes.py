"""Every alert fires when what it warns of happens to a real bridge, no other one fires beside it, and it ends."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.alerts import audio, calls, machine, matrix, media, money, process, trunks
from tests.e2e.alerts.place import Place
from tests.ops.test_alerts import RULES, alerts

PLACES: tuple[Place[Any], ...] = (
    *(process.PLACE, machine.PLACE, calls.PLACE, trunks.PLACE, matrix.PLACE, audio.PLACE, media.SERVERS, media.PORTS),
    *(media.ITSELF, money.SPENDING, money.ABUSE),
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
async def test_alerts_fire_for_their_causes_and_end_with_them(place: Place[Any], tmp_path: Path) -> None:
    if place is process.PLACE and not process.can_be_tried():
        pytest.skip("only the administrator may mount a small disk")
    await place.tell(tmp_path, RULES)


def test_every_alert_has_one_cause() -> None:
    assert sorted(alert for place in PLACES for alert in place.causes) == sorted(alert["alert"] for alert in alerts())
