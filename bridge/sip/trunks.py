"""What the core knows of each trunk while it runs, and which trunk a message came from."""

import ipaddress
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from bridge.core.entropy import Entropy
from bridge.core.ids import TrunkName
from bridge.sip.actions import Address, Flow, LocalAddress
from bridge.sip.credentials import Credentials
from bridge.sip.message import Request
from bridge.sip.settings import Network, Transport, Trunk, TrunkAuth
from bridge.sip.uri import SipUri

LINE_PARAM = "line"
"""URI parameter of our registered contacts: a registrar gives it back, so it tells which trunk a call came by."""

_DEFAULT_USER = "trunkline"


@dataclass(slots=True, kw_only=True, eq=False)
class TrunkState:
    """One trunk: its settings, addresses and standing."""

    trunk: Trunk
    credentials: Credentials
    line: str
    addresses: tuple[Address, ...] = ()
    registered: bool = False
    answers: bool = True
    """Whether OPTIONS are answered; assumed until proven otherwise."""

    @property
    def up(self) -> bool:
        """Whether calls have a chance."""
        return self.answers and (self.registered or self.trunk.auth is not TrunkAuth.REGISTER)

    @property
    def domain(self) -> tuple[str, int | None]:
        """Host and port of Request-URI, From and To."""
        if self.trunk.domain:
            return self.trunk.domain, None
        return self.trunk.host, None if self.trunk.port == 5060 else self.trunk.port

    @property
    def register_user(self) -> str:
        """User part of the address of record."""
        return self.trunk.register_user or self.trunk.username

    @property
    def contact_user(self) -> str:
        """User part of our contacts."""
        return self.register_user or _DEFAULT_USER

    def uri(self, user: str | None) -> SipUri:
        """An address at this trunk."""
        host, port = self.domain
        return SipUri("sip", user, None, host, port)

    def contact(self, local: LocalAddress) -> SipUri:
        """Where this trunk reaches us."""
        params: dict[str, str | None] = {}
        if local.transport is not Transport.UDP:
            params["transport"] = local.transport.value
        if self.trunk.auth is TrunkAuth.REGISTER:
            params[LINE_PARAM] = self.line
        return SipUri("sip", self.contact_user, None, local.host, local.port, params)

    def flow(self) -> Flow | None:
        """The way to the next hop; `None` while its name has no address."""
        if not self.addresses:
            return None
        host, port = self.addresses[0]
        return Flow(transport=self.trunk.transport, host=host, port=port)

    def sends_from(self, host: str) -> bool:
        """Whether calls may come from this address."""
        return any(address.host == host for address in self.addresses) or any(
            _contains(network, host) for network in self.trunk.sources
        )


class Directory:
    """All trunks, and the peers of the dialogs that are open."""

    def __init__(self, trunks: tuple[Trunk, ...], entropy: Entropy) -> None:
        self._states = {
            trunk.name: TrunkState(trunk=trunk, credentials=Credentials(trunk, entropy), line=entropy.token(12))
            for trunk in trunks
        }
        self._peers: Counter[str] = Counter()

    def __iter__(self) -> Iterator[TrunkState]:
        return iter(self._states.values())

    def get(self, name: TrunkName) -> TrunkState | None:
        """The trunk of that name."""
        return self._states.get(name)

    def admits(self, host: str) -> bool:
        """Whether anything from this address is read at all: trunks, and peers of open dialogs."""
        return host in self._peers or any(state.sends_from(host) for state in self)

    def of_call(self, request: Request, flow: Flow) -> TrunkState | None:
        """The trunk of a new call: by the line that the registrar gave back, else by the address it came from."""
        candidates = [state for state in self if state.sends_from(flow.host)]
        line = request.uri.params.get(LINE_PARAM)
        for state in candidates:
            if line is not None and state.line == line:
                return state
        exact = [state for state in candidates if flow.address in state.addresses]
        return next(iter(exact or candidates), None)

    def meet(self, host: str) -> None:
        """A dialog was opened with a peer at this address."""
        self._peers[host] += 1

    def part(self, host: str) -> None:
        """A dialog with a peer at this address is over."""
        self._peers[host] -= 1
        if self._peers[host] <= 0:
            del self._peers[host]


@lru_cache(maxsize=4096)
def _contains(network: Network, host: str) -> bool:
    address = _numeric(host)
    return address is not None and address in network


@lru_cache(maxsize=4096)
def _numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; IPv4 mapped into IPv6 counts as IPv4 (RFC 5118 §4.9)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_numeric(host: str) -> bool:
    """Whether a host is an address and not a name."""
    return _numeric(host) is not None
