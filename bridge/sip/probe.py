"""Asking a trunk's servers with OPTIONS whether they are there (RFC 3261 §11)."""

from dataclasses import dataclass, field

from bridge.sip.actions import Flow, Observe
from bridge.sip.active_transaction import ActiveClient
from bridge.sip.capabilities import capabilities
from bridge.sip.context import Context
from bridge.sip.fields import NameAddr
from bridge.sip.message import Request, Response
from bridge.sip.requests import new_request
from bridge.sip.targets import Target
from bridge.sip.timers import Timer
from bridge.sip.trunks import TrunkState

JITTER = (0.9, 1.0)
"""Share of the interval: trunks that started together are not asked together for ever."""

DOWN_INTERVAL_S = 10.0
"""A server that is down is asked at least this often: it should not be missed for longer than it was away."""

_DEAD = frozenset((408, 503))
"""Any other answer, a refusal too, comes from a server that is alive."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProbeTimer:
    """The next question is due."""

    probe: "Probe"


@dataclass(slots=True, kw_only=True, eq=False)
class Probe:
    """The questions to one server."""

    watch: "Watch"
    target: Target
    alive: bool = True
    """Assumed until proven otherwise."""
    streak: int = 0
    """Answers in a row that say the opposite of `alive`."""
    asked_at: float = 0.0
    current: ActiveClient | None = None
    timer: "Timer[object] | None" = field(default=None)

    def fire(self, now: float) -> None:
        """Ask, and plan the next question; one that was not answered until then never is."""
        context, trunk = self.watch.context, self.watch.trunk.trunk
        if self.current is not None:
            context.layer.abandon(self.current)
            self._note(answered=False)
        interval_s = trunk.options_interval_s if self.alive else min(trunk.options_interval_s, DOWN_INTERVAL_S)
        self.timer = context.timers.schedule(
            now + interval_s * context.entropy.uniform(*JITTER), ProbeTimer(probe=self)
        )
        self.asked_at = now
        flow = self.watch.trunk.flow_by(self.target)
        self.current = context.layer.send_request(self.watch.question(flow), flow, self, now)

    def stop(self) -> None:
        """Ask no more."""
        if self.timer is not None:
            self.watch.context.timers.cancel(self.timer)
        if self.current is not None:
            self.watch.context.layer.abandon(self.current)
        self.timer = self.current = None

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """An answer."""
        if client is not self.current or response.status < 200:
            return
        self.current = None
        if response.status not in _DEAD:
            labels = {"trunk": str(self.watch.trunk.trunk.name)}
            rtt = Observe(name="trunk_options_rtt_seconds", value=now - self.asked_at, labels=labels)
            self.watch.context.actions.append(rtt)
        self._note(answered=response.status not in _DEAD)

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No answer."""
        if client is self.current:
            self.current = None
            self._note(answered=False)

    def _note(self, *, answered: bool) -> None:
        """One swallow makes no summer, and one lost question no outage."""
        trunk = self.watch.trunk.trunk
        self.streak = 0 if answered is self.alive else self.streak + 1
        if self.streak >= (trunk.options_misses if self.alive else trunk.options_recoveries):
            self.alive, self.streak = answered, 0
            self.watch.judge()


@dataclass(slots=True, kw_only=True, eq=False)
class Watch:
    """The questions to one trunk: it is in service while any of its servers is."""

    trunk: TrunkState
    context: Context
    probes: dict[Target, Probe] = field(default_factory=dict)
    running: bool = False

    def start(self, now: float) -> None:
        """Ask from now on."""
        self.running = True
        self.follow(now)

    def stop(self) -> None:
        """Ask no more."""
        self.running = False
        for probe in self.probes.values():
            probe.stop()

    def follow(self, now: float) -> None:
        """Ask the servers that the trunk has now, and no others."""
        if not self.running:
            return
        targets = self.trunk.targets
        for target in [target for target in self.probes if target not in targets]:
            self.probes.pop(target).stop()
        for target in [target for target in targets if target not in self.probes]:
            self.probes[target] = Probe(watch=self, target=target)
            self.probes[target].fire(now)
        self.judge()

    def judge(self) -> None:
        """What the answers say of the trunk as a whole; one without any server is out of service."""
        was_up = self.trunk.up
        self.trunk.dead = frozenset(probe.target for probe in self.probes.values() if not probe.alive)
        self.trunk.answers = len(self.trunk.dead) < len(self.probes)
        self.context.trunk_changed(self.trunk, was_up=was_up)

    def question(self, flow: Flow) -> Request:
        """An OPTIONS request to one server."""
        context, trunk = self.context, self.trunk
        own = NameAddr("", trunk.uri(trunk.register_user or None), {"tag": context.entropy.token(12)})
        target = trunk.uri(None)
        contact = trunk.contact(context.layer.local_address(flow))
        agent = ("User-Agent", context.settings.user_agent)
        return new_request(
            "OPTIONS",
            target,
            from_=own,
            to=NameAddr("", target),
            sip_call_id=context.entropy.token(24),
            cseq=1,
            fields=(*trunk.route_fields(), ("Contact", f"<{contact}>"), *capabilities(trunk.trunk), agent),
        )
