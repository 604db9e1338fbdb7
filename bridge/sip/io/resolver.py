"""Names to the servers behind them, with a time limit and a memory (RFC 3263 §4)."""

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

import dns.rdatatype
from dns.rdata import Rdata
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from bridge.core.addresses import is_numeric
from bridge.sip.actions import Address
from bridge.sip.io.dns_client import FAILURE_TTL_S, MAX_TTL_S, QUESTION_LIMIT_S, DnsClient
from bridge.sip.io.hosts_file import HostsFile
from bridge.sip.settings import DnsMode, Transport
from bridge.sip.targets import (
    NaptrRecord,
    Server,
    SrvRecord,
    Target,
    by_naptr,
    offered,
    server_at,
    servers_of,
    srv_name,
)

LOCATE_LIMIT_S = 2.5 * QUESTION_LIMIT_S
"""NAPTR, SRV and addresses are asked for one after the other."""
SYSTEM_TTL_S = 60.0
"""The system's own names tell no TTL."""
AVOIDED_S = 32.0
MAX_NAMES = 256

Key = TypeVar("Key")
Kept = TypeVar("Kept")

_LOCAL = (".local", ".localhost")
"""Top-level domains that no name server serves (RFC 6761, RFC 6762)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What was found for a name, and how long that is good."""

    servers: tuple[Server, ...] = ()
    until: float
    """On the clock of the event loop."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """All of them, most important first."""
        ordered = sorted(self.servers, key=lambda server: (server.priority, -server.weight))
        return tuple(target for server in ordered for target in server.targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Addresses of one host."""

    hosts: tuple[str, ...] = ()
    until: float


class Resolver:
    """Asks the system: its hosts file, its name servers, and for names without a dot whatever else it knows."""

    def __init__(self, dns_client: DnsClient | None = None, hosts_file: HostsFile | None = None) -> None:
        self._dns = dns_client or DnsClient()
        self._hosts_file = hosts_file or HostsFile()
        self._system: OrderedDict[str, _Found] = OrderedDict()
        self._located: OrderedDict[tuple[str, int, Transport], Located] = OrderedDict()
        self._avoided: OrderedDict[Address, float] = OrderedDict()

    def known(self, host: str, port: int, transport: Transport) -> tuple[Address, ...]:
        """An answer without asking: a numeric address, or a fresh memory."""
        if is_numeric(host):
            return (Address(host, port or transport.default_port),)
        located = self._located.get((host, port, transport))
        now = asyncio.get_running_loop().time()
        if located is None or located.until <= now:
            return ()
        addresses = (Address(target.host, target.port) for target in located.targets)
        return tuple(sorted(addresses, key=lambda address: self._avoided.get(address, now) > now))

    async def locate(
        self,
        host: str,
        port: int,
        transport: Transport,
        *,
        dns_mode: DnsMode = DnsMode.AUTO,
        usable: Collection[Transport] = (),
    ) -> Located:
        """The servers of a host, sought in the DNS unless a port is given (RFC 3263 §4.2); none when nobody knows."""
        try:
            async with asyncio.timeout(LOCATE_LIMIT_S):
                located = await self._locate(host, port, transport, dns_mode, usable)
        except TimeoutError:
            return Located(until=asyncio.get_running_loop().time() + FAILURE_TTL_S)
        if located.servers:
            _remember(self._located, (host, port, transport), located)
        return located

    async def hosts_of(self, host: str) -> tuple[str, ...]:
        """Every address from which a host may speak: its own, and those that were found for its services."""
        own = (await self._find(host)).hosts
        served = (
            target.host for (name, _, _), located in self._located.items() if name == host for target in located.targets
        )
        return tuple(dict.fromkeys((*own, *served)))

    def avoid(self, address: Address) -> None:
        """Try an address last for a while: there was no way to it."""
        _remember(self._avoided, address, asyncio.get_running_loop().time() + AVOIDED_S)

    async def _locate(
        self, host: str, port: int, transport: Transport, mode: DnsMode, usable: Collection[Transport]
    ) -> Located:
        if port or is_numeric(host) or mode is DnsMode.ADDRESS or _is_systems(host):
            return await self._at_addresses(host, port or transport.default_port, transport)
        if mode is DnsMode.NAPTR:
            chosen = await self._by_naptr(host, usable or (transport,))
            if chosen.servers:
                return chosen
        return await self._by_srv(host, transport, mode)

    async def _by_naptr(self, host: str, usable: Collection[Transport]) -> Located:
        answer = await self._dns.ask(host, dns.rdatatype.NAPTR)
        until = answer.fresh_until
        for transport, name in by_naptr(_naptr_records(answer.records), usable):
            located = await self._listed(name, transport)
            until = min(until, located.until)
            if located.servers:
                return Located(servers=located.servers, until=until)
        return Located(until=until)

    async def _by_srv(self, host: str, transport: Transport, mode: DnsMode) -> Located:
        """SRV records, and the host itself where there are none: "none" is not "no such service" (RFC 2782)."""
        answer = await self._dns.ask(srv_name(transport, host), dns.rdatatype.SRV)
        if answer.records or mode is DnsMode.SRV:
            return await self._listed(srv_name(transport, host), transport)
        plain = await self._at_addresses(host, transport.default_port, transport)
        return Located(servers=plain.servers, until=min(plain.until, answer.fresh_until))

    async def _listed(self, name: str, transport: Transport) -> Located:
        answer = await self._dns.ask(name, dns.rdatatype.SRV)
        records = offered(_srv_records(answer.records))
        hosts = list(dict.fromkeys(record.host for record in records))
        found = dict(zip(hosts, await asyncio.gather(*map(self._find, hosts)), strict=True))
        until = min((answer.fresh_until, *(item.until for item in found.values())))
        servers = servers_of(records, {host: item.hosts for host, item in found.items()}, transport)
        return Located(servers=servers, until=until)

    async def _at_addresses(self, host: str, port: int, transport: Transport) -> Located:
        found = await self._find(host)
        return Located(servers=server_at(found.hosts, port, transport), until=found.until)

    async def _find(self, host: str) -> _Found:
        """The addresses of one host."""
        now = asyncio.get_running_loop().time()
        if is_numeric(host):
            return _Found(hosts=(host,), until=now + MAX_TTL_S)
        listed = self._hosts_file.addresses(host)
        if listed:
            return _Found(hosts=listed, until=now + SYSTEM_TTL_S)
        return await (self._ask_system(host) if _is_systems(host) else self._ask_dns(host))

    async def _ask_dns(self, host: str) -> _Found:
        """IPv6 first, as the system would (RFC 6724); addresses of no single host are lies."""
        kinds = (dns.rdatatype.AAAA, dns.rdatatype.A)
        answers = await asyncio.gather(*(self._dns.ask(host, kind) for kind in kinds))
        hosts = tuple(record.to_text() for answer in answers for record in answer.records)
        return _Found(hosts=tuple(_possible(hosts)), until=min(answer.fresh_until for answer in answers))

    async def _ask_system(self, host: str) -> _Found:
        loop = asyncio.get_running_loop()
        known = self._system.get(host)
        if known is not None and loop.time() < known.until:
            return known
        try:
            async with asyncio.timeout(QUESTION_LIMIT_S):
                entries = await loop.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
        except (OSError, TimeoutError, UnicodeError):
            hosts = known.hosts if known is not None else ()
            return _remember(self._system, host, _Found(hosts=hosts, until=loop.time() + FAILURE_TTL_S))
        hosts = tuple(_possible(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        return _remember(self._system, host, _Found(hosts=hosts, until=loop.time() + SYSTEM_TTL_S))


def _remember(memory: "OrderedDict[Key, Kept]", key: Key, kept: Kept) -> Kept:
    memory[key] = kept
    memory.move_to_end(key)
    if len(memory) > MAX_NAMES:
        memory.popitem(last=False)
    return kept


def _is_systems(host: str) -> bool:
    name = host.lower().rstrip(".")
    return "." not in name or name.endswith(_LOCAL)


def _possible(hosts: Iterable[str]) -> Iterable[str]:
    """Without addresses that are no single host's: everybody's, nobody's, reserved ones."""
    for host in hosts:
        address = ipaddress.ip_address(host.partition("%")[0])
        if not (address.is_multicast or address.is_unspecified or (address.is_reserved and address.version == 4)):
            yield host


def _naptr_records(records: Iterable[Rdata]) -> list[NaptrRecord]:
    return [
        NaptrRecord(
            order=record.order,
            preference=record.preference,
            flags=record.flags.decode(errors="replace"),
            service=record.service.decode(errors="replace"),
            replacement=_host(record.replacement),
        )
        for record in records
        if isinstance(record, NAPTR)
    ]


def _srv_records(records: Iterable[Rdata]) -> list[SrvRecord]:
    return [
        SrvRecord(priority=record.priority, weight=record.weight, port=record.port, host=_host(record.target))
        for record in records
        if isinstance(record, SRV)
    ]


def _host(name: object) -> str:
    """Without the dot at the end; the root is nobody's host."""
    return str(name).rstrip(".").lower()
