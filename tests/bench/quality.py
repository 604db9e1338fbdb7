"""How a call sounds over a bad network: libwebrtc on one side, a phone on the other, and each engine between them.

Both sides say the same in every call: marks that can be told one by one, then sentences. Counted are the marks that
were heard, made up, silent, and thrown away although the network delivered them; the sentences get a score for their
quality (PESQ, ITU-T P.862 and P.862.1, narrow band). All calls of an engine stand in the same seeded network, and the
phone is the same for all: it plays by the numbers in the packets, waits for late ones, and conceals 60 ms.
"""

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import structlog

from bridge.media import native_path
from tests.bench import rtpengine, speech
from tests.bench.media_report import Row
from tests.bench.quality_report import Figures, Measured, rows
from tests.bench.speech import Section
from tests.bench.under_test import Engine, UnderTest, running
from tests.media import marks
from tests.media.outcome import Outcome, judge
from tests.media.phone import FRAME_S
from tests.media.rough_network import Conditions, RoughNetwork
from tests.media.talking import CLIENT_RATE, Line, Talk

_SEED = 1
_MARKS = 500
_LEAD_S, _TAIL_S = 1.0, 1.0
_MARGIN_S = 0.25
_WORST = 1.0
"""The score of what cannot be scored, for there is no speech in it."""
_LOSSES = (0.01, 0.05, 0.1, 0.2, 0.3)
SMOOTH = (Conditions(), *(Conditions(loss=loss) for loss in _LOSSES), Conditions(reordered=0.05, doubled=0.02))
BURSTS = (
    *(Conditions(loss=loss, burst=5) for loss in _LOSSES),
    Conditions(jitter_s=0.06),
    Conditions(loss=0.05, burst=3, jitter_s=0.04, reordered=0.01, doubled=0.01),
)


FEWER = (SMOOTH[:4], (*SMOOTH[4:6], BURSTS[2], BURSTS[-1]))
"""For an engine that needs a twentieth of a core a call, or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """An engine, and what the client speaks to the phone's PCMU."""

    engine: Engine
    codec: str
    networks: tuple[tuple[Conditions, ...], ...]
    """Calls of one tuple take place at the same time."""

    @property
    def name(self) -> str:
        return f"{self.engine} {self.codec}"


SETUPS = (
    Setup(engine=Engine.NATIVE, codec="opus", networks=(SMOOTH, BURSTS)),
    Setup(engine=Engine.PORTABLE, codec="opus", networks=(SMOOTH, BURSTS)),
    Setup(engine=Engine.RTPENGINE, codec="opus", networks=(SMOOTH, BURSTS)),
    Setup(engine=Engine.AIORTC, codec="opus", networks=FEWER),
    Setup(engine=Engine.NATIVE, codec="PCMU", networks=(SMOOTH,)),
    Setup(engine=Engine.RTPENGINE, codec="PCMU", networks=(SMOOTH,)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What both sides say."""

    sections: list[Section]
    lead = round(_LEAD_S / FRAME_S)

    def sound(self, rate: int) -> marks.Samples:
        """A pause, marks, a pause, sentences, a pause."""
        lead, tail = np.zeros(round(_LEAD_S * rate)), np.zeros(round(_TAIL_S * rate))
        spoken = [section.wide if rate == CLIENT_RATE else section.narrow for section in self.sections]
        return np.concatenate((lead, marks.make(_MARKS, rate), lead, *spoken, tail))

    def starts(self) -> Iterator[tuple[int, Section]]:
        """The frame with which each section of sentences begins."""
        first = 2 * self.lead + _MARKS
        for number, section in enumerate(self.sections):
            yield first + number * round(speech.SECTION_S / FRAME_S), section


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """What one side heard, and what is to be scored of it."""

    outcome: Outcome
    pairs: list[tuple[marks.Samples, marks.Samples]]
    """Sentences as they were said and as they were heard."""


def heard(line: Line, said_at: list[float], script: Script, outcome: Outcome) -> Ear:
    """Cut the sentences out of what was heard, with a margin for alignment."""
    delay, margin = outcome.delay_s, round(_MARGIN_S * marks.RATE)
    pairs = []
    for first, section in script.starts() if delay is not None else ():
        wanted = np.pad(section.narrow, margin)
        got = line.since(said_at[first] + (delay or 0.0) - _MARGIN_S)[: wanted.size]
        pairs.append((wanted, np.pad(got, (0, wanted.size - got.size))))
    return Ear(outcome=outcome, pairs=pairs)


async def talked(server: UnderTest, setup: Setup, conditions: Conditions, script: Script) -> tuple[Ear, Ear]:
    """One call: what the phone heard, and what the client heard."""
    with RoughNetwork(conditions, seed=_SEED) as network:
        talk = await Talk.begin(server.open, network, setup.codec)
        try:
            await talk.say(script.sound(CLIENT_RATE), script.sound(marks.RATE))
            await asyncio.sleep(marks.LATEST_S)
            by_phone, by_client = talk.phone.heard(), talk.client.heard()
        finally:
            await talk.close()
    said, back = talk.client_sent_at, talk.phone_said_at
    phone = judge(by_phone, said, script.lead, _MARKS, talk.client_frames_lost)
    client = judge(by_client, back, script.lead, _MARKS)
    return heard(by_phone, said, script, phone), heard(by_client, back, script, client)


def score(pairs: list[tuple[marks.Samples, marks.Samples]]) -> float | None:
    """The mean of the sections' scores, `None` where PESQ is not installed."""
    if importlib.util.find_spec("pesq") is None:
        return None
    from pesq import PesqError, pesq

    scores = [pesq(marks.RATE, said, got, "nb", on_error=PesqError.RETURN_VALUES) for said, got in pairs]
    return float(np.mean([max(value, _WORST) for value in scores])) if scores else _WORST


async def measure(setup: Setup, script: Script, pool: ProcessPoolExecutor) -> Figures:
    """All networks of one engine."""
    loop, figures = asyncio.get_running_loop(), Figures()
    async with running(setup.engine, transcodes=setup.codec == "opus") as server:
        for together in setup.networks:
            calls = (talked(server, setup, conditions, script) for conditions in together)
            ears = await asyncio.gather(*calls)
            sides = [(str(conditions), *pair) for conditions, pair in zip(together, ears, strict=True)]
            named = [
                (side, network, ear)
                for network, phone, client in sides
                for side, ear in (("phone", phone), ("client", client))
            ]
            scores = await asyncio.gather(*(loop.run_in_executor(pool, score, ear.pairs) for _, _, ear in named))
            for (side, network, ear), mos in zip(named, scores, strict=True):
                figures[side, network, setup.name] = Measured(outcome=ear.outcome, mos=mos)
            print(f"  {setup.name}: {len(together)} calls done", flush=True)
    return figures


async def _all() -> list[Row]:
    script, figures = Script(sections=speech.sections(CLIENT_RATE, marks.RATE)), Figures()
    absent = {Engine.NATIVE: native_path.load() is None, Engine.RTPENGINE: not rtpengine.is_installed()}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for setup in SETUPS:
            if absent.get(setup.engine):
                print(f"  {setup.engine} is not installed, and not measured", flush=True)
                continue
            try:
                figures |= await measure(setup, script, pool)
            except (RuntimeError, TimeoutError, OSError) as failure:
                print(f"  {setup.name}: not measured: {failure!r}", flush=True)
    return rows(figures)


def run() -> list[Row]:
    """Measure."""
    if not speech.is_installed():
        return [{"name": "quality", "value": 0, "unit": "no espeak-ng here to speak"}]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    return asyncio.run(_all())
