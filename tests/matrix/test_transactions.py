"""At least once in, exactly once done, in the order of each room."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.ids import RoomId, UserId
from bridge.matrix.envelope import NotJsonError, load_json, take_apart
from bridge.matrix.events import RoomEvent
from bridge.matrix.rooms import Rooms
from bridge.store import StoreError
from bridge.store.inbox import Inbox
from tests.homeserver import ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, Handled, running_bridge
from tests.patience import PATIENCE_S

ALICE = "@alice:example.org"


def message(number: int, room: str = "!room:example.org", **changes: Any) -> dict[str, Any]:
    return {
        "event_id": f"$message{number}",
        "room_id": room,
        "sender": ALICE,
        "type": "m.test",
        "content": {"n": number},
        "origin_server_ts": 1_000,
        "unsigned": {"age": 5},
        **changes,
    }


def numbers(events: list[RoomEvent]) -> list[int]:
    return [event.content["n"] for event in events]


async def test_a_replayed_transaction_is_worked_on_once(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    body = {"events": [message(1), message(2)]}
    assert [await hs.push_raw("1", body) for _ in range(100)] == [200] * 100
    await hs.push_raw("2", {"events": [message(3)]})
    assert numbers(await bridge.handled.wait("m.test", 3)) == [1, 2, 3]
    assert bridge.telemetry.counts["matrix_txn_total", "outcome=replay"] == 99


async def test_ten_replays_at_once_are_worked_on_once(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    body = {"events": [message(1)]}
    assert await asyncio.gather(*(hs.push_raw("1", body) for _ in range(10))) == [200] * 10
    await hs.push_raw("2", {"events": [message(2)]})
    assert numbers(await bridge.handled.wait("m.test", 2)) == [1, 2]


async def test_a_replay_with_another_age_is_a_replay(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    await hs.push_raw("1", {"events": [message(1)]})
    await hs.push_raw("1", {"events": [message(1, unsigned={"age": 5000})]})
    assert bridge.telemetry.counts["matrix_txn_total", "outcome=replay"] == 1


async def test_a_replay_after_a_restart_is_worked_on_once(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    handled = Handled()
    for body in ({"events": [message(1)]}, {"events": [message(1), message(2)]}):
        async with running_bridge(hs, tmp_path / "db", handled=handled):
            await hs.push_raw("1", {"events": [message(1)]})
            await hs.push_raw("2", body)
            await handled.wait("m.test", len(body["events"]))
    assert numbers(handled.of_type("m.test")) == [1, 2]


async def test_a_reused_transaction_id_hides_nothing(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    await hs.push_raw("1", {"events": [message(1)]})
    await hs.push_raw("1", {"events": [message(2)]})
    assert numbers(await bridge.handled.wait("m.test", 2)) == [1, 2]


async def test_what_was_acknowledged_but_not_worked_on_is_delivered_after_a_restart(
    hs: ScriptedHomeserver, tmp_path: Path
) -> None:
    entered, first = asyncio.Event(), Handled()

    async def hang(_: RoomEvent) -> None:
        entered.set()
        await asyncio.Event().wait()

    first.during = hang
    async with running_bridge(hs, tmp_path / "db", handled=first) as bridge:
        await hs.push_raw("1", {"events": [message(n) for n in range(1, 4)]})
        async with asyncio.timeout(PATIENCE_S):
            await entered.wait()
        # As in a crash: nothing is finished, nothing is waited for.
        bridge.service._running.cancel()  # type: ignore[union-attr]
        await asyncio.gather(bridge.service._running, return_exceptions=True)  # type: ignore[arg-type]
    second = Handled()
    async with running_bridge(hs, tmp_path / "db", handled=second):
        assert numbers(await second.wait("m.test", 2)) == [2, 3]
    assert first.events == []


async def test_a_recovered_event_has_aged(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    await hs.push_raw("1", {"events": [message(1, unsigned={"age": 7000}), message(2, unsigned=None)]})
    aged, skewed = await bridge.handled.wait("m.test", 2)
    assert 7000 <= aged.age_ms < 60_000
    assert skewed.age_ms > 10**9


async def test_one_poisoned_event_does_not_cost_the_other_ninety_nine(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    events: list[Any] = [message(n) for n in range(100)]
    events[50] = message(50, room_id=None)
    assert await hs.push_raw("1", {"events": events}) == 200
    assert numbers(await bridge.handled.wait("m.test", 99)) == [n for n in range(100) if n != 50]
    assert bridge.telemetry.counts["matrix_dead_letters_total", "reason=broken"] == 1
    await hs.push_raw("1", {"events": events})
    assert bridge.telemetry.counts["matrix_dead_letters_total", "reason=broken"] == 1


@pytest.mark.parametrize(
    "broken",
    [
        None,
        5,
        [],
        {},
        message(0, event_id=None),
        message(0, event_id=""),
        message(0, event_id="$" + "e" * 300),
        message(0, event_id="\ud800"),
        message(0, room_id=7),
        message(0, sender=None),
        message(0, type=""),
        message(0, content=None),
        message(0, content=[]),
        message(0, state_key=5),
        message(0, content={"body": "x" * 600_000}),
    ],
)
async def test_each_kind_of_broken_event_is_left_out(hs: ScriptedHomeserver, bridge: Bridge, broken: object) -> None:
    assert await hs.push_raw("1", {"events": [message(1), broken, message(2)]}) == 200
    assert numbers(await bridge.handled.wait("m.test", 2)) == [1, 2]


async def test_an_event_whose_work_fails_does_not_stop_its_room(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    async def fail(event: RoomEvent) -> None:
        if event.content["n"] == 1:
            raise RuntimeError("a bug")

    bridge.handled.during = fail
    await hs.push_raw("1", {"events": [message(1), message(2)]})
    assert numbers(await bridge.handled.wait("m.test")) == [2]
    assert bridge.telemetry.counts["internal_errors_total", "component=matrix_handler"] == 1
    assert bridge.telemetry.counts["matrix_dead_letters_total", "reason=failed"] == 1


async def test_a_fault_of_our_own_does_not_keep_the_event_from_the_calls(
    hs: ScriptedHomeserver, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rooms, "observe", lambda *_: 1 // 0)
    await hs.push_raw("1", {"events": [message(1), message(2)]})
    assert numbers(await bridge.handled.wait("m.test", 2)) == [1, 2]
    assert bridge.telemetry.counts["internal_errors_total", "component=matrix_membership"] == 2


async def test_a_transaction_that_cannot_be_stored_is_not_acknowledged(
    hs: ScriptedHomeserver, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Inbox, "accept", full)
        assert await hs.push_raw("1", {"events": [message(1)]}) == 503
    assert await hs.push_raw("1", {"events": [message(1)]}) == 200
    assert numbers(await bridge.handled.wait("m.test")) == [1]


async def test_a_transaction_is_acknowledged_while_its_events_are_worked_on(
    hs: ScriptedHomeserver, bridge: Bridge
) -> None:
    release = asyncio.Event()

    async def wait(_: RoomEvent) -> None:
        await release.wait()

    bridge.handled.during = wait
    assert await hs.push_raw("1", {"events": [message(1)]}) == 200
    assert await hs.push_raw("2", {"events": [message(2)]}) == 200
    assert bridge.handled.events == []
    release.set()
    assert numbers(await bridge.handled.wait("m.test", 2)) == [1, 2]


async def test_rooms_do_not_wait_for_each_other(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    together = asyncio.Barrier(3)

    async def meet(event: RoomEvent) -> None:
        if event.content["n"] < 3:
            async with asyncio.timeout(PATIENCE_S):
                await together.wait()

    bridge.handled.during = meet
    events = [message(n, room=f"!room{n}:example.org") for n in range(3)] + [message(3, room="!room0:example.org")]
    await hs.push_raw("1", {"events": events})
    handled = await bridge.handled.wait("m.test", 4)
    assert numbers([event for event in handled if event.room_id == "!room0:example.org"]) == [0, 3]


async def test_a_room_with_more_events_than_memory_is_allowed_keeps_its_order(
    hs: ScriptedHomeserver, bridge: Bridge
) -> None:
    release = asyncio.Event()

    async def wait(_: RoomEvent) -> None:
        await release.wait()

    bridge.handled.during = wait
    for start in range(0, 400, 50):
        await hs.push_raw(f"txn{start}", {"events": [message(n) for n in range(start, start + 50)]})
    release.set()
    assert numbers(await bridge.handled.wait("m.test", 400)) == list(range(400))


async def test_our_own_messages_are_not_handed_over(hs: ScriptedHomeserver, bridge: Bridge) -> None:
    for sender in ("@_sip_+15550100:example.org", "@_sip_bot:example.org"):
        await hs.push_raw(sender, {"events": [message(1, event_id=f"${sender[:7]}", sender=sender)]})
    await hs.push_raw("1", {"events": [message(2)]})
    assert numbers(await bridge.handled.wait("m.test")) == [2]


async def test_a_homeserver_that_was_held_up_delivers_in_order(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    alice, ghost = hs.add_user("alice"), UserId("@_sip_+15550100:example.org")
    async with running_bridge(hs, tmp_path / "db"):
        room = await hs.create_dm(alice, ghost)
        await hs.wait_idle()
    for n in range(250):
        await hs.send_as(alice, room, "m.test", {"n": n})
    async with running_bridge(hs, tmp_path / "db") as bridge:
        assert numbers(await bridge.handled.wait("m.test", 250)) == list(range(250))
        assert await bridge.service.joined_members(RoomId(room)) == {alice, ghost}


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
ENVELOPE = st.fixed_dictionaries(
    {},
    optional={
        key: ANY_JSON | st.text(min_size=1, max_size=9)
        for key in ("event_id", "room_id", "sender", "type", "state_key", "origin_server_ts")
    }
    | {"content": ANY_JSON | st.dictionaries(st.text(max_size=5), ANY_JSON)}
    | {
        "unsigned": ANY_JSON
        | st.fixed_dictionaries({"age": ANY_JSON, "invite_room_state": st.lists(ANY_JSON, max_size=3)})
    },
)


@given(document=ANY_JSON | st.fixed_dictionaries({"events": st.lists(ENVELOPE | ANY_JSON, max_size=5)}))
def test_no_transaction_is_an_error(document: Any) -> None:
    delivery = take_apart(document, now_ms=1e12)
    for event in delivery.good:
        assert event.age_ms >= 0
        event.new.event_id.encode()
        event.new.body.encode()


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_body_raises_anything_but_not_json(body: bytes) -> None:
    try:
        load_json(body)
    except NotJsonError:
        return
