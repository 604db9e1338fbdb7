"""What the metrics say of a call when it is over."""

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.app.history import History
from bridge.app.live_call import LiveCall
from bridge.app.reporting import Reporting
from bridge.calls import handover_events as hev
from bridge.calls import outbound, outcomes, snapshot
from bridge.calls.parties import MatrixParty
from bridge.calls.times import CallTimes
from bridge.calls.way import Way
from bridge.core.clock import SystemClock
from bridge.core.ids import CallId, MatrixCallId, PartyId, TrunkName
from bridge.media.engine import MediaStats
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.records import CallRecords
from tests.app.outsides import ALICE, PHONE, TRUNK
from tests.calls import hunts, scenes
from tests.patience import PATIENCE_S
from tests.stores import open_store


def ended_call() -> LiveCall:
    """Dialled a second after its invite; rang after 3 s more, was answered and heard, and ended a minute later."""
    call = outbound.begin(
        call_id=CallId("call"),
        ways=(Way(trunk=TRUNK, number=PHONE, caller=""),),
        matrix=MatrixParty(call_id=MatrixCallId("z"), user=ALICE, own_party=PartyId("p")),
        sdp="offer",
        remaining_s=60.0,
        times=CallTimes(),
        now=100.0,
        wall=1_700_000_000.0,
    )
    call.at = replace(call.at, dialled=101.0, ringing=104.0, answered=110.0, connected=110.5, ended=170.0)
    return LiveCall(call=call, stats=MediaStats(digits_forwarded=4))


async def measured(live: LiveCall, store_path: Path) -> PrometheusTelemetry:
    telemetry = PrometheusTelemetry(trunks=[TRUNK], version="test", strict=True)
    store = await open_store(store_path, telemetry)
    reporting = Reporting(
        records=CallRecords(None, telemetry=telemetry),
        history=History(store, days=90, clock=SystemClock()),
        clock=SystemClock(),
        telemetry=telemetry,
    )
    await reporting.finished(live, outcomes.COMPLETED)
    await store.close()
    return telemetry


async def test_a_call_left_over_from_a_trunk_that_is_gone_is_measured_too(tmp_path: Path) -> None:
    live = ended_call()
    live.call.trunk = TrunkName("")
    text = (await measured(live, tmp_path / "db")).exposition().decode()
    assert 'trunkline_calls_total{direction="outbound",reason="completed",result="success",trunk="none"} 1.0' in text


async def recorded(live: LiveCall, directory: Path, **parts: Any) -> dict[str, Any]:
    """The newest line of the file."""
    telemetry = PrometheusTelemetry(trunks=[TRUNK], version="test", strict=True)
    store, file = await open_store(directory / "db", telemetry), directory / "records"
    records, history = CallRecords(file, telemetry=telemetry), History(store, days=0, clock=SystemClock())
    reporting = Reporting(records=records, history=history, clock=SystemClock(), telemetry=telemetry, **parts)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(records.run())
        await reporting.finished(live, outcomes.COMPLETED)
        records.stop()
    await store.close()
    newest: dict[str, Any] = json.loads(file.read_text().splitlines()[-1])
    return newest


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("post_dial_delay_seconds_sum", {"trunk": str(TRUNK)}, 3.0),
        ("call_connect_seconds_sum", {"direction": "outbound"}, 0.5),
        ("call_setup_seconds_sum", {"direction": "outbound", "stage": "ring"}, 4.0),
        ("call_duration_seconds_sum", {"direction": "outbound"}, 60.0),
        ("dtmf_total", {}, 4.0),
        ("db_seconds_count", {"operation": "write"}, 1.0),
    ],
)
async def test_a_call_that_was_answered_is_measured(
    tmp_path: Path, name: str, labels: dict[str, str], value: float
) -> None:
    telemetry = await measured(ended_call(), tmp_path / "db")
    assert telemetry.registry.get_sample_value(f"trunkline_{name}", labels) == pytest.approx(value)


async def test_a_call_that_never_rang_says_nothing_of_how_fast_the_trunk_is(tmp_path: Path) -> None:
    live = ended_call()
    live.call.at = replace(live.call.at, ringing=None, answered=None, connected=None)
    telemetry = await measured(live, tmp_path / "db")
    assert telemetry.registry.get_sample_value("trunkline_post_dial_delay_seconds_sum", {"trunk": str(TRUNK)}) is None


async def test_a_call_is_recorded_before_it_is_forgotten_and_never_by_two_processes(tmp_path: Path) -> None:
    telemetry, file = PrometheusTelemetry(trunks=[TRUNK], version="test", strict=True), tmp_path / "records"
    store = await open_store(tmp_path / "db", telemetry)
    records = CallRecords(file, telemetry=telemetry)
    history = History(store, days=90, clock=SystemClock())
    reporting = Reporting(records=records, history=history, clock=SystemClock(), telemetry=telemetry)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(records.run())
        live = ended_call()
        await reporting.finished(live, outcomes.COMPLETED)
        assert len(file.read_text().splitlines()) == 1
        live.recorded = True
        await reporting.finished(live, outcomes.COMPLETED)
        records.stop()
    assert len(file.read_text().splitlines()) == 1
    await store.close()


async def test_every_member_of_a_group_is_counted_by_how_their_ring_ended(tmp_path: Path) -> None:
    live = ended_call()
    live.call = hunts.all_ring()
    scenes.run(live.call, hunts.decline(scenes.ALICE), hunts.answer(hunts.BOB))
    telemetry = await measured(live, tmp_path / "db")
    ends = {
        reason: telemetry.registry.get_sample_value("trunkline_member_rings_total", {"reason": reason})
        for reason in ("declined", "completed", "answered_elsewhere")
    }
    assert ends == dict.fromkeys(ends, 1.0)


@pytest.mark.parametrize(
    ("cost", "currency", "told"),
    [(1_250_000, "EUR", ("1.25", "EUR")), (1_250_000, "", ("1.25", None)), (None, "EUR", (None, None))],
)
async def test_a_price_is_recorded_with_its_currency(
    tmp_path: Path, cost: int | None, currency: str, told: tuple[str | None, str | None]
) -> None:
    live = ended_call()
    live.cost = cost
    record = await recorded(live, tmp_path, currency=lambda: currency)
    assert (record["cost"], record["currency"]) == told
    assert record["node"] == socket.gethostname()


async def test_calls_that_were_joined_are_tied_together_after_a_crash_too(tmp_path: Path) -> None:
    live, first = ended_call(), CallId("first")
    assert (await recorded(live, tmp_path))["parent"] is None
    live.call = scenes.talking()
    scenes.run(live.call, hev.PartnerClaimed(partner=first), hev.PartnerLeft(verdict=outcomes.COMPLETED))
    assert live.call.partner is None
    live.call = snapshot.load(snapshot.dump(live.call))
    assert (await recorded(live, tmp_path))["parent"] == first


async def test_a_test_call_is_recorded_and_counts_as_no_users(tmp_path: Path) -> None:
    telemetry, file = PrometheusTelemetry(trunks=[TRUNK], version="test", strict=True), tmp_path / "records"
    store = await open_store(tmp_path / "db", telemetry)
    records, history = CallRecords(file, telemetry=telemetry), History(store, days=90, clock=SystemClock())
    reporting = Reporting(records=records, history=history, clock=SystemClock(), telemetry=telemetry)
    live = ended_call()
    # As another process finds it: what stood in for the Matrix side is gone.
    live.call = snapshot.load(snapshot.dump(replace(live.call, test=True)))
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(records.run())
        await reporting.finished(live, outcomes.BRIDGE_RESTARTED)
        records.stop()
    await store.close()
    assert json.loads(file.read_text())["test"] is True
    counts = telemetry.exposition().decode()
    assert "trunkline_calls_total{" not in counts
    assert "trunkline_call_duration_seconds_count{" not in counts
