"""What users hear whose calls are refused, or ended by a limit, and how often."""

from collections.abc import Callable

from bridge.app.repertoire import Repertoire
from bridge.app.sayings import ANNOUNCEMENT, ANY
from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.ids import UserId
from bridge.core.verdict import Verdict
from bridge.media.sounds import Sound
from bridge.media.verdicts import unavailable
from bridge.numbers.policy import Decision
from bridge.numbers.sentences import Spoken

MOST_AT_ONCE, ONE_MORE_S = 5, 10.0
"""Each costs a media session: who dials again and again only reads the reason in the end."""


class Announcements:
    """Those of the configuration in force; none where nothing can be spoken."""

    def __init__(
        self, repertoire: Callable[[], Repertoire], language_of_user: Callable[[UserId], str], clock: Clock
    ) -> None:
        self._repertoire = repertoire
        self._language_of = language_of_user
        self._clock = clock
        self._budgets = Budgets(burst=MOST_AT_ONCE, refill_s=ONE_MORE_S)

    def for_call(self, user: UserId, decision: Decision | Verdict) -> frozenset[str]:
        """The reasons that can be said to the user of a call of which this was decided."""
        reasons = frozenset(reason.value for reason in Spoken if self._sound(reason.value, user) is not None)
        if not isinstance(decision, Verdict) or decision.reason not in reasons:
            return reasons
        is_due = self._budgets.spend(f"{user} {decision.reason}", self._clock.monotonic())
        return reasons if is_due else frozenset()

    def sound(self, reason: str, user: UserId) -> Sound:
        """What is played for a reason. Raises :class:`bridge.media.engine.MediaError` if there is nothing."""
        sound = self._sound(reason, user)
        if sound is None:
            raise unavailable("there is no such announcement")
        return sound

    def _sound(self, reason: str, user: UserId) -> Sound | None:
        sounds = self._repertoire().sounds
        to_all = sounds.get((ANNOUNCEMENT, reason, ANY))
        return to_all or sounds.get((ANNOUNCEMENT, reason, self._language_of(user)))
