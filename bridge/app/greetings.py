"""What phones hear before they leave a message: a user's own greeting or everybody's, each recorded or spoken."""

from collections.abc import Callable

from bridge.app.repertoire import Repertoire
from bridge.app.sayings import GREETING
from bridge.core.ids import UserId
from bridge.media.sounds import Sound, pause

BEFORE_BEEP_S = 0.5
"""What is heard in the place of a greeting that cannot be spoken."""


class Greetings:
    """Those of the configuration in force."""

    def __init__(self, repertoire: Callable[[], Repertoire]) -> None:
        self._repertoire = repertoire

    @property
    def longest_s(self) -> float:
        """The length of the longest."""
        sounds = self._repertoire().sounds.items()
        return max((s.duration_ms / 1000 for name, s in sounds if name[0] == GREETING), default=BEFORE_BEEP_S)

    def of(self, user: UserId) -> Sound:
        """What phones that call this user hear."""
        sounds = self._repertoire().sounds
        return sounds.get((GREETING, user)) or sounds.get((GREETING,)) or pause(BEFORE_BEEP_S)
