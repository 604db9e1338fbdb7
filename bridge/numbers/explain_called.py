"""Whom a called number reaches, and who is rung after whom: for an admin who asks, without calling."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from bridge.core.ids import GroupName, MenuName
from bridge.numbers.explain import Explanation
from bridge.numbers.groups import Group, RingOrder
from bridge.numbers.policy import NumberPlan
from bridge.numbers.reach import Reach, Target, ToGroup, ToMenu

Choices = Mapping[str, str]
"""What each key of a menu leads to, and `otherwise` what the absence of one does."""


def explain_called(
    plan: NumberPlan,
    groups: Mapping[GroupName, Group],
    called: str,
    moment: datetime,
    *,
    menus: Mapping[MenuName, Choices] | None = None,
) -> Explanation:
    """All that the configuration says of a call to a number at a local time; people's own settings are not in it."""
    reach = plan.reach_of(called)
    if reach is None:
        unknown = "refused: unassigned_number: nobody has this number (404)"
        return Explanation(lines=(f"number: {called}", unknown), permitted=False)
    key = next(key for key, entry in plan.inbound.items() if entry is reach)
    target = reach.at(moment)
    lines = (
        f"number: {called}",
        f"numbers.inbound.{key}: {_hours(reach, moment)}{target or 'nobody'}",
        *_groups(groups, target),
        *_menu(menus or {}, _last(groups, target)),
        *([] if target is not None else ["refused: out_of_hours: nobody is reached at this hour (480)"]),
    )
    return Explanation(lines=lines, permitted=target is not None)


def _hours(reach: Reach, moment: datetime) -> str:
    if reach.hours is None:
        return ""
    where = "within" if reach.hours.cover(moment) else "outside of"
    return f"{moment:%a %H:%M}, {where} its hours: "


def _groups(groups: Mapping[GroupName, Group], target: Target | None) -> Iterator[str]:
    """One line for each group on the way; the configuration has no circles of them."""
    while isinstance(target, ToGroup):
        group = groups[target.group]
        members, otherwise = ", ".join(group.members), group.otherwise or "nobody"
        yield f"groups.{target.group}: {members} {_way(group)}; otherwise {otherwise}"
        target = group.otherwise


def _last(groups: Mapping[GroupName, Group], target: Target | None) -> Target | None:
    """Who is reached when none of these groups takes the call."""
    while isinstance(target, ToGroup):
        target = groups[target.group].otherwise
    return target


def _menu(menus: Mapping[MenuName, Choices], target: Target | None) -> Iterator[str]:
    """One line for each choice; where one leads to another menu, an admin asks by the number of that."""
    if isinstance(target, ToMenu):
        for key, led_to in menus.get(target.menu, {}).items():
            yield f"menus.{target.menu}: {key}: {led_to}"


def _way(group: Group) -> str:
    return f"in turn, {group.each_s:g} s each" if group.ring is RingOrder.IN_TURN else "together"
