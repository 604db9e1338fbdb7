"""A phone walks through spoken menus by its keys, and reaches people, or their voicemail."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.media.settings import PathChoice
from tests.e2e.chromium import Person
from tests.e2e.exchange import SERVER_NAME, number_of, open_exchange
from tests.e2e.lab import Lab
from tests.e2e.phone import Phone
from tests.e2e.running_bridge import Section
from tests.e2e.sound import Heard, Tone, sine, write_wav
from tests.e2e.test_calls import BROWSER_TONE, hear_each_other
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port
from tests.peers.sipp import SippUac

pytestmark = pytest.mark.asyncio(loop_scope="session")

NUMBER = "+15558000001"
GROUP = "+15558000002"
CHOICES = Tone(pitch_hz=500)
MORE = Tone(pitch_hz=700)
INVALID = Tone(pitch_hz=1500)
NOBODY = Tone(pitch_hz=1200)
RINGBACK_HZ = 425.0
"""Of the country that the trunks are in by these settings."""


def recorded(folder: Path, tone: Tone, *, seconds: float) -> str:
    path = folder / f"{tone.pitch_hz:.0f}.wav"
    return str(write_wav(path, sine(tone, rate_hz=8000, seconds=seconds), rate_hz=8000))


def menus(folder: Path, person: Person, boxed: Person) -> Mapping[str, Section]:
    """Two menus that lead to each other, each sentence a pitch of its own."""
    sentences = {
        "invalid": recorded(folder, INVALID, seconds=1.5),
        "nobody": recorded(folder, NOBODY, seconds=2.0),
        "timeout_s": 2,
    }
    return {
        "main": {
            **sentences,
            "prompt": recorded(folder, CHOICES, seconds=3.0),
            "digits": {"1": person.user_id, "2": "menu:more", "3": f"voicemail:{boxed.user_id}"},
            "repeats": 1,
            "otherwise": "menu:more",
        },
        "more": {
            **sentences,
            "prompt": recorded(folder, MORE, seconds=3.0),
            "digits": {"1": "group:team"},
            "dial_extensions": True,
            "otherwise": person.user_id,
        },
    }


@asynccontextmanager
async def open_menus(lab: Lab, engine: PathChoice, person: Person, boxed: Person) -> AsyncIterator[None]:
    """For as long as this lasts a number leads to a menu."""
    folder = lab.folder(f"menus-{person.localpart}")
    inbound = {NUMBER: "menu:main", "201": person.user_id, GROUP: "group:alone"}
    async with lab.configured(
        media={"engine": engine.value},
        numbers={"inbound": inbound, "default_region": "DE"},
        menus=dict(menus(folder, person, boxed)),
        groups={
            "team": {"members": [boxed.user_id, person.user_id], "ring": "together"},
            "alone": {"members": [person.user_id], "otherwise": "menu:main"},
        },
    ):
        yield


async def hears(phone: Phone, pitch_hz: float) -> None:
    """Wait until the phone hears this pitch."""
    heard: list[Heard] = []

    async def like() -> bool:
        heard.append(phone.heard())
        return abs(heard[-1].pitch_hz - pitch_hz) < 8.0 and heard[-1].level_db > -30.0

    await until(like, lambda: f"the phone heard {heard[-1:]}, not {pitch_hz} Hz", limit_s=PATIENCE_S)


async def enter(lab: Lab, phone: Phone) -> None:
    await phone.call(NUMBER, through=lab.bridge.sip_port)
    await phone.wait_answered()
    await hears(phone, CHOICES.pitch_hz)


@pytest.mark.parametrize("engine", [PathChoice.AUTO, PathChoice.PORTABLE])
async def test_keys_lead_through_menus_to_a_person_who_is_heard(lab: Lab, engine: PathChoice) -> None:
    person, boxed = await lab.person(), await lab.person_with_box()
    async with open_menus(lab, engine, person, boxed), lab.phone() as phone, lab.device(person) as device:
        await enter(lab, phone)
        await phone.send_digits("2")
        await hears(phone, MORE.pitch_hz)
        await phone.send_digits("9")
        await hears(phone, INVALID.pitch_hz)
        await hears(phone, MORE.pitch_hz)
        await phone.send_digits("*")
        await hears(phone, CHOICES.pitch_hz)
        await phone.send_digits("1")
        await device.wait_ringing()
        await hears(phone, RINGBACK_HZ)
        answers_at = time.monotonic()
        await device.answer()
        await device.wait_connected()
        await hears(phone, BROWSER_TONE.pitch_hz)
        await hear_each_other(device, phone)
        await phone.hangup()
        await device.wait_ended()
        await lab.bridge.wait_metric("calls_active", 0)
        record = lab.bridge.records()[-1]
        assert record["menu_path"] == ["main", "more", "main", "person"]
        assert (record["reason"], record["ended_by"]) == ("completed", "sip")
        assert record["duration_s"] < time.monotonic() - answers_at, "without the time in menus"


async def test_a_phone_that_presses_nothing_and_a_person_who_declines(lab: Lab) -> None:
    person, boxed = await lab.person(), await lab.person_with_box()
    async with open_menus(lab, PathChoice.AUTO, person, boxed), lab.phone() as phone, lab.device(person) as device:
        await enter(lab, phone)
        await hears(phone, MORE.pitch_hz)
        await phone.send_digits("201#")
        await device.wait_ringing()
        await device.reject()
        await hears(phone, NOBODY.pitch_hz)
        await hears(phone, MORE.pitch_hz)
        await phone.send_digits("1")
        await device.wait_ringing()
        await phone.hangup()
        await device.wait_ended()
        await lab.bridge.wait_metric("calls_active", 0)
        record = lab.bridge.records()[-1]
        assert record["reason"] == "cancelled"
        assert record["menu_path"] == ["main", "more", "person", "group:team"]


async def test_a_menu_follows_a_group_that_declines_and_leads_to_somebody_who_is_heard(lab: Lab) -> None:
    person, boxed = await lab.person(), await lab.person_with_box()
    async with open_menus(lab, PathChoice.AUTO, person, boxed), lab.phone() as phone, lab.device(person) as device:
        await phone.call(GROUP, through=lab.bridge.sip_port)
        await device.wait_ringing()
        await device.reject()
        await hears(phone, CHOICES.pitch_hz)
        await phone.send_digits("1")
        await device.wait_ringing()
        await device.answer()
        await device.wait_connected()
        await hears(phone, BROWSER_TONE.pitch_hz)
        await hear_each_other(device, phone)
        await phone.hangup()
        await device.wait_ended()
        await lab.bridge.wait_metric("calls_active", 0)
        record = lab.bridge.records()[-1]
        assert record["menu_path"] == ["group:alone", "main", "person"]
        assert record["reason"] == "completed"


async def test_a_key_leads_to_voicemail(lab: Lab) -> None:
    person, boxed = await lab.person(), await lab.person_with_box()
    async with open_menus(lab, PathChoice.AUTO, person, boxed), lab.phone() as phone:
        await enter(lab, phone)
        await phone.send_digits("3")
        await asyncio.wait_for(_message(lab), PATIENCE_S)
        await phone.hangup()
        await lab.bridge.wait_metric("voicemail_messages_total", 1, outcome="delivered")
        assert lab.bridge.records()[-1]["menu_path"] == ["main", "voicemail"]


async def test_a_flood_into_a_menu_leaves_people_to_be_called(tmp_path: Path) -> None:
    share, flood = 3, 9
    prompt = recorded(tmp_path, CHOICES, seconds=3.0)
    sections: dict[str, Section] = {
        "trunks": {"phone": {"server": f"{LOOPBACK}:{free_port()}", "max_attended": share}},
        "permissions": {},
        "numbers": {"inbound": {NUMBER: "menu:main", number_of(0): f"@callee0:{SERVER_NAME}"}},
        "menus": {"main": {"prompt": prompt, "nobody": prompt, "invalid": prompt}},
    }
    async with open_exchange(tmp_path, sections) as exchange:
        target = f"{LOOPBACK}:{exchange.bridge.sip_port}"
        async with SippUac(tmp_path, target, service=NUMBER, calls=flood, hold_ms=60_000):
            await exchange.bridge.wait_metric("calls_total", flood - share, reason="attendants_busy")
            assert await exchange.bridge.metric("calls_active") == share
            async with Phone(tmp_path, "+15550177", port=free_port(span=2)) as phone:
                await phone.call(number_of(0), through=exchange.bridge.sip_port)
                await exchange.callee(0)
                await phone.wait_event("CALL_RINGING")
            refused = [record for record in exchange.bridge.records() if record["reason"] == "attendants_busy"]
            assert [record["sip_status"] for record in refused] == [486] * (flood - share)


async def test_a_phone_that_vanishes_in_a_menu_or_while_somebody_rings_for_it_is_missed_soon(tmp_path: Path) -> None:
    prompt = recorded(tmp_path, CHOICES, seconds=3.0)
    menu = {"prompt": prompt, "nobody": prompt, "invalid": prompt, "digits": {"1": f"@callee0:{SERVER_NAME}"}}
    sections: dict[str, Section] = {
        "numbers": {"inbound": {NUMBER: "menu:main"}},
        "menus": {"main": menu},
        "media": {"rtp_timeout_s": 2},
    }
    async with open_exchange(tmp_path, sections) as exchange:
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
        waiting, choosing = (Phone(folder, "+15550177", port=free_port(span=2)) for folder in folders)
        async with waiting, choosing:
            for phone in (waiting, choosing):
                await phone.call(NUMBER, through=exchange.bridge.sip_port)
                await phone.wait_answered()
            await choosing.send_digits("1")
            person, call_id = await exchange.callee(0)
            await choosing.crash()
            assert await person.hung_up(call_id) == "ice_timeout"
            assert await exchange.bridge.metric("calls_active") == 1, "the other one sends packets"
            await waiting.crash()
            await exchange.bridge.wait_metric("call_records_total", 2, outcome="written")
            assert [record["reason"] for record in exchange.bridge.records()] == ["ice_timeout"] * 2


async def test_a_phone_in_a_menu_and_the_person_it_rings_are_hung_up_on_after_a_crash(tmp_path: Path) -> None:
    reached = {"inbound": {NUMBER: "menu:main"}}
    prompt = recorded(tmp_path, CHOICES, seconds=3.0)
    menu = {"prompt": prompt, "nobody": prompt, "invalid": prompt, "digits": {"1": f"@callee0:{SERVER_NAME}"}}
    sections: dict[str, Section] = {"numbers": reached, "menus": {"main": menu}}
    async with open_exchange(tmp_path, sections) as exchange:
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
        waiting, choosing = (Phone(folder, "+15550177", port=free_port(span=2)) for folder in folders)
        async with waiting, choosing:
            for phone in (waiting, choosing):
                await phone.call(NUMBER, through=exchange.bridge.sip_port)
                await phone.wait_answered()
            await choosing.send_digits("1")
            person, call_id = await exchange.callee(0)
            await exchange.bridge.crash()
            await exchange.bridge.start()
            await asyncio.gather(waiting.wait_closed(), choosing.wait_closed())
            assert await person.hung_up(call_id) == "unknown_error"
            assert [record["reason"] for record in exchange.bridge.records()] == ["abnormal"] * 2


async def _message(lab: Lab) -> None:
    async def long_enough() -> bool:
        return sum(path.stat().st_size for path in lab.directory.glob("bridge/*-messages/*.ogg")) > 8_000

    await until(long_enough, lambda: "no message was recorded", limit_s=PATIENCE_S)
