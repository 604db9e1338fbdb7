"""What happens while a phone walks through a menu, besides what it hears and its keys (`message_events`)."""

from dataclasses import dataclass

from bridge.calls.hunt_plan import BoxOf, HuntPlan
from bridge.calls.menu import MenuPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuFound:
    """The choice leads to a menu."""

    menu: MenuPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleFound:
    """The choice leads to people who are to be rung, or to somebody's message box."""

    plan: HuntPlan | BoxOf


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingFound:
    """There is no such extension."""


MenuEvent = MenuFound | PeopleFound | NothingFound
