"""The admin API: who may ask, what is set and where that holds, what is refused, and that it is as described."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openapi_spec_validator import validate

from bridge.app import added_entries
from bridge.app.user_settings import UserSettings
from bridge.core.ids import UserId
from bridge.core.turn import Turn
from bridge.numbers.abuse import Suspicion
from bridge.numbers.accounts import Booking
from bridge.numbers.policy import Decision
from bridge.ops.admin.api import ROOT, description
from bridge.ops.admin.requests import MAX_BODY
from bridge.store import administration
from bridge.store.people import StoredSettings
from tests.app.admin_house import SECTIONS, TOKEN, WHO, House, open_house
from tests.app.outsides import ALICE, BOB
from tests.clock import ManualClock
from tests.e2e.waiting import until
from tests.ops.console_house import CALL, write_trace
from tests.patience import PATIENCE_S

NUMBER, PERMISSION = "/numbers/{number}", "/permissions/{name}"
USER, SETTINGS = "/users/{user}", "/users/{user}/settings"
METHODS = {"get", "put", "delete", "post", "patch"}


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


def may_call(house: House, user: str, number: str) -> bool:
    return isinstance(house.live.numbers().decide(UserId(user), number, lambda trunk: True), Decision)


# The description.


def test_the_description_is_one() -> None:
    validate(dict(description()))


async def test_every_route_is_described_and_nothing_else(house: House) -> None:
    routes = {
        (path, method.lower())
        for path, actions in house_routes(house).items()
        for method in actions
    }  # fmt: skip
    described = {
        (path, method) for path, item in description()["paths"].items() for method in item if method in METHODS
    }
    assert routes == described


def house_routes(house: House) -> dict[str, Any]:
    from bridge.ops.admin.routes import Routes

    return dict(Routes(house.desk, None, {}).table)  # type: ignore[arg-type]


async def test_every_success_is_met_and_looks_as_described(tmp_path: Path) -> None:
    write_trace(tmp_path / "traces")
    async with open_house(tmp_path, traces=tmp_path / "traces") as house:
        await house.get("/openapi.json")
        assert (await house.put(NUMBER, "+15550101", to="@bob:example.org", hours="mon-fri 9:00-17:00"))[0] == 201
        assert (await house.put(NUMBER, "+15550101", to="@bob:example.org"))[0] == 200
        await house.get("/numbers")
        await house.get(NUMBER, "+15550101")
        assert (await house.put(PERMISSION, "bob", who=[BOB], prefixes=["+1555"]))[0] == 201
        assert (await house.put(PERMISSION, "bob", who=[BOB], prefixes=["+1555"], but_not=["+15559"]))[0] == 200
        await house.get("/permissions")
        await house.get(PERMISSION, "bob")
        assert (await house.put(SETTINGS, ALICE, do_not_disturb=True, blocked=["+15550177"]))[0] == 200
        house.stage.meter._suspensions.suspend(ALICE, Suspicion.WANGIRI)
        await house.get(SETTINGS, ALICE)
        user = await house.get(USER, ALICE)
        assert user["suspended_until"].endswith("Z")
        assert (await house.ask("DELETE", "/users/{user}/suspension", ALICE))[0] == 204
        await house.stage.invite()
        (live,) = house.stage.switchboard.directory
        assert (await house.get("/usage"))["currency"] == "EUR"
        assert (await house.get("/explain", user=ALICE, number="+1 555 0177"))["permitted"]
        calls = (await house.get("/calls"))["calls"]
        assert [call["call_id"] for call in calls] == [live.call.call_id, CALL]
        assert (await house.ask("DELETE", "/calls/{call_id}", live.call.call_id))[0] == 204
        await house.get("/trunks")
        await house.get("/trunks/{trunk}/service", "pbx")
        status, trunk = await house.put("/trunks/{trunk}/service", "pbx", in_service=False)
        assert (status, trunk["in_service"]) == (200, False)
        assert (await house.ask("DELETE", NUMBER, "+15550101"))[0] == 204
        assert (await house.ask("DELETE", PERMISSION, "bob"))[0] == 204
        await house.get("/changes")
        described = {
            (method.upper(), path, int(status))
            for path, item in description()["paths"].items()
            for method in METHODS & item.keys()
            for status in item[method]["responses"]
            if status.startswith("2")
        }
        assert house.seen == described


# Who may ask.


@pytest.mark.parametrize("header", ["", "Bearer wrong", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x"])
async def test_who_has_no_token_learns_nothing_and_does_nothing(tmp_path: Path, header: str) -> None:
    clock = ManualClock()
    async with open_house(tmp_path, token="", clock=clock) as house:
        answers = set()
        for method, path in [
            *(("GET", path) for path in ("/numbers", "/openapi.json", "/nothing", "/numbers/%2B15550100", "/")),
            *((method, "/numbers/%2B15550101") for method in ("PUT", "DELETE", "POST", "OPTIONS")),
        ]:
            headers = {"Authorization": header} if header else {}
            content = {"to": "@bob:example.org"}
            async with house.session.request(method, ROOT + path, headers=headers, json=content) as answer:
                answers.add((answer.status, answer.headers["WWW-Authenticate"], await answer.text()))
            clock.now += 60
        ((status, scheme, _),) = answers
        assert (status, scheme) == (401, 'Bearer realm="trunkline"')
        assert house.live.additions().numbers == {}
        assert await house.stage.store.admin_changes.last(before=None, limit=9) == ()
        assert 'trunkline_admin_requests_total{status="4xx"} 9.0' in house.telemetry.exposition().decode()


async def test_who_guesses_has_to_wait_and_a_token_beyond_guessing_does_not(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_house(tmp_path, clock=clock) as house:
        wrong = {"Authorization": "Bearer wrong"}
        statuses = []
        for _ in range(7):
            async with house.session.get(f"{ROOT}/numbers", headers=wrong) as answer:
                statuses.append(answer.status)
        assert statuses == [401] * 5 + [429] * 2
        assert 'trunkline_wrong_tokens_total{at="admin"} 7.0' in house.telemetry.exposition().decode()
        await house.get("/numbers")
        clock.now += 31
        async with house.session.get(f"{ROOT}/numbers", headers=wrong) as answer:
            assert answer.status == 401


async def test_without_a_token_in_the_configuration_there_is_no_api(tmp_path: Path) -> None:
    from bridge.ops.metrics import PrometheusTelemetry
    from bridge.ops.server import Heartbeat, OpsServer

    clock, telemetry = ManualClock(), PrometheusTelemetry(trunks=(), version="1", strict=True)
    server = OpsServer(telemetry=telemetry, heartbeat=Heartbeat(clock=clock, telemetry=telemetry), checks={})
    port = await server.start("127.0.0.1", 0)
    try:
        async with open_house(tmp_path) as house, house.session.get(f"http://127.0.0.1:{port}{ROOT}/numbers") as answer:
            assert answer.status == 404
    finally:
        await server.stop()


# What is sent.


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("text/plain", b'{"to": "@bob:example.org"}', 415),
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ("application/json", b"[]", 400),
        ("application/json", b'"@bob:example.org"', 400),
        ("application/json", b'{"to": NaN}', 400),
        ("application/json", b'{"to": "@a:b.c", "to": "@bob:example.org"}', 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"[" * 60_000, 400),
        ("application/json", b'{"to": "' + b"a" * MAX_BODY + b'"}', 413),
        ("application/json", b'{"to": "\\ud800"}', 400),
        ("application/json", b'{"prefixes": ["+1555\\ud800"]}', 400),
        ("application/json", b'{"\\ud800": 1}', 400),
        ("application/json", b"{}", 422),
    ],
)
async def test_a_body_that_cannot_be_read_changes_nothing(house: House, kind: str, content: bytes, status: int) -> None:
    headers = {"Content-Type": kind}
    async with house.session.put(f"{ROOT}/numbers/201", data=content, headers=headers) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
    assert house.live.additions().numbers == {}


@pytest.mark.parametrize(
    ("head", "content"),
    [("Content-Encoding: gzip\r\nContent-Length: 7", b"garbage"), ("Content-Length: 100", b'{"to": ')],
)
async def test_a_body_that_breaks_off_is_no_bug_of_ours(house: House, head: str, content: bytes) -> None:
    url = house.session._build_url("/")
    token = house.session.headers["Authorization"]
    _, writer = await asyncio.open_connection(url.host, url.port)
    start = f"PUT {ROOT}/numbers/201 HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Type: application/json"
    writer.write(f"{start}\r\n{head}\r\n\r\n".encode() + content)
    await writer.drain()
    writer.transport.abort()

    async def answered() -> bool:
        return b'admin_requests_total{status="4xx"} 1.0' in house.telemetry.exposition()

    await until(answered, lambda: "nobody answered", limit_s=PATIENCE_S)
    assert b'internal_errors_total{component="ops"} 0.0' in house.telemetry.exposition()


@pytest.mark.parametrize(
    ("path", "name", "body", "pointers"),
    [
        (NUMBER, "201", {"to": "alice"}, ["/to"]),
        (NUMBER, "201", {"to": 5, "hours": "late"}, ["/to", "/hours"]),
        (NUMBER, "201", {"to": "group:sales"}, [""]),
        (NUMBER, "201", {"to": "@_sip_bot:example.org"}, [""]),
        (NUMBER, "201", {"to": "@bob:example.org", "until": "noon"}, ["/until"]),
        (NUMBER, "no number", {"to": "@bob:example.org"}, [""]),
        (PERMISSION, "a", {"who": ["@bob"], "prefixes": []}, ["/who/0", "/prefixes"]),
        (PERMISSION, "a", {"who": [BOB], "prefixes": ["+1", "one"]}, ["/prefixes/1"]),
        (PERMISSION, "a", {"who": [BOB], "prefixes": ["+1"], "trunk": "nowhere"}, [""]),
        (PERMISSION, "a", {"prefixes": ["+1"]}, ["/who"]),
        (SETTINGS, ALICE, {"do_not_disturb": "yes", "blocked": ["+15550177", 5]}, ["/do_not_disturb", "/blocked/1"]),
        (SETTINGS, ALICE, {"hours": "whenever"}, ["/hours"]),
        (SETTINGS, ALICE, {"forward": "+4930123456"}, ["/forward"]),
        (SETTINGS, ALICE, {"ring_when": "online"}, ["/ring_when"]),
        (SETTINGS, ALICE, {"colour": "red"}, ["/colour"]),
        ("/trunks/{trunk}/service", "pbx", {"in_service": "no"}, ["/in_service"]),
    ],
)
async def test_what_cannot_be_is_named_place_by_place(
    house: House, path: str, name: str, body: dict[str, Any], pointers: list[str]
) -> None:
    status, problem = await house.put(path, name, **body)
    assert status == 422
    assert [mistake["pointer"] for mistake in problem["errors"]] == pointers
    assert all(mistake["detail"] for mistake in problem["errors"])


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("GET", USER, ["alice"]),
        ("DELETE", NUMBER, ["+15550142"]),
        ("DELETE", NUMBER, ["nonsense"]),
        ("DELETE", PERMISSION, ["nobody"]),
        ("DELETE", "/users/{user}/suspension", [ALICE]),
        ("DELETE", "/calls/{call_id}", ["gone"]),
    ],
)
async def test_what_is_not_there_is_not_found(house: House, method: str, path: str, names: list[str]) -> None:
    assert (await house.ask(method, path, *names))[0] == 404


async def test_paths_and_methods_that_there_are_not(house: House) -> None:
    async with house.session.get(f"{ROOT}/nothing") as answer:
        assert answer.status == 404
    async with house.session.post(f"{ROOT}/numbers/201", json={}) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, PUT, DELETE")
    assert (await house.ask("PUT", "/trunks/{trunk}/service", "nowhere", body={"in_service": True}))[0] == 404


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}])
async def test_parameters_out_of_their_range_are_refused(house: House, query: dict[str, str]) -> None:
    assert (await house.ask("GET", "/calls", query=query))[0] == 400


# What is set.


async def test_a_number_reaches_its_user_until_it_is_taken_away(house: House) -> None:
    status, document = await house.put(NUMBER, "(555) 010-1", to=BOB)
    assert (status, document) == (201, {"number": "+15550101", "to": BOB, "source": "api"})
    assert house.live.numbers().user_of("15550101") == BOB
    assert (await house.get(USER, BOB))["numbers"] == ["+15550101"]
    assert (await house.ask("DELETE", NUMBER, "+1 555 0101"))[0] == 204
    assert house.live.numbers().user_of("15550101") is None


async def test_a_block_of_numbers_is_among_those_of_its_user(house: House) -> None:
    await house.put(NUMBER, "+1555020*", to=BOB)
    assert (await house.get(USER, BOB))["numbers"] == ["+1555020*"]


async def test_it_is_explained_whom_a_called_number_reaches(house: House) -> None:
    await house.put(NUMBER, "+15550101", to=BOB)
    answer = await house.get("/explain", called="+15550101")
    assert answer["permitted"]
    assert any(BOB in line for line in answer["lines"])
    for query in ({}, {"user": ALICE}, {"user": ALICE, "number": "1", "called": "2"}):
        assert (await house.ask("GET", "/explain", query=query))[0] == 400


MENUS = {
    "menus": {"main": {"prompt": "Sales is one.", "digits": {"1": ALICE}, "otherwise": BOB}},
    "numbers": {"inbound": {"+15550100": ALICE, "+15550110": "menu:main"}},
}


async def test_what_each_key_of_a_menu_leads_to_is_explained_too(tmp_path: Path) -> None:
    async with open_house(tmp_path, sections=MENUS) as house:
        lines = (await house.get("/explain", called="+15550110"))["lines"]
        assert lines[-2:] == [f"menus.main: 1: {ALICE}", f"menus.main: otherwise: {BOB}"]


async def test_what_the_bridge_knows_of_a_caller_is_explained_as_it_would_be_said_to_them(house: House) -> None:
    question = {"user": ALICE, "number": "+15550177"}
    await house.stage.settings.change(ALICE, withheld=True)
    answer = await house.get("/explain", **question)
    assert answer["permitted"]
    assert any("number withheld" in line for line in answer["lines"])
    today = house.stage.meter.cash_book.today()
    house.stage.meter.standing(ALICE).ledger.load([Booking(account=ALICE, day=today, seconds=3_600, cost=0)])
    answer = await house.get("/explain", **question)
    assert (answer["permitted"], "refused: limit_reached" in answer["lines"][-1]) == (False, True)
    house.stage.meter._suspensions.suspend(ALICE, Suspicion.COUNTRIES)
    answer = await house.get("/explain", **question)
    assert (answer["permitted"], "refused: suspended" in answer["lines"][-1]) == (False, True)
    assert (await house.put("/trunks/{trunk}/service", "carrier", in_service=False))[0] == 200
    answer = await house.get("/explain", **question)
    assert (answer["permitted"], "refused: trunk_out_of_service" in answer["lines"][-1]) == (False, True)


async def test_a_block_of_numbers_and_hours_are_said_as_in_the_file(house: House) -> None:
    body = {"to": BOB, "hours": "mon-fri 9:00-17:00", "otherwise": "@carol:example.org"}
    status, document = await house.put(NUMBER, "+1555020*", **body)
    assert (status, document) == (201, {"number": "+1555020*", **body, "source": "api"})
    page = await house.get("/numbers", limit="1")
    assert (page["numbers"][0]["source"], page["next"]) == ("file", "+15550100")
    rest = await house.get("/numbers", limit="2", after=page["next"])
    assert rest == {"numbers": [document]}


@pytest.mark.parametrize("number", ["+15550100", "(555) 010-0"])
async def test_what_stands_in_the_file_is_changed_there(house: House, number: str) -> None:
    for method, body in (("PUT", {"to": BOB}), ("DELETE", None)):
        status, problem = await house.ask(method, NUMBER, number, body=body)
        assert (status, "file" in problem["detail"]) == (409, True)
    assert house.live.numbers().user_of("+15550100") == ALICE


async def test_a_permission_lets_its_users_call_until_it_is_taken_away(house: House) -> None:
    assert not may_call(house, BOB, "+15550177")
    await house.put(PERMISSION, "sales", who=[BOB], prefixes=["+1555"])
    assert may_call(house, BOB, "+15550177")
    explained = await house.get("/explain", user=BOB, number="+15550177")
    assert "permission sales of the admin API: permits +1555" in explained["lines"]
    assert [entry["name"] for entry in (await house.get(USER, BOB))["permissions"]] == ["sales"]
    await house.put(PERMISSION, "sales", who=[BOB], prefixes=["+1556"])
    assert not may_call(house, BOB, "+15550177")
    await house.ask("DELETE", PERMISSION, "sales")
    assert not may_call(house, BOB, "+15560177")


async def test_what_was_set_is_there_after_a_restart(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.put(NUMBER, "+15550101", to=BOB)
        await house.put(PERMISSION, "sales", who=[BOB], prefixes=["+1555"])
        await house.put(SETTINGS, BOB, blocked=["+15550177"], hours="mon 9:00-10:00")
    async with open_house(tmp_path) as house:
        assert house.live.numbers().user_of("+15550101") == BOB
        assert may_call(house, BOB, "+15550177")
        settings = (await house.get(USER, BOB))["settings"]
        assert (settings["blocked"], settings["hours"]) == (["+15550177"], "mon 9:00-10:00")


async def test_an_entry_of_the_file_comes_first_and_the_other_rests(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.put(NUMBER, "+15550101", to=BOB)
    both = {"+15550100": ALICE, "+15550101": "@carol:example.org"}
    async with open_house(tmp_path, sections={"numbers": {"inbound": both}}) as house:
        assert house.live.numbers().user_of("+15550101") == "@carol:example.org"
        assert [entry["source"] for entry in (await house.get("/numbers"))["numbers"]] == ["file", "file"]
    async with open_house(tmp_path) as house:
        assert house.live.numbers().user_of("+15550101") == BOB


async def test_an_entry_that_makes_no_sense_with_another_file_has_no_effect_and_harms_nothing(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.put(PERMISSION, "over-pbx", who=[BOB], prefixes=["+1555"], trunk="pbx")
        await house.put(PERMISSION, "sales", who=[BOB], prefixes=["+1556"])
    trunks = {"carrier": SECTIONS["trunks"]["carrier"]}
    async with open_house(tmp_path, sections={"trunks": trunks}) as house:
        assert not may_call(house, BOB, "+15550177")
        assert may_call(house, BOB, "+15560177")
        _, resting, other = (await house.get("/permissions"))["permissions"]
        assert resting["rests"] == "no trunk is called 'pbx'; there is carrier"
        assert (resting["name"], other["name"], "rests" in other) == ("over-pbx", "sales", False)
        assert (await house.get(USER, BOB))["permissions"] == [other]
        assert (await house.ask("DELETE", PERMISSION, "over-pbx"))[0] == 204


async def test_a_number_of_a_group_that_is_gone_reaches_nobody_until_the_group_is_back(tmp_path: Path) -> None:
    sales = {"groups": {"sales": {"members": [ALICE, BOB]}}}
    async with open_house(tmp_path, sections=sales) as house:
        assert (await house.put(NUMBER, "201", to="group:sales"))[0] == 201
    async with open_house(tmp_path) as house:
        assert house.live.numbers().reach_of("201") is None
        (entry, _) = (await house.get("/numbers"))["numbers"][::-1]
        assert (entry["number"], entry["rests"]) == ("201", "no group is called 'sales'; there is none")
    async with open_house(tmp_path, sections=sales) as house:
        assert house.live.numbers().reach_of("201") is not None


async def test_there_is_an_end_to_entries(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(added_entries, "MAX_NUMBERS", 1)
    assert (await house.put(NUMBER, "201", to=BOB))[0] == 201
    assert (await house.put(NUMBER, "202", to=BOB))[0] == 409
    assert (await house.put(NUMBER, "201", to=ALICE))[0] == 200


async def test_a_file_that_is_read_again_keeps_what_was_set_besides(house: House) -> None:
    await house.put(NUMBER, "+15550101", to=BOB)
    house.live.take(house.live.worked_out(house.live.file().model_copy(), house.live.sounds()))
    assert house.live.numbers().user_of("+15550101") == BOB
    assert "+15550101" not in house.live.file().numbers.inbound


async def test_settings_are_those_of_the_bot_and_what_is_left_out_is_unset(tmp_path: Path) -> None:
    permissions = {**SECTIONS["permissions"], "limits": []}
    async with open_house(tmp_path, sections={"permissions": permissions}) as house:
        status, settings = await house.put(
            SETTINGS, ALICE, forward="(555) 010-5", blocked=["555-010-0177"], withheld=True
        )
        assert (status, settings["forward"], settings["withheld"]) == (200, "+15550105", True)
        assert house.stage.settings.of(ALICE).forward == "+15550105"
        assert house.stage.settings.blocked(ALICE) == set(settings["blocked"])
        shown = (await house.get(USER, ALICE))["settings"]
        assert shown == settings
        assert (await house.put(SETTINGS, ALICE, **{k: v for k, v in shown.items() if k != "ring_when"}))[1] == settings
        _, settings = await house.put(SETTINGS, ALICE)
        assert (settings["forward"], settings["blocked"], settings["withheld"]) == ("", [], None)


async def test_calls_that_nobody_could_meter_are_not_forwarded_where_there_are_limits(house: House) -> None:
    status, problem = await house.put(SETTINGS, ALICE, forward="+15550105")
    assert (status, problem["errors"][0]["pointer"]) == (422, "/forward")
    assert house.stage.settings.of(ALICE).forward == ""


async def test_a_user_is_shown_with_what_is_used_of_the_limits(house: House) -> None:
    user = await house.get(USER, ALICE)
    (limit,) = user["limits"]
    assert limit["day"] == {"minutes": 60, "used": {"minutes": 0, "cost": "0.00"}}
    assert limit["month"]["cost"] == "10.00"
    assert limit["calls_at_once"] == 2
    assert user["shown"] == {"carrier": "+15550100", "pbx": "+15550100"}


# The trail.


async def test_every_change_is_written_down_with_who_asked_for_it_refused_ones_too(house: House) -> None:
    await house.put(NUMBER, "+15550101", to=BOB)
    await house.put(PERMISSION, "sales", who=["@nobody"], prefixes=["+1"])
    await house.ask("DELETE", NUMBER, "+15550142")
    await house.get("/numbers")
    changes = (await house.get("/changes"))["changes"]
    assert [(c["who"], c["action"], c["subject"], c["status"]) for c in changes] == [
        (WHO, "DELETE /numbers/{number}", "+15550142", 404),
        (WHO, "PUT /permissions/{name}", "sales", 422),
        (WHO, "PUT /numbers/{number}", "+15550101", 201),
    ]
    assert changes[-1]["body"] == '{"to": "@bob:example.org"}'
    page = await house.get("/changes", limit="2")
    assert [c["status"] for c in (await house.get("/changes", before=str(page["next"])))["changes"]] == [201]


async def test_the_trail_has_an_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(administration, "CHANGES_KEPT", 2)
    for number in ("201", "202", "203"):
        await house.put(NUMBER, number, to=BOB)
    assert [c["subject"] for c in (await house.get("/changes"))["changes"]] == ["203", "202"]


async def test_no_person_is_named_in_the_log(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await house.put(NUMBER, "+15550101", to=BOB)
    await house.put(SETTINGS, BOB, do_not_disturb=True)
    said = capsys.readouterr().out
    assert "admin_change" in said
    assert "+15550101" not in said
    assert BOB not in said


async def test_settings_of_which_a_part_cannot_be_written_are_not_written_at_all(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as database:
            broken = "BEFORE INSERT ON blocked_numbers BEGIN SELECT RAISE(ABORT, 'broken'); END"
            database.execute(f"CREATE TRIGGER broken {broken}")
        status, _ = await house.put(SETTINGS, ALICE, do_not_disturb=True, blocked=["+15550177"])
        assert status >= 500
        again = UserSettings(house.stage.store, Turn())
        await again.load()
        for settings in (again, house.desk.settings):
            assert (settings.of(ALICE), settings.blocked(ALICE)) == (StoredSettings(), frozenset())
