"""One user, two devices: both ring, one answers, the other falls silent."""

import asyncio

import pytest

from tests.e2e.chromium import Device
from tests.e2e.devices import one_of_two_answers
from tests.e2e.lab import Lab
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_device_that_answers_has_the_call_and_the_other_stops_ringing(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as silent, lab.device(person, browser="second") as answering:
        await lab.call_from(phone, person)
        await one_of_two_answers(phone, silent=silent, answering=answering)


async def test_a_device_that_declines_silences_all(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as first, lab.device(person, browser="second") as second:
        await lab.call_from(phone, person)
        await asyncio.gather(first.wait_ringing(), second.wait_ringing())
        await first.reject()
        await second.wait_ended()
        assert (await phone.wait_closed()).startswith("603")


async def test_both_devices_answer_and_exactly_one_has_the_call(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as first, lab.device(person, browser="second") as second:
        await lab.call_from(phone, person)
        await asyncio.gather(first.wait_ringing(), second.wait_ringing())
        await asyncio.gather(first.answer(), second.answer())
        await phone.wait_answered()
        await until(lambda: one_ended(first, second), lambda: "no device has ended", limit_s=PATIENCE_S)
        talking = second if (await first.calls())[-1]["state"] == "ended" else first
        await talking.wait_connected()
        assert (await talking.listen()).is_like(PHONE_TONE)


async def one_ended(*devices: Device) -> bool:
    """Whether at least one of them has no call any more."""
    return any([(await device.calls())[-1]["state"] == "ended" for device in devices])
