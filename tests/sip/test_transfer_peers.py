"""Transfers and keys with real peers: baresip through Kamailio, and sipp."""

from pathlib import Path

import pytest

from bridge.sip.events import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallFailed,
    CallReferred,
    DigitsReceived,
    IncomingCall,
    OutgoingCall,
    ReferralProgress,
    SipEvent,
)
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.patience import PATIENCE_S
from tests.peers.baresip import Baresip
from tests.peers.kamailio import Kamailio
from tests.peers.process import free_port
from tests.peers.sipp import SippUac, SippUas
from tests.sip.phone import LOOPBACK, Phone, answer_at_once, eventually, sdp
from tests.sip.test_peers import NUMBER, TRUNK

SCENARIOS = Path(__file__).parent.parent / "peers" / "scenarios"
SIPP_TRANSPORTS = pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])


def account(kamailio: Kamailio, *, accept_transfers: bool = True) -> Trunk:
    return Trunk(
        name=TRUNK,
        host=LOOPBACK,
        port=kamailio.port,
        domain=kamailio.domain,
        auth=TrunkAuth.REGISTER,
        username=NUMBER,
        password="secret",
        accept_transfers=accept_transfers,
    )


def sipp_trunk(transport: Transport = Transport.UDP, port: int | None = None) -> Trunk:
    return Trunk(name=TRUNK, host=LOOPBACK, port=port or free_port(), transport=transport, accept_transfers=True)


def registered(kamailio: Kamailio, directory: Path, user: str) -> Baresip:
    registrar = f"{LOOPBACK}:{kamailio.port}"
    return Baresip(directory, user, registrar=registrar, domain=kamailio.domain, password="other")


def follow(phone: Phone, event: SipEvent) -> None:
    """Do what a REFER asks for, and report it."""
    match event:
        case CallReferred(dialog=dialog, target=target):
            phone.endpoint.accept_referral(dialog)
            call = OutgoingCall(
                trunk=TRUNK,
                called=target.user,
                caller=NUMBER,
                sdp=sdp(),
                target=target.uri,
                replaces=target.replaces,
                referred_by=event.referred_by,
            )
            phone.endpoint.invite(call)
        case CallAnswered() if (referred := phone.of(CallReferred)) and event.dialog != referred[0].dialog:
            phone.endpoint.notify_referral(referred[0].dialog, 200)
        case CallFailed(status=status) if referred := phone.of(CallReferred):
            phone.endpoint.notify_referral(referred[0].dialog, status)
        case _:
            answer_at_once(phone, event)


USERS = {NUMBER: "secret", "bob": "other", "carol": "other"}


async def test_baresip_transfers_us_to_another_phone(tmp_path: Path) -> None:
    async with (
        Kamailio(tmp_path, USERS) as kamailio,
        registered(kamailio, tmp_path, "bob") as bob,
        registered(kamailio, tmp_path, "carol") as carol,
        Phone(account(kamailio), on_event=follow) as phone,
    ):
        await bob.wait_registered()
        await carol.wait_registered()
        await phone.wait_trunk_up()
        first = phone.call("bob", NUMBER)
        await bob.wait_event("CALL_ESTABLISHED")
        await bob.command("transfer", f"sip:carol@{kamailio.domain}")
        referred = await phone.wait(CallReferred)
        assert (referred.dialog, referred.target.user) == (first, "carol")
        await carol.wait_event("CALL_ESTABLISHED")
        ended = await phone.wait(CallEnded)
        assert ended.dialog == first
        phone.endpoint.bye(phone.of(CallAnswered)[1].dialog)
        await carol.wait_event("CALL_CLOSED")
        await eventually(lambda: phone.endpoint.open_dialogs == 0)


async def test_baresip_hears_that_the_other_phone_is_not_there(tmp_path: Path) -> None:
    async with (
        Kamailio(tmp_path, USERS) as kamailio,
        registered(kamailio, tmp_path, "bob") as bob,
        Phone(account(kamailio), on_event=follow) as phone,
    ):
        await bob.wait_registered()
        await phone.wait_trunk_up()
        first = phone.call("bob", NUMBER)
        await bob.wait_event("CALL_ESTABLISHED")
        await bob.command("transfer", f"sip:carol@{kamailio.domain}")
        assert (await phone.wait(CallFailed)).status == 404
        await bob.wait_event("TRANSFER_FAILED")
        assert (await phone.wait(CallEnded)).dialog == first  # baresip hangs up even so.


async def test_a_trunk_that_may_not_transfer_is_refused(tmp_path: Path) -> None:
    async with (
        Kamailio(tmp_path, USERS) as kamailio,
        registered(kamailio, tmp_path, "bob") as bob,
        Phone(account(kamailio, accept_transfers=False), on_event=follow) as phone,
    ):
        await bob.wait_registered()
        await phone.wait_trunk_up()
        phone.call("bob", NUMBER)
        await bob.wait_event("CALL_ESTABLISHED")
        await bob.command("transfer", f"sip:carol@{kamailio.domain}")
        refused = "sip_responses_total direction=out method=REFER status_class=4xx"
        await eventually(lambda: phone.telemetry.counts[refused] == 1)
        assert not phone.of(CallReferred)


async def test_we_transfer_baresip_to_another_phone(tmp_path: Path) -> None:
    async with (
        Kamailio(tmp_path, USERS) as kamailio,
        registered(kamailio, tmp_path, "bob") as bob,
        registered(kamailio, tmp_path, "carol") as carol,
        Phone(account(kamailio)) as phone,
    ):
        await bob.wait_registered()
        await carol.wait_registered()
        await phone.wait_trunk_up()
        dialog = phone.call("bob", NUMBER)
        await bob.wait_event("CALL_ESTABLISHED")
        phone.endpoint.refer(dialog, "carol")
        await phone.wait_until(lambda: any(event.status == 200 for event in phone.of(ReferralProgress)))
        await carol.wait_event("CALL_ESTABLISHED")
        phone.endpoint.bye(dialog)
        await bob.wait_event("CALL_CLOSED")
        await eventually(lambda: phone.endpoint.open_dialogs == 0)
        assert not carol.events("CALL_CLOSED")


@SIPP_TRANSPORTS
async def test_sipp_asks_for_an_attended_transfer_and_hears_what_comes_of_it(
    tmp_path: Path, transport: Transport
) -> None:
    def take(phone: Phone, event: SipEvent) -> None:
        answer_at_once(phone, event)
        if isinstance(event, CallReferred):
            phone.endpoint.accept_referral(event.dialog)
            phone.endpoint.notify_referral(event.dialog, 200)

    async with Phone(sipp_trunk(transport), on_event=take) as phone:
        uac = SippUac(
            tmp_path,
            f"{LOOPBACK}:{phone.port}",
            transport=transport.value,
            scenario=SCENARIOS / "referring_caller.xml",
            calls=5,
        )
        assert await uac.run() == 0, uac.log_tail()
        await phone.wait(CallEnded, count=5)
        for referred in phone.of(CallReferred):
            assert str(referred.target.uri) == "sip:carol@pbx.example"
            assert referred.target.replaces == "a@b;to-tag=x;from-tag=y"
            assert referred.referred_by == f"<sip:sipp@{LOOPBACK}>"


@SIPP_TRANSPORTS
async def test_sipp_takes_a_call_over_with_another(tmp_path: Path, transport: Transport) -> None:
    def take(phone: Phone, event: SipEvent) -> None:
        answer_at_once(phone, event)
        if isinstance(event, CallConfirmed):
            call = next(call for call in phone.of(IncomingCall) if call.dialog == event.dialog)
            if call.replaces is not None:
                phone.endpoint.bye(call.replaces)

    async with Phone(sipp_trunk(transport), on_event=take) as phone:
        uac = SippUac(
            tmp_path,
            f"{LOOPBACK}:{phone.port}",
            transport=transport.value,
            scenario=SCENARIOS / "replacing_caller.xml",
            calls=5,
        )
        assert await uac.run() == 0, uac.log_tail()
        await phone.wait(CallEnded, count=5)
        replaced = [call.replaces for call in phone.of(IncomingCall) if call.replaces]
        assert sorted(replaced) == sorted(call.dialog for call in phone.of(IncomingCall) if not call.replaces)
        await eventually(lambda: phone.endpoint.open_dialogs == 0)


@SIPP_TRANSPORTS
async def test_sipp_presses_keys(tmp_path: Path, transport: Transport) -> None:
    async with Phone(sipp_trunk(transport)) as phone:
        scenario = SCENARIOS / "pressing_caller.xml"
        target = f"{LOOPBACK}:{phone.port}"
        uac = SippUac(tmp_path, target, transport=transport.value, scenario=scenario)
        assert await uac.run() == 0, uac.log_tail()
        assert [(event.digits, event.duration_ms) for event in phone.of(DigitsReceived)] == [("5", 160), ("#", 250)]


@SIPP_TRANSPORTS
async def test_sipp_gets_our_keys_in_order(tmp_path: Path, transport: Transport) -> None:
    scenario = SCENARIOS / "pressed_callee.xml"
    async with (
        SippUas(tmp_path, transport=transport.value, scenario=scenario, calls=1) as uas,
        Phone(sipp_trunk(transport, uas.port)) as phone,
    ):
        dialog = phone.call("+15550100")
        await phone.wait(CallAnswered)
        for digit in "1*#":
            phone.endpoint.send_digit(dialog, digit, 120)
        sent = "sip_info_digits_total direction=out outcome=sent"
        await eventually(lambda: phone.telemetry.counts[sent] == 3)
        phone.endpoint.bye(dialog)
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0, uas.log_tail()
