"""Hold and transfers, with a browser, real phones and a PBX."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.chromium import Device
from tests.e2e.lab import BROWSER_TONES, COLLEAGUE, EXTENSION, Lab
from tests.e2e.phone import OTHER_TONE
from tests.e2e.sound import Heard, Tone
from tests.e2e.test_calls import hear_each_other
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK
from tests.peers.sipp import SippUac

SCENARIOS = Path(__file__).parent.parent / "peers" / "scenarios"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def comes_to_hear(device: Device, tone: Tone) -> None:
    """The browser still plays what came before; then this."""
    heard: list[Heard] = []

    async def like() -> bool:
        heard.append(await device.listen())
        return heard[-1].is_like(tone)

    await until(like, lambda: f"the browser heard {heard[-1:]}, not {tone}", limit_s=PATIENCE_S)


async def test_a_phone_transfers_a_call_to_a_colleague(lab: Lab) -> None:
    await lab.bridge.wait_metric("trunk_up", 1, trunk="pbx")
    async with (
        lab.extension() as phone,
        lab.extension(number=COLLEAGUE, tone=OTHER_TONE) as colleague,
        lab.device(await lab.person()) as device,
    ):
        room_id = await device.dial(EXTENSION)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        await hear_each_other(device, phone)
        await phone.transfer(f"sip:{COLLEAGUE}@{lab.pbx.domain}")
        await colleague.wait_answered()
        await phone.wait_closed()
        await comes_to_hear(device, OTHER_TONE)
        at_colleague = await colleague.listen()
        assert at_colleague.is_like(BROWSER_TONES["first"]), at_colleague
        identities = [e for e in await device.call_events(room_id) if e["type"] == "m.call.asserted_identity"]
        names = [event["content"]["asserted_identity"]["display_name"] for event in identities]
        assert names == [COLLEAGUE]
        await device.hang_up()
        await colleague.wait_closed()


async def test_a_phone_calls_in_and_takes_a_call_over_from_another(lab: Lab) -> None:
    person = await lab.person()
    scenario = SCENARIOS / "replacing_caller.xml"
    phones = SippUac(
        lab.folder("taking-over"),
        f"{LOOPBACK}:{lab.bridge.sip_port}",
        scenario=scenario,
        service=person.number,
        port=lab.scripted_port,
        options=("-rtp_echo",),
    )
    async with lab.device(person) as device, lab.running(phones):
        await device.wait_ringing()
        await device.answer()
        await device.wait_connected()
        assert await phones.wait_exit(limit_s=PATIENCE_S) == 0, phones.log_tail()
        assert (await device.wait_ended())["hangupReason"] == "user_hangup"

    async def recorded() -> bool:
        return [(record["result"], record["transfers"]) for record in lab.bridge.records()[-1:]] == [("success", 1)]

    await until(recorded, lambda: f"the record is {lab.bridge.records()[-1:]}", limit_s=PATIENCE_S)
