"""The trunks: what goes on with them while nobody calls, and how they come and go."""

from dataclasses import dataclass, replace
from itertools import chain

from bridge.core.ids import TrunkName
from bridge.sip.actions import Flow, TrunkResolved
from bridge.sip.context import Context
from bridge.sip.events import TrunkLeft
from bridge.sip.phone_watches import PhoneWatches
from bridge.sip.settings import Trunk
from bridge.sip.transfers import Transfers
from bridge.sip.trunk_changes import ChangeTrunks, has_same_servers, is_another, takes_binding
from bridge.sip.trunks import TrunkState
from bridge.sip.upkeep import Upkeep

LOOK_S = 10.0
LINGER_S = 40.0
"""After its last call or transfer a trunk is listened to for as long as requests are repeated (64 T1), and more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeavingTimer:
    """Time to see whether a trunk that is left can be forgotten."""

    care: "TrunkCare"


@dataclass(slots=True, kw_only=True, eq=False)
class Leaving:
    """A trunk that takes no new calls. Those that are up go on, by the way that they know."""

    upkeep: Upkeep
    busy_at: float
    """When it was last needed."""


class TrunkCare:
    """One for all trunks, from `start` to `stop`."""

    def __init__(self, context: Context, transfers: Transfers) -> None:
        self.phones = PhoneWatches(context=context)
        self._context = context
        self._transfers = transfers
        self._upkeeps = [Upkeep(state=state, context=context) for state in context.trunks]
        self._leaving: list[Leaving] = []

    @property
    def settled(self) -> bool:
        """After `stop`: no registration or subscription waits for its removal."""
        return all(self._is_settled(upkeep) for upkeep in self._all())

    @property
    def left(self) -> tuple[Trunk, ...]:
        """The trunks that are being left, as they were."""
        return tuple(leaving.upkeep.state.trunk for leaving in self._leaving)

    def leads_to(self, flow: Flow) -> bool:
        """Whether this is the way to a trunk, or the one that a registrar knows of: it has to stay open."""
        return any(upkeep.leads_to(flow) for upkeep in self._all())

    def start(self, now: float, *, only: TrunkName | None = None) -> None:
        """Register, subscribe, ping and ask, where that has not begun yet."""
        for upkeep in self._upkeeps:
            if not upkeep.started and only in (None, upkeep.state.trunk.name):
                upkeep.start(now)
                self.phones.start(upkeep.state, now)

    def resolve(self, event: TrunkResolved, now: float) -> None:
        """The DNS has told where the servers of a trunk are."""
        for upkeep in self._upkeeps:
            if upkeep.state.trunk.name == event.trunk and upkeep.resolve(event.servers, now):
                self.phones.found(upkeep.state, now)

    def lose_connection(self, flow: Flow, now: float) -> None:
        """What was registered over it has to be registered anew."""
        for upkeep in self._all():
            upkeep.lose_connection(flow, now)

    def stop(self, now: float) -> None:
        """Take all registrations and subscriptions back, and ask no more."""
        for upkeep in self._upkeeps:
            self.phones.stop(upkeep.state, now)
            upkeep.stop(now)

    def change(self, asked: ChangeTrunks, now: float) -> None:
        """Go by other settings. What has no address yet begins with the next `start`."""
        context = self._context
        context.settings = replace(context.settings, trunks=asked.trunks, emergency=asked.emergency)
        before = {upkeep.state.trunk.name: upkeep for upkeep in self._upkeeps}
        self._upkeeps = [self._follow(before.get(trunk.name), trunk, now) for trunk in asked.trunks]
        context.trunks.keep([upkeep.state for upkeep in self._upkeeps])
        by_name = {trunk.name: trunk for trunk in asked.trunks}
        for name, upkeep in before.items():
            if upkeep not in self._upkeeps:
                self._leave(upkeep, by_name.get(name), now)

    def _follow(self, upkeep: Upkeep | None, trunk: Trunk, now: float) -> Upkeep:
        """The trunk as it is known, or a new one of its name."""
        if upkeep is not None and not is_another(upkeep.state.trunk, trunk):
            upkeep.follow(trunk, now)
            return upkeep
        state = self._context.trunks.make(trunk)
        if upkeep is not None and has_same_servers(upkeep.state.trunk, trunk):
            state.servers = upkeep.state.servers
        successor = Upkeep(state=state, context=self._context)
        if upkeep is not None and _takes_binding(upkeep.state, trunk):
            successor.take_binding(upkeep)
        self.phones.add(state)
        return successor

    def _leave(self, upkeep: Upkeep, successor: Trunk | None, now: float) -> None:
        self._context.trunks.leave(upkeep.state)
        self.phones.leave(upkeep.state, now)
        upkeep.stop(now, keep_binding=successor is not None and _takes_binding(upkeep.state, successor))
        self._leaving.append(Leaving(upkeep=upkeep, busy_at=now))
        if len(self._leaving) == 1:
            self._plan(now)

    def fire(self, now: float) -> None:
        """Forget those that nobody needs any more."""
        calling = (usage.trunk for usage in self._context.usages.values())
        used = {id(state) for state in chain(calling, self._transfers.trunks)}
        for leaving in list(self._leaving):
            state = leaving.upkeep.state
            if id(state) in used or not self._is_settled(leaving.upkeep):
                leaving.busy_at = now
            elif now - leaving.busy_at >= LINGER_S:
                self._leaving.remove(leaving)
                self._context.trunks.forget(state)
                self.phones.forget(state)
                self._context.emit(TrunkLeft(trunk=state.trunk.name))
        if self._leaving:
            self._plan(now)

    def _is_settled(self, upkeep: Upkeep) -> bool:
        return upkeep.settled and self.phones.settled(upkeep.state)

    def _plan(self, now: float) -> None:
        self._context.timers.schedule(now + LOOK_S, LeavingTimer(care=self))

    def _all(self) -> list[Upkeep]:
        return [*self._upkeeps, *(leaving.upkeep for leaving in self._leaving)]


def _takes_binding(state: TrunkState, successor: Trunk) -> bool:
    """Without the instance where the registrar has refused it (RFC 5626 §11.6)."""
    return takes_binding(replace(state.trunk, instance=state.instance), successor)
