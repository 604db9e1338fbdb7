"""Waiting for the steps of a call: always bounded, and told why when the step will not come."""

import asyncio

import pytest

from deploy.demo.errors import DemoError
from deploy.demo.milestones import Milestone, Milestones

SOON_S = 0.01
LONG_S = 10.0


async def test_a_step_that_is_reached_ends_the_wait() -> None:
    milestones = Milestones()
    waiting = asyncio.create_task(milestones.wait(Milestone.ANSWERED, within_s=LONG_S))

    milestones.reach(Milestone.ANSWERED)

    await waiting


async def test_the_end_wakes_those_who_wait_for_something_else_and_says_why() -> None:
    milestones = Milestones()
    waiting = asyncio.create_task(milestones.wait(Milestone.ANSWERED, within_s=LONG_S))

    milestones.end("SIP 486 Busy Here")

    with pytest.raises(DemoError, match="before it was answered: SIP 486 Busy Here"):
        await waiting


async def test_the_end_is_what_others_wait_for() -> None:
    milestones = Milestones()

    milestones.end("BYE from the other side")

    await milestones.wait(Milestone.ENDED, within_s=LONG_S)
    assert milestones.why_ended == "BYE from the other side"


async def test_a_step_that_does_not_come_is_waited_for_no_longer_than_asked() -> None:
    with pytest.raises(DemoError, match="was not ringing within"):
        await Milestones().wait(Milestone.RINGING, within_s=SOON_S)


async def test_only_the_first_end_counts_and_no_step_follows_it() -> None:
    milestones = Milestones()

    milestones.end("first")
    milestones.end("second")
    milestones.reach(Milestone.CONNECTED)

    assert milestones.why_ended == "first"
    assert not milestones.reached(Milestone.CONNECTED)
