"""Who may call what, and through which trunk. Off until the configuration says otherwise.

Permissions come from the configuration alone, never from the state of a room, which others can write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.core.ids import E164, TrunkName, UserId
from bridge.core.verdict import MatrixReason, Result, Verdict
from bridge.numbers.number import canonical

MAX_CALLER = 64
"""Characters of a caller that is no number."""

NOT_PERMITTED = Verdict(
    result=Result.POLICY,
    reason="not_permitted",
    sip_status=403,
    q850=21,
    user_text="You are not permitted to call this number. Please ask your administrator.",
)
OUTBOUND_IS_OFF = Verdict(
    result=Result.POLICY,
    reason="outbound_is_off",
    sip_status=403,
    q850=21,
    user_text="Calls to the telephone network are not enabled for you. Please ask your administrator.",
)
NO_NUMBER = Verdict(
    result=Result.POLICY,
    reason="invalid_number",
    sip_status=484,
    q850=28,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="This is not a telephone number that can be called.",
)
NO_TRUNK = Verdict(
    result=Result.SERVER,
    reason="no_trunk",
    sip_status=503,
    q850=38,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="No connection to the telephone network is configured. Please tell your administrator.",
)
NO_EMERGENCY_CALLS = Verdict(
    result=Result.POLICY,
    reason="emergency_refused",
    sip_status=403,
    q850=21,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="EMERGENCY CALLS CANNOT BE MADE FROM HERE. Use a mobile phone or another telephone now.",
)
NO_FORWARDING = Verdict(
    result=Result.POLICY,
    reason="cannot_forward",
    sip_status=403,
    q850=21,
    user_text="Your connection to the telephone network cannot forward calls.",
)
FORWARDED_TO_SELF = Verdict(
    result=Result.POLICY,
    reason="cannot_forward",
    sip_status=403,
    q850=21,
    user_text="This is your own number.",
)
UNKNOWN_NUMBER = Verdict(result=Result.CLIENT, reason="unassigned_number", sip_status=404, q850=1)
"""Nobody has the number that a phone called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Users, or whole servers, that may call numbers with certain prefixes."""

    who: tuple[str, ...]
    """Matrix ids (`@user:server`) and server names."""
    prefixes: tuple[str, ...]
    """E.164 prefixes (`+49`), or whole short codes."""
    trunk: TrunkName | None = None
    """The trunk for these calls; `None` takes the first one in service."""

    def covers(self, user: UserId, number: E164) -> bool:
        return self.covers_user(user) and any(_prefix_matches(prefix, number) for prefix in self.prefixes)

    def covers_user(self, user: UserId) -> bool:
        server = user.partition(":")[2]
        return user in self.who or server in self.who


def _prefix_matches(prefix: str, number: E164) -> bool:
    return number.startswith(prefix) if prefix.startswith("+") else number == prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkChoice:
    """What policy needs to know of a trunk."""

    name: TrunkName
    caller_id: str = ""
    emergency: bool = False
    joins_crossing_calls: bool = False
    """Whether its caller numbers can be believed so far that a call may be handed to one (see `calls.glare`)."""
    answers_early: bool = False
    """Whether callers hear what it plays before the phone is answered (see `calls.early`)."""
    forwards: bool = False
    """Whether it makes the call that a 302 asks for."""
    voicemail: str = ""
    """The number at which users listen to what was left for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A permitted call: which trunk, which number, and the number that the phone shows."""

    trunk: TrunkName
    number: E164
    caller: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPlan:
    """Permissions, trunks and the numbers that people have."""

    default_region: str = "US"
    permissions: tuple[Permission, ...] = ()
    trunks: tuple[TrunkChoice, ...] = ()
    inbound: Mapping[E164, UserId]
    """Which user a called number reaches."""
    emergency: frozenset[str] = frozenset()
    """Emergency numbers as dialled, without a country code."""

    def is_emergency(self, number: str) -> bool:
        """Whether a dialled number is an emergency number, in whatever way it is written.

        Behind a country code as well: no subscriber's number is that short, and trunks strip country codes.
        """
        bare = canonical(number, self.default_region) or number
        if not bare.startswith("+"):
            return bare in self.emergency
        return any(bare[code:] in self.emergency for code in range(1, 5))

    def joins_crossing_calls(self, trunk: TrunkName) -> bool:
        """Whether a call from this trunk may take the place of one to the same number."""
        return any(choice.name == trunk and choice.joins_crossing_calls for choice in self.trunks)

    def answers_early(self, trunk: TrunkName) -> bool:
        """Whether what this trunk plays before an answer is let through."""
        return any(choice.name == trunk and choice.answers_early for choice in self.trunks)

    def route(self, user: UserId, dialled: str, is_up: Callable[[TrunkName], bool]) -> Route | Verdict:
        """Decide an outgoing call: a route, or the verdict that refuses it."""
        if self.is_emergency(dialled):
            return self._emergency_route(user, dialled, is_up)
        number = canonical(dialled, self.default_region)
        if number is None:
            return NO_NUMBER
        if not any(permission.covers_user(user) for permission in self.permissions):
            return OUTBOUND_IS_OFF
        permission = next((permission for permission in self.permissions if permission.covers(user, number)), None)
        if permission is None:
            return NOT_PERMITTED
        allowed = [trunk for trunk in self.trunks if permission.trunk in (None, trunk.name)]
        trunk = _first_that_is_up(allowed, is_up)
        if trunk is None:
            return NO_TRUNK
        return Route(trunk=trunk.name, number=number, caller=self._caller(user, trunk))

    def route_over(self, user: UserId, dialled: str, trunk: TrunkName) -> Route | Verdict:
        """Decide a call that has to leave over one trunk: a phone of that trunk wants the user's call transferred."""
        route = self.route(user, dialled, lambda name: name == trunk)
        return route if not isinstance(route, Route) or route.trunk == trunk else NOT_PERMITTED

    def forward(self, user: UserId, dialled: str, trunk: TrunkName) -> Route | Verdict:
        """Decide where a user's calls that come over a trunk may go instead: it costs what a call there would.

        Never to an emergency number, which nobody would have called.
        """
        if not any(choice.name == trunk and choice.forwards for choice in self.trunks):
            return NO_FORWARDING
        if self.is_emergency(dialled):
            return NO_EMERGENCY_CALLS
        route = self.route_over(user, dialled, trunk)
        if isinstance(route, Route) and self.user_of(route.number) == user:
            return FORWARDED_TO_SELF
        return route

    def _emergency_route(self, user: UserId, dialled: str, is_up: Callable[[TrunkName], bool]) -> Route | Verdict:
        """Only over a trunk that is marked for it: never routed silently wrong, never limited by permissions."""
        trunk = _first_that_is_up([trunk for trunk in self.trunks if trunk.emergency], is_up)
        if trunk is None:
            return NO_EMERGENCY_CALLS
        number = canonical(dialled, self.default_region) or dialled
        short = next(code for code in self.emergency if number.endswith(code))
        return Route(trunk=trunk.name, number=E164(short), caller=self._caller(user, trunk))

    def caller_of(self, user: UserId, trunk: TrunkName) -> str:
        """The number that a phone of a trunk shows for a user's call."""
        return next((self._caller(user, choice) for choice in self.trunks if choice.name == trunk), "")

    def _caller(self, user: UserId, trunk: TrunkChoice) -> str:
        """The caller's own number if they have one, so that they can be called back; else the trunk's."""
        own = (number for number, owner in self.inbound.items() if owner == user and number.startswith("+"))
        return next(own, trunk.caller_id)

    def numbers_of(self, user: UserId) -> list[E164]:
        """All numbers under which phones reach a user."""
        return [number for number, owner in self.inbound.items() if owner == user]

    def prefixes_of(self, user: UserId) -> list[str]:
        """How the numbers begin that a user may call, each once."""
        mine = (permission for permission in self.permissions if permission.covers_user(user))
        return list(dict.fromkeys(prefix for permission in mine for prefix in permission.prefixes))

    def number_of(self, user: UserId) -> E164 | None:
        """The number under which a PBX reaches a user: an extension if they have one, else any number."""
        own = [number for number, owner in self.inbound.items() if owner == user]
        return min(own, key=lambda number: number.startswith("+"), default=None)

    def user_of(self, called: str) -> UserId | None:
        """The Matrix user that a called number reaches, however the trunk writes it."""
        if called in self.inbound:
            return self.inbound[E164(called)]
        for candidate in (called, f"+{called}"):
            number = canonical(candidate, self.default_region)
            if number is not None and number in self.inbound:
                return self.inbound[number]
        return None

    def caller_number(self, caller: str) -> str:
        """The canonical number of a phone that calls; what is no number (an extension's name) stays as it is.

        A name that is too long to be one counts as withheld: no user id could be made of it.
        """
        if len(caller) > MAX_CALLER:
            return ""
        return canonical(caller, self.default_region) or caller


def _first_that_is_up(trunks: Sequence[TrunkChoice], is_up: Callable[[TrunkName], bool]) -> TrunkChoice | None:
    """The first trunk in service; if none is, the first of all, so that the trunk's own answer decides."""
    return next((trunk for trunk in trunks if is_up(trunk.name)), trunks[0] if trunks else None)
