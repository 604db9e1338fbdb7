"""Finds what the choices of a spoken menu lead to: menus, people, message boxes."""

from collections.abc import Callable

from bridge.app.hunt_desk import HuntDesk, Menus
from bridge.app.user_settings import Wishes
from bridge.calls import menu_commands as ncmd
from bridge.calls import menu_events as nev
from bridge.calls.call import Call
from bridge.calls.hunt_plan import HuntPlan
from bridge.calls.menu import MenuPlan
from bridge.core.ids import MenuName
from bridge.core.telemetry import Telemetry
from bridge.numbers.policy import NumberPlan
from bridge.numbers.reach import Target, ToMenu, parse_target


class MenuDesk:
    """One for all calls. Nothing here is waited for: a phone that has pressed a key hears something at once."""

    def __init__(
        self,
        *,
        menus: Menus,
        plan: Callable[[], NumberPlan],
        wishes: Wishes,
        hunts: HuntDesk,
        telemetry: Telemetry,
    ) -> None:
        self._menus = menus
        self._plan = plan
        self._wishes = wishes
        self._hunts = hunts
        self._telemetry = telemetry

    def menu(self, name: MenuName) -> MenuPlan | None:
        """A menu of the configuration."""
        return self._menus().get(name)

    def find(self, call: Call, command: ncmd.FindTarget) -> nev.MenuEvent:
        """What a choice leads to at this moment."""
        found = self._reached(call, self._target(command))
        self._telemetry.count("menu_choices_total", found=_kind(found))
        return found

    def _target(self, command: ncmd.FindTarget) -> Target | None:
        if command.target:
            return parse_target(command.target)
        reach = self._plan().reach_of(command.extension)
        return reach.at(self._wishes.local_time()) if reach is not None else None

    def _reached(self, call: Call, target: Target | None) -> nev.MenuEvent:
        if isinstance(target, ToMenu):
            menu = self.menu(target.menu)
            return nev.NothingFound() if menu is None else nev.MenuFound(menu=menu)
        plan = self._hunts.plan_for(target, call.caller) if target is not None else None
        return nev.NothingFound() if plan is None else nev.PeopleFound(plan=plan)


def _kind(found: nev.MenuEvent) -> str:
    match found:
        case nev.MenuFound():
            return "menu"
        case nev.PeopleFound(plan=HuntPlan(group="")):
            return "person"
        case nev.PeopleFound(plan=HuntPlan()):
            return "group"
        case nev.PeopleFound():
            return "voicemail"
        case nev.NothingFound():
            return "nothing"
