"""Every path that a homeserver may ask, with right and wrong tokens."""

import gc
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from bridge.core.ids import UserId
from bridge.numbers.policy import NumberPlan
from bridge.numbers.reach import Reach
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, running_bridge

V1 = "/_matrix/app/v1"
UNSTABLE = "/_matrix/app/unstable"
GHOST = "%40_sip_%2B15550100%3Aexample.org"
PHONE = "m.id.phone=%2B15550100"
EMPTY_TRANSACTION = b'{"events": []}'
FOUND = [{"userid": "@_sip_+15550100:example.org", "protocol": "m.protocol.pstn", "fields": {}}]
REVERSE = [
    {
        "userid": "@_sip_+15550100:example.org",
        "protocol": "m.protocol.pstn",
        "fields": {"m.id.phone": "+15550100"},
    }
]

ROWS: list[tuple[str, str, bytes | None, int, Any]] = [
    ("PUT", f"{V1}/transactions/1", EMPTY_TRANSACTION, 200, {}),
    ("PUT", "/transactions/1", EMPTY_TRANSACTION, 200, {}),
    ("PUT", f"{V1}/transactions/a%2Fb", EMPTY_TRANSACTION, 200, {}),
    ("PUT", f"{V1}/transactions/%F0%9F%93%9E", EMPTY_TRANSACTION, 200, {}),
    ("PUT", f"{V1}/transactions/{'x' * 10_000}", EMPTY_TRANSACTION, 200, {}),
    ("PUT", f"{V1}/transactions/..", EMPTY_TRANSACTION, 200, {}),
    ("POST", f"{V1}/ping", b'{"transaction_id": "x"}', 200, {}),
    ("POST", f"{V1}/ping", b"", 200, {}),
    ("GET", f"{V1}/users/{GHOST}", None, 200, {}),
    ("GET", "/users/@_sip_+15550100:example.org", None, 200, {}),
    ("GET", f"{V1}/users/%40alice%3Aexample.org", None, 404, "M_NOT_FOUND"),
    ("GET", f"{V1}/users/%40_sip_%252B15550100%3Aexample.org", None, 404, "M_NOT_FOUND"),
    ("GET", f"{V1}/rooms/%23room%3Aexample.org", None, 404, "M_NOT_FOUND"),
    ("GET", "/rooms/%23room%3Aexample.org", None, 404, "M_NOT_FOUND"),
    ("GET", f"{V1}/thirdparty/protocol/m.protocol.irc", None, 404, "M_NOT_FOUND"),
    ("GET", f"{V1}/thirdparty/user/m.protocol.pstn?{PHONE}", None, 200, FOUND),
    ("GET", f"{UNSTABLE}/thirdparty/user/m.protocol.pstn?{PHONE}", None, 200, FOUND),
    ("GET", f"{V1}/thirdparty/user/m.protocol.pstn?m.id.phone=+15550100", None, 200, FOUND),
    ("GET", f"{V1}/thirdparty/user/m.protocol.pstn?m.id.phone=nonsense", None, 200, []),
    ("GET", f"{V1}/thirdparty/user/m.protocol.pstn", None, 200, []),
    ("GET", f"{V1}/thirdparty/user/im.vector.protocol.sip_native?virtual_mxid=%40a%3Ab", None, 200, []),
    ("GET", f"{V1}/thirdparty/user/im.vector.protocol.sip_virtual?native_mxid=%40a%3Ab", None, 200, []),
    ("GET", f"{V1}/thirdparty/user?userid={GHOST}", None, 200, REVERSE),
    ("GET", f"{UNSTABLE}/thirdparty/user?userid={GHOST}", None, 200, REVERSE),
    ("GET", f"{V1}/thirdparty/user?userid=%40alice%3Aexample.org", None, 200, []),
    ("GET", f"{V1}/thirdparty/user", None, 200, []),
    ("GET", f"{V1}/thirdparty/location/m.protocol.pstn", None, 200, []),
    ("GET", f"{UNSTABLE}/thirdparty/location/m.protocol.pstn", None, 200, []),
    ("GET", f"{V1}/thirdparty/location?alias=%23a%3Ab", None, 200, []),
    ("GET", f"{V1}/nothing", None, 404, "M_UNRECOGNIZED"),
    ("GET", "/", None, 404, "M_UNRECOGNIZED"),
    ("GET", f"{V1}/users", None, 404, "M_UNRECOGNIZED"),
    ("GET", f"{V1}/users/", None, 404, "M_UNRECOGNIZED"),
    ("GET", f"{V1}/thirdparty/planet/m.protocol.pstn", None, 404, "M_UNRECOGNIZED"),
    ("GET", f"{V1}/users/a/b", None, 404, "M_UNRECOGNIZED"),
    ("POST", f"{UNSTABLE}/org.matrix.msc3983/keys/claim", b"{}", 404, "M_UNRECOGNIZED"),
    ("POST", f"{UNSTABLE}/org.matrix.msc3984/keys/query", b"{}", 404, "M_UNRECOGNIZED"),
    ("GET", f"{V1}/transactions/1", None, 405, "M_UNRECOGNIZED"),
    ("POST", f"{V1}/transactions/1", EMPTY_TRANSACTION, 405, "M_UNRECOGNIZED"),
    ("GET", f"{V1}/ping", None, 405, "M_UNRECOGNIZED"),
    ("PUT", f"{V1}/users/{GHOST}", b"{}", 405, "M_UNRECOGNIZED"),
    ("PUT", f"{V1}/transactions/1", b"no json", 400, "M_NOT_JSON"),
    ("PUT", f"{V1}/transactions/1", b"", 400, "M_NOT_JSON"),
    ("PUT", f"{V1}/transactions/1", b'{"events": [], "n": ' + b"9" * 5_000 + b"}", 200, {}),
    ("PUT", f"{V1}/transactions/1", b'{"n": ' + b"9" * 5_000 + b", broken", 400, "M_NOT_JSON"),
    ("PUT", f"{V1}/transactions/1", b"[" * 1_000_000, 400, "M_NOT_JSON"),
    ("POST", f"{V1}/ping", b"no json", 400, "M_NOT_JSON"),
]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No finalizer of what earlier tests have dropped runs where a parser has used up the stack: it would find none."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(("method", "path", "body", "status", "expected"), ROWS)
async def test_every_path_has_its_answer(
    hs: ScriptedHomeserver, bridge: Bridge, method: str, path: str, body: bytes | None, status: int, expected: Any
) -> None:
    answered, document = await hs.ask(method, path, body)
    assert answered == status
    if isinstance(expected, str):
        assert document["errcode"] == expected
    else:
        assert document == expected


@pytest.mark.parametrize("prefix", [V1, UNSTABLE])
@pytest.mark.parametrize("name", ["m.protocol.pstn", "im.vector.protocol.pstn"])
async def test_both_names_of_the_protocol_are_described(
    hs: ScriptedHomeserver, bridge: Bridge, prefix: str, name: str
) -> None:
    status, document = await hs.ask("GET", f"{prefix}/thirdparty/protocol/{name}")
    assert status == 200
    assert document["user_fields"] == ["m.id.phone"]
    assert isinstance(document["instances"], list)


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "query", "status", "errcode"),
    [
        ("Bearer hs-secret", "", 200, None),
        ("bearer hs-secret", "", 200, None),
        (None, "access_token=hs-secret", 200, None),
        ("Bearer hs-secret", "access_token=hs-secret", 200, None),
        (None, "access_token=hs%2Dsecret", 200, None),
        (None, "", 401, "M_MISSING_TOKEN"),
        ("Bearer ", "", 401, "M_MISSING_TOKEN"),
        ("Bearer", "", 401, "M_MISSING_TOKEN"),
        (None, "access_token=", 401, "M_MISSING_TOKEN"),
        ("Bearer wrong", "", 403, "M_FORBIDDEN"),
        ("Bearer as-secret", "", 403, "M_FORBIDDEN"),
        ("Bearer hs-secret ", "access_token=wrong", 403, "M_FORBIDDEN"),
        ("Bearer wrong", "access_token=hs-secret", 403, "M_FORBIDDEN"),
        ("Bearer hs-sécret", "", 403, "M_FORBIDDEN"),
        (None, "access_token=%FF%FE", 403, "M_FORBIDDEN"),
        (None, "access_token=%F0%9F%93%9E", 403, "M_FORBIDDEN"),
        ("Basic hs-secret", "", 401, "M_MISSING_TOKEN"),
        ("Bearer hs-secret", "access_token=hs-secret&access_token=wrong", 403, "M_FORBIDDEN"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", f"{V1}/transactions/1"), ("POST", f"{V1}/ping"), ("GET", f"{V1}/users/{GHOST}")]
)
async def test_tokens(
    hs: ScriptedHomeserver,
    bridge: Bridge,
    method: str,
    path: str,
    header: str | None,
    query: str,
    status: int,
    errcode: str | None,
) -> None:
    headers = {} if header is None else {"Authorization": header}
    url = URL(f"{hs.appservice_url}{path}?{query}", encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=EMPTY_TRANSACTION, headers=headers) as response,
    ):
        assert response.status == status
        assert (await response.json()).get("errcode") == errcode
    assert bridge.telemetry.counts.get(("wrong_tokens_total", "at=appservice"), 0) == (status == 403)


async def test_a_stranger_does_not_make_us_read_a_body(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    status, document = await hs.ask("PUT", f"{V1}/transactions/1", b"no json", token="wrong")
    assert (status, document["errcode"]) == (403, "M_FORBIDDEN")


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_a_transaction_may_be_large(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    events = [_message(number, "x" * 60_000) for number in range(100)]
    assert await hs.push_raw("large", {"events": events}) == 200
    await bridge.handled.wait("m.room.message", 100)


async def test_a_body_without_bound_is_refused(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    status, document = await hs.ask("PUT", f"{V1}/transactions/1", b" " * (16 * 1024 * 1024 + 1))
    assert (status, document["errcode"]) == (413, "M_TOO_LARGE")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"5",
        b"null",
        b'{"events": {}}',
        b'{"events": null}',
        b'{"ephemeral": [], "de.sorunome.msc2409.to_device": [], "device_lists": {}}',
        b'{"events": [], "events": []}',
        b'{"events": [NaN]}',
        b'{"events": ["\xff\xfe"]}',
        b'{"events": [' + b"9" * 5000 + b"]}",
    ],
)
async def test_a_strange_transaction_is_acknowledged(hs: ScriptedHomeserver, bridge: Bridge, body: bytes) -> None:
    assert await hs.push_raw("strange", body) == 200
    assert await hs.push_raw("strange", body) == 200


async def test_a_compressed_body_is_read(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    headers = {"Authorization": "Bearer hs-secret", "Content-Encoding": "deflate"}
    url = f"{hs.appservice_url}{V1}/transactions/1"
    body = zlib.compress(json.dumps({"events": [_message(1, "hello")]}).encode())
    async with aiohttp.ClientSession() as session, session.put(url, data=body, headers=headers) as response:
        assert response.status == 200
    await bridge.handled.wait("m.room.message")


async def test_a_body_that_is_not_what_it_says_is_no_json(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    headers = {"Authorization": "Bearer hs-secret", "Content-Encoding": "deflate"}
    url = f"{hs.appservice_url}{V1}/transactions/1"
    async with aiohttp.ClientSession() as session, session.put(url, data=b"{}" * 99, headers=headers) as response:
        assert response.status == 400


# --- lookups ----------------------------------------------------------------------------------------------------------


async def test_a_number_that_is_looked_up_has_a_registered_ghost_with_a_name(
    hs: ScriptedHomeserver, bridge: Bridge
) -> None:
    assert await hs.lookup("+1 (415) 555-2671") == [
        {"userid": "@_sip_+14155552671:example.org", "protocol": "m.protocol.pstn", "fields": {}}
    ]
    assert hs.users["@_sip_+14155552671:example.org"] == "+1 415-555-2671"


async def test_a_second_lookup_asks_the_homeserver_nothing(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    await hs.lookup("+15550100")
    before = len(hs.requests)
    found = await hs.lookup("+15550100", "im.vector.protocol.pstn")
    assert found[0]["protocol"] == "im.vector.protocol.pstn"
    assert len(hs.requests) == before


async def test_a_ghost_that_cannot_be_registered_is_not_found(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    hs.faults.append(Fault(path="/register", status=403))
    assert await hs.lookup("+15550100") == []
    assert await hs.lookup("+15550100") == FOUND


async def test_a_ghost_that_another_database_registered_is_fine(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    hs.add_user("_sip_+15550100")
    assert await hs.lookup("+15550100") == FOUND


def _message(number: int, body: str) -> dict[str, Any]:
    return {
        "event_id": f"$large{number}",
        "room_id": "!r:example.org",
        "sender": "@alice:example.org",
        "type": "m.room.message",
        "content": {"body": body},
        "origin_server_ts": 1,
    }


BOB = UserId("@bob:example.org")


@pytest.mark.parametrize(
    ("name", "field", "asked", "answered"),
    [
        ("sip_virtual", "native_mxid", "@bob:example.org", "@_sip_201:example.org"),
        ("sip_native", "virtual_mxid", "@_sip_201:example.org", "@bob:example.org"),
        ("sip_virtual", "native_mxid", "@carol:example.org", None),
        ("sip_native", "virtual_mxid", "@_sip_202:example.org", None),
        ("sip_native", "virtual_mxid", "@bob:example.org", None),
        ("sip_native", "native_mxid", "@bob:example.org", None),
    ],
)
async def test_people_and_their_extensions_are_found_where_calls_between_people_go_through_the_pbx(
    hs: ScriptedHomeserver, tmp_path: Path, name: str, field: str, asked: str, answered: str | None
) -> None:
    plan = NumberPlan(inbound={"201": Reach.of_user(BOB), "+15550100": Reach.of_user(BOB)})
    protocol = f"im.vector.protocol.{name}"
    async with running_bridge(hs, tmp_path / "db", directory=plan):
        status, described = await hs.ask("GET", f"{V1}/thirdparty/protocol/{protocol}")
        assert (status, described["instances"]) == (200, [])
        path = f"{V1}/thirdparty/user/{protocol}?{field}={quote(asked, safe='')}"
        status, found = await hs.ask("GET", path)
    assert status == 200
    assert [user["userid"] for user in found] == ([answered] if answered else [])
    assert all(user["fields"]["lookup_success"] and user["fields"]["is_virtual"] for user in found)
    assert answered is None or answered in hs.users or answered == BOB
