"""What the console sees of the bridge, and what its buttons do."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from bridge.app.live_call import LiveCall
from bridge.app.meter import Meter
from bridge.app.switchboard import Switchboard
from bridge.calls import events as ev
from bridge.calls import outcomes
from bridge.config import Config
from bridge.config.model import TrunkConfig
from bridge.core.clock import Clock
from bridge.core.ids import CallId, TrunkName
from bridge.ops.console.desk import AccountView, LiveCallView, SuspensionView, TrunkView
from bridge.ops.traces.audio import Interval, interval_between
from bridge.sip.io.endpoint import SipEndpoint
from bridge.sip.settings import TrunkAuth

MAX_SHOWN = 60
"""Live calls on one page: more than anybody reads, and rendered again every two seconds."""
MAX_ACCOUNTS = 100
_FRESH_S = 1.0
"""Less than this after a sample there is nothing new to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleDesk:
    """Implements `bridge.ops.console.desk.Desk`."""

    config: Callable[[], Config]
    switchboard: Switchboard
    sip: SipEndpoint
    meter: Meter
    clock: Clock

    @property
    def currency(self) -> str:
        return self.config().permissions.currency

    @property
    def draining(self) -> bool:
        return not self.switchboard.accepting

    @property
    def live_count(self) -> int:
        return len(self.switchboard.directory)

    def live_calls(self) -> Sequence[LiveCallView]:
        return [self._view(live) for live in itertools.islice(self.switchboard.directory, MAX_SHOWN)]

    def live_call(self, call_id: CallId) -> LiveCallView | None:
        live = self.switchboard.directory.by_call_id(call_id)
        return None if live is None else self._view(live)

    def trunks(self) -> Sequence[TrunkView]:
        counts: dict[str, int] = {}
        for live in self.switchboard.directory:
            counts[live.call.trunk] = counts.get(live.call.trunk, 0) + 1
        return [self._trunk(name, trunk, counts) for name, trunk in self.config().trunks.items()]

    def accounts(self) -> Sequence[AccountView]:
        return [
            AccountView(
                account=books.account,
                day_minutes=books.day.seconds / 60,
                day_cost=books.day.cost,
                month_minutes=books.month.seconds / 60,
                month_cost=books.month.cost,
            )
            for books in self.meter.cash_book.books(limit=MAX_ACCOUNTS)
        ]

    def suspensions(self) -> Sequence[SuspensionView]:
        return [SuspensionView(user=user, until=until) for user, until in self.meter.suspended()]

    def end_call(self, call_id: CallId) -> bool:
        live = self.switchboard.directory.by_call_id(call_id)
        if live is None:
            return False
        self.switchboard.feed(live, ev.Aborted(verdict=outcomes.ENDED_BY_OPERATOR))
        return True

    async def set_in_service(self, trunk: TrunkName, *, on: bool) -> bool:
        return await self.switchboard.service.switch(trunk, on=on)

    def _trunk(self, name: TrunkName, trunk: TrunkConfig, counts: Mapping[str, int]) -> TrunkView:
        standing = self.sip.trunk_standing(name)
        return TrunkView(
            name=name,
            server=f"{trunk.transport.value} {trunk.server.host}",
            registers=trunk.auth is TrunkAuth.REGISTER,
            registered=standing.registered,
            answers=standing.answers,
            in_service=self.switchboard.service.carries(name),
            calls=counts.get(name, 0),
        )

    def _view(self, live: LiveCall) -> LiveCallView:
        call, answered = live.call, live.call.at.answered
        return LiveCallView(
            call_id=call.call_id,
            direction=call.direction,
            trunk=call.trunk,
            state=call.state,
            user=call.called_party,
            group=call.hunt.group if call.hunt is not None else "",
            number=call.number,
            began_at=call.began_wall,
            talk_s=0.0 if answered is None else self.clock.monotonic() - answered,
            sound=(*live.sound, *self._now(live)),
        )

    def _now(self, live: LiveCall) -> tuple[Interval, ...]:
        """From the last sample to this moment."""
        wall = self.clock.wall()
        if live.session is None or live.sample is None or wall < live.sample[0] + _FRESH_S:
            return ()
        return (interval_between(live.sample, (wall, asdict(live.session.stats()))),)
