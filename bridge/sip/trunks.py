"""What the core knows of each trunk while it runs, and which trunk a message came from."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from bridge.core.addresses import address_of, is_numeric
from bridge.core.entropy import Entropy
from bridge.core.ids import TrunkName
from bridge.core.values import Kept
from bridge.sip.actions import Address, Flow, LocalAddress
from bridge.sip.credentials import Attempts, Credentials
from bridge.sip.message import Request, Response
from bridge.sip.number_forms import is_telephone, user_part
from bridge.sip.settings import DialRules, Network, Transport, Trunk, TrunkAuth
from bridge.sip.targets import Server, Target, in_order
from bridge.sip.uri import SipUri, Uri

if TYPE_CHECKING:
    from bridge.sip.active_transaction import ActiveClient

LINE_PARAM = "line"
"""URI parameter of our registered contacts: a registrar gives it back, so it tells which trunk a call came by."""

FORMER_S = 600.0
"""How long messages are read from an address that a trunk's name no longer has: what began there has to end there."""

MAX_FORMER = 64

_DEFAULT_USER = "trunkline"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """What the servers of a trunk come to."""

    servers: tuple[Server, ...]
    targets: tuple[Target, ...]
    addresses: tuple[Address, ...]
    hosts: frozenset[str]

    @classmethod
    def of(cls, servers: tuple[Server, ...]) -> "_Reach":
        ordered = sorted(servers, key=lambda server: server.priority)
        targets = tuple(target for server in ordered for target in server.targets)
        addresses = tuple(Address(target.host, target.port) for target in targets)
        return cls(servers=servers, targets=targets, addresses=addresses, hosts=frozenset(a.host for a in addresses))


@dataclass(slots=True, kw_only=True, eq=False)
class TrunkState:
    """One trunk: its settings, addresses and standing."""

    trunk: Trunk
    credentials: Credentials
    line: str
    servers: tuple[Server, ...] = ()
    home: Target | None = None
    """Where we are registered: it knows us, so calls are sent there first."""
    avoided: dict[Target, float] = field(default_factory=dict)
    """Targets that failed, and until when they are avoided (RFC 3263 §4.3)."""
    dead: frozenset[Target] = frozenset()
    """Targets that do not answer OPTIONS."""
    _known_reach: "_Reach" = field(default_factory=lambda: _Reach.of(()))
    former: dict[str, float] = field(default_factory=dict)
    """Hosts that the name had before, and until when they count."""
    instance: str = ""
    """The `urn:uuid:` to register with; emptied when a registrar refuses (RFC 5626 §11.6)."""
    service_route: tuple[SipUri, ...] = ()
    """How the registrar wants our requests to come to it (RFC 3608)."""
    associated: frozenset[str] = frozenset()
    """Numbers and names that the registrar gave us besides the registered one (P-Associated-URI, RFC 7315 §4.1)."""
    registered: bool = False
    answers: bool = True
    """Whether OPTIONS are answered; assumed until proven otherwise."""
    judged: Kept[bool] = field(default_factory=Kept)
    """Whether each host is one of the trunk's sources."""

    @property
    def up(self) -> bool:
        """Whether calls have a chance."""
        return self.answers and (self.registered or self.trunk.auth is not TrunkAuth.REGISTER)

    @property
    def domain(self) -> tuple[str, int | None]:
        """Host and port of Request-URI, From and To."""
        trunk = self.trunk
        if trunk.domain:
            return trunk.domain, trunk.domain_port or None
        is_default = trunk.port in (0, trunk.transport.default_port)
        return trunk.host, None if is_default else trunk.port

    @property
    def register_user(self) -> str:
        """User part of the address of record."""
        return self.trunk.register_user or self.trunk.username

    @property
    def contact_user(self) -> str:
        """User part of our contacts."""
        return self.register_user or _DEFAULT_USER

    @property
    def users(self) -> frozenset[str]:
        """Under which names the trunk knows us."""
        return self.associated | {self.register_user} - {""}

    def uri(self, user: str | None) -> SipUri:
        """An address at this trunk."""
        host, port = self.domain
        return SipUri("sip", user, None, host, port, self._uri_params(user))

    def own_uri(self, user: str) -> SipUri:
        """One of our addresses at this trunk."""
        if not self.trunk.from_domain:
            return self.uri(user)
        return SipUri("sip", user, None, self.trunk.from_domain, None, self._uri_params(user))

    def _uri_params(self, user: str | None) -> dict[str, str | None]:
        return {"user": "phone"} if self.trunk.user_phone and user and is_telephone(user) else {}

    def route_fields(self) -> list[tuple[str, str]]:
        """The route of requests outside dialogs: the outbound proxy, then what the registrar said (RFC 3608 §6.1).

        They all leave by the way to the trunk's next hop, where NAT and firewalls let the registration through.
        """
        routes = (route for route in self.service_route if not self._is_proxy(route))
        return [*self.proxy_fields(), *(("Route", f"<{route}>") for route in routes)]

    def proxy_fields(self) -> list[tuple[str, str]]:
        """The route of a REGISTER: only the proxy that the settings name."""
        return [("Route", f"<{self._proxy}>")] if self.trunk.outbound_proxy else []

    @property
    def _proxy(self) -> SipUri:
        params: dict[str, str | None] = {"lr": None}
        if self.trunk.transport is not Transport.UDP:
            params = {"transport": self.trunk.transport.value, "lr": None}
        return SipUri("sip", None, None, self.trunk.host, self.trunk.port or None, params)

    def _is_proxy(self, route: SipUri) -> bool:
        """Whether the registrar names the proxy that we put there ourselves."""
        return self.trunk.outbound_proxy and route.host.lower() == self.trunk.host.lower()

    def contact(self, local: LocalAddress, *, secure: bool = False) -> SipUri:
        """Where this trunk reaches us; `sips` where the dialog is secure (RFC 3261 §12.1.1)."""
        params: dict[str, str | None] = {}
        if local.transport is not Transport.UDP:
            params["transport"] = local.transport.value
        if self.trunk.auth is TrunkAuth.REGISTER:
            params[LINE_PARAM] = self.line
        return SipUri("sips" if secure else "sip", self.contact_user, None, local.host, local.port, params)

    @property
    def targets(self) -> tuple[Target, ...]:
        """All of them, most important first."""
        return self._reach().targets

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Those of all targets."""
        return self._reach().addresses

    def _reach(self) -> "_Reach":
        """What follows from the servers, worked out once: every message that comes in is held against it."""
        if self._known_reach.servers is not self.servers:
            self._known_reach = _Reach.of(self.servers)
        return self._known_reach

    def follow(self, trunk: Trunk) -> None:
        """Go by other settings of the same trunk from the next request on."""
        self.trunk = trunk
        self.judged = Kept()

    def flow(self) -> Flow | None:
        """The way to the next hop; `None` while its name has no address."""
        targets = self.targets
        return self.flow_by(targets[0]) if targets else None

    def flow_by(self, target: Target) -> Flow:
        """The way to one target."""
        return self.secured(Flow(transport=target.transport, host=target.host, port=target.port))

    def in_order(self, entropy: Entropy) -> list[Target]:
        """All targets as one request should try them: where we are registered first, then as the DNS says."""
        order = in_order(self.servers, entropy)
        return sorted(order, key=lambda target: target != self.home)

    def is_bad(self, target: Target, now: float) -> bool:
        """Whether a target is worth a try only when all others have failed."""
        return target in self.dead or self.avoided.get(target, now) > now

    def avoid(self, flow: Flow, until: float) -> None:
        """A target has failed."""
        if self.leads_to(flow):
            self.avoided[_target(flow)] = until

    def forgive(self, flow: Flow) -> None:
        """It has answered since."""
        self.avoided.pop(_target(flow), None)

    def settle_at(self, flow: Flow) -> None:
        """We are registered there."""
        self.home = _target(flow)

    def secured(self, flow: Flow) -> Flow:
        """The flow, and whose certificate has to be at its end if it is TLS.

        That of the name by which the trunk is known, not of what DNS made of it, which anybody could have forged
        (RFC 5922 §4). An address that the trunk tells in a Contact is the trunk as well.
        """
        if flow.transport is not Transport.TLS:
            return flow
        trunk = self.trunk
        ours = flow.host == trunk.host or is_numeric(flow.host)
        name = (trunk.tls.server_name or trunk.host) if ours else flow.host
        return replace(flow, name=name, trunk=trunk.name, tls=trunk.tls.files)

    def resolve(self, servers: tuple[Server, ...], now: float) -> None:
        """Take the name's newest servers; what was known goes on being used when there are none."""
        if not servers:
            return
        addresses = tuple(target for server in servers for target in server.targets)
        former = {**self.former, **{address.host: now + FORMER_S for address in self.addresses}}
        for host in {address.host for address in addresses} | {host for host, end in former.items() if end <= now}:
            former.pop(host, None)
        self.former = dict(sorted(former.items(), key=lambda item: item[1])[-MAX_FORMER:])
        self.servers = servers
        self.avoided = {target: until for target, until in self.avoided.items() if target in addresses}

    def credentials_for(self, client: "ActiveClient", response: Response, attempts: Attempts) -> list[tuple[str, str]]:
        """The headers that answer a challenge of this trunk; anybody else's is left alone (RFC 3261 §22.1).

        A request inside a dialog goes where the peer's Contact says: who answers there has not shown to be the trunk.
        """
        if not self.sends_from(client.heard_from):
            return []
        return self.credentials.answer(client.request, response, attempts)

    def leads_to(self, flow: Flow) -> bool:
        """Whether this is the way to one of its servers."""
        return _target(flow) in self.targets

    def made(self, flow: Flow) -> bool:
        """Whether a connection is one that a request to its servers would take, or open."""
        return self.leads_to(flow) and self.secured(flow) == flow

    def may_be_sent_to(self, host: str) -> bool:
        """Whether this numeric address is one of the trunk's own."""
        known = host in self._reach().hosts
        return known or self._is_source(host)

    def sends_from(self, host: str) -> bool:
        """Whether calls may come from this address."""
        known = host in self.former or host in self._reach().hosts
        return known or self._is_source(host)

    def _is_source(self, host: str) -> bool:
        """Asked for each message, and always about the same few hosts."""
        within = self.judged.get(host)
        if within is None:
            within = self.judged.keep(host, any(_contains(network, host) for network in self.trunk.sources))
        return within

    def speaks(self, transport: Transport) -> bool:
        """Whether calls may come by this transport: what is meant to be encrypted is not taken in the clear."""
        return self.trunk.transport is not Transport.TLS or transport is Transport.TLS


def _target(flow: Flow) -> Target:
    return Target(flow.transport, flow.host, flow.port)


class Directory:
    """All trunks, and those that are being left: these take no new calls, and are listened to while old ones go on."""

    def __init__(self, trunks: tuple[Trunk, ...], entropy: Entropy) -> None:
        self._entropy = entropy
        self._states = {trunk.name: self.make(trunk) for trunk in trunks}
        self._leaving: list[TrunkState] = []

    def make(self, trunk: Trunk) -> TrunkState:
        """A trunk that is none of these yet."""
        credentials, line = Credentials(trunk, self._entropy), self._entropy.token(12)
        return TrunkState(trunk=trunk, credentials=credentials, line=line, instance=trunk.instance)

    def keep(self, states: Iterable[TrunkState]) -> None:
        """These are the trunks from now on."""
        self._states = {state.trunk.name: state for state in states}

    def leave(self, state: TrunkState) -> None:
        """Go on listening to a trunk that `keep` will not name."""
        self._leaving.append(state)

    def forget(self, state: TrunkState) -> None:
        """Listen to it no more."""
        self._leaving.remove(state)

    def __iter__(self) -> Iterator[TrunkState]:
        return iter(self._states.values())

    def get(self, name: TrunkName) -> TrunkState | None:
        """The trunk of that name."""
        return self._states.get(name)

    def admits(self, host: str) -> bool:
        """Whether a trunk sends from this address."""
        return any(state.sends_from(host) for state in chain(self, self._leaving))

    def of_call(self, request: Request, flow: Flow) -> TrunkState | None:
        """The trunk of a new call: one of those that send from its address.

        Where several do, the one whose contact it was sent to, else the one whose domain, account or number it names,
        else the one with this very port, else one with this transport. A trunk of TLS sends nothing in the clear.
        """
        callers = (state for state in self if not state.trunk.internal)
        candidates = [state for state in callers if state.sends_from(flow.host) and state.speaks(flow.transport)]
        uri = request.uri
        signs: tuple[Callable[[TrunkState], bool], ...] = (
            lambda state: state.line == uri.params.get(LINE_PARAM),
            lambda state: isinstance(uri, SipUri) and uri.host.lower() == state.trunk.domain.lower(),
            lambda state: _user(uri) in state.users,
            lambda state: _user(request.to.uri) in state.users,
            lambda state: flow.address in state.addresses,
            lambda state: state.trunk.transport is flow.transport,
        )
        chosen = (state for sign in signs for state in candidates if sign(state))
        return next(chosen, candidates[0] if candidates else None)


def _user(uri: Uri) -> str:
    return user_part(uri, DialRules())


def _contains(network: Network, host: str) -> bool:
    address = address_of(host)
    return address is not None and address in network
