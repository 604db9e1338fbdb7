"""What we send arrives once and in order, whatever the homeserver does meanwhile."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
import structlog.testing

from bridge.core.ids import RoomId, UserId
from bridge.matrix.link import MatrixError
from bridge.store.outbox import NewSend
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, running_bridge
from tests.patience import PATIENCE_S
from tests.stores import open_store

GHOST = UserId("@_sip_+15550100:example.org")


async def portal_room(hs: ScriptedHomeserver, bridge: Bridge) -> RoomId:
    alice = hs.add_user("alice")
    room = await hs.create_dm(alice, GHOST)
    await bridge.handled.wait("m.room.member")
    return room


def call(room: RoomId, number: int, **changes: Any) -> dict[str, Any]:
    return {
        "room_id": room,
        "sender": GHOST,
        "event_type": "m.test",
        "content": {"n": number},
        "txn_id": f"call.matrix.test.{number}",
        **changes,
    }


def sent(hs: ScriptedHomeserver, room: RoomId) -> list[int]:
    return [event["content"]["n"] for event in hs.events(room, "m.test")]


async def test_an_event_is_sent_as_the_ghost(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    event_id = await bridge.service.send_and_wait(**call(room, 1))
    event = await hs.wait_event(room, "m.test")
    assert (event["event_id"], event["sender"], event["content"]) == (event_id, GHOST, {"n": 1})
    method, path, _ = hs.requests[-1]
    assert method == "PUT"
    assert path.endswith("/send/m.test/call.matrix.test.1?user_id=%40_sip_%2B15550100%3Aexample.org")


async def test_events_of_a_room_arrive_in_order(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    for number in range(150):
        await bridge.service.send(**call(room, number))
    await hs.wait_event(room, "m.test", lambda event: event["content"]["n"] == 149)
    assert sent(hs, room) == list(range(150))


async def test_the_same_transaction_id_sends_once(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    first = await bridge.service.send_and_wait(**call(room, 1))
    await bridge.service.send(**call(room, 1))
    assert await bridge.service.send_and_wait(**call(room, 1)) == first
    assert sent(hs, room) == [1]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(path="/send/", status=502, times=3),
        Fault(path="/send/", status=500, times=2, after=True),
        Fault(path="/send/", status=429, times=2, retry_after_ms=5),
        Fault(path="/send/", status=429, times=1),
        Fault(path="/send/", status=429, times=2, retry_after_ms=0),
        Fault(path="/send/", times=2, cut=True),
        Fault(path="/send/", times=2, cut=True, after=True),
        Fault(path="/send/", status=504, times=2, after=True),
    ],
    ids=[
        "502 burst",
        "answer lost",
        "rate limited",
        "rate limited without a time",
        "rate limited for no time",
        "connection cut",
        "connection cut after the deed",
        "proxy timed out after the deed",
    ],
)
async def test_a_homeserver_in_trouble_gets_everything_once_and_in_order(
    hs: ScriptedHomeserver, bridge: Bridge, fault: Fault
) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(fault)
    for number in range(3):
        await bridge.service.send(**call(room, number))
    await bridge.service.send_and_wait(**call(room, 3))
    assert sent(hs, room) == [0, 1, 2, 3]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"Retry-After": "1"}},
        {"headers": {"Date": "Sat, 28 Nov 2026 12:00:00 GMT", "Retry-After": "Sat, 28 Nov 2026 12:00:01 GMT"}},
        {"retry_after_ms": 1000},
    ],
    ids=["seconds", "date", "milliseconds"],
)
async def test_a_homeserver_that_wants_to_be_left_alone_is(
    hs: ScriptedHomeserver, bridge: Bridge, status: int, fields: dict[str, Any]
) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=status, **fields))
    asked_at = time.monotonic()
    await bridge.service.send_and_wait(**call(room, 1))
    assert 0.95 < time.monotonic() - asked_at < 5


async def test_a_homeserver_that_asks_for_next_to_no_time_is_not_hammered(
    hs: ScriptedHomeserver, bridge: Bridge
) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=429, times=1_000_000, retry_after_ms=1))
    with pytest.raises(MatrixError):
        await bridge.service.send_and_wait(**call(room, 1, give_up_after_s=0.5))
    assert sum("/send/" in path for _, path, _ in hs.requests) < 80


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {"headers": {"Retry-After": said}}
            for said in (
                "soon",
                "Sat, 99 Nov 2026",
                "",
                "-5",
                "\u0665",
                "9" * 400,
                f"Sat, 28 Nov 2026 12:00:00 +{'9' * 20}",
            )
        ),
        *({"retry_after_ms": wait} for wait in (-5, 10**400, float("inf"), float("nan"))),
    ],
)
async def test_a_time_that_makes_no_sense_is_no_time(
    hs: ScriptedHomeserver, bridge: Bridge, fields: dict[str, Any]
) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=429, **fields))
    async with asyncio.timeout(PATIENCE_S):
        await bridge.service.send_and_wait(**call(room, 1))


@pytest.mark.parametrize("name", ["$\ud800", "$" + "x" * 255])
async def test_an_answer_that_cannot_be_stored_holds_up_no_room(
    hs: ScriptedHomeserver, bridge: Bridge, name: str
) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=200, event_id=name, after=True))
    with pytest.raises(MatrixError):
        await bridge.service.send_and_wait(**call(room, 1))
    await bridge.service.send_and_wait(**call(room, 2))
    assert sent(hs, room) == [1, 2]


async def test_what_nobody_wants_any_more_is_not_sent(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=502, times=1_000_000))
    waiting = asyncio.create_task(bridge.service.send_and_wait(**call(room, 1)))
    await hs.wait_until(lambda: any("/send/" in path for _, path, _ in hs.requests))
    await bridge.service.send(**call(room, 2))
    await bridge.service.withdraw("call.matrix.test.1")
    with pytest.raises(MatrixError, match="M_WITHDRAWN"):
        await waiting
    hs.faults.clear()
    await bridge.service.send_and_wait(**call(room, 3))
    assert sent(hs, room) == [2, 3]
    assert bridge.telemetry.counts["matrix_send_total", "kind=other,outcome=withdrawn"] == 1


async def test_what_is_on_its_way_is_neither_waited_for_nor_overtaken(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    hs.delay_s = 0.3
    waiting = asyncio.create_task(bridge.service.send_and_wait(**call(room, 1)))
    await hs.wait_until(lambda: any("/send/" in path for _, path, _ in hs.requests))
    await bridge.service.withdraw("call.matrix.test.1")
    with pytest.raises(MatrixError, match="M_WITHDRAWN"):
        await waiting
    assert sent(hs, room) == []
    await bridge.service.send_and_wait(**call(room, 2))
    assert sent(hs, room) == [1, 2]


async def test_what_waits_is_counted_whatever_is_withdrawn(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=502, times=1_000_000))
    for number in range(105):  # more than a room's queue has in memory
        await bridge.service.send(**call(room, number))
    for number in (0, 50, 104):
        await bridge.service.withdraw(f"call.matrix.test.{number}")
    assert bridge.telemetry.gauges["matrix_outbox_depth"] == 102
    hs.faults.clear()
    await bridge.service.send_and_wait(**call(room, 105))
    await hs.wait_until(lambda: bridge.telemetry.gauges["matrix_outbox_depth"] == 0)


async def test_what_was_delivered_cannot_be_withdrawn(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    delivered = await bridge.service.send_and_wait(**call(room, 1))
    await bridge.service.withdraw("call.matrix.test.1")
    await bridge.service.withdraw("never sent")
    assert await bridge.service.send_and_wait(**call(room, 1)) == delivered


async def test_what_was_withdrawn_is_not_sent_after_a_restart(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        room = await portal_room(hs, bridge)
        hs.faults.append(Fault(path="/send/", status=502, times=1_000_000))
        for number in (1, 2):
            await bridge.service.send(**call(room, number))
        bridge.service._running.cancel()  # type: ignore[union-attr]
    store = await open_store(tmp_path / "db")
    await store.outbox.withdraw("call.matrix.test.1")
    await store.close()
    hs.faults.clear()
    async with running_bridge(hs, tmp_path / "db"):
        await hs.wait_event(room, "m.test")
    assert sent(hs, room) == [2]


async def test_a_slow_room_does_not_hold_up_another(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    other = await hs.create_dm(UserId("@alice:example.org"), GHOST)
    hs.faults.append(Fault(path=f"/rooms/%21{room[1:].split(':')[0]}", status=502, times=1_000_000))
    await bridge.service.send(**call(room, 1))
    await bridge.service.send_and_wait(**call(other, 2))
    assert (sent(hs, room), sent(hs, other)) == ([], [2])
    hs.faults.clear()
    await hs.wait_event(room, "m.test")


async def test_what_was_stored_is_sent_after_a_restart(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        room = await portal_room(hs, bridge)
        hs.faults.append(Fault(path="/send/", status=502, times=1_000_000))
        for number in range(3):
            await bridge.service.send(**call(room, number))
        # As in a crash: nothing is finished.
        bridge.service._running.cancel()  # type: ignore[union-attr]
    assert sent(hs, room) == []
    hs.faults.clear()
    async with running_bridge(hs, tmp_path / "db"):
        await hs.wait_event(room, "m.test", lambda event: event["content"]["n"] == 2)
    assert sent(hs, room) == [0, 1, 2]


async def test_what_was_sent_but_not_noted_is_not_sent_twice(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        room = await portal_room(hs, bridge)
        hs.faults.append(Fault(path="/send/", status=502, times=1_000_000, after=True))
        await bridge.service.send(**call(room, 1))
        await hs.wait_event(room, "m.test")
        bridge.service._running.cancel()  # type: ignore[union-attr]
    hs.faults.clear()
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await bridge.service.send_and_wait(**call(room, 1))
    assert sent(hs, room) == [1]


async def test_what_is_too_old_is_not_sent_after_a_restart(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        room = await portal_room(hs, bridge)
    store = await open_store(tmp_path / "db")
    for number, give_up_at in ((1, time.time() - 1), (2, time.time() + 60)):
        await store.outbox.put(
            NewSend(
                txn_id=f"call.matrix.test.{number}",
                room_id=room,
                sender=GHOST,
                event_type="m.test",
                content=json.dumps({"n": number}),
                created_at=time.time() - 60,
                give_up_at=give_up_at,
            )
        )
    await store.close()
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await hs.wait_event(room, "m.test")
        await bridge.service.send_and_wait(**call(room, 3))
        assert sent(hs, room) == [2, 3]
        assert bridge.telemetry.counts["matrix_send_total", "kind=other,outcome=expired"] == 1


async def test_an_event_that_is_refused_fails_at_once(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=400, errcode="M_BAD_JSON"))
    with pytest.raises(MatrixError):
        await bridge.service.send_and_wait(**call(room, 1, event_type="m.call.invite"))
    with pytest.raises(MatrixError):
        await bridge.service.send_and_wait(**call(room, 1, event_type="m.call.invite"))
    await bridge.service.send_and_wait(**call(room, 2))
    assert bridge.telemetry.counts["matrix_send_total", "kind=invite,outcome=refused"] == 1


async def test_a_homeserver_that_is_away_too_long_is_given_up(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=502, times=1_000_000))
    with pytest.raises(MatrixError):
        await bridge.service.send_and_wait(**call(room, 1, give_up_after_s=0.1))
    hs.faults.clear()
    await bridge.service.send_and_wait(**call(room, 2))
    assert sent(hs, room) == [2]


async def test_a_ghost_that_was_removed_comes_back_once(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=403, errcode="M_FORBIDDEN"))
    await bridge.service.send_and_wait(**call(room, 1))
    assert sent(hs, room) == [1]
    joins = [path for _, path, user in hs.requests if "/join/" in path and user == GHOST]
    assert len(joins) == 2


async def test_a_ghost_that_may_not_come_back_gives_up(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    room = await portal_room(hs, bridge)
    hs.faults.append(Fault(path="/send/", status=403, times=2, errcode="M_FORBIDDEN"))
    with pytest.raises(MatrixError):
        await bridge.service.send_and_wait(**call(room, 1))


async def test_what_waits_is_sent_before_the_bridge_stops(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        room = await portal_room(hs, bridge)
        hs.faults.append(Fault(path="/send/", status=502, times=3))
        await bridge.service.send(**call(room, 1))
        await bridge.service.send(**call(room, 2))
    assert sent(hs, room) == [1, 2]


async def test_the_bridge_starts_without_a_homeserver_and_is_healthy_once_it_is_there(
    hs: ScriptedHomeserver, tmp_path: Path
) -> None:
    port = hs.port
    await hs.stop()
    async with running_bridge(hs, tmp_path / "db", connect=False) as bridge, asyncio.timeout(PATIENCE_S):
        await bridge.telemetry.unhealthy.wait()
        assert not bridge.service.healthy
        hs.connect("http://{}:{}".format(*bridge.service.address))
        await hs.start(port)
        await bridge.telemetry.healthy.wait()
        assert bridge.service.healthy


@pytest.mark.parametrize(
    ("errcode", "remedy"), [("M_UNKNOWN_TOKEN", "configuration, and restart it"), ("M_OTHER", "trunkline doctor")]
)
async def test_why_the_homeserver_does_not_reach_us_is_logged_with_what_to_do(
    hs: ScriptedHomeserver, tmp_path: Path, errcode: str, remedy: str
) -> None:
    hs.faults.append(Fault(path="/ping", status=401, errcode=errcode))
    with structlog.testing.capture_logs() as lines:
        async with running_bridge(hs, tmp_path / "db") as bridge, asyncio.timeout(PATIENCE_S):
            await bridge.telemetry.unhealthy.wait()
            await bridge.telemetry.healthy.wait()
    (line,) = [line for line in lines if line["event"] == "homeserver_ping_failed"]
    assert remedy in line["remedy"]


async def test_a_homeserver_that_knows_no_ping_is_there_all_the_same(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    hs.faults.append(Fault(path="/ping", status=404, errcode="M_UNRECOGNIZED"))
    async with running_bridge(hs, tmp_path / "db") as bridge, asyncio.timeout(PATIENCE_S):
        await bridge.telemetry.healthy.wait()


async def test_what_a_homeserver_held_back_comes_as_soon_as_it_has_reached_us(tmp_path: Path) -> None:
    async with ScriptedHomeserver(retry_delay_s=600.0) as hs:
        alice = hs.add_user("alice")
        room = await hs.create_dm(alice, GHOST, wait=False)
        await hs.wait_until(lambda: hs.held_back)
        async with running_bridge(hs, tmp_path / "db"):
            await hs.wait_member(room, GHOST, "join")
