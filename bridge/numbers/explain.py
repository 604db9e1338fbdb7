"""Why a call would be made or refused, over which trunks and at which price: for an admin who asks, without calling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.core.ids import E164, RoomId, UserId
from bridge.core.verdict import Verdict
from bridge.numbers.costly import why_costly
from bridge.numbers.dial_plan import Choose, DialRule
from bridge.numbers.limits import Cap, Limit
from bridge.numbers.money import shown
from bridge.numbers.permission import Permission
from bridge.numbers.policy import Decision, NumberPlan, Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who wants to call what."""

    user: UserId
    dialled: str
    room: RoomId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One line for each thing that was found."""

    lines: tuple[str, ...]
    permitted: bool


def explain(plan: NumberPlan, limits: Sequence[Limit], question: Question, *, currency: str = "") -> Explanation:
    """All that the configuration says of a call; which trunks are in service, only a running bridge knows."""
    decision = plan.decide(question.user, question.dialled, lambda trunk: True, room=question.room)
    number = plan.read(question.user, question.dialled)
    lines = [f"number: {number or question.dialled}"]
    if isinstance(decision, Verdict):
        lines += [*_entries(plan, question, number), f"refused: {decision.reason}: {decision.user_text}"]
        return Explanation(lines=tuple(lines), permitted=False)
    if decision.is_emergency:
        lines.append("permitted: as a call to an emergency number, without any limit")
    else:
        lines += _entries(plan, question, number)
        lines.append(_rule(plan, decision.rule, decision.permission))
    lines += _routes(plan, decision, currency)
    if not decision.is_emergency:
        lines += _limits(limits, question.user, currency)
    return Explanation(lines=tuple(lines), permitted=True)


def _entries(plan: NumberPlan, question: Question, number: E164 | None) -> Iterator[str]:
    """Every permission that speaks of the user, and what it says to this number."""
    if number is None:
        return
    speaking = [pair for pair in enumerate(plan.permissions) if pair[1].covers_user(question.user, question.room)]
    for index, entry in speaking:
        named = f"permission {entry.name} of the admin API" if entry.name else f"permissions.outbound[{index}]"
        yield f"{named}: {_said(plan, entry, number)}"
    if not speaking:
        yield f"permissions: none speaks of {question.user}"


def _said(plan: NumberPlan, entry: Permission, number: E164) -> str:
    prefix = entry.permitting(number)
    if not prefix:
        return "does not permit it"
    why = None if entry.costly else why_costly(number, prefix, plan.default_region)
    return f"permits {prefix}" if why is None else f"permits {prefix}, but not this number: {why}"


def _rule(plan: NumberPlan, rule: DialRule | None, permission: Permission | None) -> str:
    if permission is not None and permission.trunk is not None:
        return "dial plan: not asked, the permission names the trunk"
    if rule is None:
        return "dial plan: no rule, the trunks in the order of the file"
    return f"dial plan: numbers.dial_plan[{plan.rules.index(rule)}], by {rule.choose}"


def _routes(plan: NumberPlan, decision: Decision, currency: str) -> Iterator[str]:
    rule = decision.rule
    for place, route in enumerate(decision.routes, start=1):
        weight = f", weight {rule.weight_of(route.trunk)}" if rule and rule.choose is Choose.WEIGHT else ""
        yield f"trunk {place}: {route.trunk}{weight}, {_price(plan, route, currency)}, {_shows(route)}"


def _price(plan: NumberPlan, route: Route, currency: str) -> str:
    trunk = next(trunk for trunk in plan.trunks if trunk.name == route.trunk)
    rate = trunk.rate(route.number)
    if rate is None:
        return "price unknown"
    if trunk.tariff is None:
        return "free of charge"
    return f"{_money(rate, currency)} a minute in steps of {trunk.tariff.step_s} s"


def _shows(route: Route) -> str:
    if route.withheld:
        return f"number withheld (the trunk knows {route.caller or 'none'})"
    return f"shows {route.caller}" if route.caller else "anonymous"


def _limits(limits: Sequence[Limit], user: UserId, currency: str) -> Iterator[str]:
    mine = [(index, limit) for index, limit in enumerate(limits) if limit.covers(user)]
    for index, limit in mine:
        whose = "together" if limit.together else "each"
        yield f"permissions.limits[{index}]: {'; '.join(_said_of(limit, currency))} ({whose})"
    if not mine:
        yield "limits: none"


def _said_of(limit: Limit, currency: str) -> Iterator[str]:
    for span, cap in limit.caps():
        yield from (f"{amount} a {span}" for amount in _amounts(cap, currency))
    if limit.calls_at_once is not None:
        yield f"{limit.calls_at_once} calls at once"
    if limit.attempts_per_minute is not None:
        yield f"{limit.attempts_per_minute} attempts a minute"


def _amounts(cap: Cap, currency: str) -> Iterator[str]:
    if cap.seconds is not None:
        yield f"{cap.seconds / 60:g} minutes"
    if cap.cost is not None:
        yield _money(cap.cost, currency)


def _money(amount: int, currency: str) -> str:
    return f"{shown(amount)} {currency}".rstrip()
