"""What is read at all: decided by a look at the first bytes, before anything is parsed (RFC 7339 §5, RFC 6357).

The cheapest question comes first. Strangers get silence. A known address has a budget of new requests; as it runs out,
OPTIONS go first, then REGISTER, and new calls last. Messages that belong to something begun, which end load, have a
budget of their own that no honest peer meets.
"""

import enum
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from bridge.core.addresses import source_key
from bridge.sip.bucket import Bucket
from bridge.sip.overload import Overload
from bridge.sip.parser import MAX_MESSAGE

MAX_SOURCES = 4_096
"""Addresses whose rate is known; the one that was silent for longest makes room."""

BURST_S = 2.0
"""A budget that was not used is saved up for so long."""

TOTAL_FACTOR = 4
"""All addresses together may ask so many times as much as one."""

CEILING_FACTOR = 8
"""Messages of all kinds that are read from one address, for each new request that is."""

SPARED_PER_S = 5
"""Calls that overload spares, of each address: one that floods must not cost all others theirs."""

REFUSALS_PER_S = 100
"""503 that are sent; beyond that, silence."""

MAX_DATAGRAM = 16_384
"""What is longer has to come by a stream (RFC 3261 §18.1.1). Anybody may pretend to be a datagram's sender, and what it
asks is kept for 32 s.
"""

_METHOD_MAX = 80
_HEAD = 4_096
_TO = re.compile(rb"\r\n[Tt][Oo]?[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)")
_BLANK = b"\r\n\0 "


class Kind(enum.Enum):
    """What a message seems to be."""

    NO_SIP = enum.auto()
    OPTIONS = enum.auto()
    """Also what we have no use for: MESSAGE, SUBSCRIBE and inventions."""
    REGISTER = enum.auto()
    INVITE = enum.auto()
    BEGUN = enum.auto()
    """A response, or a request that belongs to a dialog or transaction."""


class Verdict(enum.StrEnum):
    """What to do with a message; those that are dropped bear the label of their metric."""

    READ = "read"
    KEEP_ALIVE = "keep_alive"
    """Line ends alone: nothing to do (RFC 5626 §4.4.1)."""
    ACL = "acl"
    SIZE = "size"
    MALFORMED = "malformed"
    RATE = "rate"
    OVERLOAD = "overload"
    REFUSE_RATE = "refuse_rate"
    """As `RATE`, but a caller is told with 503."""
    REFUSE_OVERLOAD = "refuse_overload"


_NEW = {b"INVITE": Kind.INVITE, b"REGISTER": Kind.REGISTER}
_BEGUN = frozenset((b"ACK", b"BYE", b"CANCEL", b"PRACK", b"SIP/2.0"))

_RESERVE = {Kind.OPTIONS: 0.5, Kind.REGISTER: 0.25, Kind.INVITE: 0.0}
"""The share of a full budget that each kind leaves to those that matter more."""

_REFUSED = {Verdict.RATE: Verdict.REFUSE_RATE, Verdict.OVERLOAD: Verdict.REFUSE_OVERLOAD}

_SHED_FROM = {Kind.OPTIONS: 1, Kind.REGISTER: 2, Kind.INVITE: 3}
"""The level of overload at which each kind is turned away."""


def peek(payload: bytes) -> Kind:
    """Tell the kind without parsing; a sender who lies about it spends another budget, and is parsed all the same."""
    if payload[:2] == b"\r\n":
        payload = payload.lstrip(b"\r\n")
    word, blank, _ = payload[:_METHOD_MAX].partition(b" ")
    if not blank or not word:
        return Kind.NO_SIP
    if word in _BEGUN or word.upper() == b"SIP/2.0":
        return Kind.BEGUN
    to = _TO.search(payload[:_HEAD])
    if to is not None and b"tag" in to[1].rpartition(b">")[2].lower():
        return Kind.BEGUN
    return _NEW.get(word, Kind.OPTIONS)


def full_bucket(rate: float, now: float) -> Bucket:
    """A budget that nothing was spent of; its burst has room for one at least."""
    burst = max(2.0, rate * BURST_S)
    return Bucket(rate=rate, burst=burst, level=burst, at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Budgets:
    """What one source may still ask."""

    requests: Bucket
    ceiling: Bucket
    spared: Bucket

    @classmethod
    def full(cls, rate: float, now: float) -> "_Budgets":
        return cls(
            requests=full_bucket(rate, now),
            ceiling=full_bucket(rate * CEILING_FACTOR, now),
            spared=full_bucket(min(rate, SPARED_PER_S), now),
        )


class Limiter:
    """Rates of each source and of all; bounded in memory whatever the number of sources."""

    def __init__(self, *, requests_per_s: int, admits: Callable[[str], bool], overload: Overload) -> None:
        self._rate = requests_per_s
        self._admits = admits
        self._overload = overload
        self._sources: OrderedDict[str | bytes, _Budgets] = OrderedDict()
        self._total = full_bucket(requests_per_s * TOTAL_FACTOR, 0.0)
        self._refusals = full_bucket(REFUSALS_PER_S, 0.0)

    def __len__(self) -> int:
        return len(self._sources)

    def judge(self, payload: bytes, host: str, now: float, *, longest: int = MAX_MESSAGE) -> Verdict:
        """Decide on one message; `host` is the numeric address that it came from."""
        if not self._admits(host):
            return Verdict.ACL
        if len(payload) > longest:
            return Verdict.SIZE
        if len(payload) <= 4 and not payload.strip(_BLANK):
            return Verdict.KEEP_ALIVE
        kind = peek(payload)
        if kind is Kind.NO_SIP:
            return Verdict.MALFORMED if payload.strip(_BLANK) else Verdict.KEEP_ALIVE
        return self._judge_rate(kind, host, now) if self._rate else Verdict.READ

    def _judge_rate(self, kind: Kind, host: str, now: float) -> Verdict:
        source = self._budgets(host, now)
        if not source.ceiling.take(now):
            return Verdict.RATE
        if kind is Kind.BEGUN:
            return Verdict.READ
        spared = kind is Kind.INVITE and source.spared.take(now)
        if self._overload.level >= _SHED_FROM[kind] and not spared:
            return self._turn_away(kind, Verdict.OVERLOAD, now)
        reserve = _RESERVE[kind]
        if not source.requests.take(now, reserve=reserve) or not self._total.take(now, reserve=reserve):
            return self._turn_away(kind, Verdict.RATE, now)
        return Verdict.READ

    def _turn_away(self, kind: Kind, reason: Verdict, now: float) -> Verdict:
        """A caller learns that it should try another way, as long as telling it is cheap."""
        return _REFUSED[reason] if kind is Kind.INVITE and self._refusals.take(now) else reason

    def _budgets(self, host: str, now: float) -> _Budgets:
        key = source_key(host)
        budgets = self._sources.get(key)
        if budgets is None:
            budgets = _Budgets.full(self._rate, now)
            self._sources[key] = budgets
            if len(self._sources) > MAX_SOURCES:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(key)
        return budgets
