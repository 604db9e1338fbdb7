"""Hold and resume by the browser, by the phone and by both: who hears what, and which directions are agreed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.desk_phone import DeskPhone
from tests.e2e.handset import Handset
from tests.e2e.lab import BROWSER_TONES, PHONE, Lab
from tests.e2e.phone import OTHER_TONE as MUSIC
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.sound import sine, write_wav
from tests.e2e.voice import RATE_HZ

pytestmark = pytest.mark.asyncio(loop_scope="session")
BROWSER_TONE = BROWSER_TONES["first"]


@asynccontextmanager
async def talking(lab: Lab) -> AsyncIterator[tuple[Handset, DeskPhone]]:
    """A browser has called a phone, and they hear each other; in the end the browser hangs up."""
    async with lab.desk_phone() as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE)
        await asyncio.gather(device.wait_connected(), phone.wait_called())
        handset = Handset(device)
        await hear_each_other(handset, phone)
        yield handset, phone
        await device.hang_up()
        await phone.wait_ended()


async def hear_each_other(handset: Handset, phone: DeskPhone) -> None:
    """Both ends hear the other's tone."""
    await asyncio.gather(handset.hears(PHONE_TONE), phone.hears(BROWSER_TONE))


async def hear_nothing(*ends: Handset | DeskPhone) -> None:
    """It is silent at all these ends."""
    await asyncio.gather(*(end.hears_nothing() for end in ends))


async def test_a_browser_holds_and_resumes(lab: Lab) -> None:
    async with talking(lab) as (handset, phone):
        await handset.hold()
        await handset.wait_shown(direction="sendonly", holds=True, isHeld=False)
        await phone.wait_offered("sendonly")
        await hear_nothing(handset, phone)
        await handset.resume()
        await handset.wait_shown(direction="sendrecv", holds=False, isHeld=False, hasKeypad=True)
        await phone.wait_offered("sendonly", "sendrecv")
        await hear_each_other(handset, phone)
        await handset.press("5")
        await phone.wait_digits("5")
        assert phone.answered == []


@pytest.mark.parametrize("engine", ["portable", "native"])
async def test_a_phone_that_is_held_hears_the_music_of_the_configuration(lab: Lab, engine: str) -> None:
    waves = sine(MUSIC, rate_hz=RATE_HZ, seconds=1)
    recording = write_wav(lab.directory / "hold-music.wav", waves, rate_hz=RATE_HZ)
    media = {"hold_music": str(recording), "engine": engine}
    async with lab.configured(media=media), talking(lab) as (handset, phone):
        await handset.hold()
        await asyncio.gather(phone.hears(MUSIC), handset.hears_nothing())
        await handset.resume()
        await hear_each_other(handset, phone)


async def test_a_phone_holds_with_music_or_in_silence_and_resumes(lab: Lab) -> None:
    async with talking(lab) as (handset, phone):
        await phone.hold(music=MUSIC)
        await asyncio.gather(handset.hears(MUSIC), phone.hears_nothing())
        await phone.resume()
        await hear_each_other(handset, phone)
        await phone.hold(flow="inactive")
        await hear_nothing(handset, phone)
        await phone.resume()
        await hear_each_other(handset, phone)
        assert phone.answered == ["recvonly", "sendrecv", "inactive", "sendrecv"]
        # Not every client survives an offer of ours, so the page is not told; nor would its user hear music then.
        await handset.wait_shown(direction="sendrecv", holds=False, isHeld=False)
        assert phone.offered == ["sendrecv"]


async def test_both_hold_and_the_browser_resumes_first(lab: Lab) -> None:
    async with talking(lab) as (handset, phone):
        await handset.hold()
        await phone.wait_offered("sendonly")
        await phone.hold(music=MUSIC)
        await hear_nothing(handset, phone)
        await handset.resume()
        await phone.wait_offered("sendonly", "sendrecv")
        await asyncio.gather(handset.hears(MUSIC), phone.hears_nothing())
        await phone.resume()
        await hear_each_other(handset, phone)
        assert phone.answered == ["inactive", "sendrecv"]


async def test_both_hold_and_the_phone_resumes_first(lab: Lab) -> None:
    async with talking(lab) as (handset, phone):
        await phone.hold(music=MUSIC)
        await handset.hears(MUSIC)
        await handset.hold()
        await phone.wait_offered("sendonly")
        await hear_nothing(handset, phone)
        await phone.resume()
        await hear_nothing(handset, phone)
        await handset.resume()
        await phone.wait_offered("sendonly", "sendrecv")
        await hear_each_other(handset, phone)
        assert phone.answered == ["recvonly", "sendonly"]


async def test_both_hold_and_resume_at_the_same_moment(lab: Lab) -> None:
    """Whoever comes first, the other's wish counts as well."""
    async with talking(lab) as (handset, phone):
        await asyncio.gather(handset.hold(), phone.hold())
        await phone.wait_offered("sendonly")
        await hear_nothing(handset, phone)
        await asyncio.gather(handset.resume(), phone.resume())
        await hear_each_other(handset, phone)


async def test_a_phone_of_another_make_agrees_on_every_direction(lab: Lab) -> None:
    """baresip sends nothing while it holds; what it hears after a re-INVITE it does not record."""
    async with lab.phone() as phone, lab.device(await lab.person()) as device:
        await device.dial(PHONE)
        await asyncio.gather(device.wait_connected(), phone.wait_answered())
        handset, agreed = Handset(device), ["sendrecv", "sendrecv"]
        await handset.hears(PHONE_TONE)

        async def agree(*directions: str) -> None:
            agreed.extend(directions)
            await phone.wait_until(lambda: phone.directions() == agreed)

        await handset.hold()
        await agree("sendonly", "recvonly")
        await handset.hears_nothing()
        await handset.resume()
        await agree("sendrecv", "sendrecv")
        await handset.hears(PHONE_TONE)
        await phone.hold()
        await agree("sendonly", "recvonly")
        await handset.hears_nothing()
        await phone.resume()
        await agree("sendrecv", "sendrecv")
        await handset.hears(PHONE_TONE)
        await device.hang_up()
        await phone.wait_closed()
