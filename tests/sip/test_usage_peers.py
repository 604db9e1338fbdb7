"""Acknowledged ringing, session timers and our own hold with real peers: sipp and baresip."""

from pathlib import Path

import pytest

from bridge.sip.events import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallProgress,
    CallReofferAnswered,
    IncomingCall,
    SipEvent,
)
from bridge.sip.settings import Reliable, Transport, Trunk
from tests.patience import PATIENCE_S
from tests.peers.baresip import Baresip
from tests.peers.process import free_port
from tests.peers.sipp import SippUac, SippUas
from tests.sip.phone import LOOPBACK, Phone, eventually, sdp
from tests.sip.test_peers import TRUNK, hang_up_when_answered

SCENARIOS = Path(__file__).parent.parent / "peers" / "scenarios"
CALLS = 5
SHORT_S = 4
BOTH = pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])


def trunk_to(port: int, transport: Transport = Transport.UDP, **settings: object) -> Trunk:
    return Trunk(name=TRUNK, host=LOOPBACK, port=port, transport=transport, **settings)  # type: ignore[arg-type]


def scenario(name: str) -> Path:
    return SCENARIOS / f"{name}.xml"


# Acknowledged ringing.


@BOTH
async def test_sipp_has_its_ringing_acknowledged(tmp_path: Path, transport: Transport) -> None:
    uas = SippUas(tmp_path, transport=transport.value, scenario=scenario("reliable_callee"), calls=CALLS)
    async with uas, Phone(trunk_to(uas.port, transport), on_event=hang_up_when_answered) as phone:
        for _ in range(CALLS):
            phone.call("+15550100")
        await phone.wait(CallAnswered, count=CALLS)
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0, uas.log_tail()
        assert sorted(event.status for event in phone.of(CallProgress)) == [180] * CALLS + [183] * CALLS
        assert all(event.sdp for event in phone.of(CallAnswered))
        await eventually(lambda: phone.endpoint.open_dialogs == 0)


@BOTH
async def test_sipp_acknowledges_our_ringing(tmp_path: Path, transport: Transport) -> None:
    def ring_first(phone: Phone, event: SipEvent) -> None:
        match event:
            case IncomingCall(dialog=dialog):
                phone.endpoint.ring(dialog, sdp=sdp())
                phone.endpoint.accept(dialog, sdp())
            case _:
                pass

    async with Phone(trunk_to(free_port(), transport), on_event=ring_first) as phone:
        target = f"{LOOPBACK}:{phone.port}"
        uac = SippUac(
            tmp_path, target, transport=transport.value, scenario=scenario("reliable_caller"), calls=CALLS, rate=20
        )
        assert await uac.run() == 0, uac.log_tail()
        await phone.wait(CallEnded, count=CALLS)
        assert len(phone.of(CallConfirmed)) == CALLS


async def test_sipp_requires_what_the_trunk_must_not_use(tmp_path: Path) -> None:
    async with Phone(trunk_to(free_port(), reliable=Reliable.OFF)) as phone:
        uac = SippUac(tmp_path, f"{LOOPBACK}:{phone.port}", scenario=scenario("reliable_caller"), calls=1)
        assert await uac.run() != 0
        assert "SIP/2.0 420 Bad Extension" in (tmp_path / f"{uac.name}.err").read_text()
        assert not phone.of(IncomingCall)


# Long ringing.


async def test_sipp_answers_after_it_has_rung_longer_than_a_request_lasts(tmp_path: Path) -> None:
    """Without any response it would end after 64·T1 (RFC 3261 §17.1.1.2), which is 6.4 s here."""
    uas = SippUas(tmp_path, scenario=scenario("ringing_for_long"), calls=1)
    async with uas, Phone(trunk_to(uas.port), on_event=hang_up_when_answered, timer_t1_s=0.1) as phone:
        phone.call("+15550100")
        await phone.wait(CallAnswered)
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0, uas.log_tail()


# Session timers.


@pytest.mark.parametrize("name", ["confirmed_by_update", "confirmed_by_reinvite"])
async def test_we_confirm_a_call_to_sipp(tmp_path: Path, name: str) -> None:
    """Every two seconds; the scenario ends the test if a confirmation does not come."""
    uas = SippUas(tmp_path, scenario=scenario(name), calls=1)
    async with uas, Phone(trunk_to(uas.port, min_se_s=SHORT_S)) as phone:
        dialog = phone.call("+15550100")
        await phone.wait(CallAnswered)
        method = "UPDATE" if name.endswith("update") else "INVITE"
        answered = f"sip_responses_total direction=in method={method} status_class=2xx"
        first = phone.telemetry.counts[answered]
        await eventually(lambda: phone.telemetry.counts[answered] == first + 2)
        phone.endpoint.bye(dialog)
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0, uas.log_tail()
        assert not phone.of(CallEnded)


async def test_a_call_that_sipp_does_not_confirm_is_ended(tmp_path: Path) -> None:
    uas = SippUas(tmp_path, scenario=scenario("never_confirming"), calls=1)
    async with uas, Phone(trunk_to(uas.port, min_se_s=SHORT_S)) as phone:
        dialog = phone.call("+15550100")
        assert await phone.wait(CallEnded) == CallEnded(dialog=dialog, by_peer=False, expired=True)
        assert await uas.wait_exit(limit_s=PATIENCE_S) == 0, uas.log_tail()


# Hold.


async def test_we_put_baresip_on_hold_and_come_back(tmp_path: Path) -> None:
    async with Baresip(tmp_path, "bob") as bob, Phone(trunk_to(bob.port)) as phone:
        dialog = phone.call("bob")
        await phone.wait(CallAnswered)
        await bob.wait_event("CALL_ESTABLISHED")
        phone.endpoint.reoffer(dialog, sdp() + "a=sendonly\r\n")
        held = await phone.wait(CallReofferAnswered)
        assert "a=recvonly" in (held.sdp or "")
        phone.endpoint.reoffer(dialog, sdp() + "a=sendrecv\r\n")
        resumed = await phone.wait(CallReofferAnswered, count=2)
        assert "a=sendrecv" in (resumed.sdp or "")
        phone.endpoint.bye(dialog)
        await bob.wait_event("CALL_CLOSED")


async def test_we_offer_as_the_callee_of_baresip(tmp_path: Path) -> None:
    async with Phone(trunk_to(free_port())) as phone, Baresip(tmp_path, "bob") as bob:
        await bob.dial(f"sip:+15550111@{LOOPBACK}:{phone.port}")
        call = await phone.wait(IncomingCall)
        await phone.wait(CallConfirmed)
        phone.endpoint.reoffer(call.dialog, sdp(40_002) + "a=sendonly\r\n")
        assert "a=recvonly" in ((await phone.wait(CallReofferAnswered)).sdp or "")
        phone.endpoint.bye(call.dialog)
        await bob.wait_event("CALL_CLOSED")
