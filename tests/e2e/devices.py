"""What two devices do that ring for one call."""

import asyncio

from tests.e2e.chromium import Device
from tests.e2e.lab import BROWSER_TONES
from tests.e2e.phone import RATE_HZ, Phone
from tests.e2e.phone import TONE as PHONE_TONE
from tests.e2e.sound import level_near


async def one_of_two_answers(phone: Phone, *, silent: Device, answering: Device) -> None:
    """Both ring; the one in the second browser answers, and it alone is heard until it hangs up."""
    await asyncio.gather(silent.wait_ringing(), answering.wait_ringing())
    await answering.answer()
    ended, _, _ = await asyncio.gather(silent.wait_ended(), answering.wait_connected(), phone.wait_answered())
    assert ended["hangupReason"] == "answered_elsewhere"
    at_browser, at_phone = await asyncio.gather(answering.listen(), phone.listen())
    assert at_browser.is_like(PHONE_TONE), at_browser
    assert at_phone.is_like(BROWSER_TONES["second"]), at_phone
    assert level_near(phone.recorded(), RATE_HZ, BROWSER_TONES["first"].pitch_hz) < -50
    await answering.hang_up()
    await phone.wait_closed()
