"""Calls that end badly, or begin slowly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

from bridge.media.embedded import EmbeddedEngine
from tests.e2e.alerts.callers import Callers, busy, callers
from tests.e2e.alerts.place import Place
from tests.sip.phone import answer_at_once


async def the_trunk_answers_less_and_less(scene: Callers) -> None:
    """Everybody is answered for hours, then half of the callers, then hardly anybody."""
    story = scene.story
    await scene.call(answer_at_once, times=8)
    await story.passes(300, title="all calls are answered")
    await scene.call(answer_at_once, times=16)
    await scene.call(busy, times=16)
    await story.passes(61, "FewerCallsAnswered", title="half of the calls are answered")
    await scene.call(busy, times=32)
    await story.passes(90, "FewCallsAnswered", "FewerCallsAnswered", title="nobody is answered")
    await story.passes(90)


async def a_bug_ends_calls(scene: Callers) -> None:
    """The media engine raises what nobody expects, for one call and then for more."""
    story = scene.story
    with mock.patch.object(EmbeddedEngine, "open", side_effect=RuntimeError("a bug")):
        await scene.call(busy)
        await story.passes(20, "InternalError", "CallsFail", title="a bug ends a call")
        await scene.call(busy, times=3)
        await story.passes(10, "InternalError", "CallsFail", "CallsFailFast", title="it ends every call")
    await story.passes(420)


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[Callers]:
    async with callers(directory, step_s=300) as scene:
        yield scene


PLACE = Place(
    name="calls",
    opened=_opened,
    causes={
        "FewCallsAnswered": the_trunk_answers_less_and_less,
        "FewerCallsAnswered": the_trunk_answers_less_and_less,
        "InternalError": a_bug_ends_calls,
        "CallsFail": a_bug_ends_calls,
        "CallsFailFast": a_bug_ends_calls,
    },
)
