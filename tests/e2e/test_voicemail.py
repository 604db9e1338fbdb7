"""A phone leaves a message for somebody who does not answer, and it is heard in the browser."""

import numpy as np
import pytest

from tests.e2e.chromium import Device
from tests.e2e.lab import Lab
from tests.e2e.phone import TONE
from tests.e2e.sound import Heard, measure
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

_RATE_HZ = 8000
_OCTETS = 8_000
"""Of a file of some seconds."""
_MESSAGE = """(userId) => device.roomsWith(userId).flatMap((roomId) => device.client.getRoom(roomId).timeline).find(
  (event) => event.getContent()['org.matrix.msc3245.voice']
)?.getContent()"""
_PLAY = """async (address) => {
  const url = device.client.mxcUrlToHttp(address, undefined, undefined, undefined, false, true, true);
  const response = await fetch(url, { headers: { Authorization: `Bearer ${device.client.getAccessToken()}` } });
  const context = new OfflineAudioContext(1, 1, 8000);
  const audio = await context.decodeAudioData(await response.arrayBuffer());
  return [...audio.getChannelData(0)];
}"""


def recorded_octets(lab: Lab) -> int:
    """How much of a message is on disk by now."""
    return sum(path.stat().st_size for path in lab.directory.glob("bridge/*-messages/*.ogg"))


async def played(device: Device, address: str) -> Heard:
    """The middle of a message as the browser decodes it."""
    samples = np.array(await device.look(_PLAY, address))
    middle = len(samples) // 2
    return measure(samples[middle - 2048 : middle + 2048], _RATE_HZ)


async def test_a_message_that_a_phone_leaves_is_played_in_the_browser(lab: Lab) -> None:
    person = await lab.person_with_box()
    async with lab.device(person) as device, lab.phone() as phone:
        await lab.call_from(phone, person)
        await device.wait_ringing()
        await phone.wait_answered()
        await device.wait_ended()
        await phone.wait_until(lambda: recorded_octets(lab) > _OCTETS, limit_s=PATIENCE_S)
        await phone.hangup()
        ghost = await device.ghost_of(phone.user)
        await device.wait_for(f"(userId) => Boolean(({_MESSAGE})(userId))", ghost)
        message = await device.look(_MESSAGE, ghost)
        assert message["info"]["duration"] > 1000
        assert max(message["org.matrix.msc1767.audio"]["waveform"]) > 100
        assert (await played(device, message["url"])).is_like(TONE)
    await lab.bridge.wait_metric("voicemail_messages_total", 1, outcome="delivered")
