"""What a program sets over the admin API holds for the very next call, and after a crash."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest_asyncio

from tests.e2e import scripted
from tests.e2e.exchange import PHONE, Exchange, open_exchange
from tests.e2e.webrtc import mute_answer, mute_offer
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK
from tests.peers.sipp import SippUac, SippUas

TOKEN = "a-token-for-programs-0123456789"
NUMBER, PERMISSION = "numbers/+15559876", "permissions/sales"
_HOLD_MS = 60_000


@pytest_asyncio.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    (tmp_path / "provisioning.token").write_text(TOKEN)
    settings: dict[str, Any] = {
        "ops": {"admin": {"tokens": {"provisioning": "provisioning.token"}}},
        "media": {"connect_timeout_s": 60},
        "permissions": {"outbound": []},
    }
    async with open_exchange(tmp_path, settings) as exchange:
        yield exchange


async def ask(exchange: Exchange, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """As a program does."""
    address = f"http://{LOOPBACK}:{exchange.bridge.ops_port}/admin/v1/{quote(path)}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, address, json=body) as answer,
    ):
        return answer.status, await answer.json() if answer.status != 204 else None


async def test_a_number_that_is_assigned_rings_its_user_at_once_and_after_a_crash(exchange: Exchange) -> None:
    called = exchange.directory / "called.csv"
    called.write_text("SEQUENTIAL\n+15559876\n")

    def caller() -> SippUac:
        return SippUac(
            exchange.directory,
            f"{LOOPBACK}:{exchange.bridge.sip_port}",
            scenario=scripted.calling(exchange.directory, PHONE),
            port=exchange.phone_port,
            options=("-inf", str(called)),
        )

    async with caller() as unknown:
        assert await unknown.wait_exit(limit_s=PATIENCE_S) != 0
    await exchange.bridge.wait_metric("calls_total", 1, reason="unassigned_number")
    assert (await ask(exchange, "PUT", NUMBER, {"to": "@callee900:example.org"}))[0] == 201
    await exchange.bridge.crash()
    await exchange.bridge.start()
    async with caller() as phone:
        user, call_id = await exchange.callee(900)
        await user.answer(call_id, mute_answer(0, port=exchange.mute_port))
        assert await phone.wait_exit(limit_s=PATIENCE_S) == 0


async def test_a_permission_lets_a_call_out_until_it_is_taken_away_and_a_call_is_hung_up(exchange: Exchange) -> None:
    user = await exchange.user("caller")
    callee = scripted.answering(exchange.directory, hold_ms=_HOLD_MS)
    async with SippUas(exchange.directory, scenario=callee, port=exchange.phone_port, calls=1) as phone:
        await user.invite("refused", mute_offer(0, port=exchange.mute_port))
        await user.rejected("refused")
        grant = {"who": ["example.org"], "prefixes": ["+1555"], "trunk": "phone"}
        assert (await ask(exchange, "PUT", PERMISSION, grant))[0] == 201
        await user.invite("permitted", mute_offer(1, port=exchange.mute_port))
        await user.answered("permitted")
        assert (await ask(exchange, "DELETE", PERMISSION))[0] == 204
        await exchange.bridge.wait_metric("calls_active", 1)
        _, page = await ask(exchange, "GET", "calls")
        (live,) = [call for call in page["calls"] if call["ended_at"] is None]
        assert (await ask(exchange, "DELETE", f"calls/{live['call_id']}"))[0] == 204
        await user.hung_up("permitted")
        assert await phone.wait_exit(limit_s=PATIENCE_S) == 0
        await user.invite("refused again", mute_offer(2, port=exchange.mute_port))
        await user.rejected("refused again")
    reasons = sorted(record["reason"] for record in exchange.bridge.records())
    assert reasons == ["ended_by_operator", "outbound_is_off", "outbound_is_off"]
