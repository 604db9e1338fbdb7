"""Why a call would be made or refused, over which trunks and at which price: for an admin who asks, without calling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.core.ids import E164, RoomId, TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.numbers.accounts import Use
from bridge.numbers.costly import why_costly
from bridge.numbers.dial_plan import Choose, DialRule
from bridge.numbers.limits import Cap, Limit
from bridge.numbers.money import shown
from bridge.numbers.permission import Permission
from bridge.numbers.policy import Decision, NumberPlan, Route
from bridge.numbers.standing import Standing


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    plan: NumberPlan
    user: UserId
    standing: Standing
    currency: str


def explain(plan: NumberPlan, question: Question, standing: Standing, *, currency: str = "") -> Explanation:
    """All that is known of such a call, and what it would be told, by those who judge it when it is made."""
    user, dialled = question.user, question.dialled
    decision = plan.decide(user, dialled, standing.is_up, room=question.room, withheld=standing.withheld)
    number = plan.read(user, dialled)
    lines = [f"number: {number or dialled}"]
    if isinstance(decision, Verdict):
        return _refused([*lines, *_entries(plan, question, number)], decision)
    if decision.is_emergency:
        lines.append("permitted: as a call to an emergency number, without any limit")
    else:
        lines += [*_entries(plan, question, number), _rule(plan, decision.rule, decision.permission)]
    case = _Case(plan=plan, user=user, standing=standing, currency=currency)
    judged = standing.judge(plan, user, decision)
    lines += _routes(case, decision, judged)
    if not decision.is_emergency:
        lines += [*_limits(case), *_suspension(standing)]
    return _refused(lines, judged) if isinstance(judged, Verdict) else Explanation(lines=tuple(lines), permitted=True)


def _refused(lines: Sequence[str], verdict: Verdict) -> Explanation:
    return Explanation(lines=(*lines, f"refused: {verdict.reason}: {verdict.user_text}"), permitted=False)


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


def _routes(case: _Case, decision: Decision, judged: Decision | Verdict) -> Iterator[str]:
    """The trunks in the order in which they are tried, and after them those that are not."""
    rule, unused = decision.rule, dict(_unused(case, decision))
    ways = (judged if isinstance(judged, Decision) else decision).routes
    for place, route in enumerate((way for way in ways if way.trunk not in unused), start=1):
        weight = f", weight {rule.weight_of(route.trunk)}" if rule and rule.choose is Choose.WEIGHT else ""
        yield f"trunk {place}: {route.trunk}{weight}, {_price(case.plan, route, case.currency)}, {_shows(route)}"
    for trunk, why in unused.items():
        yield f"trunk {trunk}: is not used, for {why}"


def _unused(case: _Case, decision: Decision) -> Iterator[tuple[TrunkName, str]]:
    if decision.is_emergency:
        return
    carried, money = case.standing.narrow(decision), case.standing.ledger.counts_money(case.user)
    for route in decision.routes:
        if isinstance(carried, Verdict) or route not in carried.routes:
            yield route.trunk, "it was taken out of service"
        elif money and case.plan.price_over(route.trunk, route.number) is None:
            yield route.trunk, "its price is unknown and a limit counts money"


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


def _limits(case: _Case) -> Iterator[str]:
    mine = [pair for pair in enumerate(case.standing.ledger.limits) if pair[1].covers(case.user)]
    for index, limit in mine:
        whose = "together" if limit.together else "each"
        yield f"permissions.limits[{index}]: {'; '.join(_said_of(case, limit))} ({whose})"
    if not mine:
        yield "limits: none"


def _said_of(case: _Case, limit: Limit) -> Iterator[str]:
    for span, cap in limit.caps():
        used = case.standing.used(limit, span, case.user)
        yield from (f"{amount} a {span}{spent}" for amount, spent in _amounts(cap, used, case.currency))
    if limit.calls_at_once is not None:
        yield f"{limit.calls_at_once} calls at once"
    if limit.attempts_per_minute is not None:
        yield f"{limit.attempts_per_minute} attempts a minute"


def _amounts(cap: Cap, used: Use, currency: str) -> Iterator[tuple[str, str]]:
    """What there is, and what is used of it, if anything."""
    if cap.seconds is not None:
        spent = f", {round(used.seconds / 60, 1):g} used" if used.seconds > 0 else ""
        yield f"{cap.seconds / 60:g} minutes", spent
    if cap.cost is not None:
        yield _money(cap.cost, currency), f", {_money(used.cost, currency)} used" if used.cost > 0 else ""


def _suspension(standing: Standing) -> Iterator[str]:
    if standing.suspended_until is not None:
        until = datetime.fromtimestamp(standing.suspended_until, UTC)
        yield f"suspended: until {until:%Y-%m-%d %H:%M} UTC, for calls that look like fraud"


def _money(amount: int, currency: str) -> str:
    return f"{shown(amount)} {currency}".rstrip()
