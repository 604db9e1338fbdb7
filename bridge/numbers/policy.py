"""What becomes of a number that a Matrix user dials: the trunks that may carry the call, or why none may.

Off until the configuration says otherwise. Pure: which trunks are in service, and chance, are arguments.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.core.ids import E164, RoomId, TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.numbers.costly import why_costly
from bridge.numbers.dial_plan import DialRule, Spin
from bridge.numbers.money import Price, Tariff
from bridge.numbers.number import bare, canonical
from bridge.numbers.permission import Permission, of_user
from bridge.numbers.reach import RANGE_MARK, Reach, ToUser, found, person
from bridge.numbers.refusals import (
    COSTLY_NUMBER,
    FORWARDED_TO_SELF,
    NO_EMERGENCY_CALLS,
    NO_FORWARDING,
    NO_NUMBER,
    NO_TRUNK,
    NOT_PERMITTED,
    OUTBOUND_IS_OFF,
)
from bridge.numbers.region import national_form
from bridge.numbers.withholding import is_withheld, split_code, split_mark

MAX_CALLER = 64
"""Characters of a caller that is no number."""
WITHHELD = "withheld"
"""Stands for a number in `NumberPlan.caller_ids`: the called party is shown none."""
NOBODY = UserId("")
"""Who has no region but the default one."""

IsUp = Callable[[TrunkName], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkChoice:
    """What policy needs to know of a trunk."""

    name: TrunkName
    caller_id: str = ""
    verified: frozenset[str] = frozenset()
    """The numbers that its provider lets us show; empty does not say, and every number of a user counts as one."""
    tariff: Tariff | None = None
    """What it charges; `None` is nothing, as on a PBX of one's own."""
    emergency: bool = False
    joins_crossing_calls: bool = False
    """Whether its caller numbers can be believed so far that a call may be handed to one (see `calls.glare`)."""
    answers_early: bool = False
    """Whether callers hear what it plays before the phone is answered (see `calls.early`)."""
    forwards: bool = False
    """Whether it makes the call that a 302 asks for."""
    voicemail: str = ""
    """The number at which users listen to what was left for them."""

    def rate(self, number: str) -> int | None:
        """A minute's price in millionths; `None` when nobody knows it."""
        return 0 if self.tariff is None else self.tariff.rate(number)

    def price(self, number: str) -> Price | None:
        """What a call to a number costs; `None` when nobody knows."""
        return Price(trunk=self.name) if self.tariff is None else self.tariff.price(self.name, number)

    def may_show(self, number: str) -> bool:
        """Whether calls may name this number as their caller."""
        return not self.verified or number == self.caller_id or number in self.verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A permitted call: which trunk, which number, and the number that the phone shows."""

    trunk: TrunkName
    number: E164
    caller: str
    withheld: bool = False
    """Whether the called party is shown no number at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All ways of a permitted call, the first to try first, and what they follow from."""

    routes: tuple[Route, ...]
    permission: Permission | None = None
    """`None` for an emergency call, which needs none."""
    rule: DialRule | None = None

    @property
    def is_emergency(self) -> bool:
        """Whether neither limits nor prices may stop it."""
        return self.permission is None

    def over(self, trunks: Collection[TrunkName]) -> "Decision":
        """Over these trunks only; nothing leaves it as it is."""
        return replace(self, routes=tuple(r for r in self.routes if r.trunk in trunks)) if trunks else self


def straight(total: int) -> int:
    """No chance at all: the first of those that could be drawn."""
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPlan:
    """Permissions, trunks and the numbers that people have."""

    default_region: str = "US"
    regions: Mapping[str, str] = field(default_factory=dict)
    """Whose numbers are meant by those that a user, or a server's users, type without a country code."""
    permissions: tuple[Permission, ...] = ()
    rules: tuple[DialRule, ...] = ()
    trunks: tuple[TrunkChoice, ...] = ()
    inbound: Mapping[str, Reach]
    """Whom called numbers reach: numbers, and beginnings of numbers with a `*` after them."""
    caller_ids: Mapping[str, str] = field(default_factory=dict)
    """What phones show of a user's calls, by user or server: a number, or `WITHHELD`."""
    emergency: frozenset[str] = frozenset()
    """Emergency numbers as dialled, without a country code."""

    def region_of(self, user: UserId) -> str:
        """Where a user dials."""
        return of_user(self.regions, user) or self.default_region

    def read(self, user: UserId, typed: str) -> E164 | None:
        """The canonical number for what a user has typed, without a code before it."""
        marked = self.read_marked(user, typed)
        return None if marked is None else split_mark(marked)[1]

    def read_marked(self, user: UserId, typed: str) -> E164 | None:
        """The same behind what says whether the called party is shown the user's number (`withholding`)."""
        return canonical(typed, self.region_of(user))

    def is_emergency(self, dialled: str, user: UserId = NOBODY) -> bool:
        """Whether a number is an emergency number, in whatever way the user has written it."""
        return bool(self._emergency_number(dialled, self.region_of(user)))

    def _emergency_number(self, dialled: str, region: str) -> str:
        """Behind a country code as well: no subscriber's number is that short, and trunks strip country codes.

        And behind a code that would withhold the caller's number; also in what is no number for any other call.
        """
        readings = (bare(dialled), canonical(dialled, region) or "")
        written = (form for reading in readings for form in self._without_country_code(reading, region))
        candidates = (split_code(each, region, self.emergency)[1] for each in written)
        return next((number for number in candidates if number in self.emergency), "")

    def _without_country_code(self, reading: str, region: str) -> list[str]:
        number = split_code(reading, region, self.emergency)[1]
        if not number.startswith("+"):
            return [number]
        return [*(number[code:] for code in range(1, 5)), national_form(number, region)]

    def prices_of(self, decision: Decision) -> list[Price | None]:
        """What a call costs on each of its ways; `None` where nobody knows."""
        return [self.price_over(route.trunk, route.number) for route in decision.routes]

    def price_over(self, trunk: TrunkName, number: str) -> Price | None:
        """What a call to a number costs over a trunk; `None` when nobody knows."""
        return next((choice.price(number) for choice in self.trunks if choice.name == trunk), None)

    def joins_crossing_calls(self, trunk: TrunkName) -> bool:
        """Whether a call from this trunk may take the place of one to the same number."""
        return any(choice.name == trunk and choice.joins_crossing_calls for choice in self.trunks)

    def answers_early(self, trunk: TrunkName) -> bool:
        """Whether what this trunk plays before an answer is let through."""
        return any(choice.name == trunk and choice.answers_early for choice in self.trunks)

    def decide(
        self,
        user: UserId,
        dialled: str,
        is_up: IsUp,
        *,
        room: RoomId | None = None,
        withheld: bool | None = None,
        spin: Spin = straight,
    ) -> Decision | Verdict:
        """Decide an outgoing call.

        `withheld` is what the user wants of every call, unless what is dialled says it of this one; `None` is what the
        configuration says.
        """
        if self.is_emergency(dialled, user):
            return self._emergency_call(user, dialled, is_up)
        marked = self.read_marked(user, dialled)
        if marked is None:
            return NO_NUMBER
        mark, number = split_mark(marked)
        withheld = is_withheld(mark) if mark else withheld
        permission = self._permission(user, room, number)
        if isinstance(permission, Verdict):
            return permission
        rule = next((rule for rule in self.rules if rule.covers(number)), None)
        trunks = self._in_order(permission, rule, number, spin)
        routes = tuple(self._route(user, number, trunk, withheld) for trunk in _those_up_first(trunks, is_up))
        return Decision(routes=routes, permission=permission, rule=rule) if routes else NO_TRUNK

    def route(
        self, user: UserId, dialled: str, is_up: IsUp, *, room: RoomId | None = None, withheld: bool | None = None
    ) -> Route | Verdict:
        """The first way of an outgoing call, for where there can be only one."""
        decision = self.decide(user, dialled, is_up, room=room, withheld=withheld)
        return decision.routes[0] if isinstance(decision, Decision) else decision

    def _permission(self, user: UserId, room: RoomId | None, number: E164) -> Permission | Verdict:
        mine = [permission for permission in self.permissions if permission.covers_user(user, room)]
        if not mine:
            return OUTBOUND_IS_OFF
        covering = [permission for permission in mine if permission.covers(number)]
        if not covering:
            return NOT_PERMITTED
        return next((entry for entry in covering if self._affords(entry, number)), COSTLY_NUMBER)

    def _affords(self, permission: Permission, number: E164) -> bool:
        return permission.costly or why_costly(number, permission.permitting(number), self.default_region) is None

    def _in_order(
        self, permission: Permission, rule: DialRule | None, number: E164, spin: Spin
    ) -> Sequence[TrunkChoice]:
        """A permission that names its trunk has the last word."""
        if permission.trunk is not None:
            return [trunk for trunk in self.trunks if trunk.name == permission.trunk]
        if rule is None:
            return self.trunks
        named = {trunk.name: trunk for trunk in self.trunks}
        return [named[name] for name in rule.in_order(lambda trunk: named[trunk].rate(number), spin)]

    def _route(self, user: UserId, number: E164, trunk: TrunkChoice, withheld: bool | None) -> Route:
        hidden = self.hides(user, withheld)
        return Route(trunk=trunk.name, number=number, caller=self._caller(user, trunk), withheld=hidden)

    def route_over(
        self, user: UserId, dialled: str, trunk: TrunkName, *, room: RoomId | None = None
    ) -> Route | Verdict:
        """Decide a call that has to leave over one trunk: a phone of that trunk wants the user's call transferred."""
        decision = self.decide(user, dialled, lambda name: name == trunk, room=room)
        if isinstance(decision, Verdict):
            return decision
        return next((route for route in decision.routes if route.trunk == trunk), NOT_PERMITTED)

    def forward(self, user: UserId, dialled: str, trunk: TrunkName) -> Route | Verdict:
        """Decide where a user's calls that come over a trunk may go instead: it costs what a call there would.

        Never to an emergency number, which nobody would have called.
        """
        if not any(choice.name == trunk and choice.forwards for choice in self.trunks):
            return NO_FORWARDING
        if self.is_emergency(dialled, user):
            return NO_EMERGENCY_CALLS
        route = self.route_over(user, dialled, trunk)
        if isinstance(route, Route) and self.user_of(route.number) == user:
            return FORWARDED_TO_SELF
        return route

    def _emergency_call(self, user: UserId, dialled: str, is_up: IsUp) -> Decision | Verdict:
        """Only over trunks that are marked for it: never routed silently wrong, never limited by permissions.

        And never anonymous: whoever helps must be able to call back.
        """
        short = E164(self._emergency_number(dialled, self.region_of(user)))
        trunks = _those_up_first([trunk for trunk in self.trunks if trunk.emergency], is_up)
        routes = tuple(Route(trunk=trunk.name, number=short, caller=self._caller(user, trunk)) for trunk in trunks)
        return Decision(routes=routes) if routes else NO_EMERGENCY_CALLS

    def caller_of(self, user: UserId, trunk: TrunkName) -> str:
        """The number that a phone of a trunk shows for a user's call."""
        return next((self._caller(user, choice) for choice in self.trunks if choice.name == trunk), "")

    def _caller(self, user: UserId, trunk: TrunkChoice) -> str:
        """The number that is set for the caller, one of the caller's own, or one for all of a server.

        Only one that the trunk's provider has verified; otherwise the trunk's.
        """
        own = [number for number in self.numbers_of(user) if number.startswith("+")]
        numbers = [self.caller_ids.get(user, ""), *own, self.caller_ids.get(user.partition(":")[2], "")]
        return next((n for n in numbers if n not in ("", WITHHELD) and trunk.may_show(n)), trunk.caller_id)

    def hides(self, user: UserId, withheld: bool | None) -> bool:
        """Whether those whom a user calls are shown no number; `withheld` is the user's own word, if there is one."""
        return of_user(self.caller_ids, user) == WITHHELD if withheld is None else withheld

    def numbers_of(self, user: UserId) -> list[E164]:
        """All numbers under which phones reach a user."""
        return [E164(number) for number in self._inbound_of(user) if not number.endswith(RANGE_MARK)]

    def blocks_of(self, user: UserId) -> list[str]:
        """All blocks of numbers under which phones reach a user, each as a beginning and a `*`."""
        return [number for number in self._inbound_of(user) if number.endswith(RANGE_MARK)]

    def _inbound_of(self, user: UserId) -> list[str]:
        return [number for number, reach in self.inbound.items() if reach.to == ToUser(user)]

    def is_called(self, user: UserId) -> bool:
        """Whether calls to some number are this user's own, at some hour at least.

        Those of a group or a menu are nobody's own, and a message box rings nobody.
        """
        return any(ToUser(user) in reach.targets for reach in self.inbound.values())

    def prefixes_of(self, user: UserId) -> list[str]:
        """How the numbers begin that a user may call, each once."""
        mine = (permission for permission in self.permissions if permission.covers_user(user))
        return list(dict.fromkeys(prefix for permission in mine for prefix in permission.prefixes))

    def number_of(self, user: UserId) -> E164 | None:
        """The number under which a PBX reaches a user: an extension if they have one, else any number."""
        return min(self.numbers_of(user), key=lambda number: number.startswith("+"), default=None)

    def reach_of(self, called: str) -> Reach | None:
        """Where calls to a number go, however the trunk writes it."""
        read = (canonical(candidate, self.default_region) for candidate in (called, f"+{called}"))
        return found(self.inbound, [called, *(number for number in read if number is not None)])

    def user_of(self, called: str) -> UserId | None:
        """The Matrix user whose number this is."""
        reach = self.reach_of(called)
        return person(reach.to) if reach is not None else None

    def caller_number(self, caller: str) -> str:
        """The canonical number of a phone that calls; what is no number (an extension's name) stays as it is.

        A name that is too long to be one counts as withheld: no user id could be made of it.
        """
        if len(caller) > MAX_CALLER:
            return ""
        return split_mark(canonical(caller, self.default_region) or caller)[1]


def _those_up_first(trunks: Sequence[TrunkChoice], is_up: IsUp) -> list[TrunkChoice]:
    """Those in service, in their order; the others after them, so that a trunk's own answer decides if none is."""
    return sorted(trunks, key=lambda trunk: not is_up(trunk.name))
