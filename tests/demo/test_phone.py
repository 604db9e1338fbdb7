"""The demo phone against a second one, without Trunkline between them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from deploy.demo.audio import Tone, listen_for
from deploy.demo.errors import DemoError
from deploy.demo.milestones import Milestone
from deploy.demo.phone import Phone
from tests.patience import PATIENCE_S
from tests.peers.process import free_port

HIGH = Tone(pitch_hz=600.0, level_dbfs=-23.0)
LOW = Tone(pitch_hz=440.0, level_dbfs=-20.0)


@pytest.fixture
async def phones() -> AsyncIterator[tuple[Phone, Phone]]:
    """Two phones that are each other's trunk."""
    here, there = free_port(), free_port()
    first = Phone(number="+15550101", port=here, trunkline_port=there, tone=LOW)
    second = Phone(number="+15550102", port=there, trunkline_port=here, tone=HIGH, ring_s=0.05)
    async with first, second:
        yield first, second


async def test_two_phones_hear_each_other_until_the_caller_hangs_up(phones: tuple[Phone, Phone]) -> None:
    caller, callee = phones
    out = await caller.dial(callee.number)
    back = await asyncio.wait_for(callee.incoming.get(), PATIENCE_S)
    await out.milestones.wait(Milestone.ANSWERED, within_s=PATIENCE_S)

    assert back.other == caller.number
    assert HIGH.matches(await listen_for(HIGH, out.audio.ear, within_s=PATIENCE_S))
    assert LOW.matches(await listen_for(LOW, back.audio.ear, within_s=PATIENCE_S))

    caller.hang_up(out)
    await back.milestones.wait(Milestone.ENDED, within_s=PATIENCE_S)
    assert back.milestones.why_ended == "BYE from the other side"


async def test_a_caller_who_gives_up_while_it_rings_is_not_answered(phones: tuple[Phone, Phone]) -> None:
    callee, caller = phones
    out = await caller.dial(callee.number)
    back = await asyncio.wait_for(callee.incoming.get(), PATIENCE_S)

    caller.hang_up(out)

    with pytest.raises(DemoError, match="before it was answered: the caller gave up"):
        await back.milestones.wait(Milestone.ANSWERED, within_s=PATIENCE_S)


async def test_a_phone_that_is_switched_off_hangs_up() -> None:
    here, there = free_port(), free_port()
    async with Phone(number="+15550101", port=here, trunkline_port=there, tone=LOW) as caller:
        async with Phone(number="+15550102", port=there, trunkline_port=here, tone=HIGH, ring_s=0.05) as callee:
            out = await caller.dial(callee.number)
            await out.milestones.wait(Milestone.ANSWERED, within_s=PATIENCE_S)

        await out.milestones.wait(Milestone.ENDED, within_s=PATIENCE_S)
