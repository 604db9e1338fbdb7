"""The trunks: their names lead somewhere, and somebody answers there.

A bridge that runs is asked what it knows of them. Where none runs, its SIP side is started alone for some seconds, with
the settings, listeners and certificates that the bridge would have: it registers, asks OPTIONS and takes no calls. What
a running bridge has not read yet is asked OPTIONS beside it, from other ports.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.app.doctor.findings import Finding, Grade, fault, ok, warning
from bridge.core.addresses import is_numeric
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import TrunkName
from bridge.core.telemetry import NoTelemetry
from bridge.sip.events import IncomingCall, SipEvent
from bridge.sip.io.endpoint import EndpointError, SipEndpoint
from bridge.sip.io.resolver import Resolver
from bridge.sip.io.tls import REMEDIES
from bridge.sip.settings import SipSettings, Transport, Trunk, TrunkAuth

ANSWER_LIMIT_S = 6.0
"""A trunk that is there answers a request, a challenge and the second request in far less."""
_QUESTION_EVERY_S = 60.0
_LISTENERS = "sip.listen"
_ADVERTISED = "sip.advertised_host"
_ANY_PORT = 5060
"""With a port only addresses are looked for (RFC 3263 §4.2)."""
_NOT_NOW = 503
_OUTCOMES = "registrations_total"
_INSECURE = "sip_tls_failures_total"


class Heard(NoTelemetry):
    """What the SIP side counts of its trunks while it is tried."""

    def __init__(self) -> None:
        self.answered: set[str] = set()
        """Trunks that answered OPTIONS, whatever they said."""
        self.registrations: dict[str, str] = {}
        """How the last attempt of each trunk ended: granted, refused or failed."""
        self.insecure: dict[str, None] = {}
        """Why TLS failed, of whichever trunk: one of `REMEDIES` each, in the order of time."""
        self.news = asyncio.Event()

    def observe(self, name: str, value: float, **labels: str) -> None:
        if name == "trunk_options_rtt_seconds":
            self.answered.add(labels["trunk"])
            self.news.set()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        if name == _OUTCOMES:
            self.registrations[labels["trunk"]] = labels["outcome"]
            self.news.set()
        elif name == _INSECURE and labels["direction"] == "out":
            self.insecure[labels["reason"]] = None

    def settled(self, trunk: Trunk) -> bool:
        """Whether there is nothing more to wait for."""
        if trunk.auth is TrunkAuth.REGISTER:
            return self.registrations.get(trunk.name) in ("granted", "refused")
        return trunk.name in self.answered


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkCheck:
    """Looks at all trunks of a configuration."""

    settings: SipSettings
    clock: Clock
    entropy: Entropy
    resolver: Resolver = field(default_factory=Resolver)
    limit_s: float = ANSWER_LIMIT_S

    async def addresses(self) -> Mapping[TrunkName, Sequence[str]]:
        """Where each trunk is by the DNS; nothing where nobody knows."""
        located = await asyncio.gather(*map(self._locate, self.settings.trunks))
        return {trunk.name: hosts for trunk, hosts in zip(self.settings.trunks, located, strict=True)}

    async def _locate(self, trunk: Trunk) -> Sequence[str]:
        usable = {listener.transport for listener in self.settings.listeners}
        usable = {Transport.TLS} if trunk.transport is Transport.TLS else usable
        located = await self.resolver.locate(trunk.host, trunk.port, trunk.transport, dns_mode=trunk.dns, usable=usable)
        return tuple(dict.fromkeys(target.host for target in located.targets))

    def names(self, found: Mapping[TrunkName, Sequence[str]]) -> list[Finding]:
        """Trunks whose name leads nowhere."""
        advice = "is server (or outbound_proxy) spelt right, and does this machine reach a name server?"
        return [
            fault(_subject(trunk), f"no address is known for {trunk.host}", advice)
            for trunk in self.settings.trunks
            if not found.get(trunk.name)
        ]

    async def advertised(self) -> list[Finding]:
        """Whether the name that is told to trunks leads anywhere."""
        host = self.settings.advertised_host
        if not host or is_numeric(host):
            return []
        located = await self.resolver.locate(host, _ANY_PORT, Transport.UDP)
        if located.targets:
            return [ok(_ADVERTISED, f"{host} is {', '.join(target.host for target in located.targets)}")]
        seen = f"no address is known for {host}, where trunks are told to find us"
        return [fault(_ADVERTISED, seen, "write the public address, or a name that the DNS has")]

    def by_bridge(self, up: Mapping[str, bool]) -> list[Finding]:
        """What a running bridge knows of them."""
        return [
            self._in_service(trunk, up=up[trunk.name]) if trunk.name in up else _not_read(trunk)
            for trunk in self.settings.trunks
        ]

    def _in_service(self, trunk: Trunk, *, up: bool) -> Finding:
        if not up:
            seen = "is out of service: it is not registered, or does not answer"
            return fault(_subject(trunk), seen, "stop the bridge and run this again to hear more, or look into its log")
        if trunk.auth is not TrunkAuth.REGISTER and not trunk.options_interval_s:
            seen = "is taken to be in service, since nobody asks it"
            return warning(_subject(trunk), seen, "set options_interval_s to know")
        return ok(_subject(trunk), "is in service")

    async def beside_bridge(self, trunks: Sequence[Trunk]) -> AsyncIterator[Finding]:
        """Ask trunks that a running bridge does not know, from ports that it does not have.

        Nobody registers: under another name the bridge may be registered there, and would lose its calls.
        """
        if not trunks:
            return
        elsewhere = tuple(replace(listener, port=0) for listener in self.settings.listeners)
        other = replace(self, settings=replace(self.settings, listeners=elsewhere))
        async for finding in other.by_trial([replace(trunk, auth=TrunkAuth.ADDRESS) for trunk in trunks]):
            if finding.subject != _LISTENERS or finding.grade is Grade.FAULT:
                yield finding

    async def by_trial(self, trunks: Sequence[Trunk]) -> AsyncIterator[Finding]:
        """Start the SIP side, and tell of its listeners and of each trunk."""
        heard = Heard()
        asking = tuple(replace(trunk, options_interval_s=_QUESTION_EVERY_S, presence_of=()) for trunk in trunks)
        endpoint = SipEndpoint(
            replace(self.settings, trunks=asking),
            entropy=self.entropy,
            clock=self.clock,
            telemetry=heard,
            resolver=self.resolver,
        )
        try:
            await endpoint.start(lambda event: _turn_away(endpoint, event))
        except EndpointError as error:
            yield fault(_LISTENERS, str(error).removeprefix("sip.listen: "), advice="")
            return
        try:
            yield ok(_LISTENERS, "can be listened on")
            await self._wait(heard, asking)
            for trunk in asking:
                yield _judged(trunk, heard, self.limit_s)
        finally:
            await endpoint.stop()

    async def _wait(self, heard: Heard, trunks: Sequence[Trunk]) -> None:
        try:
            async with asyncio.timeout(self.limit_s):
                while not all(map(heard.settled, trunks)):
                    heard.news.clear()
                    await heard.news.wait()
        except TimeoutError:
            return  # whoever has said nothing by now is told of


def _not_read(trunk: Trunk) -> Finding:
    return warning(_subject(trunk), "the running bridge has not read it yet", "systemctl reload trunkline (SIGHUP)")


def _turn_away(endpoint: SipEndpoint, event: SipEvent) -> None:
    """A call that comes in meanwhile goes elsewhere, or tries again."""
    if isinstance(event, IncomingCall):
        endpoint.reject(event.dialog, _NOT_NOW)


def _judged(trunk: Trunk, heard: Heard, limit_s: float) -> Finding:
    subject, outcome = _subject(trunk), heard.registrations.get(trunk.name)
    if trunk.auth is TrunkAuth.REGISTER and outcome == "granted":
        return ok(subject, "lets us register")
    if outcome == "refused":
        return fault(subject, "refuses to let us register", "are username, password, realm and domain the provider's?")
    if trunk.name in heard.answered:
        if trunk.auth is not TrunkAuth.REGISTER:
            return ok(subject, "answers OPTIONS")
        seen = "answers OPTIONS, and our registration failed"
        return fault(subject, seen, "is server the registrar, or must outbound_proxy name it?")
    seen = f"gives no answer within {limit_s:.0f} s over {trunk.transport.value}"
    if trunk.transport is Transport.TLS and heard.insecure:
        return fault(subject, f"{seen}, and TLS failed: {', '.join(heard.insecure)}", _remedies(heard))
    advice = "are server, port and transport right, and do firewalls let it through?"
    if trunk.auth is TrunkAuth.ADDRESS:
        advice += " Does the provider know this machine's address?"
    return fault(subject, seen, advice)


def _remedies(heard: Heard) -> str:
    return "; ".join(REMEDIES[reason] for reason in heard.insecure)


def _subject(trunk: Trunk) -> str:
    return f"trunks.{trunk.name}"
