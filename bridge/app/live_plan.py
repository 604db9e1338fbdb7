"""What the configuration says of numbers, calls and people, as it is at this moment: SIGHUP exchanges it as a whole."""

from collections.abc import Mapping
from datetime import tzinfo
from zoneinfo import ZoneInfo

import structlog

from bridge.app.plan import call_times, groups, number_plan, text_sides
from bridge.app.text_desk import TextSide
from bridge.calls.call import CallTimes
from bridge.config import Config
from bridge.config.additions import Additions, with_additions
from bridge.core.ids import E164, GroupName, TrunkName, UserId
from bridge.core.pii import Pii
from bridge.numbers.groups import Group
from bridge.numbers.policy import NumberPlan

log = structlog.get_logger(__name__)


class LivePlan:
    """Handed to whoever decides about calls, by method: what they read, they read anew for each call.

    Everything here is replaced between two turns of the event loop, so that a decision sees the old or the new, and a
    call that is up keeps what was decided for it.
    """

    def __init__(self, config: Config) -> None:
        self._additions = Additions()
        self.take(config)

    def take(self, file: Config) -> None:
        """Go by another file from now on."""
        self._file = file
        self._decide()

    def add(self, additions: Additions) -> None:
        """Go by what was set besides the file."""
        self._additions = additions
        self._decide()

    def _decide(self) -> None:
        whole = with_additions(self._file, self._additions)
        self._config, self.left_out = whole.config, whole.left_out
        self._numbers, self._texts = number_plan(self._config), text_sides(self._config)

    def say_what_rests(self) -> None:
        """Log what was set besides the file and makes no sense with it."""
        for (kind, name), reason in self.left_out.items():
            log.warning("added_entry_rests", kind=kind, entry=Pii(name), reason=Pii(reason))

    def file(self) -> Config:
        """The file alone; what needs a restart is what it was at the start."""
        return self._file

    def additions(self) -> Additions:
        """What was set besides, whether or not it has an effect beside this file."""
        return self._additions

    def config(self) -> Config:
        """Both together."""
        return self._config

    def numbers(self) -> NumberPlan:
        """Who may call what, and whose number is whose."""
        return self._numbers

    def groups(self) -> Mapping[GroupName, Group]:
        """Who rings for which group."""
        return groups(self._config)

    def texts(self) -> Mapping[TrunkName, TextSide]:
        """Which trunks take text messages, and for how much."""
        return self._texts

    def times(self) -> CallTimes:
        """Time limits of a call."""
        return call_times(self._config)

    def call_waiting(self) -> bool:
        """Whether a user who has a call is offered another."""
        return self._config.calls.call_waiting

    def knows_presence(self) -> bool:
        """Whether users may say by their presence whether they ring."""
        return bool(self._config.calls.ring_when)

    def blocked(self) -> tuple[str, ...]:
        """How numbers begin that nobody wants to be called by."""
        return self._config.numbers.blocked

    def time_zone(self) -> tzinfo | None:
        """In which users' hours are meant; `None` is this machine's."""
        name = self._config.numbers.time_zone
        return ZoneInfo(name) if name else None

    def admins(self) -> tuple[UserId, ...]:
        """Who may end suspensions."""
        return tuple(UserId(user) for user in self._config.permissions.admins)

    def rings_s(self) -> float:
        """How long it rings before a message can be left."""
        return self._config.voicemail.after_s

    def forwarded_s(self) -> float:
        """For how long a call counts that a trunk makes by itself."""
        return self._config.permissions.forwarded_minutes * 60

    # For whoever asks for one word of it.

    def number_of(self, user: UserId) -> E164 | None:
        """The number under which a PBX reaches a user."""
        return self._numbers.number_of(user)

    def user_of(self, number: str) -> UserId | None:
        """The user that a number reaches."""
        return self._numbers.user_of(number)

    def caller_number(self, caller: str) -> str:
        """The canonical number of a phone."""
        return self._numbers.caller_number(caller)
