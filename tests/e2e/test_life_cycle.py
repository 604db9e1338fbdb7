"""An operator stops a bridge that carries calls, and changes its configuration."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
import yaml

from tests.e2e import scripted
from tests.e2e.exchange import Exchange, open_exchange
from tests.e2e.scripted_users import ScriptedUser
from tests.e2e.waiting import until
from tests.e2e.webrtc import mute_offer
from tests.patience import PATIENCE_S
from tests.peers.sipp import SippUas

CALLS = 20
_LONG_MS = 60_000
_HANG_UP_LIMIT_S = 10.0
"""Five for hanging up, and some for a busy machine to end a process."""


@pytest_asyncio.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    """A bridge that lets its calls finish."""
    settings = {"calls": {"drain_timeout_s": 60}, "media": {"connect_timeout_s": 60}}
    async with open_exchange(tmp_path, settings) as exchange:
        yield exchange


async def calls_up(exchange: Exchange) -> list[ScriptedUser]:
    """Twenty people, each in an answered call."""
    users = [await exchange.user(f"caller{number}") for number in range(CALLS)]
    for number, user in enumerate(users):
        await user.invite(f"call{number}", mute_offer(number, port=exchange.mute_port))
    for number, user in enumerate(users):
        await user.answered(f"call{number}")
    return users


def phone(exchange: Exchange) -> SippUas:
    """Answers, and hangs up only when a test would have failed long before."""
    callee = scripted.answering(exchange.directory, hold_ms=_LONG_MS)
    return SippUas(exchange.directory, scenario=callee, port=exchange.phone_port, calls=CALLS)


async def drains(exchange: Exchange) -> None:
    """Wait until the bridge says that it wants no more calls."""

    async def refuses() -> bool:
        return not (await exchange.bridge.checks())["not_draining"]

    await until(refuses, lambda: "still ready", limit_s=PATIENCE_S)
    assert not await exchange.bridge.is_ready()


async def test_after_sigterm_all_calls_finish_and_no_new_one_begins(exchange: Exchange) -> None:
    async with phone(exchange) as callee:
        users = await calls_up(exchange)
        exchange.bridge.signal(signal.SIGTERM)
        await drains(exchange)
        late = await exchange.user("late")
        await late.invite("late", mute_offer(CALLS, port=exchange.mute_port))
        await late.rejected("late")
        assert await exchange.bridge.metric("calls_active") == CALLS
        for number, user in enumerate(users):
            await user.hang_up(f"call{number}")
        assert await exchange.bridge.wait_exit(limit_s=PATIENCE_S) == 0
        assert await callee.wait_exit(limit_s=PATIENCE_S) == 0
    results = sorted(record["reason"] for record in exchange.bridge.records())
    assert results == ["no_media"] * CALLS + ["shutting_down"]


async def test_a_second_sigterm_hangs_up_on_both_sides(exchange: Exchange) -> None:
    async with phone(exchange) as callee:
        users = await calls_up(exchange)
        exchange.bridge.signal(signal.SIGTERM)
        await drains(exchange)
        exchange.bridge.signal(signal.SIGTERM)
        assert await exchange.bridge.wait_exit(limit_s=_HANG_UP_LIMIT_S) == 0
        await asyncio.gather(*(user.hung_up(f"call{number}") for number, user in enumerate(users)))
        assert await callee.wait_exit(limit_s=PATIENCE_S) == 0
    assert [record["reason"] for record in exchange.bridge.records()] == ["shutting_down"] * CALLS


async def test_a_bridge_that_is_asked_how_it_stands_says_so_and_carries_its_calls_on(exchange: Exchange) -> None:
    bridge = exchange.bridge
    async with phone(exchange):
        users = await calls_up(exchange)
        for asked in (signal.SIGUSR1, signal.SIGUSR2):
            bridge.signal(asked)
        await bridge.wait_until(lambda: "state_tasks" in bridge.log_tail(), limit_s=PATIENCE_S)
        state = [line for line in bridge.log_path.read_text().splitlines() if " state_" in line]
        assert f"live={CALLS}" in state[0]
        assert f"'outbound connecting': {CALLS}" in state[0]
        assert any(f"calls={CALLS}" in line for line in state if "state_trunk" in line)
        assert not [user.user_id for user in users if any(user.user_id in line for line in state)]
        assert await bridge.metric("calls_active") == CALLS


async def test_sighup_takes_a_sound_configuration_and_keeps_the_old_one_otherwise(exchange: Exchange) -> None:
    bridge = exchange.bridge
    document = yaml.safe_load(bridge.config.read_text())
    document["logging"]["level"] = "nonsense"
    bridge.config.write_text(yaml.safe_dump(document))
    bridge.signal(signal.SIGHUP)
    await bridge.wait_metric("config_reloads_total", 1, outcome="refused")
    document["logging"]["level"] = "debug"
    document["media"]["ports"] = "30000-31000"
    bridge.config.write_text(yaml.safe_dump(document))
    bridge.signal(signal.SIGHUP)
    await bridge.wait_metric("config_reloads_total", 1, outcome="done")
    said = bridge.log_tail()
    assert "logging.level" in said
    assert "restart_needed" in said
    assert "media.ports" in said
    assert await bridge.metric("config_restart_needed", section="media") == 1
    assert await bridge.metric("config_last_reload_successful") == 1
    assert await bridge.is_ready()


async def test_who_is_permitted_by_sighup_can_call_at_once_and_whose_permission_is_taken_cannot(
    exchange: Exchange,
) -> None:
    bridge, user = exchange.bridge, await exchange.user("caller", "+15560100")
    document = yaml.safe_load(bridge.config.read_text())
    permitted = document["permissions"]["outbound"]
    callee = scripted.answering(exchange.directory, hold_ms=_LONG_MS)
    async with SippUas(exchange.directory, scenario=callee, port=exchange.other_port, calls=1):
        await reload(exchange, {**document, "permissions": {"outbound": permitted[:1]}}, done=1)
        await user.invite("refused", mute_offer(0, port=exchange.mute_port))
        await user.rejected("refused")
        await reload(exchange, document, done=2)
        await user.invite("taken", mute_offer(1, port=exchange.mute_port))
        await user.answered("taken")
        await reload(exchange, {**document, "permissions": {"outbound": permitted[:1]}}, done=3)
        assert await bridge.metric("calls_active") == 1
        await user.hang_up("taken")
        await bridge.wait_metric("calls_active", 0)
        await user.invite("refused again", mute_offer(2, port=exchange.mute_port))
        await user.rejected("refused again")
    assert sorted(record["reason"] for record in bridge.records()) == ["no_media", "not_permitted", "not_permitted"]


async def reload(exchange: Exchange, document: dict[str, Any], *, done: int) -> None:
    """Have the bridge read another configuration."""
    exchange.bridge.config.write_text(yaml.safe_dump(document))
    exchange.bridge.signal(signal.SIGHUP)
    await exchange.bridge.wait_metric("config_reloads_total", done, outcome="done")
