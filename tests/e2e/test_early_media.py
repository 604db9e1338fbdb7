"""A phone network that is heard before the phone is answered, on a trunk whose announcements are let through."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.media import g711
from tests.e2e import scripted
from tests.e2e.chromium import Device
from tests.e2e.lab import SCRIPTED, Lab
from tests.e2e.phone import TONE
from tests.media.phone import Phone, tone_frames
from tests.media.test_calls import paced
from tests.peers.sipp import SippUas

pytestmark = pytest.mark.asyncio(loop_scope="session")

_SOON_S = 15.0


@asynccontextmanager
async def announcement() -> AsyncIterator[Phone]:
    """Plays a tone to wherever it hears something from."""
    source, frames = await Phone.open(), tone_frames(TONE.pitch_hz, 50, TONE.level_db)

    async def say(number: int) -> None:
        source.target = next(iter(source.sources), source.target)
        source.send(g711.ulaw_encode(frames[number % 50]))

    playing = asyncio.create_task(paced(3000, say))
    try:
        yield source
    finally:
        playing.cancel()
        await source.close()


@asynccontextmanager
async def announced(lab: Lab, device: Device, status: int) -> AsyncIterator[tuple[SippUas, str]]:
    """The browser dials and hears an announcement; gives who makes it, and ends with `status`, and the room."""
    folder = lab.folder(f"announces-{status}")
    async with announcement() as source:
        script = scripted.announcing(folder, status, media_port=source.port)
        callee = SippUas(folder, scenario=script, port=lab.scripted_port, calls=1)
        async with lab.running(callee):
            room_id = await device.dial(SCRIPTED)
            await device.wait_connected()
            at_browser = await device.listen()
            assert at_browser.is_like(TONE), at_browser
            yield callee, room_id


def calls_connected(lab: Lab) -> int:
    return lab.bridge.log_tail(100_000).count("call_connected")


async def test_an_announcement_is_heard_and_what_follows_it_is_explained_in_the_room(lab: Lab) -> None:
    async with lab.device(await lab.person()) as device, announced(lab, device, 404) as (callee, room_id):
        ended = await device.wait_ended()
        assert (ended["hangupReason"], ended["hangupParty"]) == ("unknown_error", "remote")
        assert "not in service" in await device.wait_notice(room_id)
        assert await callee.wait_exit(limit_s=_SOON_S) == 0


async def test_the_answer_that_follows_an_announcement_needs_no_event_of_its_own(lab: Lab) -> None:
    async with lab.device(await lab.person()) as device, announced(lab, device, 200) as (callee, room_id):
        before = calls_connected(lab)
        await lab.bridge.wait_until(lambda: calls_connected(lab) > before, limit_s=_SOON_S)
        await device.hang_up()
        assert await callee.wait_exit(limit_s=_SOON_S) == 0
        answers = [event for event in await device.call_events(room_id) if event["type"] == "m.call.answer"]
        assert len(answers) == 1
        record = json.loads(lab.bridge.call_records.read_text().splitlines()[-1])
        assert record["early_media"]
        assert record["t_answer"]
