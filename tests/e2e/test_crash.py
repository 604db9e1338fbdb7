"""The process is killed in the middle of calls: the next one ends them on both sides, and tells what it was."""

from pathlib import Path

import yaml

from tests.e2e import scripted
from tests.e2e.exchange import PHONE, Exchange, number_of, open_exchange
from tests.e2e.phone import Phone
from tests.e2e.scripted_users import ScriptedUser
from tests.e2e.webrtc import mute_offer
from tests.patience import PATIENCE_S
from tests.peers.process import free_port
from tests.peers.sipp import SippUas


async def _talk(exchange: Exchange, phone: Phone) -> ScriptedUser:
    user = await exchange.user("talks", PHONE)
    await user.invite("talks", mute_offer(1, port=exchange.mute_port))
    await user.answered("talks")
    await phone.wait_answered()
    return user


async def _dial(exchange: Exchange) -> ScriptedUser:
    user = await exchange.user("dials", "+15560100")
    await user.invite("dials", mute_offer(2, port=exchange.mute_port))
    await exchange.bridge.wait_metric("sip_responses_total", 1, method="INVITE", direction="in", status_class="1xx")
    return user


async def test_phones_are_hung_up_on_after_a_crash_whatever_they_did(tmp_path: Path) -> None:
    async with open_exchange(tmp_path) as exchange:
        called = Phone(tmp_path, PHONE, port=exchange.phone_port)
        caller = Phone(tmp_path, "+15550177", port=free_port(span=2), answer="manual")
        silent = SippUas(tmp_path, scenario=scripted.ringing(tmp_path), port=exchange.other_port, calls=1)
        async with called, caller, silent:
            dials = await _dial(exchange)
            talks = await _talk(exchange, called)
            await caller.call(number_of(0), through=exchange.bridge.sip_port)
            rung, rung_call = await exchange.callee(0)

            await exchange.bridge.crash()
            await exchange.bridge.start()

            await called.wait_closed(limit_s=PATIENCE_S)
            assert (await caller.wait_closed(limit_s=PATIENCE_S)).startswith("500")
            assert await silent.wait_exit(limit_s=PATIENCE_S) == 0, "no CANCEL came"
            assert await talks.hung_up("talks") == "unknown_error"
            assert await rung.hung_up(rung_call) == "unknown_error"
            await dials.rejected("dials")
            await exchange.bridge.wait_metric("calls_active", 0)
            assert [record["reason"] for record in exchange.bridge.records()] == ["abnormal"] * 3
            assert await exchange.bridge.metric("internal_errors_total") == 0


async def test_a_phone_is_hung_up_on_although_its_trunk_was_taken_out_of_the_configuration(tmp_path: Path) -> None:
    async with open_exchange(tmp_path) as exchange, Phone(tmp_path, PHONE, port=exchange.phone_port) as called:
        talks = await _talk(exchange, called)
        await exchange.bridge.crash()
        config = yaml.safe_load(exchange.bridge.config.read_text())
        del config["trunks"]["phone"]
        config["permissions"]["outbound"] = []
        exchange.bridge.config.write_text(yaml.safe_dump(config))
        await exchange.bridge.start()
        await called.wait_closed(limit_s=PATIENCE_S)
        assert await talks.hung_up("talks") == "unknown_error"
        (record,) = exchange.bridge.records()
        assert (record["reason"], record["tried"]) == ("abnormal", ["phone"])
