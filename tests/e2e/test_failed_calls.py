"""Calls that do not come about: what the Matrix user sees, and what the phone is told."""

import pytest

from tests.e2e import scripted
from tests.e2e.chromium import Device
from tests.e2e.lab import PHONE, SCRIPTED, Lab
from tests.patience import PATIENCE_S
from tests.peers.sipp import SippUas

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def call_a_number_that_refuses(lab: Lab, device: Device, status: int, phrase: str) -> str:
    """Dial; wait until the call is over on both sides; gives the room."""
    folder = lab.folder(f"refuses-{status}")
    callee = SippUas(folder, scenario=scripted.refusing(folder, status, phrase), port=lab.scripted_port, calls=1)
    async with lab.running(callee):
        room_id = await device.dial(SCRIPTED)
        await device.wait_ended()
        assert await callee.wait_exit(limit_s=PATIENCE_S) == 0
    return room_id


@pytest.mark.parametrize(
    ("status", "phrase", "shown"),
    [
        (486, "Busy Here", "user_busy"),
        (600, "Busy Everywhere", "user_busy"),
        (603, "Decline", "user_hangup"),
        (480, "Temporarily Unavailable", "invite_timeout"),
    ],
)
async def test_a_refusal_of_the_phone_is_shown_as_what_it_is(lab: Lab, status: int, phrase: str, shown: str) -> None:
    async with lab.device(await lab.person()) as device:
        await call_a_number_that_refuses(lab, device, status, phrase)
        ended = (await device.calls())[-1]
        assert (ended["hangupReason"], ended["hangupParty"]) == (shown, "remote")


async def test_a_number_that_does_not_exist_is_explained_in_the_room(lab: Lab) -> None:
    async with lab.device(await lab.person()) as device:
        room_id = await call_a_number_that_refuses(lab, device, 404, "Not Found")
        assert (await device.calls())[-1]["hangupReason"] == "unknown_error"
        assert "not in service" in await device.wait_notice(room_id)


async def test_a_user_without_permission_is_refused_and_told_so(lab: Lab) -> None:
    async with lab.phone(answer="manual") as phone, lab.device(await lab.guest()) as device:
        room_id = await device.dial(PHONE)
        ended = await device.wait_ended()
        assert ended["hangupParty"] == "remote"
        assert await device.wait_notice(room_id)
        assert phone.events("CALL_INCOMING") == []


async def test_an_emergency_number_is_refused_and_told_so(lab: Lab) -> None:
    async with lab.device(await lab.person()) as device:
        room_id = await device.dial("112")
        assert "emergency" in (await device.wait_notice(room_id)).lower()
        await device.wait_connected()
        await device.hang_up()
    await lab.bridge.wait_metric("calls_total", 1, reason="emergency_refused")


async def test_a_phone_that_does_not_answer_stops_ringing_when_the_invite_expires(lab: Lab) -> None:
    folder = lab.folder("no-answer")
    callee = SippUas(folder, scenario=scripted.ringing(folder), port=lab.scripted_port, calls=1)
    async with lab.running(callee), lab.device(await lab.person()) as device:
        await device.dial(SCRIPTED, lifetimeMs=6000)
        ended = await device.wait_ended()
        assert (ended["hangupReason"], ended["hangupParty"]) == ("invite_timeout", "remote")
        assert await callee.wait_exit(limit_s=PATIENCE_S) == 0


async def test_a_user_who_hangs_up_before_the_answer_silences_the_phone(lab: Lab) -> None:
    async with lab.phone(answer="manual") as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE)
        await phone.wait_ringing()
        await device.hang_up()
        await phone.wait_closed()
        assert phone.events("CALL_ESTABLISHED") == []


async def test_a_phone_that_gives_up_silences_the_browser(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await phone.hangup()
        ended = await device.wait_ended()
        assert (ended["hangupReason"], ended["hangupParty"]) == ("user_hangup", "remote")
        assert "connected" not in ended["states"]


async def test_a_user_who_declines_sends_603(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await device.reject()
        assert (await phone.wait_closed()).startswith("603")


@pytest.mark.parametrize(("reason", "status"), [("user_busy", "486"), ("user_hangup", "603")])
async def test_a_user_who_declines_as_older_clients_do_sends_what_the_reason_says(
    lab: Lab, reason: str, status: str
) -> None:
    """A hangup before the answer is a reject (specification, VoIP, version 0)."""
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await device.hang_up(reason)
        assert (await phone.wait_closed()).startswith(status)


async def test_a_user_who_does_not_answer_sends_480_and_the_browser_falls_silent(lab: Lab) -> None:
    person = await lab.person()
    async with lab.phone() as phone, lab.device(person) as device:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        assert (await phone.wait_closed()).startswith("480")
        await device.wait_ended()


async def test_a_number_that_belongs_to_nobody_is_refused_with_404(lab: Lab) -> None:
    async with lab.phone() as phone:
        await phone.call("+15557777777", through=lab.bridge.sip_port)
        assert (await phone.wait_closed()).startswith("404")


async def test_a_call_in_a_room_with_a_third_person_does_not_ring_the_phone(lab: Lab) -> None:
    person, third = await lab.person(), await lab.person()
    async with lab.phone(answer="manual") as phone, lab.device(person) as device, lab.device(third) as bystander:
        ghost = await device.ghost_of(PHONE)
        room_id = await device.room_with(ghost, third.user_id)
        await device.wait_member(room_id, ghost)
        await device.wait_member(room_id, third.user_id)
        await device.place(room_id)
        await bystander.wait_ringing()
        # A call that does ring shows that the one before it has been looked at.
        await device.place(await device.room_with(ghost))
        await phone.wait_ringing()
        assert len(phone.events("CALL_INCOMING")) == 1
        assert {event["sender"] for event in await device.call_events(room_id)} == {person.user_id}
