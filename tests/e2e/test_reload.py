"""An operator changes the configuration of a bridge that carries calls, and reloads it."""

import signal
import time
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.exchange import PHONE, SERVER_NAME, Exchange, open_exchange
from tests.e2e.phone import Phone
from tests.e2e.sound import Heard, Tone, sine, write_wav
from tests.e2e.waiting import until
from tests.e2e.webrtc import mute_offer
from tests.patience import PATIENCE_S
from tests.peers.kamailio import Kamailio
from tests.peers.process import LOOPBACK, free_port

MENU = "+15558000001"
GROUP = "+15558000002"
DESK, DOMAIN = "+15570100", "pbx.test"
ACCOUNTS = {"bridge": "bridge-password", DESK: "desk-password"}
EXPIRES = "registration_expires_timestamp_seconds"
OLD_HZ, OLD_INVALID_HZ = 500.0, 700.0
NEW_HZ, NEW_INVALID_HZ = 900.0, 1100.0


async def reload(exchange: Exchange, outcome: str = "done", **changes: Any) -> None:
    """Have the bridge read its configuration with these sections exchanged, and wait for what comes of it."""
    bridge = exchange.bridge
    before = await bridge.metric("config_reloads_total", outcome=outcome)
    document = yaml.safe_load(bridge.config.read_text())
    bridge.config.write_text(yaml.safe_dump({**document, **changes}, sort_keys=False))
    bridge.signal(signal.SIGHUP)
    await bridge.wait_metric("config_reloads_total", before + 1, outcome=outcome)


async def hears(phone: Phone, pitch_hz: float) -> None:
    heard: list[Heard] = []

    async def like() -> bool:
        heard.append(phone.heard())
        return abs(heard[-1].pitch_hz - pitch_hz) < 8.0 and heard[-1].level_db > -30.0

    await until(like, lambda: f"the phone heard {heard[-1:]}, not {pitch_hz} Hz", limit_s=PATIENCE_S)


def menus(folder: Path, prompt_hz: float, invalid_hz: float) -> dict[str, Any]:
    def recorded(pitch_hz: float) -> str:
        samples = sine(Tone(pitch_hz=pitch_hz), rate_hz=8000, seconds=2.0)
        return str(write_wav(folder / f"{pitch_hz:.0f}.wav", samples, rate_hz=8000))

    return {"main": {"prompt": recorded(prompt_hz), "invalid": recorded(invalid_hz), "timeout_s": 20}}


async def test_a_phone_in_a_menu_goes_on_hearing_it_and_the_next_one_hears_the_new_menu(tmp_path: Path) -> None:
    settings = {"menus": menus(tmp_path, OLD_HZ, OLD_INVALID_HZ), "numbers": {"inbound": {MENU: "menu:main"}}}
    async with (
        open_exchange(tmp_path, settings) as exchange,
        Phone(tmp_path, PHONE, port=exchange.phone_port) as phone,
    ):
        await phone.call(MENU, through=exchange.bridge.sip_port)
        await hears(phone, OLD_HZ)
        await reload(exchange, menus=menus(tmp_path, NEW_HZ, NEW_INVALID_HZ))
        await phone.send_digits("5")
        await hears(phone, OLD_INVALID_HZ)
        await phone.hangup()
        await exchange.bridge.wait_metric("calls_active", 0)
        await reload(exchange, "refused", menus={"main": {"prompt": str(tmp_path / "gone.wav")}})
        assert "gone.wav" in exchange.bridge.log_tail()
        await phone.call(MENU, through=exchange.bridge.sip_port)
        await hears(phone, NEW_HZ)


async def test_a_phone_that_rings_a_group_comes_to_the_menu_of_before_which_is_heard(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "menus": menus(tmp_path, OLD_HZ, OLD_INVALID_HZ),
        "groups": {"team": {"members": [f"@callee0:{SERVER_NAME}"], "otherwise": "menu:main"}},
        "numbers": {"inbound": {GROUP: "group:team"}},
    }
    async with (
        open_exchange(tmp_path, settings) as exchange,
        Phone(tmp_path, PHONE, port=exchange.phone_port) as phone,
    ):
        await phone.call(GROUP, through=exchange.bridge.sip_port)
        member, call_id = await exchange.callee(0)
        await reload(exchange, menus=menus(tmp_path, NEW_HZ, NEW_INVALID_HZ))
        await member.decline(call_id)
        await hears(phone, OLD_HZ)


def with_pbx(trunks: dict[str, Any], pbx: Kamailio, password: str, auth: str = "register") -> dict[str, Any]:
    """The sections that know of a PBX besides, which carries the calls to its phone."""
    account = {"auth": auth, "username": "bridge", "password": password, "caller_id": "+15570199"}
    permissions = [{"who": [SERVER_NAME], "prefixes": ["+1557"], "trunk": "pbx"}]
    return {
        "trunks": {**trunks, "pbx": {"server": f"{LOOPBACK}:{pbx.port}", "domain": DOMAIN, **account}},
        "permissions": {"outbound": permissions},
    }


async def test_a_trunk_comes_is_put_right_and_goes_while_its_call_goes_on(tmp_path: Path) -> None:
    settings = {"media": {"connect_timeout_s": 60}}
    async with open_exchange(tmp_path, settings) as exchange, Kamailio(tmp_path, ACCOUNTS, domain=DOMAIN) as pbx:
        account: dict[str, Any] = {"registrar": f"{LOOPBACK}:{pbx.port}", "domain": DOMAIN, "password": ACCOUNTS[DESK]}
        async with Phone(tmp_path, DESK, port=free_port(span=2), **account) as desk:
            await desk.wait_registered()
            bridge, user = exchange.bridge, await exchange.user("caller", DESK)
            before = yaml.safe_load(bridge.config.read_text())
            await reload(exchange, **with_pbx(before["trunks"], pbx, "wrong"))
            await bridge.wait_metric("registrations_total", 1, trunk="pbx", outcome="refused")
            await reload(exchange, **with_pbx(before["trunks"], pbx, ACCOUNTS["bridge"]))
            await bridge.wait_metric("trunk_up", 1, trunk="pbx")
            await user.invite("taken", mute_offer(0, port=exchange.mute_port))
            await user.answered("taken")
            await desk.wait_answered()
            assert await bridge.metric(EXPIRES, trunk="pbx") > time.time()
            await reload(exchange, **with_pbx(before["trunks"], pbx, ACCOUNTS["bridge"], auth="digest"))
            assert f'{EXPIRES}{{trunk="pbx"}}' not in await bridge.metrics(), "nobody renews it any more"
            await reload(exchange, trunks=before["trunks"], permissions=before["permissions"])
            assert 'trunk="pbx"' not in await bridge.metrics()
            assert await bridge.metric("calls_active") == 1
            await desk.dial(f"sip:bridge@{DOMAIN}")
            assert "404" in await desk.wait_closed(), "the registration was taken back"
            assert await bridge.metric("calls_active") == 1, "and the call goes on"
            await user.hang_up("taken")
            await desk.wait_closed(count=2)
            await bridge.wait_metric("calls_active", 0)
            await user.invite("refused", mute_offer(1, port=exchange.mute_port))
            await user.rejected("refused")
            assert [record["reason"] for record in bridge.records()] == ["no_media", "not_permitted"]
            assert await bridge.metric("internal_errors_total") == 0
            assert await bridge.metric("sip_unexpected_events_total") == 0
