"""Places test calls and measures them: through the same plan, limits, trunks and audio as anybody's call.

One at a time. The test caller is a user of the configuration: what it may not call is not called, what it calls is paid
for. It never calls an emergency number.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from bridge.app.live_call import LiveCall
from bridge.app.meter import Meter
from bridge.app.probe.telling import report_of
from bridge.app.probe.test_line import Tell, TestLine
from bridge.app.switchboard import Switchboard
from bridge.calls import events as ev
from bridge.calls import matrix_events as mxev
from bridge.calls import outbound, outcomes
from bridge.calls.call import Call
from bridge.calls.parties import MatrixParty
from bridge.calls.times import CallTimes
from bridge.calls.way import Way
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import CallId, MatrixCallId, PartyId, TrunkName, UserId
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import Verdict
from bridge.media.probe.client import ProbeClient
from bridge.media.settings import MediaSettings
from bridge.numbers.dial_plan import Spin
from bridge.numbers.policy import Decision, IsUp, NumberPlan, Route
from bridge.numbers.refusals import NO_EMERGENCY_CALLS, NOT_PERMITTED
from bridge.ops.test_calls.report import Step, TestReport, TestWish, WishError
from bridge.ops.test_calls.routes import TestUnderWayError
from bridge.sip.io.capture import nobody

SETTLE_S = 15.0
"""For what a bridge does itself before and after a phone rings."""
END_LIMIT_S = 10.0

log = structlog.get_logger(__name__)


Ways = tuple[Way, ...]
Decide = Callable[[CallId], Ways | Verdict]
_CLIENT = PartyId("test")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberParts:
    """What test calls need of the rest."""

    switchboard: Switchboard
    plan: Callable[[], NumberPlan]
    meter: Meter
    trunk_up: IsUp
    media: MediaSettings
    times: Callable[[], CallTimes]
    caller: UserId
    """Whose permissions and limits count."""
    clock: Clock
    entropy: Entropy
    telemetry: Telemetry


class Prober:
    """`ask` for a call to a number, or let the bridge `call_self`."""

    def __init__(self, parts: ProberParts) -> None:
        self._parts = parts
        self._busy = asyncio.Lock()

    async def ask(self, wish: TestWish, tell: Tell) -> TestReport:
        """A call that an operator wants.

        Raises :class:`TestUnderWayError`, and :class:`WishError` for a trunk that is not there.
        """
        if wish.trunk and all(trunk.name != wish.trunk for trunk in self._parts.plan().trunks):
            raise WishError("trunk: there is none of that name")
        return await self._counted("asked", wish, lambda call_id: self._decide(call_id, wish), tell)

    async def call_self(self, wish: TestWish, echo: TrunkName | None) -> TestReport:
        """A call of the bridge to itself: to the number of the wish, or over the trunk that leads to its own echo.

        The echo costs nothing, and no permission is needed for it. Raises :class:`TestUnderWayError`.
        """
        to_echo = None if echo is None else (Way(trunk=echo, number="echo", caller=""),)
        return await self._counted("self", wish, lambda call_id: to_echo or self._decide(call_id, wish), _tell_nobody)

    async def _counted(self, kind: str, wish: TestWish, decide: Decide, tell: Tell) -> TestReport:
        if self._busy.locked():
            raise TestUnderWayError("another test call goes on: one at a time")
        async with self._busy:
            report = await self._place(wish, decide, tell)
        self._parts.telemetry.count("test_calls_total", kind=kind, outcome=report.outcome.value)
        log.info("test_call_ended", call_id=report.call_id, kind=kind, outcome=report.outcome, trunk=report.trunk)
        return report

    @property
    def accepts(self) -> bool:
        """Whether there is any sense in it: a bridge that drains waits for calls to end."""
        return self._parts.switchboard.accepting

    # Whether, and over what.

    def _decide(self, call_id: CallId, wish: TestWish) -> Ways | Verdict:
        parts = self._parts
        if not parts.switchboard.accepting:
            return outcomes.SHUTTING_DOWN
        if parts.plan().is_emergency(wish.number, parts.caller):
            return NO_EMERGENCY_CALLS
        spin: Spin = lambda total: parts.entropy.integer(0, total - 1)  # noqa: E731
        decision = parts.plan().decide(parts.caller, wish.number, parts.trunk_up, spin=spin)
        if isinstance(decision, Decision):
            decision = self._narrow(decision, wish.trunk)
        if isinstance(decision, Decision):
            decision = parts.meter.admit(call_id, parts.caller, decision, watched=False)
        return decision if isinstance(decision, Verdict) else tuple(map(_way, decision.routes))

    def _narrow(self, decision: Decision, trunk: str) -> Decision | Verdict:
        """To the trunk that was named, be it out of service: so it can be tried before it is put back."""
        if not trunk:
            return self._parts.switchboard.service.narrow(decision)
        routes = tuple(route for route in decision.routes if route.trunk == trunk)
        return replace(decision, routes=routes) if routes else NOT_PERMITTED

    # The call.

    async def _place(self, wish: TestWish, decide: Decide, tell: Tell) -> TestReport:
        parts = self._parts
        line = TestLine(parts.clock, tell)
        client = ProbeClient(parts.media, entropy=parts.entropy, clock=parts.clock)
        tracing = parts.switchboard.tracing
        tracing.overhears = line.overhear
        try:
            offer = await client.offer()
            call_id = CallId(parts.entropy.token(20))
            decision = decide(call_id)
            live = LiveCall(call=self._call(call_id, decision, wish, offer), stand_in=line)
            parts.switchboard.open(live, _first_event(decision))
            try:
                await self._talk(line, client, wish)
            finally:
                self._hang_up(live)
            await asyncio.wait((line.over,), timeout=END_LIMIT_S)
            verdict = line.over.result() if line.over.done() else outcomes.INTERNAL_ERROR
            return report_of(live, verdict, line, client.figures())
        finally:
            tracing.overhears = nobody
            await client.close()

    def _call(self, call_id: CallId, decision: Ways | Verdict, wish: TestWish, offer: str) -> Call:
        parts = self._parts
        ways = (_nowhere(wish),) if isinstance(decision, Verdict) else decision
        times = parts.times()
        return outbound.begin(
            call_id=call_id,
            ways=ways,
            matrix=MatrixParty(
                call_id=MatrixCallId(f"test.{call_id}"),
                user=parts.caller,
                own_party=PartyId(parts.entropy.token(12)),
                peer_party=_CLIENT,
            ),
            sdp=offer,
            remaining_s=wish.ring_s + times.expiry_slack_s,
            test=True,
            times=times,
            now=parts.clock.monotonic(),
            wall=parts.clock.wall(),
        )

    async def _talk(self, line: TestLine, client: ProbeClient, wish: TestWish) -> None:
        """Until it is over, or enough was heard; the call's own time limits come first."""
        await asyncio.wait(
            (line.answer, line.over), timeout=wish.ring_s + SETTLE_S, return_when=asyncio.FIRST_COMPLETED
        )
        if line.answer.done() and await client.connect(line.answer.result()):
            await asyncio.wait((line.over,), timeout=wish.seconds)

    def _hang_up(self, live: LiveCall) -> None:
        call = live.call
        if not call.ended:
            hangup = mxev.HangupReceived(
                matrix_call_id=call.matrix.call_id, user=call.matrix.user, party=_CLIENT, reason=None
            )
            self._parts.switchboard.feed(live, hangup)


def _tell_nobody(step: Step) -> None:
    return None


def _first_event(decision: Ways | Verdict) -> ev.Event:
    return ev.CallRefused(verdict=decision) if isinstance(decision, Verdict) else ev.CallPermitted()


def _nowhere(wish: TestWish) -> Way:
    """Of a call that is refused: the record still says who was to be called."""
    return Way(trunk=TrunkName(""), number=wish.number, caller="")


def _way(route: Route) -> Way:
    return Way(trunk=route.trunk, number=route.number, caller=route.caller, withheld=route.withheld)
