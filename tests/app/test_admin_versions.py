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
from tests.patience import PATIENCE_S

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


@pytest.mark.parametrize(
    ("method", "path", "name", "body", "status"),
    [
        ("DELETE", NUMBER, "+15550101", None, 404),
        ("DELETE", NUMBER, "+15550100", None, 409),
        ("PUT", NUMBER, "+15550100", {"to": BOB}, 409),
        ("DELETE", PERMISSION, "none", None, 404),
        ("PUT", PERMISSION, "no name", {"who": [ALICE], "prefixes": ["+44"]}, 404),
        ("PUT", SETTINGS, "nobody", {}, 404),
        ("PUT", SERVICE, "none", {"in_service": True}, 404),
        ("DELETE", "/users/{user}/suspension", ALICE, None, 404),
        ("DELETE", "/calls/{call_id}", "none", None, 404),
    ],
)
@pytest.mark.parametrize("headers", [{"If-Match": "*"}, {"If-Match": '"stale"'}, {"If-None-Match": "*"}, {}])
async def test_what_is_refused_on_any_condition_is_refused_for_that(
    house: House, method: str, path: str, name: str, body: object, status: int, headers: dict[str, str]
) -> None:
    """RFC 9110 §13.2.1: a condition counts only where the answer would otherwise be a success."""
    assert (await house.ask(method, path, name, body=body, headers=headers))[0] == status


async def test_what_a_user_tells_the_bot_while_a_program_changes_the_same_is_not_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, table = house.stage.settings, house.stage.store.settings
    begun, go_on, put = asyncio.Event(), asyncio.Event(), table.put

    async def slow(*arguments: Any) -> None:
        begun.set()
        await go_on.wait()
        await put(*arguments)

    monkeypatch.setattr(table, "put", slow)
    program = asyncio.create_task(house.put(SETTINGS, ALICE, hours="mon 9:00-17:00"))
    await asyncio.wait_for(begun.wait(), PATIENCE_S)
    user = asyncio.create_task(settings.change(ALICE, do_not_disturb=True))
    await asyncio.sleep(0)
    go_on.set()
    assert (await program)[0] == 200
    await user
    assert (settings.of(ALICE).hours, settings.of(ALICE).do_not_disturb) == ("mon 9:00-17:00", True)
    assert (await table.all())[ALICE] == settings.of(ALICE)


async def test_whoever_changes_something_by_a_condition_has_it_to_themselves_until_then(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, changes = house.stage.settings, house.stage.store.admin_changes
    read, begun, go_on, add = (
        {"If-Match": await tag_of(house, SETTINGS, ALICE)},
        asyncio.Event(),
        asyncio.Event(),
        changes.add,
    )

    async def slow(*arguments: Any) -> int:
        begun.set()
        await go_on.wait()
        return await add(*arguments)

    monkeypatch.setattr(changes, "add", slow)
    program = asyncio.create_task(house.ask("PUT", SETTINGS, ALICE, body={}, headers=read))
    await asyncio.wait_for(begun.wait(), PATIENCE_S)
    user = asyncio.create_task(settings.block(ALICE, "+15550177"))
    await asyncio.sleep(0)
    go_on.set()
    assert (await program)[0] == 200
    assert await user
    assert settings.blocked(ALICE) == {"+15550177"}


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
