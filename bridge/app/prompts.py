"""What spoken menus say, and the tones of a phone that waits."""

from collections.abc import Callable

from bridge.app.repertoire import Repertoire
from bridge.app.sayings import PROMPT
from bridge.calls.menu import Prompt
from bridge.core.ids import TrunkName
from bridge.media.sounds import Sound, pause
from bridge.media.tone_plan import ringback

UNSPOKEN_S = 0.5
"""What is heard in the place of a text that cannot be spoken."""


class Prompts:
    """Those of the configuration in force, and of former ones in whose menus somebody still is."""

    def __init__(
        self, repertoire: Callable[[int], Repertoire | None], region_of: Callable[[TrunkName], str] = lambda trunk: ""
    ) -> None:
        self._repertoire = repertoire
        self._region_of = region_of

    def prompt(self, menu: str, prompt: Prompt, edition: int) -> Sound:
        """A sentence of a menu; a moment of silence for one that is not known."""
        repertoire = self._repertoire(edition)
        sound = None if repertoire is None else repertoire.sounds.get((PROMPT, menu, prompt.value))
        return sound or pause(UNSPOKEN_S)

    def ringback(self, trunk: TrunkName) -> Sound:
        """What phones of a trunk hear when it rings, by the country that it is in."""
        return ringback(self._region_of(trunk))
