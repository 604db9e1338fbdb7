"""Calls with real peers: sipp, Kamailio, baresip."""

import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.core.ids import TrunkName
from bridge.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallFailed,
    CallProgress,
    CallReoffered,
    IncomingCall,
    SipEvent,
)
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.patience import PATIENCE_S
from tests.peers.baresip import Baresip
from tests.peers.kamailio import Kamailio
from tests.peers.process import free_port
from tests.peers.sipp import SippUac, SippUas, builtin_scenario
from tests.sip.phone import LOOPBACK, Phone, eventually

TRUNK = TrunkName("trunk")
NUMBER = "+15550111"
CALLS = 25
BOTH = pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])


def trunk_to(port: int, transport: Transport = Transport.UDP) -> Trunk:
    return Trunk(name=TRUNK, host=LOOPBACK, port=port, transport=transport)


def account(kamailio: Kamailio, user: str, password: str, transport: Transport = Transport.UDP) -> Trunk:
    return Trunk(
        name=TRUNK,
        host=LOOPBACK,
        port=kamailio.port,
        transport=transport,
        domain=kamailio.domain,
        auth=TrunkAuth.REGISTER,
        username=user,
        password=password,
    )


def hang_up_when_answered(phone: Phone, event: SipEvent) -> None:
    if isinstance(event, CallAnswered):
        phone.endpoint.bye(event.dialog, q850=16)


# sipp.


@BOTH
async def test_sipp_answers_our_calls(tmp_path: Path, transport: Transport) -> None:
    async with (
        SippUas(tmp_path, transport=transport.value, calls=CALLS) as uas,
        Phone(trunk_to(uas.port, transport), on_event=hang_up_when_answered) as phone,
    ):
        for _ in range(CALLS):
            phone.call("+15550100")
        await phone.wait(CallAnswered, count=CALLS)
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0
        await eventually(lambda: phone.endpoint.open_dialogs == 0)
        assert not phone.of(CallFailed)
        assert len(phone.of(CallProgress)) == CALLS


@BOTH
async def test_we_answer_the_calls_of_sipp(tmp_path: Path, transport: Transport) -> None:
    async with Phone(trunk_to(free_port(), transport)) as phone:
        uac = SippUac(tmp_path, f"{LOOPBACK}:{phone.port}", transport=transport.value, calls=CALLS, rate=50)
        assert await uac.run() == 0, uac.log_tail()
        await phone.wait(CallEnded, count=CALLS)
        assert len(phone.of(CallConfirmed)) == CALLS
        assert {call.called for call in phone.of(IncomingCall)} == {"service"}
        assert phone.endpoint.open_dialogs == 0


async def test_a_refused_call_of_sipp_gets_its_status_and_the_ack_is_absorbed(tmp_path: Path) -> None:
    scenario = tmp_path / "refused.xml"
    text = builtin_scenario("uac")
    start, end = text.index('<recv response="200"'), text.index("<!-- definition of the response time")
    scenario.write_text(text[:start] + '<recv response="486"/>\n' + _ACK_OF_FAILURE + text[end:])

    def busy(phone: Phone, event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            phone.endpoint.ring(event.dialog)
            phone.endpoint.reject(event.dialog, 486, q850=17)

    async with Phone(trunk_to(free_port()), on_event=busy) as phone:
        uac = SippUac(tmp_path, f"{LOOPBACK}:{phone.port}", scenario=scenario, calls=CALLS, rate=50)
        assert await uac.run() == 0, uac.log_tail()
        assert len(phone.of(IncomingCall)) == CALLS
        assert phone.endpoint.open_dialogs == 0


_ACK_OF_FAILURE = """<send><![CDATA[

      ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      [last_Via:]
      From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPpTag00[call_number]
      [last_To:]
      Call-ID: [call_id]
      CSeq: 1 ACK
      Max-Forwards: 70
      Content-Length: 0

    ]]></send>
"""


async def test_a_trunk_that_is_not_there_fails_the_call_at_once() -> None:
    async with Phone(trunk_to(free_port())) as phone:
        dialog = phone.call("+15550100")
        failure = await phone.wait(CallFailed)
        assert failure == CallFailed(dialog=dialog, status=503, local=True)


async def test_a_trunk_that_refuses_connections_fails_the_call_at_once() -> None:
    async with Phone(trunk_to(free_port(), Transport.TCP)) as phone:
        dialog = phone.call("+15550100")
        failure = await phone.wait(CallFailed)
        assert failure == CallFailed(dialog=dialog, status=503, local=True)


# Kamailio.


@BOTH
async def test_we_register_with_digest_and_take_the_registration_back(tmp_path: Path, transport: Transport) -> None:
    async with (
        Kamailio(tmp_path, {NUMBER: "secret"}) as kamailio,
        Phone(account(kamailio, NUMBER, "secret", transport)) as phone,
    ):
        await phone.wait_trunk_up()
        assert phone.telemetry.counts["registrations_total outcome=granted trunk=trunk"] == 1
        ends = phone.telemetry.levels["registration_expires_timestamp_seconds trunk=trunk"]
        assert 0 < ends - time.time() <= 600


async def test_a_wrong_password_is_not_tried_again_and_again(tmp_path: Path) -> None:
    async with Kamailio(tmp_path, {NUMBER: "secret"}) as kamailio, Phone(account(kamailio, NUMBER, "wrong")) as phone:
        refused = "registrations_total outcome=refused trunk=trunk"
        await eventually(lambda: phone.telemetry.counts[refused] == 1)
        assert not phone.endpoint.trunk_up(TRUNK)


@BOTH
async def test_a_call_through_a_proxy_that_wants_a_digest(tmp_path: Path, transport: Transport) -> None:
    async with (
        Kamailio(tmp_path, {NUMBER: "secret", "+15550112": "other"}) as kamailio,
        Phone(account(kamailio, NUMBER, "secret", transport)) as caller,
        Phone(account(kamailio, "+15550112", "other", transport)) as callee,
    ):
        await caller.wait_trunk_up()
        await callee.wait_trunk_up()
        dialog = caller.call("+15550112", NUMBER)
        await caller.wait(CallAnswered)
        call = await callee.wait(IncomingCall)
        await callee.wait(CallConfirmed)
        assert (call.called, call.caller) == ("+15550112", NUMBER)
        caller.endpoint.bye(dialog, q850=16)
        assert (await callee.wait(CallEnded)).q850 == 16
        await eventually(lambda: not caller.endpoint.open_dialogs and not callee.endpoint.open_dialogs)


async def test_a_call_through_a_proxy_is_cancelled_while_it_rings(tmp_path: Path) -> None:
    async with (
        Kamailio(tmp_path, {NUMBER: "secret", "+15550112": "other"}) as kamailio,
        Phone(account(kamailio, NUMBER, "secret")) as caller,
        Phone(account(kamailio, "+15550112", "other"), on_event=_only_ring) as callee,
    ):
        await caller.wait_trunk_up()
        await callee.wait_trunk_up()
        dialog = caller.call("+15550112", NUMBER)
        await caller.wait_until(lambda: any(event.status == 180 for event in caller.of(CallProgress)))
        caller.endpoint.cancel(dialog)
        assert (await caller.wait(CallFailed)).status == 487
        await callee.wait(CallCancelled)


async def test_a_number_that_nobody_registered_is_not_found(tmp_path: Path) -> None:
    async with Kamailio(tmp_path, {NUMBER: "secret"}) as kamailio, Phone(account(kamailio, NUMBER, "secret")) as phone:
        await phone.wait_trunk_up()
        phone.call("+15550113", NUMBER)
        assert (await phone.wait(CallFailed)).status == 404


def _only_ring(phone: Phone, event: SipEvent) -> None:
    if isinstance(event, IncomingCall):
        phone.endpoint.ring(event.dialog)


# baresip.


@BOTH
async def test_baresip_answers_and_hangs_up(tmp_path: Path, transport: Transport) -> None:
    async with (
        Baresip(tmp_path, "bob", transport=transport.value) as bob,
        Phone(trunk_to(bob.port, transport)) as phone,
    ):
        phone.call("bob")
        answered = await phone.wait(CallAnswered)
        assert answered.sdp is not None
        await bob.wait_event("CALL_ESTABLISHED")
        await bob.hangup()
        await phone.wait(CallEnded)


async def test_baresip_refuses(tmp_path: Path) -> None:
    async with Baresip(tmp_path, "bob", answer="manual") as bob, Phone(trunk_to(bob.port)) as phone:
        phone.call("bob")
        await bob.wait_event("CALL_INCOMING")
        await bob.hangup()
        assert (await phone.wait(CallFailed)).status == 486


async def test_baresip_puts_us_on_hold_and_comes_back(tmp_path: Path) -> None:
    async with Baresip(tmp_path, "bob") as bob, Phone(trunk_to(bob.port)) as phone:
        dialog = phone.call("bob")
        await phone.wait(CallAnswered)
        await bob.wait_event("CALL_ESTABLISHED")
        await bob.hold()
        held = await phone.wait(CallReoffered)
        assert "a=sendonly" in (held.sdp or "") or "a=inactive" in (held.sdp or "")
        await phone.wait(CallConfirmed)
        await bob.resume()
        resumed = await phone.wait(CallReoffered, count=2)
        assert "a=sendrecv" in (resumed.sdp or "")
        await phone.wait(CallConfirmed, count=2)
        phone.endpoint.bye(dialog)
        await bob.wait_event("CALL_CLOSED")


async def test_baresip_calls_us_through_the_proxy(tmp_path: Path) -> None:
    async with Kamailio(tmp_path, {NUMBER: "secret", "bob": "other"}) as kamailio:
        registrar = f"{LOOPBACK}:{kamailio.port}"
        async with (
            Baresip(tmp_path, "bob", registrar=registrar, domain=kamailio.domain, password="other") as bob,
            Phone(account(kamailio, NUMBER, "secret")) as phone,
        ):
            await bob.wait_registered()
            await phone.wait_trunk_up()
            await bob.dial(f"sip:{NUMBER}@{kamailio.domain}")
            call = await phone.wait(IncomingCall)
            assert (call.called, call.caller) == (NUMBER, "bob")
            await bob.wait_event("CALL_ESTABLISHED")
            phone.endpoint.bye(call.dialog)
            await bob.wait_event("CALL_CLOSED")


@BOTH
async def test_a_call_routed_through_an_outbound_proxy(tmp_path: Path, transport: Transport) -> None:
    async with (
        Kamailio(tmp_path, {NUMBER: "secret", "+15550112": "other"}) as kamailio,
        Phone(behind_proxy(account(kamailio, NUMBER, "secret", transport))) as caller,
        Phone(behind_proxy(account(kamailio, "+15550112", "other", transport))) as callee,
    ):
        await caller.wait_trunk_up()
        await callee.wait_trunk_up()
        dialog = caller.call("+15550112", NUMBER)
        assert (await callee.wait(IncomingCall)).caller == NUMBER
        await caller.wait(CallAnswered)
        caller.endpoint.bye(dialog)
        await callee.wait(CallEnded)


def behind_proxy(trunk: Trunk) -> Trunk:
    """The same trunk with a pre-loaded route, as a device of its own (RFC 5626)."""
    return replace(trunk, outbound_proxy=True, instance=uuid.uuid5(uuid.NAMESPACE_DNS, trunk.username).urn)
