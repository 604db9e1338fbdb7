"""From DNS records to the servers behind a name, and the order in which they are tried (RFC 3263 §4, RFC 2782)."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bridge.core.entropy import Entropy
from bridge.sip.settings import Transport

MAX_SERVERS = 16
"""A name server that lists more is broken or hostile; each one costs two questions."""

MAX_ADDRESSES = 8
"""Of one server."""

_SERVICES = {"SIP+D2U": Transport.UDP, "SIP+D2T": Transport.TCP, "SIPS+D2T": Transport.TLS}
"""RFC 3263 §4.1."""

_PREFIXES = {Transport.UDP: "_sip._udp", Transport.TCP: "_sip._tcp", Transport.TLS: "_sips._tcp"}


class Target(NamedTuple):
    """Where a request can be sent (RFC 3263 §4); the host is a numeric address."""

    transport: Transport
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server of a name: an SRV record with the addresses behind it, or the name itself."""

    priority: int = 0
    weight: int = 0
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NaptrRecord:
    """What says by which transports a domain is reached (RFC 3403 §4.1)."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SrvRecord:
    """What says which hosts serve a domain (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str


def srv_name(transport: Transport, domain: str) -> str:
    """Where the servers of a transport are listed (RFC 3263 §4.1)."""
    return f"{_PREFIXES[transport]}.{domain}"


def by_naptr(records: Iterable[NaptrRecord], usable: Collection[Transport]) -> list[tuple[Transport, str]]:
    """Transports with the name of their SRV records, best first; those that we cannot use count as not listed."""
    ordered = sorted(records, key=lambda record: (record.order, record.preference))
    found = {
        transport: record.replacement
        for record in reversed(ordered)
        if record.flags.lower() == "s"
        and record.replacement
        and (transport := _SERVICES.get(record.service.upper())) in usable
        and transport is not None
    }
    return list(reversed(found.items()))


def offered(records: Iterable[SrvRecord]) -> list[SrvRecord]:
    """The records that count, most important first; a host "." says that there is no such service (RFC 2782)."""
    usable = (record for record in records if record.host and record.port)
    return sorted(usable, key=lambda record: record.priority)[:MAX_SERVERS]


def servers_of(
    records: Iterable[SrvRecord], addresses: Mapping[str, Sequence[str]], transport: Transport
) -> tuple[Server, ...]:
    """Each record with the addresses of its host; one without any serves nobody."""
    servers = (
        Server(
            priority=record.priority,
            weight=record.weight,
            targets=targets_at(addresses.get(record.host, ()), record.port, transport),
        )
        for record in records
    )
    return tuple(server for server in servers if server.targets)


def server_at(addresses: Sequence[str], port: int, transport: Transport) -> tuple[Server, ...]:
    """The one server of a name that has addresses only."""
    targets = targets_at(addresses, port, transport)
    return (Server(targets=targets),) if targets else ()


def targets_at(addresses: Sequence[str], port: int, transport: Transport) -> tuple[Target, ...]:
    """The addresses of one server in the order in which they are tried."""
    return tuple(Target(transport, host, port) for host in alternating(addresses)[:MAX_ADDRESSES])


def alternating(addresses: Sequence[str]) -> list[str]:
    """The families by turns, the first one's first: one dead family costs one attempt (RFC 7984 §4, RFC 8305 §4)."""
    families: dict[bool, list[str]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(":" in address, []).append(address)
    queues = [iter(family) for family in families.values()]
    return list(_by_turns(queues))


def _by_turns(queues: Sequence[Iterator[str]]) -> Iterator[str]:
    nothing = object()
    while True:
        heads = [item for item in (next(queue, nothing) for queue in queues) if isinstance(item, str)]
        if not heads:
            return
        yield from heads


def in_order(servers: Iterable[Server], entropy: Entropy) -> list[Target]:
    """All targets: lower priorities first, equal ones by chance as their weights say (RFC 2782)."""
    ranks: dict[int, list[Server]] = {}
    for server in servers:
        ranks.setdefault(server.priority, []).append(server)
    drawn = (server for priority in sorted(ranks) for server in _drawn(ranks[priority], entropy))
    return list(dict.fromkeys(target for server in drawn for target in server.targets))


def _drawn(servers: Iterable[Server], entropy: Entropy) -> Iterator[Server]:
    """Weight 0 stands first, so that it has a small chance beside others (RFC 2782, "Usage rules")."""
    left = sorted(servers, key=lambda server: server.weight > 0)
    while len(left) > 1:
        ticket = entropy.integer(0, sum(server.weight for server in left))
        yield left.pop(_winner(left, ticket))
    yield from left


def _winner(servers: Sequence[Server], ticket: int) -> int:
    total = 0
    for index, server in enumerate(servers):
        total += server.weight
        if total >= ticket:
            return index
    return len(servers) - 1
