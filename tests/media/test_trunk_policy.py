"""What a trunk says about its audio: codecs, packet time, and keys that go by signalling."""

import pytest

from bridge.media.dtmf import TelephoneEvent
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import DigitPressed, MediaConnected, MediaError, MediaEvent
from bridge.media.formats import Codec
from bridge.media.keypad import KeyPacket, Keypad
from bridge.media.policy import SipMediaPolicy
from tests.media.phone import Phone
from tests.media.placing import CALL
from tests.media.test_call_changes import SPEECH, digits_in, with_events
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected

BY_SIGNALLING = SipMediaPolicy(digits_in_rtp=False)


def audio_line(sdp: str) -> str:
    return next(line for line in sdp.splitlines() if line.startswith("m=audio")).split(" ", 2)[2]


@pytest.mark.parametrize(
    ("codecs", "line"),
    [
        ((Codec.PCMA, Codec.PCMU), "RTP/AVP 8 0 101"),
        ((Codec.PCMU, Codec.PCMA), "RTP/AVP 0 8 101"),
        ((Codec.PCMA,), "RTP/AVP 8 101"),
    ],
)
async def test_a_trunk_is_offered_its_own_codecs_in_its_own_order(
    engine: EmbeddedEngine, new_browser: NewBrowser, codecs: tuple[Codec, ...], line: str
) -> None:
    session = await engine.open(CALL, SipMediaPolicy(codecs=codecs, ptime_ms=30))
    await session.set_matrix_offer(await new_browser("PCMU").offer())
    offer = await session.create_sip_offer()
    assert audio_line(offer) == line
    assert "a=ptime:30" in offer


async def test_the_trunks_order_decides_what_is_answered(engine: EmbeddedEngine, phone: Phone) -> None:
    session = await engine.open(CALL, SipMediaPolicy(codecs=(Codec.PCMA, Codec.PCMU)))
    await session.set_sip_offer(phone.sdp("0 8 101"))
    assert audio_line(await session.create_sip_answer()) == "RTP/AVP 8 101"


async def test_a_codec_that_the_trunk_must_not_use_is_refused(engine: EmbeddedEngine, phone: Phone) -> None:
    session = await engine.open(CALL, SipMediaPolicy(codecs=(Codec.PCMA,)))
    with pytest.raises(MediaError) as refused:
        await session.set_sip_offer(phone.sdp("0 101"))
    assert refused.value.verdict.sip_status == 488


@pytest.mark.parametrize(("codec", "payload_type", "scale"), [("opus", 110, 6), ("PCMU", 126, 1)])
async def test_keys_by_signalling_leave_the_audio_and_enter_it(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    codec: str,
    payload_type: int,
    scale: int,
) -> None:
    browser = new_browser(codec)
    session = await engine.open(CALL, BY_SIGNALLING)
    await session.set_matrix_offer(with_events(await browser.offer(), (110, 48000), (126, 8000)))
    offer = await session.create_sip_offer()
    assert "telephone-event" not in offer
    phone.aim(offer)
    await session.set_sip_answer(phone.sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await browser.connected()
    await events.count(1)
    for n, (duration, end) in enumerate([(160, False), (800, True), (800, True), (800, True)]):
        event = TelephoneEvent(event=11, end=end, volume=10, duration=duration * scale)
        await browser.send(bytes(event), payload_type, step=0, marker=n == 0)
    await events.count(2)
    await session.play_digits("4x2", 100)
    await browser.received.until(lambda p: len([e for _, e in digits_in(p, payload_type) if e.end]) == 6)
    heard = digits_in(browser.received.items, payload_type)
    assert [event.event for _, event in heard if event.end] == [4] * 3 + [2] * 3
    assert {event.duration for _, event in heard if event.end} == {800 * scale}
    assert len({timestamp for timestamp, _ in heard}) == 2
    assert events.items == [MediaConnected(call_id=CALL), DigitPressed(call_id=CALL, digit="#", duration_ms=100)]
    assert digits_in(phone.received.items, 101) == []
    phone.send(SPEECH, step=160)
    assert (await session.close()).digits_forwarded == 3


def test_a_keypad_presses_one_key_after_the_other_with_a_pause() -> None:
    keypad = Keypad()
    keypad.press("5", 60)
    keypad.press("5", 1)
    packets: list[KeyPacket | None] = []
    while keypad.busy:
        packets.append(keypad.next())
    one = [(20, False), (40, False), (60, True), (60, True), (60, True), None, None, None]
    assert [packet and (packet.elapsed_ms, packet.end) for packet in packets] == one * 2
    assert [packet.first for packet in packets if packet is not None] == [True, False, False, False, False] * 2


def test_a_keypad_takes_a_bounded_number_of_keys() -> None:
    keypad = Keypad()
    for _ in range(10_000):
        keypad.press("1" * 1000, 1_000_000)
    presses = 0
    while keypad.busy:
        presses += keypad.next() is not None
    assert presses < 30_000
