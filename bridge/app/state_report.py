"""How a bridge stands, in some lines of the log: numbers and names of ours, nothing of anybody who calls."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from bridge.app.live_call import LiveCall
from bridge.app.switchboard import Switchboard
from bridge.core.ids import TrunkName
from bridge.ops.logs import lines_waiting
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.records import CallRecords
from bridge.sip.io.endpoint import SipEndpoint
from bridge.store import Store

log = structlog.get_logger(__name__)

_LEVELS = (
    "matrix_outbox_depth",
    "sip_transactions_active",
    "sip_dialogs_active",
    "media_sessions",
    "media_ports_in_use",
)
"""Metrics that say how much is at work in parts that have their own queues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """Knows whom to ask."""

    switchboard: Switchboard
    sip: SipEndpoint
    trunks: Callable[[], Iterable[TrunkName]]
    store: Store
    records: CallRecords
    telemetry: PrometheusTelemetry

    def write(self) -> None:
        """Look at everything, at once."""
        calls = list(self.switchboard.directory)
        states = Counter(f"{live.call.direction} {live.call.state}" for live in calls)
        finishing = len(self.switchboard.lives()) - len(calls)
        accepting = self.switchboard.accepting
        log.info("state_calls", live=len(calls), finishing=finishing, accepting=accepting, states=dict(states))
        carried = Counter(live.call.trunk for live in calls)
        for name in self.trunks():
            self._write_trunk(name, carried[name])
        log.info("state_queues", **self._queues(), **self._levels())
        tasks = Counter(map(_work_of, asyncio.all_tasks()))
        log.info("state_tasks", tasks=tasks.total(), work=dict(tasks.most_common()))

    def _write_trunk(self, name: TrunkName, calls: int) -> None:
        standing = self.sip.trunk_standing(name)
        log.info(
            "state_trunk",
            trunk=name,
            up=self.sip.trunk_up(name),
            registered=standing.registered,
            answers=standing.answers,
            in_service=self.switchboard.service.carries(name),
            calls=calls,
        )

    def _queues(self) -> Mapping[str, int]:
        return {
            "call_work": sum(map(_waiting, self.switchboard.lives())),
            "store_writes": self.store.waiting,
            "call_records": self.records.waiting,
            "log_lines": lines_waiting(),
        }

    def _levels(self) -> Mapping[str, int]:
        wanted = self.telemetry.registry.restricted_registry([f"trunkline_{name}" for name in _LEVELS])
        samples = (sample for metric in wanted.collect() for sample in metric.samples)
        return {sample.name.removeprefix("trunkline_"): int(sample.value) for sample in samples}


def _waiting(live: LiveCall) -> int:
    lanes = (live.media_lane, live.matrix_lane, live.portal_lane, *live.ring_lanes.values())
    return sum(lane.waiting for lane in lanes)


def _work_of(task: asyncio.Task[object]) -> str:
    """What a task runs: the name of the function, which no stranger has chosen."""
    return getattr(task.get_coro(), "__qualname__", "unknown")
