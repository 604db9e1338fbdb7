"""How the demo judges what happens in its calls."""

import asyncio
import io

import pytest

from deploy.demo.audio import Ear, Tone
from deploy.demo.calls import hears, rings
from deploy.demo.errors import DemoError
from deploy.demo.milestones import Milestones
from deploy.demo.terminal import StepClock, Terminal

SOON_S = 0.01
LONG_S = 10.0
TONE = Tone(pitch_hz=440.0, level_dbfs=-20.0)
OTHER_TONE = Tone(pitch_hz=600.0, level_dbfs=-20.0)


def ear_at(tone: Tone | None) -> Ear:
    """An ear that has heard a tone, or silence, for long enough."""
    ear = Ear()
    for index in range(30):
        ear.hear(tone.frame(index) if tone else bytes(320))
    return ear


@pytest.mark.parametrize(
    ("ear", "failure"),
    [
        (ear_at(TONE), ""),
        (ear_at(OTHER_TONE), "phone hears something else than the other side sent"),
        (ear_at(None), "phone hears nothing"),
        (Ear(), "phone hears nothing"),
    ],
)
async def test_only_the_tone_of_the_other_side_counts_as_heard(ear: Ear, failure: str) -> None:
    out = io.StringIO()
    steps = StepClock(Terminal(out, colours=False), lambda: 0.0)

    assert await hears(steps, "phone hears", ear, TONE, within_s=SOON_S) == failure
    assert "phone hears" in out.getvalue()


async def test_the_call_that_rings_is_the_one_that_arrives() -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queue.put_nowait("a call")

    assert await rings(queue, placed=Milestones(), where="at the phone", within_s=LONG_S) == "a call"


async def test_a_call_that_is_refused_is_not_waited_for() -> None:
    placed = Milestones()
    placed.end("SIP 404 Not Found")

    with pytest.raises(DemoError, match="ended before it rang at the phone: SIP 404 Not Found"):
        await rings(asyncio.Queue[str](), placed=placed, where="at the phone", within_s=LONG_S)


async def test_a_call_that_never_arrives_is_given_up() -> None:
    with pytest.raises(DemoError, match="nothing rang at the phone within"):
        await rings(asyncio.Queue[str](), placed=Milestones(), where="at the phone", within_s=SOON_S)
