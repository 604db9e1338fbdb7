"""What strangers can send to a media port, and that it does no harm."""

import asyncio
import re
import struct
from collections.abc import Callable

import pytest
from aiortc.rtcdtlstransport import RTCCertificate, SRTPProtectionProfile, generate_certificate
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from bridge.core.ids import CallId
from bridge.media import g711
from bridge.media.embedded import EmbeddedEngine
from bridge.media.engine import MediaConnected, MediaEnded, MediaError, MediaEvent, MediaFailure
from bridge.media.ice import IceAgent
from tests.media.browser import Browser
from tests.media.counting import CountingTelemetry
from tests.media.phone import Phone, tone_frames
from tests.media.test_calls import CALL, NewBrowser, Place, call_in, call_out
from tests.media.waiting import Collected


def forged_client_hello() -> bytes:
    """A DTLS 1.2 ClientHello that offers no usable cipher suite (RFC 6347 §4.2)."""
    body = b"\xfe\xfd" + bytes(32) + b"\0" + b"\0" + b"\0\x02\0\0" + b"\x01\0"
    handshake = b"\x01" + len(body).to_bytes(3, "big") + b"\0\0" + b"\0\0\0" + len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", len(handshake)) + handshake


def advertised_ports(sdp: str) -> list[int]:
    """The port of every candidate in a description."""
    return [int(port) for port in re.findall(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+) typ", sdp)]


async def connect_under_attack(engine: EmbeddedEngine, browser: Browser, phone: Phone, datagrams: int) -> None:
    """Set a call up while a stranger sends to every advertised port, before and during the connectivity checks."""
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    stranger = await Phone.open()
    ports = advertised_ports(offer)
    assert ports

    def attack() -> None:
        for port in ports:
            for _ in range(datagrams):
                stranger.transport.sendto(forged_client_hello(), ("127.0.0.1", port))

    attack()
    answer = await browser.answer(offer)
    attack()
    await session.set_matrix_answer(answer)
    attack()
    await session.create_sip_answer()
    await stranger.close()


@pytest.mark.parametrize("datagrams", [1, 100])
async def test_a_forged_client_hello_from_elsewhere_does_not_break_a_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
    datagrams: int,
) -> None:
    await connect_under_attack(engine, new_browser(), phone, datagrams)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    assert telemetry.total("media_offpath_dropped_total") >= datagrams


async def test_without_the_guard_the_same_attack_does_break_it(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(IceAgent, "is_validated", lambda self, address: True)
    await connect_under_attack(engine, new_browser(), phone, 1)
    await events.count(1)
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]


async def test_garbage_at_the_webrtc_port_is_survived(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    session = await engine.open(CALL)
    await session.set_sip_offer(phone.sdp())
    offer = await session.create_matrix_offer()
    (port,) = advertised_ports(offer)
    stun = b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(12)
    for junk in (b"", b"\0", b"\x01" * 30, stun + b"\x00\x06\xff\xff", stun + b"\x00\x24\x00\x01abcd", b"\x80" * 50):
        phone.transport.sendto(junk, ("127.0.0.1", port))
    await session.set_matrix_answer(await new_browser().answer(offer))
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_rtp_from_elsewhere_is_not_heard_and_gets_nothing(
    engine: EmbeddedEngine,
    telemetry: CountingTelemetry,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    browser = new_browser()
    await call_out(engine, browser, phone)
    await events.count(1)
    stranger, other_port = await Phone.open("127.0.0.2"), await Phone.open()
    stranger.target = other_port.target = phone.target
    said = g711.ulaw_encode(tone_frames(700, 1)[0])
    phone.send(said)
    await browser.received.until(lambda packets: any(p.payload == said for p in packets))
    for _ in range(20):
        stranger.send(b"\x11" * 160)
        other_port.send(b"\x22" * 160)
    phone.send(b"\x33" * 160)
    await browser.received.until(lambda packets: any(p.payload == b"\x33" * 160 for p in packets))
    assert not {b"\x11" * 160, b"\x22" * 160} & {p.payload for p in browser.received.items}
    assert telemetry.total("rtp_discarded_total", reason="source") == 40
    await browser.send(said, 0, step=160)
    await phone.received.until(lambda packets: any(p.payload == said for p in packets))
    assert stranger.received.items == other_port.received.items == []
    await stranger.close()
    await other_port.close()


class RsaCertificate(RTCCertificate):
    """What Nheko shows: an RSA certificate, which needs ECDHE-RSA suites."""

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
        return context


@pytest.fixture
def rsa_browser(new_browser: NewBrowser) -> Browser:
    browser = new_browser()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = RsaCertificate(key=key, cert=generate_certificate(key))  # type: ignore[arg-type]
    browser.connection._RTCPeerConnection__certificates[:] = [certificate]  # type: ignore[attr-defined]
    return browser


@pytest.mark.parametrize("place", [call_out, call_in])
async def test_a_peer_with_an_rsa_certificate_connects_as_dtls_client(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, rsa_browser: Browser, place: Place
) -> None:
    await place(engine, rsa_browser, phone)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_a_peer_with_an_rsa_certificate_connects_as_dtls_server(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, rsa_browser: Browser
) -> None:
    session = await engine.open(CALL)
    await session.set_matrix_offer((await rsa_browser.offer()).replace("a=setup:actpass", "a=setup:passive"))
    await session.create_sip_offer()
    await session.set_sip_answer(phone.sdp())
    answer = await session.create_matrix_answer()
    assert "a=setup:active" in answer
    await rsa_browser.take_answer(answer)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_a_certificate_that_was_not_announced_is_refused(
    engine: EmbeddedEngine, events: Collected[MediaEvent], phone: Phone, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    session = await engine.open(CALL)
    offer = re.sub(r"(a=fingerprint:sha-256 )..", r"\g<1>00", await browser.offer())
    offer = re.sub(r"(a=fingerprint:sha-256 00:)..", r"\g<1>00", offer)
    await session.set_matrix_offer(offer)
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    assert events.items == [MediaEnded(call_id=CALL, failure=MediaFailure.ICE_FAILED)]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda sdp: sdp.replace("m=audio", "m=text"), "matrix_media_unacceptable"),
        (lambda sdp: sdp.replace("a=fingerprint", "a=nothing"), "matrix_media_unacceptable"),
        (lambda sdp: sdp.replace("a=setup:actpass", "a=setup:evil"), "matrix_media_unacceptable"),
        (lambda sdp: sdp + "a=x\r\n" * 20000, "matrix_media_unacceptable"),
    ],
)
async def test_an_unusable_offer_gets_a_verdict_and_harms_nothing_else(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    phone: Phone,
    new_browser: NewBrowser,
    spoil: Callable[[str], str],
    reason: str,
) -> None:
    bad = await engine.open(CallId("bad"))
    with pytest.raises(MediaError) as refused:
        await bad.set_matrix_offer(spoil(await new_browser().offer()))
    assert (refused.value.verdict.reason, refused.value.verdict.sip_status) == (reason, 488)
    await bad.close()
    await call_out(engine, new_browser(), phone)
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]


async def test_a_thousand_candidates_do_not_stop_a_call(
    engine: EmbeddedEngine,
    events: Collected[MediaEvent],
    telemetry: CountingTelemetry,
    phone: Phone,
    new_browser: NewBrowser,
) -> None:
    browser = new_browser()
    session = await engine.open(CALL)
    offer = await browser.offer()
    flood = "".join(f"a=candidate:{n} 1 udp 99 192.0.2.1 {2000 + n} typ host\r\n" for n in range(1000))
    await session.set_matrix_offer(offer + flood)
    await session.create_sip_offer()
    await session.set_sip_answer(phone.sdp())
    await browser.take_answer(await session.create_matrix_answer())
    await events.count(1)
    assert events.items == [MediaConnected(call_id=CALL)]
    assert telemetry.total("ice_candidates_ignored_total", reason="too_many") == 1


async def test_encrypted_phone_audio_is_refused_with_488(engine: EmbeddedEngine, phone: Phone) -> None:
    session = await engine.open(CALL)
    with pytest.raises(MediaError) as refused:
        await session.set_sip_offer(phone.sdp().replace("RTP/AVP", "RTP/SAVP"))
    assert (refused.value.verdict.reason, refused.value.verdict.sip_status) == ("sip_media_unacceptable", 488)
    await asyncio.wait_for(session.close(), 5)
