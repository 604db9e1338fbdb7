"""What the console is told of the calls that go on."""

from pathlib import Path

import pytest

from bridge.app import console_desk
from bridge.core.ids import CallId
from tests.app.admin_house import open_house
from tests.app.outsides import BOB


async def test_all_calls_are_counted_and_found_however_many_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_desk, "MAX_SHOWN", 1)
    async with open_house(tmp_path) as house:
        desk = house.desk.console
        await house.stage.incoming("in-1")
        await house.stage.incoming("in-2", called="+15550188")
        oldest, newest = [live.call.call_id for live in house.stage.switchboard.directory]
        assert desk.live_count == 2
        assert [view.call_id for view in desk.live_calls()] == [oldest]
        view = desk.live_call(newest)
        assert view is not None
        assert (view.call_id, view.user) == (newest, BOB)
        assert desk.live_call(CallId("another")) is None
