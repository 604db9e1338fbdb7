"""Calls whose audio is encrypted towards the trunk, with a phone that has an SRTP of its own."""

from collections.abc import AsyncIterator

import pytest

from bridge.core.ids import CallId
from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine, EmbeddedSession
from bridge.media.engine import MediaError, MediaEvent
from bridge.media.policy import SipMediaPolicy, SrtpUse
from bridge.media.srtp import MAX_STREAMS
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.placing import CALL
from tests.media.secure_phone import SUITE, SecurePhone, crypto_of
from tests.media.test_calls import NewBrowser
from tests.media.waiting import Collected

SPEECH = g711.ulaw_encode(tone_frames(700, 1)[0])
MUSIC = g711.ulaw_encode(tone_frames(500, 1)[0])
REQUIRED = SipMediaPolicy(srtp=SrtpUse.REQUIRED)
OPTIONAL = SipMediaPolicy(srtp=SrtpUse.OPTIONAL)


@pytest.fixture
async def secure() -> AsyncIterator[SecurePhone]:
    phone = await SecurePhone.open()
    assert isinstance(phone, SecurePhone)
    yield phone
    await phone.close()


async def offered(engine: EmbeddedEngine, browser: Browser, policy: SipMediaPolicy) -> tuple[EmbeddedSession, str]:
    session = await engine.open(CALL, policy)
    await session.set_matrix_offer(await browser.offer())
    return session, await session.create_sip_offer()


async def connect(session: EmbeddedSession, browser: Browser, events: Collected[MediaEvent]) -> None:
    await browser.take_answer(await session.create_matrix_answer())
    await browser.connected()
    await events.count(1)


async def call_out(
    engine: EmbeddedEngine, browser: Browser, phone: SecurePhone, events: Collected[MediaEvent]
) -> EmbeddedSession:
    session, offer = await offered(engine, browser, REQUIRED)
    phone.learn(offer)
    await session.set_sip_answer(phone.secure_sdp())
    await connect(session, browser, events)
    return session


async def heard_both_ways(browser: Browser, phone: SecurePhone) -> None:
    phone.received.clear()
    browser.received.clear()
    await browser.send(SPEECH, 0, step=160)
    phone.say(MUSIC)
    await phone.received.until(lambda packets: any(packet.payload == SPEECH for packet in packets))
    await browser.received.until(lambda packets: any(packet.payload == MUSIC for packet in packets))


async def test_a_required_call_is_offered_and_carried_encrypted(
    engine: EmbeddedEngine, events: Collected[MediaEvent], secure: SecurePhone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session, offer = await offered(engine, browser, REQUIRED)
    assert "RTP/SAVP " in offer
    assert [(tag, suite) for tag, suite, _ in crypto_of(offer)] == [(1, SUITE)]
    secure.learn(offer)
    answer = secure.secure_sdp()
    await session.set_sip_answer(answer)
    await connect(session, browser, events)
    await heard_both_ways(browser, secure)
    assert secure.undecipherable == 0


@pytest.mark.parametrize("suite", [SUITE, "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM"])
async def test_an_encrypted_offer_is_answered_with_its_own_suite_and_tag(
    engine: EmbeddedEngine, events: Collected[MediaEvent], secure: SecurePhone, new_browser: NewBrowser, suite: str
) -> None:
    browser = new_browser()
    session = await engine.open(CALL, OPTIONAL)
    secure.renew(suite)
    unknown = "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:unknown\r\n"
    await session.set_sip_offer(secure.secure_sdp(tag=2, before=unknown))
    await session.set_matrix_answer(await browser.answer(await session.create_matrix_offer()))
    answer = await session.create_sip_answer()
    assert "RTP/SAVP " in answer
    assert [(tag, name) for tag, name, _ in crypto_of(answer)] == [(2, suite)]
    secure.learn(answer)
    await browser.connected()
    await events.count(1)
    await heard_both_ways(browser, secure)


async def test_an_optional_call_falls_back_to_the_clear_with_a_phone_that_knows_no_encryption(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session, offer = await offered(engine, browser, OPTIONAL)
    assert "RTP/AVP " in offer
    assert len(crypto_of(offer)) == 1
    phone.aim(offer)
    await session.set_sip_answer(phone.sdp())
    await connect(session, browser, events)
    await browser.send(SPEECH, 0, step=160)
    await phone.received.until(lambda packets: any(packet.payload == SPEECH for packet in packets))


async def test_an_optional_call_is_encrypted_inside_avp_when_the_phone_answers_with_a_key(
    engine: EmbeddedEngine, events: Collected[MediaEvent], secure: SecurePhone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session, offer = await offered(engine, browser, OPTIONAL)
    secure.learn(offer)
    await session.set_sip_answer(secure.secure_sdp(protocol="RTP/AVP"))
    await connect(session, browser, events)
    await heard_both_ways(browser, secure)


async def test_a_plain_offer_is_refused_where_encryption_is_required(engine: EmbeddedEngine, phone: Phone) -> None:
    session = await engine.open(CALL, REQUIRED)
    with pytest.raises(MediaError) as refused:
        await session.set_sip_offer(phone.sdp())
    assert (refused.value.verdict.reason, refused.value.verdict.sip_status) == ("media_not_encrypted", 488)


async def test_a_secure_offer_is_refused_where_encryption_is_off(engine: EmbeddedEngine, secure: SecurePhone) -> None:
    session = await engine.open(CALL)
    with pytest.raises(MediaError) as refused:
        await session.set_sip_offer(secure.secure_sdp())
    assert refused.value.verdict.sip_status == 488


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sdp: sdp.replace("a=crypto", "a=nothing"),
        lambda sdp: sdp.replace("a=crypto:1", "a=crypto:2"),
        lambda sdp: sdp.replace("SHA1_80", "SHA1_32"),
        lambda sdp: sdp.replace("RTP/SAVP", "RTP/AVP").replace("a=crypto", "a=nothing"),
    ],
)
async def test_an_answer_without_the_key_for_our_offer_is_refused(
    engine: EmbeddedEngine, secure: SecurePhone, new_browser: NewBrowser, spoil: type[str]
) -> None:
    session, _ = await offered(engine, new_browser(), REQUIRED)
    with pytest.raises(MediaError) as refused:
        await session.set_sip_answer(spoil(secure.secure_sdp()))
    assert refused.value.verdict.reason == "media_not_encrypted"


async def test_hold_and_resume_keep_the_keys_and_the_counters(
    engine: EmbeddedEngine, events: Collected[MediaEvent], secure: SecurePhone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, secure, events)
    await heard_both_ways(browser, secure)
    before = None
    for version, flow in enumerate(("sendonly", "sendrecv"), start=2):
        await session.set_sip_offer(secure.secure_sdp(flow=flow, version=version))
        ((_, _, ours),) = crypto_of(await session.create_sip_answer())
        assert before in (None, ours)
        before = ours
    await heard_both_ways(browser, secure)
    assert secure.undecipherable == 0


async def test_a_phone_that_moves_before_it_answers_may_bring_other_keys(
    engine: EmbeddedEngine, events: Collected[MediaEvent], secure: SecurePhone, new_browser: NewBrowser
) -> None:
    """Its UPDATE was answered with a key for its own tag; its 200 then says again what was agreed."""
    browser = new_browser()
    session, _ = await offered(engine, browser, REQUIRED)
    moved = secure.secure_sdp(tag=7, version=2)
    await session.set_sip_offer(moved)
    secure.learn(await session.create_sip_answer())
    await session.set_sip_answer(moved)
    await connect(session, browser, events)
    await heard_both_ways(browser, secure)
    assert secure.undecipherable == 0


async def test_a_new_key_of_the_phone_begins_both_directions_anew(
    engine: EmbeddedEngine, events: Collected[MediaEvent], secure: SecurePhone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, secure, events)
    ((_, _, first),) = crypto_of(await session.create_sip_offer())
    secure.renew()
    await session.set_sip_offer(secure.secure_sdp(version=2))
    answer = await session.create_sip_answer()
    assert crypto_of(answer)[0][2] != first
    secure.learn(answer)
    await heard_both_ways(browser, secure)


async def test_another_phone_gets_another_key_and_the_call_keeps_its_own_meanwhile(
    engine: EmbeddedEngine, events: Collected[MediaEvent], secure: SecurePhone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await call_out(engine, browser, secure, events)
    ((_, _, first),) = crypto_of(await session.create_sip_offer())
    other = await SecurePhone.open()
    assert isinstance(other, SecurePhone)
    offer = await session.create_sip_offer(to_another=True)
    assert crypto_of(offer)[0][2] != first
    await heard_both_ways(browser, secure)
    other.learn(offer)
    await session.set_sip_answer(other.secure_sdp(), from_another=True)
    await heard_both_ways(browser, other)
    secure.received.clear()
    await browser.send(SPEECH, 0, step=160)
    assert secure.received.items == []
    await other.close()


async def test_forged_and_repeated_packets_are_dropped_and_counted(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    secure: SecurePhone,
    new_browser: NewBrowser,
    telemetry: CountingTelemetry,
) -> None:
    browser = new_browser()
    await call_out(engine, browser, secure, events)
    await heard_both_ways(browser, secure)
    secure.transport.sendto(secure.sent[-1], secure.target)
    secure.transport.sendto(secure.sent[-1][:-1] + b"\0", secure.target)
    secure.send(SPEECH)  # in the clear
    await heard_both_ways(browser, secure)
    assert await telemetry.until(1, "rtp_discarded_total", reason="replay")
    assert await telemetry.until(1, "rtp_discarded_total", reason="srtp")
    assert [packet.payload for packet in browser.received.items] == [MUSIC]


async def test_a_phone_that_moves_is_followed_because_its_key_proves_who_it_is(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    secure: SecurePhone,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    browser = new_browser()
    await call_out(engine, browser, secure, events)
    await heard_both_ways(browser, secure)
    phone.target = secure.target
    phone.send(SPEECH)
    await heard_both_ways(browser, secure)
    assert phone.sources == set()
    moved, secure.transport = secure.transport, phone.transport
    secure.say(MUSIC)
    secure.transport = moved
    await browser.received.until(lambda packets: len([p for p in packets if p.payload == MUSIC]) == 2)


async def test_two_calls_never_share_a_key(engine: EmbeddedEngine, new_browser: NewBrowser) -> None:
    keys = set()
    for number in range(3):
        session = await engine.open(CallId(f"call-{number}"), REQUIRED)
        ((_, _, key),) = crypto_of(await session.create_sip_offer())
        keys.add(key)
    assert len(keys) == 3


async def test_a_phone_that_takes_a_new_stream_for_every_packet_is_not_followed(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    secure: SecurePhone,
    new_browser: NewBrowser,
    telemetry: CountingTelemetry,
) -> None:
    """libsrtp would keep each one, and look through all of them for every packet of the call."""
    browser = new_browser()
    await call_out(engine, browser, secure, events)
    usual = secure.ssrc
    secure.say(MUSIC)
    await browser.received.count(1)
    for number in range(MAX_STREAMS + 5):
        secure.ssrc = usual + 1 + number
        secure.say(SPEECH)
    secure.ssrc = usual
    secure.say(MUSIC)
    await browser.received.until(lambda packets: sum(packet.payload == MUSIC for packet in packets) == 2)
    assert await telemetry.until(6, "rtp_discarded_total", reason="streams") == 6
