"""Two admins do not overwrite each other, and no change is made that the trail does not know of."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.store.database import StoreError
from tests.app.admin_house import House, open_house
from tests.app.outsides import ALICE, BOB

NUMBER, PERMISSION = "/numbers/{number}", "/permissions/{name}"
SETTINGS, SERVICE = "/users/{user}/settings", "/trunks/{trunk}/service"
THINGS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (NUMBER, "+15550101", {"to": ALICE}, {"to": BOB}),
    (PERMISSION, "uk", {"who": [ALICE], "prefixes": ["+44"]}, {"who": [BOB], "prefixes": ["+44"]}),
    (SETTINGS, ALICE, {"do_not_disturb": True}, {"blocked": ["+15550177"]}),
    (SERVICE, "pbx", {"in_service": False}, {"in_service": True}),
]


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


async def tag_of(house: House, path: str, name: str) -> str:
    await house.get(path, name)
    assert house.tag
    return house.tag


@pytest.mark.parametrize(("path", "name", "one", "other"), THINGS)
async def test_the_second_of_two_who_have_read_the_same_is_refused(
    house: House, path: str, name: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    await house.put(path, name, **one)
    read = {"If-Match": await tag_of(house, path, name)}
    assert (await house.ask("PUT", path, name, body=other, headers=read))[0] == 200
    changed = await house.get(path, name)
    status, problem = await house.ask("PUT", path, name, body=one, headers=read)
    assert status == 412
    assert "read it again" in problem["detail"]
    assert await house.get(path, name) == changed
    assert (await house.get("/changes"))["changes"][0]["status"] == 412


async def test_of_two_at_the_same_time_one_is_refused(house: House) -> None:
    await house.put(NUMBER, "+15550101", to=ALICE)
    read = {"If-Match": await tag_of(house, NUMBER, "+15550101")}
    bodies = [{"to": BOB, "hours": f"mon-fri {hour}:00-17:00"} for hour in range(8, 12)]
    asked = [house.ask("PUT", NUMBER, "+15550101", body=body, headers=read) for body in bodies]
    assert sorted(status for status, _ in await asyncio.gather(*asked)) == [200, 412, 412, 412]


@pytest.mark.parametrize("path", [NUMBER, PERMISSION])
async def test_what_has_changed_is_not_taken_away(house: House, path: str) -> None:
    _, name, one, other = next(thing for thing in THINGS if thing[0] == path)
    await house.put(path, name, **one)
    old = await tag_of(house, path, name)
    await house.put(path, name, **other)
    assert (await house.ask("DELETE", path, name, headers={"If-Match": old}))[0] == 412
    new = await tag_of(house, path, name)
    assert new != old
    assert (await house.ask("DELETE", path, name, headers={"If-Match": new}))[0] == 204


@pytest.mark.parametrize(
    ("headers", "there", "status"),
    [
        ({"If-Match": "*"}, True, 200),
        ({"If-Match": "*"}, False, 412),
        ({"If-Match": '"stale"'}, False, 412),
        ({"If-Match": "no quotes"}, True, 412),
        ({"If-Match": ""}, True, 412),
        ({"If-Match": '"*"'}, True, 412),
        ({"If-Match": '"stale", W/"weak"'}, True, 412),
        ({"If-None-Match": "*"}, True, 412),
        ({"If-None-Match": "*"}, False, 201),
        ({"If-None-Match": '"stale"'}, True, 200),
        ({"If-None-Match": '"*"'}, True, 200),
        ({}, True, 200),
    ],
)
async def test_a_condition_holds_or_nothing_is_done(
    house: House, headers: dict[str, str], there: bool, status: int
) -> None:
    if there:
        await house.put(NUMBER, "+15550101", to=ALICE)
    assert (await house.ask("PUT", NUMBER, "+15550101", body={"to": BOB}, headers=headers))[0] == status
    assert (house.live.numbers().user_of("+15550101") == BOB) is (status < 300)


async def test_a_tag_is_the_same_until_something_changes_and_weak_ones_fit_no_change(house: House) -> None:
    await house.put(NUMBER, "+15550101", to=ALICE)
    tag = await tag_of(house, NUMBER, "+15550101")
    assert await tag_of(house, NUMBER, "+1 555 0101") == tag
    assert (await house.ask("GET", NUMBER, "+15550101", headers={"If-None-Match": f"W/{tag}"})) == (304, None)
    assert house.tag == tag
    weak = {"If-Match": f"W/{tag}"}
    assert (await house.ask("PUT", NUMBER, "+15550101", body={"to": BOB}, headers=weak))[0] == 412


async def test_what_has_no_versions_fits_no_condition(house: House) -> None:
    anything = {"If-Match": "*"}
    assert (await house.ask("DELETE", "/calls/{call_id}", "none", headers=anything))[0] == 412


@pytest.mark.parametrize(
    ("path", "name"), [(NUMBER, "+15550142"), (NUMBER, "nobody"), (PERMISSION, "none"), (SETTINGS, "x"), (SERVICE, "x")]
)
async def test_what_is_not_there_cannot_be_read(house: House, path: str, name: str) -> None:
    assert (await house.ask("GET", path, name))[0] == 404


# The trail.


async def test_nothing_is_done_that_cannot_be_written_down_before(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> int:
        raise StoreError("the disk is full")

    monkeypatch.setattr(house.stage.store.admin_changes, "add", full)
    assert (await house.put(NUMBER, "+15550101", to=BOB))[0] == 503
    assert house.live.numbers().user_of("+15550101") is None


async def test_a_change_whose_outcome_was_never_written_is_in_the_trail_as_begun(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise StoreError("the process is gone")

    monkeypatch.setattr(house.stage.store.admin_changes, "finish", dies)
    assert (await house.put(NUMBER, "+15550101", to=BOB))[0] == 201
    (change,) = (await house.get("/changes"))["changes"]
    assert (change["action"], change["subject"], change["status"]) == ("PUT /numbers/{number}", "+15550101", None)
