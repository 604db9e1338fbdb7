"""Questions to the system's name servers, with a time limit and a memory."""

import asyncio
import os
from collections import OrderedDict
from dataclasses import dataclass, replace

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
from dns.rdata import Rdata

QUESTION_LIMIT_S = 3.0
TRY_LIMIT_S = 1.0
"""One name server may be silent this long before the next is asked."""
MIN_TTL_S = 10.0
MAX_TTL_S = 3600.0
"""A day's TTL would keep a trunk that moved from being found."""
NEGATIVE_TTL_S = 15.0
"""What is not there now may be there soon, and is asked for only while somebody waits."""
FAILURE_TTL_S = 5.0
"""A name server that fails is not asked for every message anew."""
STALE_S = 300.0
"""How long after its TTL an answer is used when no new one can be had: a broken name server must not end calls."""
MAX_ANSWERS = 512
MAX_RECORDS = 1024
"""Of one answer; what a domain offers is cut much shorter once it is sorted."""

RESOLV_CONF = "/etc/resolv.conf"

Question = tuple[str, dns.rdatatype.RdataType]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known of one name and type."""

    records: tuple[Rdata, ...] = ()
    fresh_until: float
    stale_until: float = 0.0


class DnsClient:
    """Asks, and remembers what was answered."""

    def __init__(self, name_servers: tuple[tuple[str, int], ...] = ()) -> None:
        self._name_servers = name_servers
        self._known: OrderedDict[Question, Answer] = OrderedDict()
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._configured_at = -1.0

    async def ask(self, name: str, kind: dns.rdatatype.RdataType) -> Answer:
        """What the DNS says; never raises, never takes longer than `QUESTION_LIMIT_S`."""
        question = (name.lower(), kind)
        now = asyncio.get_running_loop().time()
        known = self._known.get(question)
        if known is not None and now < known.fresh_until:
            return known
        answer = await self._ask(question, known)
        self._known[question] = answer
        self._known.move_to_end(question)
        if len(self._known) > MAX_ANSWERS:
            self._known.popitem(last=False)
        return answer

    async def _ask(self, question: Question, known: Answer | None) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(QUESTION_LIMIT_S):
                found = await self._system_resolver().resolve(*question, lifetime=QUESTION_LIMIT_S, search=None)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Answer(fresh_until=loop.time() + NEGATIVE_TTL_S)
        except (dns.exception.DNSException, OSError, TimeoutError, ValueError):
            return _failure(known, loop.time())
        ttl_s = min(max(float(found.chaining_result.minimum_ttl), MIN_TTL_S), MAX_TTL_S)
        fresh_until = loop.time() + ttl_s
        records = tuple(found)[:MAX_RECORDS]
        return Answer(records=records, fresh_until=fresh_until, stale_until=fresh_until + STALE_S)

    def _system_resolver(self) -> dns.asyncresolver.Resolver:
        """As the system is configured now: a machine that moves to another network gets other name servers."""
        if self._resolver is None or self._configured_at != self._configuration_time():
            self._configured_at = self._configuration_time()
            self._resolver = self._new_resolver()
        return self._resolver

    def _new_resolver(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(filename=RESOLV_CONF, configure=not self._name_servers)
        if self._name_servers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in self._name_servers]
        resolver.timeout = TRY_LIMIT_S
        return resolver

    def _configuration_time(self) -> float:
        if self._name_servers:
            return 0.0
        try:
            return os.stat(RESOLV_CONF).st_mtime
        except OSError:
            return 0.0


def _failure(known: Answer | None, now: float) -> Answer:
    """No answer: what was known goes on being used for a while."""
    until = now + FAILURE_TTL_S
    if known is None or now >= known.stale_until:
        return Answer(fresh_until=until)
    return replace(known, fresh_until=until)
