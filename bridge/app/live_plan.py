"""What the configuration says of numbers, calls and people, as it is at this moment: SIGHUP exchanges it as a whole."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

import structlog

from bridge.app.plan import (
    call_times,
    groups,
    max_attended,
    menu_plans,
    message_reasons,
    number_plan,
    text_sides,
    trunk_sides,
)
from bridge.app.repertoire import Repertoire
from bridge.app.text_desk import TextSide
from bridge.app.transfer_desk import TrunkSide
from bridge.calls.menu import MenuPlan
from bridge.calls.times import CallTimes
from bridge.config import Config, media_policies
from bridge.config.additions import Additions, Key, with_additions
from bridge.core.ids import E164, GroupName, MenuName, TrunkName, UserId
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy
from bridge.numbers.forwards import ForwardLimits
from bridge.numbers.groups import Group
from bridge.numbers.policy import NumberPlan
from bridge.numbers.sentences import language_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A file, what was set besides it, and what follows from both."""

    file: Config
    additions: Additions
    config: Config
    left_out: Mapping[Key, str]
    sounds: Repertoire
    numbers: NumberPlan
    groups: Mapping[GroupName, Group]
    menus: Mapping[MenuName, MenuPlan]
    texts: Mapping[TrunkName, TextSide]
    sides: Mapping[TrunkName, TrunkSide]
    media: Mapping[TrunkName, SipMediaPolicy]

    @classmethod
    def of(cls, file: Config, additions: Additions, sounds: Repertoire) -> "InForce":
        """With thousands of additions this takes a tenth of a second, for which a thread is the place."""
        whole = with_additions(file, additions)
        return cls(
            file=file,
            additions=additions,
            config=whole.config,
            left_out=whole.left_out,
            sounds=sounds,
            numbers=number_plan(whole.config),
            groups=groups(whole.config),
            menus=menu_plans(whole.config, sounds.edition),
            texts=text_sides(whole.config),
            sides=trunk_sides(whole.config),
            media=media_policies(whole.config),
        )


class LivePlan:
    """Handed to whoever decides about calls, by method: what they read, they read anew for each call.

    Everything here is replaced between two turns of the event loop, so that a decision sees the old or the new, and a
    call that is up keeps what was decided for it.
    """

    def __init__(self, config: Config) -> None:
        self._now = InForce.of(config, Additions(), Repertoire())
        self._former: dict[int, Repertoire] = {}
        self._left: dict[TrunkName, tuple[TrunkSide, SipMediaPolicy]] = {}
        """Trunks that are gone, and have calls yet."""

    def worked_out(self, file: Config, sounds: Repertoire) -> InForce:
        """What would follow from another file; on any thread."""
        return InForce.of(file, self._now.additions, sounds)

    def added_to(self, additions: Additions) -> InForce:
        """What would follow from other additions; on any thread."""
        now = self._now
        return InForce.of(now.file, additions, now.sounds)

    def take(
        self, ready: InForce, *, editions_in_use: Collection[int] = (), trunks_in_use: Collection[TrunkName] = ()
    ) -> None:
        """Go by another file from now on.

        Sounds of menus in which somebody is stay, by their edition, and so does what calls of trunks that are gone
        have to go by.
        """
        now = self._now
        former = {**self._former, now.sounds.edition: now.sounds}
        self._former = {edition: sounds for edition, sounds in former.items() if edition in editions_in_use}
        left = {**self._left, **{trunk: (side, now.media[trunk]) for trunk, side in now.sides.items()}}
        gone = frozenset(trunks_in_use) - ready.sides.keys()
        self._left = {trunk: known for trunk, known in left.items() if trunk in gone}
        is_whole = ready.additions is now.additions
        self._now = ready if is_whole else InForce.of(ready.file, now.additions, ready.sounds)

    def add(self, ready: InForce) -> None:
        """Go by what was set besides the file, unless the file is another one by now."""
        self._now = ready if ready.file is self._now.file else self.added_to(ready.additions)

    def sounds(self) -> Repertoire:
        """What is said to callers."""
        return self._now.sounds

    def sounds_of(self, edition: int) -> Repertoire | None:
        """Those of this or of a former file."""
        return self._now.sounds if edition == self._now.sounds.edition else self._former.get(edition)

    def left_out(self) -> Mapping[Key, str]:
        """Additions that have no effect beside this file, and why."""
        return self._now.left_out

    def say_what_rests(self) -> None:
        """Log how much was set besides the file and makes no sense with it; the admin API names it."""
        for kind, count in Counter(kind for kind, _ in self._now.left_out).items():
            log.warning("added_entries_rest", kind=kind, count=count)

    def file(self) -> Config:
        """The file alone; what needs a restart is what it was at the start."""
        return self._now.file

    def additions(self) -> Additions:
        """What was set besides, whether or not it has an effect beside this file."""
        return self._now.additions

    def config(self) -> Config:
        """Both together."""
        return self._now.config

    def numbers(self) -> NumberPlan:
        """Who may call what, and whose number is whose."""
        return self._now.numbers

    def groups(self) -> Mapping[GroupName, Group]:
        """Who rings for which group."""
        return self._now.groups

    def menus(self) -> Mapping[MenuName, MenuPlan]:
        """The spoken menus, whose extensions are those of the numbers."""
        return self._now.menus

    def texts(self) -> Mapping[TrunkName, TextSide]:
        """Which trunks take text messages, and for how much."""
        return self._now.texts

    def sides(self) -> Mapping[TrunkName, TrunkSide]:
        """Which addresses are a trunk's, and what it may do; of those too that are gone and have calls yet."""
        return {**{trunk: side for trunk, (side, _) in self._left.items()}, **self._now.sides}

    def media_policy(self, trunk: TrunkName) -> SipMediaPolicy:
        """What a trunk wants of the audio of its calls."""
        policy = self._now.media.get(trunk)
        return policy or (self._left[trunk][1] if trunk in self._left else DEFAULT_POLICY)

    def trunks(self) -> Collection[TrunkName]:
        """The trunks that take new calls."""
        return self._now.config.trunks.keys()

    def default_region(self) -> str:
        """Whose national numbers are meant where nothing else is known."""
        return self._now.config.numbers.default_region

    def times(self) -> CallTimes:
        """Time limits of a call."""
        return call_times(self._now.config)

    def call_waiting(self) -> bool:
        """Whether a user who has a call is offered another."""
        return self._now.config.calls.call_waiting

    def knows_presence(self) -> bool:
        """Whether users may say by their presence whether they ring."""
        return bool(self._now.config.calls.ring_when)

    def blocked(self) -> tuple[str, ...]:
        """How numbers begin that nobody wants to be called by."""
        return self._now.config.numbers.blocked

    def time_zone(self) -> tzinfo | None:
        """In which users' hours are meant; `None` is this machine's."""
        name = self._now.config.numbers.time_zone
        return ZoneInfo(name) if name else None

    def admins(self) -> tuple[UserId, ...]:
        """Who may end suspensions."""
        return tuple(UserId(user) for user in self._now.config.permissions.admins)

    def rings_s(self) -> float:
        """How long it rings before a message can be left."""
        return self._now.config.voicemail.after_s

    def message_reasons(self, user: UserId) -> tuple[str, ...] | None:
        """Why a call is over for which a user takes a message; `None` for who takes none."""
        return message_reasons(self._now.config, user)

    def forwarded_s(self) -> float:
        """For how long a call counts that a trunk makes by itself."""
        return self._now.config.permissions.forwarded_minutes * 60

    def max_attended(self, trunk: TrunkName) -> int:
        """How many calls of a trunk menus and message boxes may hold."""
        return max_attended(self._now.config.trunks.get(trunk))

    def texts_per_day(self) -> int:
        """How many text messages a user may send."""
        return self._now.config.permissions.texts_per_day

    def forward_limits(self) -> ForwardLimits:
        """How many calls a trunk makes by itself for one user, and for one caller."""
        permissions = self._now.config.permissions
        return ForwardLimits(of_user=permissions.forwards_per_day, of_caller=permissions.forwards_per_caller)

    # For whoever asks for one word of it.

    def language_of(self, user: UserId) -> str:
        """In which a user is told that nobody can be called for help."""
        return language_of(self._now.numbers.region_of(user))

    def region_of(self, trunk: TrunkName) -> str:
        """In which country a trunk is, as far as that is known."""
        numbers, trunks = self._now.config.numbers, self._now.config.trunks
        return (trunks[trunk].region if trunk in trunks else "") or numbers.default_region

    def number_of(self, user: UserId) -> E164 | None:
        """The number under which a PBX reaches a user."""
        return self._now.numbers.number_of(user)

    def user_of(self, number: str) -> UserId | None:
        """The user that a number reaches."""
        return self._now.numbers.user_of(number)

    def caller_number(self, caller: str) -> str:
        """The canonical number of a phone."""
        return self._now.numbers.caller_number(caller)
