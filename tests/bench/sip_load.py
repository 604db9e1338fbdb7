"""How many calls a second our user agent sets up and ends on one core, and what one costs, under sipp.

Each figure is from the real endpoint with its metrics, in a process of its own on one core; sipp has the other. The
rate rises until a call fails or the pace is not kept. Processor time per call is the steadier figure: it does not
depend on what else the machine does, as the rate does. The floor is a socket that sends as many datagrams back and
knows nothing of SIP. A row with a peer is that peer's figure, and its ratio is ours divided by it.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.bench.load_agents import PEER_CORE
from tests.peers.process import LOOPBACK, POLL_S, free_port, port_is_bound

Row = dict[str, str | float]

RATES = (500, 1_000, 1_500, 2_000, 2_500, 3_000)
_LOAD_S = 6.0
_KEPT_PACE = 1.1
_LIMIT_S = 60.0
_MODE = {"udp": "u1", "tcp": "t1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One load: whether all calls were good and in time, and what they have cost."""

    good: bool
    cpu_us: float = 0.0
    memory_mb: float = 0.0


def run() -> list[Row]:
    """Measure and return one row for each figure."""
    rows: list[Row] = []
    for transport in ("udp", "tcp"):
        ours = _climb(partial(_under_callers, "callee", transport))
        rows += _rows(f"sip_callee_{transport}", ours)
        rows += _peer_rows(transport, ours)
        rows += _rows(f"sip_caller_{transport}", _climb(partial(_at_callees, transport)))
    return rows


def _peer_rows(transport: str, ours: "Best") -> list[Row]:
    """The callee of aiosipua, where it is installed, and the floor for datagrams."""
    rows: list[Row] = []
    if importlib.util.find_spec("aiosipua"):
        theirs = _climb(partial(_under_callers, "aiosipua_callee", transport))
        rows += _rows(f"sip_callee_{transport}", theirs, peer="aiosipua", ours=ours)
    if transport == "udp":
        floor = _under_callers("echo", transport, RATES[0])
        row: Row = {"name": "sip_callee_udp_cpu", "value": round(floor.cpu_us, 1), "unit": "us"}
        rows.append(row | {"peer": "bare echo", "ratio": _ratio(ours.cpu_us, floor.cpu_us)})
    return rows


@dataclass(slots=True, kw_only=True)
class Best:
    """The highest rate without a failed call, and the cost of a call and the memory there."""

    rate: float = 0.0
    cpu_us: float = 0.0
    memory_mb: float = 0.0


def _climb(load: Callable[[int], Outcome]) -> Best:
    """Raise the rate until a load fails twice: once may be the fault of whatever else the machine does."""
    best = Best()
    for rate in RATES:
        outcome = load(rate)
        if not outcome.good:
            outcome = load(rate)
        if not outcome.good:
            break
        best = Best(rate=rate, cpu_us=outcome.cpu_us, memory_mb=outcome.memory_mb)
    return best


def _rows(name: str, best: Best, *, peer: str = "", ours: Best | None = None) -> list[Row]:
    figures = (("rate", best.rate, "calls/s"), ("cpu", best.cpu_us, "us"), ("memory", best.memory_mb, "MB"))
    rows: list[Row] = [
        {"name": f"{name}_{figure}", "value": round(value, 1), "unit": unit} for figure, value, unit in figures
    ]
    if ours is not None:
        for row, own, (_, value, _) in zip(rows, (ours.rate, ours.cpu_us, ours.memory_mb), figures, strict=True):
            row |= {"peer": peer, "ratio": _ratio(own, value)}
    return rows


def _ratio(ours: float, theirs: float) -> float:
    return round(ours / theirs, 3) if theirs else 0.0


def _under_callers(agent: str, transport: str, rate: int) -> Outcome:
    """sipp calls the agent."""
    calls = int(rate * _LOAD_S)
    with _agent(agent, transport) as process:
        port = _heard(process)["port"]
        started_s = time.monotonic()
        good = _sipp("uac", transport, "-r", str(rate), "-m", str(calls), f"{LOOPBACK}:{int(port)}")
        in_time = time.monotonic() - started_s < _LOAD_S * _KEPT_PACE + 1
        cost = _heard(process, end=True)
    return Outcome(good=good and in_time, cpu_us=cost.get("cpu_us", 0.0), memory_mb=cost.get("memory_mb", 0.0))


def _at_callees(transport: str, rate: int) -> Outcome:
    """The agent calls sipp."""
    port, calls = free_port(), int(rate * _LOAD_S)
    with _sipp_callee(transport, port), _agent("caller", transport, str(port), str(rate), str(calls)) as process:
        cost = _heard(process)
    good = cost.get("calls") == calls and cost.get("rate", 0.0) > rate / _KEPT_PACE
    return Outcome(good=good, cpu_us=cost.get("cpu_us", 0.0), memory_mb=cost.get("memory_mb", 0.0))


@contextmanager
def _agent(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = (sys.executable, "-m", "tests.bench.load_agents", *arguments)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _heard(process: "subprocess.Popen[str]", *, end: bool = False) -> dict[str, float]:
    """The next line of an agent; none from one that has died."""
    if process.stdin is None or process.stdout is None:
        return {}
    if end:
        process.stdin.close()
    line = process.stdout.readline()
    heard: dict[str, float] = json.loads(line) if line else {}
    return heard


def _sipp_command(scenario: str, transport: str, *options: str) -> tuple[str, ...]:
    pinned = ("taskset", "-c", str(PEER_CORE), "sipp", "-sn", scenario, "-i", LOOPBACK, "-t", _MODE[transport])
    return (*pinned, "-nostdin", *options)


def _sipp(scenario: str, transport: str, *options: str) -> bool:
    """Run sipp to its end; whether all its calls were good."""
    command = _sipp_command(scenario, transport, "-p", str(free_port()), "-timeout", f"{_LIMIT_S:.0f}s", *options)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def _sipp_callee(transport: str, port: int) -> Iterator[None]:
    command = _sipp_command("uas", transport, "-p", str(port))
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            while not port_is_bound(port, transport):
                time.sleep(POLL_S)
            yield
        finally:
            process.kill()
