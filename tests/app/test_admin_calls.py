"""Calls as the admin API lists them: those that go on and those that are over, by page."""

from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.app.call_pages import joined
from bridge.app.call_tracing import traced
from bridge.app.live_call import LiveCall
from bridge.core.ids import CallId
from bridge.store.traces.file import TraceFile
from bridge.store.traces.rows import TracedCall
from tests.app.admin_house import House, open_house
from tests.app.outsides import PBX, TRUNK
from tests.ops.console_house import PHONE, write_trace


async def ring(house: House, count: int) -> list[LiveCall]:
    """So many calls that go on, the newest first."""
    for number in range(count):
        called = ("+15550199", "+15550188")[number % 2]
        await house.stage.incoming(f"in-{number}", called=called, caller=f"+1555017{number}")
    return list(house.stage.switchboard.directory)[::-1]


async def pages(house: House, **query: str) -> AsyncIterator[list[str]]:
    """All of them, by the calls on each."""
    page = await house.get("/calls", **query)
    while page["calls"]:
        yield [call["call_id"] for call in page["calls"]]
        page = await house.get("/calls", **query, before=page["next"]) if "next" in page else {"calls": []}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_calls_that_go_on_are_all_listed_once_without_traces_too(tmp_path: Path, limit: int) -> None:
    async with open_house(tmp_path) as house:
        calls = [live.call.call_id for live in await ring(house, 5)]
        found = [page async for page in pages(house, limit=str(limit))]
        assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
        assert [name for page in found for name in page] == calls


async def test_calls_that_go_on_stand_among_those_that_are_over_by_their_beginning(tmp_path: Path) -> None:
    async with open_house(tmp_path, traces=tmp_path / "traces") as house:
        calls = await ring(house, 5)
        over = TracedCall(
            call_id=CallId("over"),
            began_at=(calls[2].call.began_wall + calls[3].call.began_wall) / 2,
            ended_at=calls[0].call.began_wall,
            direction="inbound",
        )
        with closing(TraceFile(tmp_path / "traces")) as file:
            file.write(calls=[over, traced(calls[1].call), traced(calls[4].call)])
        names = [live.call.call_id for live in calls]
        everything = [*names[:3], "over", *names[3:]]
        for limit in range(1, 7):
            found = [page async for page in pages(house, limit=str(limit))]
            assert [name for page in found for name in page] == everything
            assert max(map(len, found)) <= limit


async def test_a_page_goes_on_behind_a_call_that_is_gone_meanwhile(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        calls = [live.call.call_id for live in await ring(house, 3)]
        page = await house.get("/calls", limit="2")
        live = house.stage.switchboard.directory.by_call_id(CallId(calls[1]))
        assert live is not None
        house.stage.switchboard.directory.remove(live, 0.0)
        rest = await house.get("/calls", limit="2", before=page["next"])
        assert [call["call_id"] for call in rest["calls"]] == calls[2:]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"direction": "inbound", "trunk": TRUNK}, [2, 1, 0]),
        ({"direction": "outbound"}, []),
        ({"trunk": PBX}, []),
        ({"result": "success"}, []),
        ({"reason": "busy"}, []),
        ({"text": "5550171"}, [1]),
        ({"text": "BOB:"}, [1]),
        ({"text": "5550199"}, [2, 0]),
        ({"text": "abc"}, [2, 1, 0]),
        ({"text": "ab"}, []),
    ],
)
async def test_calls_that_go_on_are_filtered_too(tmp_path: Path, query: dict[str, str], found: list[int]) -> None:
    async with open_house(tmp_path) as house:
        calls = [live.call.call_id for live in await ring(house, 3)][::-1]
        answer = await house.get("/calls", **query)
        assert [call["call_id"] for call in answer["calls"]] == [calls[number] for number in found]


def test_how_long_a_call_goes_on_is_told_whether_or_not_its_beginning_is_written() -> None:
    begun = TracedCall(call_id=CallId("a"), began_at=1.0, direction="inbound")
    going_on, over = replace(begun, talk_s=5.0), replace(begun, talk_s=6.0, ended_at=8.0)
    assert joined([going_on], [begun], 9) == [going_on]
    assert joined([going_on], [over], 9) == [over]


@pytest.mark.parametrize("before", ["x", "1.5", "nan:x", "inf:x", ":x"])
async def test_what_is_no_end_of_a_page_is_refused(tmp_path: Path, before: str) -> None:
    async with open_house(tmp_path) as house:
        assert (await house.ask("GET", "/calls", query={"before": before}))[0] == 400


async def test_calls_are_filtered_and_paged(tmp_path: Path) -> None:
    write_trace(tmp_path / "traces")
    async with open_house(tmp_path, traces=tmp_path / "traces") as house:
        (call,) = (await house.get("/calls", text=PHONE, result="success"))["calls"]
        assert (call["cost"], call["ended_at"] > call["began_at"]) == ("0.12", True)
        page = await house.get("/calls", limit="1")
        assert await house.get("/calls", before=str(page["next"])) == {"calls": []}
        assert await house.get("/calls", trunk="pbx") == {"calls": []}
