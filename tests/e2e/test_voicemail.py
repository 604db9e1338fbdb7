"""A phone leaves a message for somebody who does not answer, and it is heard in the browser."""

import numpy as np
import pytest

from bridge.app.speech import speak
from bridge.media.speech_program import can_speak
from tests.e2e.chromium import Device
from tests.e2e.lab import Lab
from tests.e2e.phone import TONE, Phone
from tests.e2e.running_bridge import Section
from tests.e2e.sound import Heard, Samples, likeness, measure
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

_RATE_HZ = 8000
_PERSON, _BOXED = "+15558000003", "+15558000004"
_OWN = "This is Alice. Speak now."
_LIKE = 0.7
"""Of the same words spoken by the same program, after G.711; others are like them by a third at most."""
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


async def said(words: str) -> Samples:
    """Half a second from the middle of a text that is spoken."""
    samples = np.frombuffer((await speak(words, language="en")).pcm, dtype="<i2").astype(np.float64)
    middle = len(samples) // 2
    return samples[middle - 2000 : middle + 2000]


async def hears(phone: Phone, words: str) -> None:
    """Wait until the phone has heard a text."""
    wanted, heard = await said(words), list[float]()

    async def like() -> bool:
        heard.append(likeness(phone.recorded(), wanted))
        return heard[-1] > _LIKE

    await until(like, lambda: f"what the phone heard is like it by {max(heard)}", limit_s=PATIENCE_S)


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


@pytest.mark.skipif(not can_speak(), reason="espeak-ng is not installed")
async def test_a_phone_hears_the_words_that_are_one_user_s_greeting(lab: Lab) -> None:
    person, boxed = await lab.person(), await lab.person_with_box()
    box: Section = {
        "users": [person.user_id, boxed.user_id],
        "greeting_text": "Nobody is here.",
        "greetings": {boxed.user_id: _OWN},
    }
    inbound = {number: f"voicemail:{user.user_id}" for number, user in ((_PERSON, person), (_BOXED, boxed))}
    async with lab.configured(voicemail=box, numbers={"inbound": inbound}):
        for number, heard, other in ((_BOXED, _OWN, "Nobody is here."), (_PERSON, "Nobody is here.", _OWN)):
            async with lab.phone() as phone:
                await phone.call(number, through=lab.bridge.sip_port)
                await hears(phone, heard)
                assert likeness(phone.recorded(), await said(other)) < _LIKE
                await phone.hangup()
