"""A browser hears from the bridge itself why there is no call, and why there is none any more."""

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.chromium import Device, Person
from tests.e2e.lab import PHONE, Lab
from tests.e2e.phone import TONE
from tests.e2e.running_bridge import Section
from tests.e2e.sound import Tone, sine, write_wav
from tests.peers.process import LOOPBACK

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = Tone(pitch_hz=700, level_db=-12)
"""Stand for a sentence, since a pitch can be recognised."""
_WORDS_S = 4.0
_LIMIT_S = 8.0


def spoken(folder: Path) -> Path:
    return write_wav(folder / "words.wav", sine(WORDS, rate_hz=8_000, seconds=_WORDS_S), rate_hz=8_000)


async def hears(device: Device, tone: Tone) -> None:
    heard = await device.listen()
    assert heard.is_like(tone), heard


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limited(shared_lab: Lab) -> AsyncIterator[Person]:
    """Somebody whose calls may not last, at a bridge that has something to say."""
    person, words = await shared_lab.person(), str(spoken(shared_lab.folder("words")))
    permissions: Section = {
        "outbound": [{"who": [person.user_id], "prefixes": [PHONE], "trunk": "phone"}],
        "limits": [{"who": [person.user_id], "call_minutes": _LIMIT_S / 60}],
    }
    recorded = {"recordings": {"emergency_refused": words, "limit_reached": words}}
    async with shared_lab.configured(permissions=permissions, announcements=recorded):
        yield person


async def test_an_emergency_call_that_no_trunk_carries_is_answered_with_a_sentence(lab: Lab, limited: Person) -> None:
    async with lab.device(limited) as device:
        room_id = await device.dial("112")
        assert "EMERGENCY CALLS CANNOT BE MADE" in await device.wait_notice(room_id)
        await device.wait_connected()
        await hears(device, WORDS)
        ended = await device.wait_ended()
        assert ended["hangupParty"] == "remote"
    assert records(lab)[-1]["reason"] == "emergency_refused"


async def test_at_a_limit_the_phone_is_let_go_and_then_its_user_hears_why(lab: Lab, limited: Person) -> None:
    async with lab.device(limited) as device, lab.phone() as phone:
        await device.dial(PHONE)
        await device.wait_connected()
        await hears(device, TONE)
        await phone.wait_closed()
        await hears(device, WORDS)
        await device.wait_ended()
    record = records(lab)[-1]
    assert (record["reason"], record["ended_by"]) == ("limit_reached", "bridge")
    assert record["duration_s"] < _LIMIT_S + _WORDS_S / 2, "what was said after it is no part of the call"


async def test_who_calls_for_help_hears_within_seconds_that_the_only_trunk_is_silent(lab: Lab) -> None:
    person, words = await lab.person(), str(spoken(lab.folder("words of help")))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((LOOPBACK, 0))
        trunk = {"server": f"{LOOPBACK}:{deaf.getsockname()[1]}", "failover_after_s": 0.5, "emergency": True}
        recorded = {"recordings": {"emergency_refused": words}}
        settings: dict[str, Section] = {"trunks": {"silent": trunk}, "permissions": {}, "announcements": recorded}
        async with lab.configured(**settings), lab.device(person) as device:
            room_id = await device.dial("112")
            assert "YOUR EMERGENCY CALL COULD NOT BE MADE" in await device.wait_notice(room_id)
            await device.wait_connected()
            await hears(device, WORDS)
            await device.wait_ended()
            record = records(lab)[-1]
    assert (record["reason"], record["trunk"]) == ("trunk_unreachable", "silent")


def records(lab: Lab) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lab.bridge.call_records.read_text().splitlines()]
