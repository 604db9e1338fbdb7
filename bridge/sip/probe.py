"""Asking a trunk with OPTIONS whether it is there (RFC 3261 §11)."""

from dataclasses import dataclass, field

from bridge.sip.actions import Observe
from bridge.sip.capabilities import capabilities
from bridge.sip.context import Context
from bridge.sip.fields import NameAddr
from bridge.sip.message import Response
from bridge.sip.requests import new_request
from bridge.sip.timers import Timer
from bridge.sip.transaction_layer import ActiveClient
from bridge.sip.trunks import TrunkState

MAX_MISSES = 2
"""One lost question is no outage."""

JITTER = (0.9, 1.0)
"""Share of the interval: trunks that started together are not asked together for ever."""

_DEAD = frozenset((408, 503))
"""Any other answer, a refusal too, comes from a trunk that is alive."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProbeTimer:
    """The next question is due."""

    probe: "Probe"


@dataclass(slots=True, kw_only=True, eq=False)
class Probe:
    """The questions to one trunk."""

    trunk: TrunkState
    context: Context
    misses: int = 0
    asked_at: float = 0.0
    current: ActiveClient | None = None
    timer: "Timer[object] | None" = field(default=None)

    def fire(self, now: float) -> None:
        """Ask, unless the last question is still open; then plan the next."""
        interval_s = self.trunk.trunk.options_interval_s * self.context.entropy.uniform(*JITTER)
        self.timer = self.context.timers.schedule(now + interval_s, ProbeTimer(probe=self))
        if self.current is None:
            self._ask(now)

    def stop(self) -> None:
        """Ask no more."""
        if self.timer is not None:
            self.context.timers.cancel(self.timer)
            self.timer = None

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """An answer."""
        if client is not self.current or response.status < 200:
            return
        self.current = None
        if response.status in _DEAD:
            self._miss()
            return
        labels = {"trunk": str(self.trunk.trunk.name)}
        self.context.actions.append(Observe(name="trunk_options_rtt_seconds", value=now - self.asked_at, labels=labels))
        self.misses = 0
        self._judge(answers=True)

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No answer."""
        if client is self.current:
            self.current = None
            self._miss()

    def _miss(self) -> None:
        self.misses += 1
        if self.misses >= MAX_MISSES:
            self._judge(answers=False)

    def _judge(self, *, answers: bool) -> None:
        was_up = self.trunk.up
        self.trunk.answers = answers
        self.context.trunk_changed(self.trunk, was_up=was_up)

    def _ask(self, now: float) -> None:
        flow = self.trunk.flow()
        if flow is None:
            self._miss()
            return
        own = NameAddr("", self.trunk.uri(self.trunk.register_user or None), {"tag": self.context.entropy.token(12)})
        target = self.trunk.uri(None)
        contact = self.trunk.contact(self.context.layer.local_address(flow))
        agent = ("User-Agent", self.context.settings.user_agent)
        fields = (("Contact", f"<{contact}>"), *capabilities(self.trunk.trunk), agent)
        request = new_request(
            "OPTIONS",
            target,
            from_=own,
            to=NameAddr("", target),
            sip_call_id=self.context.entropy.token(24),
            cseq=1,
            fields=fields,
        )
        self.asked_at = now
        self.current = self.context.layer.send_request(request, flow, self, now)
