"""A phone calls a group of two people, each with a device of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.chromium import Device, Person
from tests.e2e.devices import one_of_two_answers
from tests.e2e.exchange import SERVER_NAME, open_exchange
from tests.e2e.lab import BROWSER_TONES, Lab
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.phone import Phone
from tests.e2e.running_bridge import Section
from tests.patience import PATIENCE_S
from tests.peers.process import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOGETHER, IN_TURN, IN_VAIN = "+15558000001", "+15558000002", "+15558000003"
EACH_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Two people behind three numbers."""

    first: Person
    second: Person


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(shared_lab: Lab) -> AsyncIterator[House]:
    """The lab's bridge with groups."""
    first, second = await shared_lab.person(), await shared_lab.person()
    members = [first.user_id, second.user_id]
    groups = {
        "together": {"members": members},
        "in-turn": {"members": members, "ring": "in_turn"},
        "in-vain": {"members": [first.user_id], "each_s": EACH_S, "otherwise": second.user_id},
    }
    inbound = {TOGETHER: "group:together", IN_TURN: "group:in-turn", IN_VAIN: "group:in-vain"}
    async with shared_lab.configured(groups=groups, numbers={"inbound": inbound}):
        yield House(first=first, second=second)


@asynccontextmanager
async def called(lab: Lab, house: House, number: str) -> AsyncIterator[tuple[Phone, Device, Device]]:
    """The phone that has dialled a number, and a device of each of the two."""
    async with (
        lab.phone() as phone,
        lab.device(house.first) as first,
        lab.device(house.second, browser="second") as second,
    ):
        await phone.call(number, through=lab.bridge.sip_port)
        yield phone, first, second


async def test_the_second_member_answers_and_the_first_one_s_device_falls_silent(lab: Lab, house: House) -> None:
    async with called(lab, house, TOGETHER) as (phone, first, second):
        await one_of_two_answers(phone, silent=first, answering=second)
    await lab.bridge.wait_metric("member_rings_total", 1, reason="answered_elsewhere")
    record = lab.bridge.records()[-1]
    assert (record["group"], record["reason"]) == ("together", "completed")


async def test_in_turn_the_second_member_is_rung_when_the_first_declines(lab: Lab, house: House) -> None:
    async with called(lab, house, IN_TURN) as (phone, first, second):
        await first.wait_ringing()
        assert await second.calls() == []
        await first.reject()
        await second.wait_ringing()
        await second.answer()
        await asyncio.gather(second.wait_connected(), phone.wait_answered())
        assert (await second.listen()).is_like(PHONE_TONE)
        await phone.hangup()
        await second.wait_ended()


async def test_when_both_decline_the_phone_hears_so(lab: Lab, house: House) -> None:
    async with called(lab, house, TOGETHER) as (phone, first, second):
        await asyncio.gather(first.wait_ringing(), second.wait_ringing())
        await first.reject()
        await second.reject()
        assert (await phone.wait_closed()).startswith("603")


async def test_when_nobody_answers_somebody_else_is_rung(lab: Lab, house: House) -> None:
    async with called(lab, house, IN_VAIN) as (phone, missing, helping):
        await missing.wait_ringing()
        assert (await missing.wait_ended())["hangupReason"] == "invite_timeout"
        await helping.wait_ringing()
        await helping.answer()
        await asyncio.gather(helping.wait_connected(), phone.wait_answered())
        assert (await phone.listen()).is_like(BROWSER_TONES["second"])
        await helping.hang_up()
        await phone.wait_closed()


async def test_after_a_crash_no_member_s_device_rings_on(tmp_path: Path) -> None:
    members = [f"@callee{n}:{SERVER_NAME}" for n in range(3)]
    sections: dict[str, Section] = {
        "groups": {"all": {"members": members}},
        "numbers": {"inbound": {TOGETHER: "group:all"}},
    }
    async with open_exchange(tmp_path, sections) as exchange:
        caller = Phone(tmp_path, "+15550177", port=free_port(span=2), answer="manual")
        async with caller:
            await caller.call(TOGETHER, through=exchange.bridge.sip_port)
            rung = await asyncio.gather(*(exchange.callee(n) for n in range(3)))
            await exchange.bridge.wait_metric("calls_active", 1, direction="inbound")
            await exchange.bridge.crash()
            await exchange.bridge.start()
            assert (await caller.wait_closed(limit_s=PATIENCE_S)).startswith("500")
            reasons = await asyncio.gather(*(user.hung_up(call_id) for user, call_id in rung))
            assert reasons == ["unknown_error"] * 3
            await exchange.bridge.wait_metric("calls_active", 0)
            assert [record["group"] for record in exchange.bridge.records()] == ["all"]
            assert await exchange.bridge.metric("internal_errors_total") == 0
