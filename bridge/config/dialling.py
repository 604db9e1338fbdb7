"""What contradicts itself in the dial plan: unknown trunks, rules that fit nothing, unverified numbers."""

from collections.abc import Iterator

from bridge.config.document import Location
from bridge.config.model import Config, DialRuleConfig, LimitConfig
from bridge.core.ids import UserId
from bridge.numbers.dial_plan import Choose
from bridge.numbers.limits import Cap, Limit
from bridge.numbers.money import parse_price
from bridge.numbers.policy import WITHHELD
from bridge.numbers.region import emergency_numbers

Finding = tuple[Location, str]


def dialling_contradictions(config: Config) -> Iterator[Finding]:
    """Everything that the sections `trunks`, `numbers` and `permissions` say about calls out, held against itself."""
    for index, rule in enumerate(config.numbers.dial_plan):
        yield from _rule(config, ("numbers", "dial_plan", index), rule)
    yield from _caller_ids(config)
    yield from _limits(config)
    for index, permission in enumerate(config.permissions.outbound):
        if permission.trunk and permission.trunk not in config.trunks:
            yield ("permissions", "outbound", index, "trunk"), no_such_trunk(config, permission.trunk)


def emergency(config: Config) -> frozenset[str]:
    """Numbers that call for help: those that are listed, and those of every region whose numbers are dialled here."""
    numbers = config.numbers
    regions = {numbers.default_region, *numbers.regions.values()}
    return frozenset(numbers.emergency).union(*(emergency_numbers(region) for region in regions))


def no_such_trunk(config: Config, name: str) -> str:
    """Words for a name that is no trunk's."""
    known = f"there is {', '.join(config.trunks)}" if config.trunks else "there is none"
    return f"no trunk is called '{name}'; {known}"


def _rule(config: Config, here: Location, rule: DialRuleConfig) -> Iterator[Finding]:
    if bool(rule.prefixes) == bool(rule.pattern):
        yield here, "needs either prefixes or a pattern, to say which numbers it is for"
    for index, name in enumerate(rule.trunks):
        if name not in config.trunks:
            yield (*here, "trunks", index), no_such_trunk(config, name)
        elif name in rule.trunks[:index]:
            yield (*here, "trunks", index), "is listed twice"
    for name in rule.weights:
        if name not in rule.trunks:
            yield (*here, "weights", name), "is not one of the trunks of this rule"
    if rule.weights and rule.choose is not Choose.WEIGHT:
        yield (*here, "weights"), "count only with choose: weight"


def _caller_ids(config: Config) -> Iterator[Finding]:
    """A number that no provider lets us show would never be shown."""
    lists = [{trunk.caller_id, *trunk.caller_ids} for trunk in config.trunks.values() if trunk.caller_ids]
    if not lists or len(lists) < len(config.trunks):
        return
    for who, number in config.numbers.caller_ids.items():
        if number != WITHHELD and not any(number in verified for verified in lists):
            yield ("numbers", "caller_ids", who), "would never be shown: no trunk has this number in its caller_ids"


def _limits(config: Config) -> Iterator[Finding]:
    """Limits that could not be kept."""
    priced = any(trunk.rates for trunk in config.trunks.values())
    for index, entry in enumerate(config.permissions.limits):
        money = [name for name in ("call_cost", "day_cost", "month_cost") if getattr(entry, name)]
        if money and not priced:
            yield ("permissions", "limits", index, money[0]), "could not be kept: no trunk says what calls cost (rates)"


def idle_limits(config: Config) -> Iterator[str]:
    """Limits that limit nothing."""
    for index, entry in enumerate(config.permissions.limits):
        if limit_of(entry) == Limit(who=entry.who, together=entry.together):
            yield f"permissions.limits[{index}]: limits nothing"


def limitless_callers(config: Config) -> Iterator[str]:
    """Who can spend as much as trunks take, as whoever steals their account can; call lengths alone do not end that."""
    limits = [
        limit for limit in map(limit_of, config.permissions.limits) if not (limit.day.is_none and limit.month.is_none)
    ]
    for index, entry in enumerate(config.permissions.outbound):
        where = "the whole world" if "+" in entry.prefixes else "numbers at special rates" if entry.costly else ""
        who = next((who for who in entry.who if not any(_speaks_of(limit, who, config) for limit in limits)), "")
        if where and who:
            yield (
                f"permissions.outbound[{index}]: reaches {where}, and no entry of permissions.limits "
                f"has minutes or money of a day or a month for '{who}'"
            )


def _speaks_of(limit: Limit, who: str, config: Config) -> bool:
    """Of a user, a whole server, or, for a room, of those of our own server at least."""
    server = config.homeserver.server_name if who.startswith("!") else who
    return server in limit.who or limit.covers(UserId(who))


def limit_of(entry: LimitConfig) -> Limit:
    """The limit that an entry stands for."""
    return Limit(
        who=entry.who,
        together=entry.together,
        call=_cap(entry.call_minutes, entry.call_cost),
        day=_cap(entry.day_minutes, entry.day_cost),
        month=_cap(entry.month_minutes, entry.month_cost),
        calls_at_once=entry.calls_at_once or None,
        attempts_per_minute=entry.attempts_per_minute or None,
    )


def _cap(minutes: float, cost: str) -> Cap:
    return Cap(seconds=minutes * 60 if minutes else None, cost=parse_price(cost) if cost else None)
