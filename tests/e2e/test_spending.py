"""A limit of calls ends one that goes on, and is still there after the process was killed."""

import asyncio
from pathlib import Path

from tests.e2e.exchange import PHONE, SERVER_NAME, Exchange, open_exchange
from tests.e2e.phone import Phone
from tests.e2e.running_bridge import Section
from tests.e2e.scripted_users import ScriptedUser
from tests.e2e.webrtc import mute_offer
from tests.patience import PATIENCE_S
from tests.peers.sipp import SippUas

_AT_ONCE = 25
_SHARED_S = 12.0
PERMISSIONS = {
    "outbound": [{"who": [SERVER_NAME], "prefixes": ["+1555"], "trunk": "phone"}],
    "limits": [{"who": [SERVER_NAME], "day_minutes": 0.05}],
}


async def _talk(exchange: Exchange, phone: Phone, name: str) -> ScriptedUser:
    user = await exchange.user(name, PHONE)
    await user.invite(name, mute_offer(1, port=exchange.mute_port))
    await user.answered(name)
    await phone.wait_answered()
    return user


async def test_a_limit_ends_a_call_and_survives_a_crash(tmp_path: Path) -> None:
    folder = tmp_path / "again"
    folder.mkdir()
    sections: dict[str, Section] = {"permissions": PERMISSIONS, "announcements": {"spoken": False}}
    async with open_exchange(tmp_path, sections) as exchange:
        async with Phone(tmp_path, PHONE, port=exchange.phone_port) as phone:
            talks = await _talk(exchange, phone, "talks")
            await phone.wait_closed()
            assert await talks.hung_up("talks") == "unknown_error"
        async with Phone(folder, PHONE, port=exchange.phone_port) as phone:
            unlucky = await _talk(exchange, phone, "unlucky")
            await exchange.bridge.crash()
            await exchange.bridge.start()
            await phone.wait_closed()
        await unlucky.invite("again", mute_offer(2, port=exchange.mute_port))
        await unlucky.rejected("again")
        await exchange.bridge.wait_metric("calls_active", 0)
        reasons = [record["reason"] for record in exchange.bridge.records()]
        assert reasons == ["limit_reached", "abnormal", "limit_reached"]
        assert await exchange.bridge.metric("internal_errors_total") == 0


async def test_many_calls_at_once_do_not_outrun_a_limit(tmp_path: Path) -> None:
    """What each may use is held before it is dialled, so that most of them are refused at once."""
    permissions = {**PERMISSIONS, "limits": [{"who": [SERVER_NAME], "together": True, "day_minutes": _SHARED_S / 60}]}
    sections: dict[str, Section] = {"permissions": permissions, "announcements": {"spoken": False}}
    async with (
        open_exchange(tmp_path, sections) as exchange,
        SippUas(tmp_path, port=exchange.phone_port),
    ):
        users = [await exchange.user(f"thief{number}") for number in range(_AT_ONCE)]
        offers = [mute_offer(number + 1, port=exchange.mute_port) for number in range(_AT_ONCE)]
        await asyncio.gather(*(user.invite("call", offer) for user, offer in zip(users, offers, strict=True)))
        limit_s = _SHARED_S + PATIENCE_S
        await exchange.bridge.wait_metric("calls_total", _AT_ONCE, reason="limit_reached", limit_s=limit_s)
        records = exchange.bridge.records()
        assert sum(record["t_answer"] is not None for record in records) == 2, "ten seconds for one, two for another"
        assert sum(record["duration_s"] for record in records) <= _SHARED_S + 10, "what a busy machine may be late by"
