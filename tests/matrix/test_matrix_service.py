"""What a user, a homeserver and the application notice of the Matrix side."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.core.ids import RoomId, UserId
from bridge.matrix import appservice, pinger, service
from bridge.matrix.room_queues import RoomQueues
from tests.homeserver import ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, running_bridge
from tests.patience import PATIENCE_S

GHOST = UserId("@_sip_+15550100:example.org")
INVITE = {"call_id": "c1", "version": "1", "party_id": "P", "lifetime": 60000, "offer": {"type": "offer", "sdp": "v=0"}}


async def send(bridge: Bridge, room: RoomId, number: int) -> None:
    txn_id = f"call.matrix.test.{number}"
    await bridge.service.send(room_id=room, sender=GHOST, event_type="m.test", content={"n": number}, txn_id=txn_id)


def pings(hs: ScriptedHomeserver) -> int:
    return len([path for _, path, _ in hs.requests if path.endswith("/ping")])


async def test_a_ghost_that_is_invited_joins_and_the_call_is_handed_over(
    hs: ScriptedHomeserver, bridge: Bridge
) -> None:
    alice = hs.add_user("alice")
    room = await hs.create_dm(alice, GHOST)
    await hs.send_as(alice, room, "m.call.invite", INVITE)
    (event,) = await bridge.handled.wait("m.call.invite")
    assert (event.sender, event.room_id, event.content["call_id"]) == (alice, room, "c1")
    assert await bridge.service.joined_members(room) == {alice, GHOST}
    assert hs.users[GHOST] == "+1 5550100"


async def test_after_a_bug_nothing_is_acknowledged_and_nothing_is_lost(
    hs: ScriptedHomeserver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = hs.add_user("alice")
    async with running_bridge(hs, tmp_path / "db") as bridge:
        room = await hs.create_dm(alice, GHOST)
        await hs.wait_idle()
        waiting = asyncio.ensure_future(bridge.service.wait_failed())
        with monkeypatch.context() as bug:
            bug.setattr(RoomQueues, "_drain", lambda *_: 1 // 0)
            other = await hs.create_dm(alice, GHOST, wait=False)
            async with asyncio.timeout(PATIENCE_S):
                await waiting
        assert not bridge.service.healthy
        assert await hs.push_raw("later", {"events": []}) == 503
        await hs.send_as(alice, room, "m.test", {"n": 1})
        await send(bridge, room, 2)
        assert bridge.telemetry.counts["internal_errors_total", "component=matrix"] == 1
    async with running_bridge(hs, tmp_path / "db") as bridge:
        await hs.wait_member(other, GHOST, "join")
        await bridge.handled.wait("m.test")
        await hs.wait_event(room, "m.test", lambda event: event["content"]["n"] == 2)


async def test_a_bridge_that_works_has_not_failed(hs: ScriptedHomeserver, tmp_path: Path) -> None:
    async with running_bridge(hs, tmp_path / "db") as bridge:
        waiting = asyncio.ensure_future(bridge.service.wait_failed())
    assert not waiting.done()
    waiting.cancel()


async def test_stopping_does_not_wait_for_a_homeserver_that_does_not_answer(
    hs: ScriptedHomeserver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_STOP_LIMIT_S", 0.2)
    monkeypatch.setattr(appservice, "_LIMITS", replace(appservice._LIMITS, shutdown_s=0.02))
    alice, stuck, silence = hs.add_user("alice"), asyncio.Semaphore(0), asyncio.Event()

    async def hang(*_: object) -> None:
        stuck.release()
        await silence.wait()

    async with running_bridge(hs, tmp_path / "db") as bridge:
        room = await hs.create_dm(alice, GHOST)
        await hs.wait_idle()
        bridge.handled.during = hang
        with monkeypatch.context() as mute:
            mute.setattr(hs, "_answer", hang)
            await hs.send_as(alice, room, "m.test", {"n": 1})
            await send(bridge, room, 2)
            lookup = asyncio.ensure_future(hs.lookup("+15550199"))
            async with asyncio.timeout(PATIENCE_S):
                for _ in ("event", "send", "lookup"):
                    await stuck.acquire()
            async with asyncio.timeout(2):
                await bridge.service.stop()
        silence.set()
        await asyncio.gather(lookup, return_exceptions=True)
    async with running_bridge(hs, tmp_path / "db"):
        await hs.wait_event(room, "m.test", lambda event: event["content"]["n"] == 2)


async def test_a_homeserver_that_has_just_begun_to_answer_is_pinged_again_soon(
    hs: ScriptedHomeserver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinger, "_SECOND_S", 0.01)
    async with running_bridge(hs, tmp_path / "db"):
        await hs.wait_until(lambda: pings(hs) >= 2)
