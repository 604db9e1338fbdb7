"""A phone network that is heard before the phone is answered, on a trunk whose announcements are let through."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bridge.media import g711
from tests.e2e import scripted
from tests.e2e.chromium import Device
from tests.e2e.lab import SCRIPTED, Lab
from tests.e2e.phone import TONE
from tests.media.phone import FRAME_S, Phone, tone_frames
from tests.patience import PATIENCE_S
from tests.peers.sipp import SippUas

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def announcement() -> AsyncIterator[Phone]:
    """Plays a tone to wherever it hears something from."""
    source, enough = await Phone.open(), asyncio.Event()
    playing = asyncio.create_task(play(source, enough))
    try:
        yield source
    finally:
        enough.set()
        await playing
        await source.close()


async def play(source: Phone, enough: asyncio.Event) -> None:
    loop, frames = asyncio.get_running_loop(), tone_frames(TONE.pitch_hz, 50, TONE.level_db)
    due = loop.time()
    for frame in itertools.cycle(frames):
        source.target = next(iter(source.sources), source.target)
        source.send(g711.ulaw_encode(frame))
        due += FRAME_S
        with suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), due - loop.time())
            return


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


def records_heard_and_answered(lab: Lab) -> bool:
    """Whether the newest call record is of a call that was heard before it was answered; it comes after the call."""
    record = json.loads(lab.bridge.call_records.read_text().splitlines()[-1])
    return bool(record["early_media"] and record["t_answer"])


async def test_an_announcement_is_heard_and_what_follows_it_is_explained_in_the_room(lab: Lab) -> None:
    async with lab.device(await lab.person()) as device, announced(lab, device, 404) as (callee, room_id):
        ended = await device.wait_ended()
        assert (ended["hangupReason"], ended["hangupParty"]) == ("unknown_error", "remote")
        assert "not in service" in await device.wait_notice(room_id)
        assert await callee.wait_exit(limit_s=PATIENCE_S) == 0


async def test_the_answer_that_follows_an_announcement_needs_no_event_of_its_own(lab: Lab) -> None:
    before = calls_connected(lab)
    async with lab.device(await lab.person()) as device, announced(lab, device, 200) as (callee, room_id):
        await lab.bridge.wait_until(lambda: calls_connected(lab) > before, limit_s=PATIENCE_S)
        await device.hang_up()
        assert await callee.wait_exit(limit_s=PATIENCE_S) == 0
        answers = [event for event in await device.call_events(room_id) if event["type"] == "m.call.answer"]
        assert len(answers) == 1
        await lab.bridge.wait_until(lambda: records_heard_and_answered(lab), limit_s=PATIENCE_S)
