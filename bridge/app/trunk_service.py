"""Which trunks carry new calls: all, but for those that an operator has taken out of service.

A call that is up goes on, and the registration stays, so that coming back takes no time. It holds over a restart: a
trunk that was put aside because it costs too much, or loses calls, must not come back with an upgrade.
"""

from collections.abc import Callable, Collection
from dataclasses import replace

from bridge.core.ids import TrunkName
from bridge.core.turn import Turn
from bridge.core.verdict import MatrixReason, Result, Verdict
from bridge.numbers.policy import Decision
from bridge.store.trunks import TrunksOut

OUT_OF_SERVICE = Verdict(
    result=Result.POLICY,
    reason="trunk_out_of_service",
    sip_status=503,
    q850=41,
    matrix_reason=MatrixReason.UNKNOWN_ERROR,
    user_text="The connection to the telephone network is out of service for now. Please try again later.",
    retryable=True,
)


class TrunkService:
    """At hand in memory, because a call must not wait for the disk."""

    def __init__(self, trunks: Callable[[], Collection[TrunkName]], table: TrunksOut, turn: Turn) -> None:
        self._trunks = trunks
        self._table = table
        self._turn = turn
        self._out: set[TrunkName] = set()

    async def load(self) -> None:
        """Learn what an operator has decided before."""
        self._out |= await self._table.all()

    def carries(self, trunk: TrunkName) -> bool:
        """Whether a trunk takes new calls."""
        return trunk not in self._out

    async def switch(self, trunk: TrunkName, *, on: bool) -> bool:
        """Put a trunk into service or out of it; false when there is none of that name. Raises `StoreError`."""
        async with self._turn.taken():
            if trunk not in self._trunks():
                return False
            await (self._table.drop(trunk) if on else self._table.put(trunk))
            (self._out.discard if on else self._out.add)(trunk)
            return True

    def narrow(self, decision: Decision) -> Decision | Verdict:
        """The ways of a call that are left."""
        return narrowed(decision, self.carries)


def narrowed(decision: Decision, carries: Callable[[TrunkName], bool]) -> Decision | Verdict:
    """The ways over trunks that take new calls. Whoever calls for help gets the others too, when nothing else helps."""
    left = tuple(route for route in decision.routes if carries(route.trunk))
    if decision.is_emergency:
        return replace(decision, routes=(*left, *(route for route in decision.routes if route not in left)))
    return replace(decision, routes=left) if left else OUT_OF_SERVICE
