"""Where causes of alerts are tried: a bridge, its metrics as a story, and what can go wrong there."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from tests.e2e.alerts.story import Story


class Scene(Protocol):
    """A bridge that runs."""

    @property
    def story(self) -> Story: ...


AnyScene = TypeVar("AnyScene", bound=Scene)
Cause = Callable[[AnyScene], Awaitable[None]]
"""Something goes wrong and is put right again, in passages of the story that say which alerts fire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Generic[AnyScene]):
    """Causes that share a bridge, one after the other."""

    name: str
    opened: Callable[[Path], AbstractAsyncContextManager[AnyScene]]
    causes: Mapping[str, Cause[AnyScene]]
    """By the alert that they are to set off; one that sets off several stands here several times."""

    async def tell(self, directory: Path, rules: Path) -> None:
        """Let all of it happen, and have the rules judged by it."""
        async with self.opened(directory) as scene:
            story = scene.story
            await story.passes(10)
            for cause in dict.fromkeys(self.causes.values()):
                wanted = {alert for alert, other in self.causes.items() if other is cause}
                told = len(story.passages)
                await cause(scene)
                fired = frozenset[str]().union(*(passage.firing for passage in story.passages[told:]))
                if not wanted <= fired or story.passages[-1].firing:
                    raise AssertionError(f"{cause.__name__} tells of {sorted(fired)}, and not of {sorted(wanted)}")
        story.check(rules, directory)
