"""Several devices of one person, of different kinds: one has the call, the others fall silent."""

import itertools

import pytest

from bridge.sip.events import CallAnswered, CallEnded, CallFailed
from tests.clients.client import CallState, Client
from tests.clients.house import House
from tests.clients.kinds import ALL, ElementAndroid, ElementIos, JsSdk
from tests.clients.test_ringing import ring
from tests.sip.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

pairs = pytest.mark.parametrize(("kind", "other"), list(itertools.permutations((JsSdk, *ALL[2:]), 2)))


@pairs
async def test_the_device_that_answers_first_has_the_call_and_the_other_falls_silent(
    house: House, phone: Phone, kind: type[Client], other: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as quick, house.client(other, person) as slow:
        ringing, _ = await ring(quick, person, phone)
        elsewhere = await slow.rings()
        await quick.accept(ringing)
        await slow.until_state(elsewhere, CallState.ENDED)
        assert elsewhere.end == "elsewhere"
        await phone.wait(CallAnswered)
        await quick.hang_up(ringing)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates", "select_answer")


@pairs
async def test_two_devices_that_answer_at_once_are_told_which_has_the_call(
    house: House, phone: Phone, kind: type[Client], other: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as first, house.client(other, person) as second:
        ringing, _ = await ring(first, person, phone)
        also = await second.rings()
        also.state = CallState.CONNECTING  # its user pressed the button before the other's answer arrived
        await first.accept(ringing)
        also.state = CallState.RINGING
        await second.accept(also)
        await second.until_state(also, CallState.ENDED)
        assert also.end == "elsewhere"
        assert ringing.selected
        await phone.wait(CallAnswered)
        await first.hang_up(ringing)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates", "select_answer")


@pairs
async def test_one_device_that_declines_silences_all(
    house: House, phone: Phone, kind: type[Client], other: type[Client]
) -> None:
    person = await house.person()
    async with house.client(kind, person) as declining, house.client(other, person) as ringing_on:
        ringing, _ = await ring(declining, person, phone)
        elsewhere = await ringing_on.rings()
        await declining.decline(ringing)
        await ringing_on.until_state(elsewhere, CallState.ENDED)
        assert elsewhere.end == "elsewhere"
        assert (await phone.wait(CallFailed)).status == 603


async def test_a_hangup_of_the_device_that_was_too_late_does_not_end_the_call(house: House, phone: Phone) -> None:
    person = await house.person()
    async with house.client(ElementAndroid, person) as first, house.client(ElementIos, person) as second:
        ringing, _ = await ring(first, person, phone)
        late = await second.rings()
        await first.accept(ringing)
        await second.send(late, "m.call.hangup", {"reason": "user_hangup"})
        await second.send(late, "m.call.reject", {})
        await phone.wait(CallAnswered)
        await first.until(lambda: ringing.selected)
        await house.homeserver.wait_idle()
        assert phone.of(CallEnded) == []
        await first.hang_up(ringing)
        await phone.wait(CallEnded)
    await house.told(person, "invite", "candidates", "select_answer")
