"""Calls reach a collector as traces, and one that is away harms nothing."""

import asyncio
import importlib.util
import socket
import time
from pathlib import Path

import pytest

from bridge.config import ConfigError, load_config
from bridge.core.ids import CallId
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.spans import sending
from bridge.ops.spans.model import CallSpans, Moment, Stage
from bridge.ops.spans.sending import SpanSender, trace_id_of
from tests.ops.collector import Collector, attributes_of
from tests.patience import PATIENCE_S

CALL = CallSpans(
    call_id=CallId("abc"),
    whole=Stage(
        name="call outbound",
        began=1_000.0,
        ended=1_010.5,
        attributes={"trunkline.trunk": "carrier", "trunkline.talk_s": 8.5, "trunkline.test": False},
        moments=(Moment(at=1_002.0, name="connected"),),
        fault="trunk_failure",
    ),
    stages=(Stage(name="dial", began=1_000.0, ended=1_002.0), Stage(name="talk", began=1_002.0, ended=1_010.5)),
)


@pytest.fixture
def telemetry() -> PrometheusTelemetry:
    return PrometheusTelemetry(trunks=(), version="test", strict=True)


def _count(telemetry: PrometheusTelemetry, outcome: str) -> float:
    value = telemetry.registry.get_sample_value("trunkline_spans_total", {"outcome": outcome})
    return value or 0.0


async def test_a_call_is_one_trace_of_nested_spans(telemetry: PrometheusTelemetry) -> None:
    async with Collector.open() as collector:
        sender = SpanSender(collector.url, version="1.2", telemetry=telemetry)
        sender.start()
        sender.add(CALL)
        root, dial, talk = await collector.wait(3)
        await asyncio.to_thread(sender.stop)
    assert collector.paths == ["/v1/traces"]
    assert collector.resources[0]["service.name"] == "trunkline"
    assert {span.trace_id for span in (root, dial, talk)} == {trace_id_of(CALL.call_id).to_bytes(16, "big")}
    assert len({span.span_id for span in (root, dial, talk)}) == 3
    assert (root.parent_span_id, dial.parent_span_id, talk.parent_span_id) == (b"", root.span_id, root.span_id)
    assert [span.name for span in (root, dial, talk)] == ["call outbound", "dial", "talk"]
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (1_000_000_000_000, 1_010_500_000_000)
    assert attributes_of(root) == {"trunkline.trunk": "carrier", "trunkline.talk_s": 8.5, "trunkline.test": False}
    assert [(event.name, event.time_unix_nano) for event in root.events] == [("connected", 1_002_000_000_000)]
    assert (root.status.code, root.status.message) == (2, "trunk_failure")
    assert dial.status.code == 0
    assert _count(telemetry, "sent") == 3


async def test_what_is_queued_is_sent_at_the_end(telemetry: PrometheusTelemetry) -> None:
    async with Collector.open() as collector:
        sender = SpanSender(f"{collector.url}/somewhere/else", version="1", telemetry=telemetry)
        sender.start()
        for _ in range(50):
            sender.add(CALL)
        await asyncio.to_thread(sender.stop)
        assert len(collector.spans) == 150
    assert set(collector.paths) == {"/somewhere/else"}


@pytest.mark.parametrize("status", [307, 400])
async def test_a_collector_that_refuses_costs_spans_and_nothing_else(
    telemetry: PrometheusTelemetry, status: int
) -> None:
    async with Collector.open() as collector:
        collector.status = status
        sender = SpanSender(collector.url, version="1", telemetry=telemetry)
        sender.start()
        sender.add(CALL)
        await collector.wait(3)
        await asyncio.to_thread(sender.stop)
    assert (_count(telemetry, "failed"), _count(telemetry, "sent")) == (3, 0)


def test_a_dead_collector_keeps_nobody_waiting(telemetry: PrometheusTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "QUEUE_CALLS", 10)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)  # it takes connections, and never says a word
        sender = SpanSender(f"http://127.0.0.1:{deaf.getsockname()[1]}", version="1", telemetry=telemetry)
        sender.start()
        began = time.monotonic()
        for _ in range(1_000):
            sender.add(CALL)
        assert time.monotonic() - began < 5
        assert _count(telemetry, "dropped") > 3 * 800
        sender.stop(limit_s=0.2)
        assert time.monotonic() - began < 5
    # Its thread ends as well, and closes its connection, before the next test.
    sender.stop(limit_s=PATIENCE_S)


def _config(folder: Path) -> Path:
    file = folder / "trunkline.yaml"
    file.write_text(
        f"""
homeserver: {{url: "http://127.0.0.1:8008", server_name: example.org}}
appservice: {{as_token: {"a" * 32}, hs_token: {"b" * 32}}}
ops: {{telemetry: {{otlp_url: "http://127.0.0.1:4318"}}}}
"""
    )
    return file


def test_the_configuration_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _config(tmp_path)
    assert load_config(file, {}).ops.telemetry.otlp_url == "http://127.0.0.1:4318"
    known = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> object:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return known(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    (fault,) = caught.value.faults
    assert "ops.telemetry.otlp_url" in str(fault.located)
    assert "pip install '.[otel]'" in str(fault.located)
