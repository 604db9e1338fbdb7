"""The bridge's calls to itself: what they come to in metrics and health, whoever places them."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.app.probe import self_calls
from bridge.app.probe.echo_phone import EchoPlace
from bridge.app.probe.self_calls import ECHO, SelfCalls
from bridge.app.probe.test_line import TestLine
from bridge.config import Config, ConfigError, load_config
from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.errors import TrunklineError
from bridge.core.ids import TrunkName
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.test_calls.judging import Outcome
from bridge.ops.test_calls.report import TestReport, TestWish, Way
from bridge.ops.test_calls.routes import TestUnderWayError
from bridge.sip.actions import Address
from bridge.sip.io.capture import Captured
from bridge.sip.settings import Transport
from tests.patience import PATIENCE_S

GOOD = TestReport(
    outcome=Outcome.BOTH_WAYS,
    words="",
    call_id="a",
    connected_s=0.5,
    from_phone=Way(mos=4.3),
    to_phone=Way(mos=4.1),
)
BAD = replace(GOOD, outcome=Outcome.NO_AUDIO, connected_s=None, from_phone=Way(), to_phone=Way())


class ScriptedProber:
    """Gives one result after the other, then waits for ever."""

    def __init__(self, *results: TestReport | Exception) -> None:
        self._results = list(results)
        self.asked: list[tuple[TestWish, TrunkName | None]] = []
        self.done = asyncio.Event()
        self.accepts = True

    async def call_self(self, wish: TestWish, echo: TrunkName | None) -> TestReport:
        self.asked.append((wish, echo))
        if not self._results:
            await asyncio.Event().wait()
        result = self._results.pop(0)
        if not self._results:
            asyncio.get_running_loop().call_soon(self.done.set)
        if isinstance(result, Exception):
            raise result
        return result


def config_of(folder: Path, test_calls: str, listen: str = "[udp:127.0.0.1:5060]") -> Config:
    file = folder / "trunkline.yaml"
    file.write_text(
        f"""
homeserver: {{url: "http://127.0.0.1:8008", server_name: example.org}}
appservice: {{as_token: {"a" * 32}, hs_token: {"b" * 32}}}
sip: {{listen: {listen}}}
ops: {{test_calls: {test_calls}}}
"""
    )
    return load_config(file, {})


async def run(
    monkeypatch: pytest.MonkeyPatch, config: Config, *results: TestReport | Exception
) -> tuple[SelfCalls, ScriptedProber, str]:
    monkeypatch.setattr(self_calls, "FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(self_calls, "AGAIN_AFTER_S", 0.0)
    telemetry = PrometheusTelemetry(trunks=(), version="test", strict=True)
    calls = SelfCalls(config, clock=SystemClock(), entropy=SystemEntropy())
    prober: Any = ScriptedProber(*results)
    task = asyncio.create_task(calls.run(prober, telemetry))
    async with asyncio.timeout(PATIENCE_S):
        await prober.done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return calls, prober, telemetry.exposition().decode()


async def test_one_lost_call_is_no_outage_and_two_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path, "{every_s: 10, required: true}")
    calls, prober, metrics = await run(monkeypatch, config, BAD)
    assert calls.checks()["self_test"].passes()
    assert 'trunkline_self_test_success{through="echo"} 0.0' in metrics
    assert prober.asked[0] == (TestWish(number="echo", seconds=3.0, ring_s=20.0), ECHO)
    calls, _, metrics = await run(monkeypatch, config, BAD, TrunklineError("no ports are left"))
    assert not calls.checks()["self_test"].passes()
    assert calls.checks()["self_test"].counts
    assert "last_success_timestamp_seconds{" not in metrics


async def test_one_good_call_makes_it_well_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path, "{every_s: 10}")
    calls, _, metrics = await run(monkeypatch, config, BAD, BAD, GOOD)
    assert calls.checks()["self_test"].passes()
    assert not calls.checks()["self_test"].counts
    assert 'trunkline_self_test_success{through="echo"} 1.0' in metrics
    assert 'trunkline_self_test_mos{through="echo"} 4.1' in metrics
    assert 'trunkline_self_test_duration_seconds{through="echo"} 0.5' in metrics


async def test_a_test_that_an_operator_asked_for_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path, "{every_s: 10}")
    calls, _, metrics = await run(monkeypatch, config, TestUnderWayError("one at a time"))
    assert calls.checks()["self_test"].passes()
    assert "self_test_success{" not in metrics


async def test_a_number_is_called_as_any_user_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path, '{every_s: 10, number: "+15550100"}')
    calls, prober, metrics = await run(monkeypatch, config, BAD)
    assert calls.trunks == ()
    assert prober.asked[0] == (TestWish(number="+15550100", seconds=3.0, ring_s=20.0), None)
    assert 'trunkline_self_test_success{through="number"} 0.0' in metrics


def test_there_are_none_unless_somebody_wants_them(tmp_path: Path) -> None:
    calls = SelfCalls(config_of(tmp_path, "{}"), clock=SystemClock(), entropy=SystemEntropy())
    assert (calls.are_on, calls.trunks, calls.checks()) == (False, (), {})


@pytest.mark.parametrize(
    ("test_calls", "listen", "fault"),
    [
        ("{every_s: 5}", "[udp:127.0.0.1:5060]", "expected 0, or 10 to 86400 seconds"),
        ("{required: true}", "[udp:127.0.0.1:5060]", "is needed with required"),
        ("{every_s: 60}", "[tls:127.0.0.1:5061]", "is needed where sip.listen has TLS alone"),
        ("{caller: nobody}", "[udp:127.0.0.1:5060]", "expected a user id"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path: Path, test_calls: str, listen: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, test_calls, listen)
    assert any(fault in str(found) for found in caught.value.faults)


@pytest.mark.parametrize(
    ("listen", "transport", "host"),
    [
        ("[tcp:127.0.0.1:5060]", Transport.TCP, "127.0.0.1"),
        ('["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]', Transport.UDP, "127.0.0.1"),
        ('["udp:[::1]:5060"]', Transport.UDP, "::1"),
    ],
)
def test_the_echo_listens_beside_us(tmp_path: Path, listen: str, transport: Transport, host: str) -> None:
    place = EchoPlace.of(config_of(tmp_path, "{}", listen))
    assert place is not None
    assert (place.transport, place.sip_host, place.rtp_host) == (transport, host, "127.0.0.1")


def _message(call_id: str, *, outgoing: bool = False, body: str = "") -> Captured:
    first = "INVITE sip:+15550100@example.org SIP/2.0" if outgoing else "SIP/2.0 200 OK"
    text = f"{first}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n{body}"
    return Captured(
        outgoing=outgoing,
        payload=text.encode(),
        transport=Transport.TLS,
        local=Address("192.0.2.1", 5061),
        remote=Address("192.0.2.2", 5061),
    )


async def test_of_all_messages_those_of_the_call_are_told_without_its_number() -> None:
    line = TestLine(SystemClock(), lambda step: None)
    line.overhear(_message("ours", outgoing=True, body="v=0\r\nm=audio 4000 RTP/SAVP 0\r\n"))
    line.overhear(_message("theirs"))
    line.overhear(_message("ours", body="v=0\r\nm=audio 5000 RTP/AVP 0\r\n"))
    assert [step.what for step in line.steps({"ours"})] == ["-> INVITE", "<- 200 OK (INVITE)"]
    assert line.transport({"ours"}) == "tls"
    assert not line.is_secure({"ours"})
    line.overhear(_message("ours", body="v=0\r\nm=audio 5000 RTP/SAVP 0\r\na=crypto:1 X\r\n"))
    assert line.is_secure({"ours"})
    assert not line.is_secure({"another"})


async def test_a_bridge_that_drains_is_not_kept_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_calls, "FIRST_AFTER_S", 0.0)
    calls = SelfCalls(config_of(tmp_path, "{every_s: 10}"), clock=SystemClock(), entropy=SystemEntropy())
    prober: Any = ScriptedProber(GOOD)
    prober.accepts = False
    task = asyncio.create_task(calls.run(prober, PrometheusTelemetry(trunks=(), version="test", strict=True)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await prober.done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert prober.asked == []
