"""Hundreds of calls: none is lost, and afterwards nothing of them is left in the bridge."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio

from tests.e2e import scripted
from tests.e2e.exchange import PHONE, Exchange, number_of, open_exchange
from tests.e2e.scripted_users import ScriptedUser
from tests.e2e.waiting import until
from tests.e2e.webrtc import WebRtcPeer, loopback_candidates, mute_answer, mute_offer
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK
from tests.peers.sipp import SippUac, SippUas

CALLS = 200
AT_ONCE = 40
HOLD_MS = 2000
REAL_ONE_IN = 25
"""Every 25th call has a real WebRTC end; the others only look like it: DTLS costs the test more than the bridge."""
INCOMING_CALLS = 100
_LIMIT_S = 90.0
_LOOKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a bridge holds on to between calls."""

    calls: float
    tasks: float
    files: int

    @classmethod
    async def of(cls, exchange: Exchange) -> "Footprint":
        """Look at the metrics and at the open files.

        Without the connections to and from the homeserver, which come and go; each of those to us has a task.
        """
        bridge = exchange.bridge
        return cls(
            calls=await bridge.metric("calls_active"),
            tasks=await bridge.metric("tasks") - bridge.connections(bridge.appservice_port),
            files=bridge.open_files(besides=(bridge.appservice_port, exchange.homeserver.port, bridge.ops_port)),
        )


@pytest_asyncio.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    async with open_exchange(tmp_path) as exchange:
        yield exchange


async def call_the_phone(exchange: Exchange, number: int) -> None:
    """One call from its invite to its end; odd ones are ended by the caller, even ones by the phone."""
    user = await exchange.user(f"caller{number}")
    call_id = f"call{number:04}"
    if number % REAL_ONE_IN == 0:
        await _call_for_real(user, call_id)
    else:
        await user.invite(call_id, mute_offer(number, port=exchange.mute_port))
        await user.answered(call_id)
    if number % 2:
        await user.hang_up(call_id)
    else:
        assert await user.hung_up(call_id) == "user_hangup"


async def _call_for_real(user: ScriptedUser, call_id: str) -> None:
    peer = WebRtcPeer()
    try:
        await user.invite(call_id, await peer.offer())
        await peer.connect(await user.answered(call_id))
    finally:
        await peer.close()


async def call_all(exchange: Exchange, numbers: range) -> None:
    """Place calls, `AT_ONCE` at a time: with a hold time of two seconds that is twenty or more in a second."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with places:
            await call_the_phone(exchange, number)

    async with asyncio.timeout(_LIMIT_S), asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(one(number))


async def at_rest(exchange: Exchange) -> Footprint:
    """The footprint after the first call, which opens what later ones share: once nothing has changed for a while."""
    await exchange.bridge.wait_metric("calls_active", 0)
    assert await exchange.bridge.metric("internal_errors_total") == 0
    assert await exchange.bridge.metric("call_illegal_events_total") == 0
    seen = [await Footprint.of(exchange)]

    async def is_steady() -> bool:
        seen.append(await Footprint.of(exchange))
        return len(seen) > _LOOKS and len(set(seen[-_LOOKS:])) == 1

    await until(is_steady, lambda: f"never at rest: {seen[-1]}", limit_s=PATIENCE_S)
    return seen[-1]


async def nothing_is_left(exchange: Exchange, before: Footprint) -> None:
    """What the bridge holds is again what it held before, within a few seconds."""
    await exchange.bridge.wait_metric("calls_active", 0)
    after = before

    async def is_small_again() -> bool:
        nonlocal after
        after = await Footprint.of(exchange)
        return after.tasks <= before.tasks and after.files <= before.files

    await until(is_small_again, lambda: f"before {before}, now {after}", limit_s=PATIENCE_S)


async def test_two_hundred_calls_to_a_phone_are_all_answered_and_leave_nothing(exchange: Exchange) -> None:
    callee = scripted.answering(exchange.directory, hold_ms=HOLD_MS)
    with loopback_candidates():
        async with SippUas(exchange.directory, scenario=callee, port=exchange.phone_port, calls=CALLS + 1) as phone:
            await call_the_phone(exchange, 0)
            before = await at_rest(exchange)
            await call_all(exchange, range(1, CALLS + 1))
            assert await phone.wait_exit(limit_s=_LIMIT_S) == 0
    reasons = [record["reason"] for record in exchange.bridge.records()]
    assert len(reasons) == CALLS + 1
    assert set(reasons) <= {"completed", "no_media"}
    await nothing_is_left(exchange, before)


async def answer_the_phone(exchange: Exchange, number: int) -> None:
    """Join the room that the bridge makes, answer the call in it, wait until the phone hangs up."""
    user, call_id = await exchange.callee(number, limit_s=_LIMIT_S)
    await user.answer(call_id, mute_answer(number, port=exchange.mute_port))
    assert await user.hung_up(call_id) == "user_hangup"


async def ring_everybody(exchange: Exchange, numbers: range) -> None:
    """sipp calls the numbers of these people one after the other, and everybody answers."""
    file = exchange.directory / f"numbers-{numbers.start}.csv"
    file.write_text("SEQUENTIAL\n" + "".join(f"{number_of(n)}\n" for n in numbers))
    caller = SippUac(
        exchange.directory,
        f"{LOOPBACK}:{exchange.bridge.sip_port}",
        scenario=scripted.calling(exchange.directory, PHONE),
        port=exchange.phone_port,
        calls=len(numbers),
        rate=20,
        hold_ms=HOLD_MS,
        options=("-inf", str(file)),
    )
    async with asyncio.timeout(_LIMIT_S), asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(answer_the_phone(exchange, number))
        assert await caller.run(limit_s=_LIMIT_S) == 0


async def test_a_hundred_calls_from_a_phone_are_all_answered_and_leave_nothing(exchange: Exchange) -> None:
    await ring_everybody(exchange, range(1))
    before = await at_rest(exchange)
    await ring_everybody(exchange, range(1, INCOMING_CALLS + 1))
    assert [record["reason"] for record in exchange.bridge.records()] == ["no_media"] * (INCOMING_CALLS + 1)
    await nothing_is_left(exchange, before)
