"""What a call's audio costs: processor time, added delay and memory of both packet paths, of rtpengine and of aiortc.

Each engine runs in a process of its own, with real ICE and DTLS; then its clients' sockets and keys, and the phones'
sockets, go to a generator in Rust (`bridge/media/native/examples/load.rs`), which speaks fifty packets a second each
way. Engines and kinds of audio take turns in every round; of each cost the least is shown, and the median. Beside
them the floor: what receiving, sending and encrypting cost alone, and libopus where the codecs differ. Delay is that of
packets either way where they pass through, else of a sound from the client to the phone, libopus's 6.5 ms included.
"""

import asyncio
import resource
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass

import structlog

from bridge.media import native_path, sdp_matrix
from bridge.media.formats import AudioFormat, Codec
from tests.bench import rtpengine
from tests.bench.media_calls import Caller, Generator, encrypt_alike
from tests.bench.media_report import Figures, Row, rows
from tests.bench.under_test import Engine, memory_kb, processor_s, running

ROUNDS = 3
SPEAK_S, SETTLE_S = 4.0, 1.0
_WARM = 4
_LEAST_HEARD = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is carried: the client's codec, beside a phone that speaks PCMU, and how many calls at once."""

    name: str
    audio: AudioFormat
    calls: dict[Engine, int]


KINDS = (
    Kind(
        name="passthrough",
        audio=sdp_matrix.OUR_AUDIO[Codec.PCMU],
        calls={Engine.NATIVE: 200, Engine.RTPENGINE: 200, Engine.PORTABLE: 50, Engine.AIORTC: 10},
    ),
    Kind(
        name="opus",
        audio=sdp_matrix.OUR_AUDIO[Codec.OPUS],
        calls={Engine.NATIVE: 24, Engine.RTPENGINE: 24, Engine.PORTABLE: 8, Engine.AIORTC: 6},
    ),
)


async def measure(generator: Generator, engine: Engine, kind: Kind) -> dict[str, float]:
    """One engine, one kind of audio."""
    opus = kind.audio.codec is Codec.OPUS
    async with running(engine, transcodes=opus) as server, asyncio.TaskGroup() as tasks:
        caller = Caller(server, tasks, kind.audio)
        warm = await caller.place(_WARM)
        first = memory_kb(server.process_id)
        more = await caller.place(kind.calls[engine] - _WARM)
        placed = memory_kb(server.process_id)
        calls = [*warm, *more]
        talk = generator.speak(calls, kind.audio, SETTLE_S + SPEAK_S + SETTLE_S)
        await asyncio.sleep(SETTLE_S)
        spent_s = processor_s(server.process_id)
        await asyncio.sleep(SPEAK_S)
        spent_s = processor_s(server.process_id) - spent_s
        spoken = memory_kb(server.process_id)
        heard = await talk
        for call in calls:
            await call.close()
    if heard["by_client"] + heard["by_phone"] < _LEAST_HEARD * heard["sent"]:
        raise RuntimeError(f"{engine} did not carry all that was said: {heard}")
    return {
        "% core/call": 100 * spent_s / SPEAK_S / len(calls),
        "p50 ms": heard["p50_us"] / 1000,
        "p99 ms": heard["p99_us"] / 1000,
        "kB/call": (placed - first) / len(more) + (spoken - placed) / len(calls),
    }


async def floor(generator: Generator) -> dict[str, float]:
    """Percent of a core that the packets cost at least, to receive, encrypt or decrypt and send; and the codecs."""
    costs_ns = await generator.floor()
    packets_ns = 100 * (costs_ns["receive_ns"] + costs_ns["send_ns"] + costs_ns["srtp_ns"])
    codecs_ns = 50 * (costs_ns["decode_ns"] + costs_ns["encode_ns"])
    return {"passthrough": packets_ns / 1e9 * 100, "opus": (packets_ns + codecs_ns) / 1e9 * 100}


def _engines() -> list[Engine]:
    """Those that can run here."""
    absent = {Engine.NATIVE: native_path.load() is None, Engine.RTPENGINE: not rtpengine.is_installed()}
    for engine in (engine for engine, is_absent in absent.items() if is_absent):
        print(f"  {engine} is not installed, and not measured", flush=True)
    return [engine for engine in Engine if not absent.get(engine)]


async def _measured(generator: Generator, engine: Engine, kind: Kind) -> dict[str, float]:
    """A measurement that fails is told, and costs the others nothing."""
    try:
        return await measure(generator, engine, kind)
    except* (RuntimeError, TimeoutError, OSError) as failures:
        print(f"  {kind.name}, {engine}: not measured: {failures.exceptions[0]!r}", flush=True)
    return {}


async def _all() -> list[Row]:
    generator = await Generator.built()
    figures: Figures = defaultdict(list)
    for number in range(ROUNDS):
        for name, cost in (await floor(generator)).items():
            figures[name, "floor", "% core/call"].append(cost)
        for kind in KINDS:
            for engine in _engines():
                taken = await _measured(generator, engine, kind)
                said = ", ".join(f"{value:.3f} {unit}" for unit, value in taken.items())
                print(f"  round {number + 1} of {ROUNDS}, {kind.name}, {engine}: {said}", flush=True)
                for unit, value in taken.items():
                    figures[kind.name, engine.value, unit].append(value)
    return rows(figures)


def run() -> list[Row]:
    """Measure."""
    if shutil.which("cargo") is None:
        return [{"name": "media", "value": 0, "unit": "no Rust here for the generator"}]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    encrypt_alike()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    return asyncio.run(_all())
