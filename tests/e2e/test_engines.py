"""The same calls, whoever carries the audio: the other tests have the native engine, where it was built."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.media.settings import PathChoice
from tests.e2e.chromium import Device
from tests.e2e.lab import PHONE, Lab
from tests.e2e.phone import Phone
from tests.e2e.running_bridge import Section
from tests.e2e.test_calls import hear_each_other
from tests.peers.rtpengine import Rtpengine

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def carried_by(lab: Lab, engine: PathChoice) -> AsyncIterator[None]:
    """For as long as this lasts the bridge has this engine."""
    media: Section = {"engine": engine.value}
    if engine is not PathChoice.RTPENGINE:
        async with lab.configured(media=media):
            yield
        return
    async with Rtpengine(lab.folder("rtpengine")) as server:
        lab.processes.append(server)
        media["rtpengine"] = [f"{server.address.host}:{server.address.port}"]
        try:
            # Servers record on disks of their own, so nobody has a message box.
            async with lab.configured(media=media, voicemail={"users": []}):
                yield
        finally:
            lab.processes.remove(server)


async def answered(device: Device, phone: Phone) -> None:
    """Both sides are connected and hear each other."""
    await asyncio.gather(device.wait_connected(), phone.wait_answered())
    await hear_each_other(device, phone)


@pytest.mark.parametrize("engine", [PathChoice.PORTABLE, PathChoice.RTPENGINE])
async def test_calls_either_way_are_heard_and_ended_by_either_side(lab: Lab, engine: PathChoice) -> None:
    person = await lab.person()
    async with carried_by(lab, engine), lab.phone() as phone, lab.device(person) as device:
        assert (await lab.bridge.checks())["media"]
        await device.dial(PHONE)
        await answered(device, phone)
        await device.press("7")
        assert await phone.wait_digits("7") == "7"
        await phone.hangup()
        assert (await device.wait_ended())["hangupReason"] == "user_hangup"
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await device.answer()
        await answered(device, phone)
        await device.hang_up()
        await phone.wait_closed()
        await device.dial(PHONE, codecs=["audio/opus", "audio/telephone-event"])
        await answered(device, phone)
        assert await device.codecs() == {"inbound-rtp": "audio/opus", "outbound-rtp": "audio/opus"}
        await device.hang_up()
        await phone.wait_closed()
        await lab.bridge.wait_metric("media_sessions", 0)
