"""Calls over TLS with real peers: Kamailio as registrar and proxy, baresip as a phone."""

from pathlib import Path

import pytest

from bridge.core.ids import TrunkName
from bridge.sip.events import CallAnswered, CallConfirmed, CallEnded, IncomingCall
from bridge.sip.settings import TlsSettings, Transport, Trunk, TrunkAuth
from tests.peers.baresip import Baresip
from tests.peers.certificates import Authority
from tests.peers.kamailio import Kamailio
from tests.sip.phone import LOOPBACK, Phone, eventually

TRUNK = TrunkName("trunk")
NUMBER = "+15550111"
OTHER = "+15550122"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def account(kamailio: Kamailio, user: str, password: str) -> Trunk:
    return Trunk(
        name=TRUNK,
        host=LOOPBACK,
        port=kamailio.tls_port,
        transport=Transport.TLS,
        domain=kamailio.domain,
        auth=TrunkAuth.REGISTER,
        username=user,
        password=password,
    )


def registered(kamailio: Kamailio, authority: Authority, user: str, password: str, *, listens: bool = False) -> Phone:
    """A phone that listens with a certificate of its own, or one whose calls come by the connection that it opened."""
    tls = our_tls(authority) if listens else TlsSettings(ca_file=authority.ca_file)
    transports = (Transport.TLS,) if listens else (Transport.UDP,)
    return Phone(account(kamailio, user, password), transports=transports, tls=tls)


@pytest.mark.parametrize("listens", [True, False])
async def test_we_register_with_kamailio_and_call_through_it(
    tmp_path: Path, authority: Authority, listens: bool
) -> None:
    async with (
        Kamailio(tmp_path, {NUMBER: "one", OTHER: "two"}, identity=authority.issue(file="kamailio")) as kamailio,
        registered(kamailio, authority, NUMBER, "one", listens=listens) as caller,
        registered(kamailio, authority, OTHER, "two", listens=listens) as callee,
    ):
        await caller.wait_trunk_up()
        await callee.wait_trunk_up()
        dialog = caller.call(OTHER, NUMBER)
        await caller.wait(CallAnswered)
        await callee.wait(CallConfirmed)
        callee.endpoint.bye(callee.of(IncomingCall)[0].dialog)
        ended = await caller.wait(CallEnded)
        assert ended.dialog == dialog
        assert len(caller.endpoint._network._pool) == len(callee.endpoint._network._pool) == 1


async def test_kamailio_without_a_good_certificate_never_hears_who_we_are(tmp_path: Path, authority: Authority) -> None:
    identity = authority.issue("elsewhere.example.org", file="kamailio")
    async with (
        Kamailio(tmp_path, {NUMBER: "one"}, identity=identity) as kamailio,
        registered(kamailio, authority, NUMBER, "one") as caller,
    ):
        await eventually(
            lambda: caller.telemetry.counts["registrations_total outcome=failed trunk=trunk"] == 1,
        )
        assert caller.telemetry.counts["sip_tls_failures_total direction=out reason=name"] == 1
        assert not caller.endpoint.trunk_up(TRUNK)


def phone_of(tmp_path: Path, authority: Authority, options: str = "") -> Baresip:
    identity = authority.issue(file="baresip")
    return Baresip(tmp_path, "bob", transport="tls", identity=identity, authority=authority, account_options=options)


def our_tls(authority: Authority) -> TlsSettings:
    ours = authority.issue(file="ours")
    return TlsSettings(certificate=ours.certificate, private_key=ours.private_key, ca_file=authority.ca_file)


def trunk_to(port: int) -> Trunk:
    return Trunk(name=TRUNK, host=LOOPBACK, port=port, transport=Transport.TLS)


async def test_baresip_answers_our_call(tmp_path: Path, authority: Authority) -> None:
    async with (
        phone_of(tmp_path, authority) as baresip,
        Phone(trunk_to(baresip.tls_port), tls=our_tls(authority)) as phone,
    ):
        phone.call("bob")
        await phone.wait(CallAnswered)
        await baresip.wait_event("CALL_ESTABLISHED")
        await baresip.hangup()
        await phone.wait(CallEnded)


async def test_baresip_calls_us(tmp_path: Path, authority: Authority) -> None:
    async with (
        phone_of(tmp_path, authority) as baresip,
        Phone(trunk_to(baresip.tls_port), tls=our_tls(authority)) as phone,
    ):
        await baresip.dial(f"sip:{NUMBER}@{LOOPBACK}:{phone.port}")
        call = await phone.wait(IncomingCall)
        await phone.wait(CallConfirmed)
        assert call.called == NUMBER
        phone.endpoint.bye(call.dialog)
        await baresip.wait_event("CALL_CLOSED")
        await eventually(lambda: phone.endpoint.open_dialogs == 0)


async def test_baresip_offers_encrypted_audio(tmp_path: Path, authority: Authority) -> None:
    async with (
        phone_of(tmp_path, authority, ";mediaenc=srtp-mand") as baresip,
        Phone(trunk_to(baresip.tls_port), tls=our_tls(authority), on_event=lambda phone, event: None) as phone,
    ):
        await baresip.dial(f"sip:{NUMBER}@{LOOPBACK}:{phone.port}")
        call = await phone.wait(IncomingCall)
        assert "RTP/SAVP" in (call.sdp or "")
        assert "AES_CM_128_HMAC_SHA1_80" in (call.sdp or "")
