"""A network that loses, delays, reorders and doubles audio on its way, the same in every run: pure, and as a relay."""

import asyncio
import random
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from bridge.media.first_octet import SRTP_OCTETS
from tests.peers.process import LOOPBACK

Address = tuple[str, int]
_OUR_CANDIDATE = re.compile(r"(a=candidate:\S+ 1 (?:udp|UDP) \d+ \S+ )(\d+)")
_CANDIDATE = re.compile(r"a=(?:candidate:|end-of-candidates).*\r\n")
_RTCP_TYPES = range(192, 224)
_LARGEST = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What happens to packets."""

    loss: float = 0.0
    """Share of packets that are lost."""
    burst: float = 1.0
    """How many are lost one after the other, on average: more than one is a Gilbert-Elliott channel whose bad state
    loses everything; one is a coin for each packet."""
    jitter_s: float = 0.0
    """Every packet waits up to so long, evenly spread, and none overtakes the one before it."""
    reordered: float = 0.0
    """Share of packets that are delayed so much that the next ones overtake them."""
    doubled: float = 0.0
    """Share of packets that come twice."""

    def __str__(self) -> str:
        words = [f"{self.loss:.0%} lost"] if self.loss else []
        words += [f"in bursts of {self.burst:g}"] if self.burst > 1 else []
        words += [f"jitter {self.jitter_s * 1000:.0f} ms"] if self.jitter_s else []
        words += [f"{self.reordered:.0%} out of order"] if self.reordered else []
        words += [f"{self.doubled:.0%} twice"] if self.doubled else []
        return ", ".join(words) or "nothing lost"


_OVERTAKEN_S = 0.050
_TWICE_S = 0.010


class Channel:
    """One direction of a network: says of each packet after which delays it arrives, if at all."""

    def __init__(self, conditions: Conditions, seed: str) -> None:
        self._conditions, self._chance = conditions, random.Random(seed)
        self._bad = False
        self._clear_at = 0.0

    def delays(self, now: float) -> list[float]:
        """Seconds until each copy arrives. The same number of random draws each time keeps runs alike."""
        conditions = self._conditions
        lost, wait, late, twice = (self._chance.random() for _ in range(4))
        if self._is_lost(lost):
            return []
        delay = wait * conditions.jitter_s
        if conditions.jitter_s:
            delay = max(delay, self._clear_at - now)
            self._clear_at = now + delay
        if late < conditions.reordered:
            delay += _OVERTAKEN_S
        return [delay, delay + _TWICE_S] if twice < conditions.doubled else [delay]

    def _is_lost(self, draw: float) -> bool:
        """A coin, or a walk between a state that loses nothing and one that loses all."""
        loss, burst = self._conditions.loss, self._conditions.burst
        if burst <= 1:
            return draw < loss
        end = 1 / burst
        self._bad = draw >= end if self._bad else draw < end * loss / (1 - loss)
        return self._bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """An RTP packet that came to the network."""

    at: float
    timestamp: int
    lost: bool


class RoughNetwork:
    """A relay between one client and an engine's candidate; connectivity checks and DTLS pass unharmed."""

    def __init__(self, conditions: Conditions, *, seed: int = 0) -> None:
        self._channels = {there: Channel(conditions, f"{seed} {there}") for there in (True, False)}
        self.from_client: list[Passage] = []
        self.from_engine: list[Passage] = []
        self._engine: Address = ("", 0)
        self._onward: dict[Address, socket.socket] = {}
        self._near = _bound()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._near, self._from_client)

    def shown(self, ours: str) -> str:
        """The engine's description as the client gets it: the network is where it finds the engine."""
        found = _OUR_CANDIDATE.search(ours)
        assert found is not None, ours
        self._engine = (LOOPBACK, int(found[2]))
        only = found[0].replace(f" {found[2]}", f" {self._near.getsockname()[1]}")
        return _CANDIDATE.sub("", ours).rstrip() + f"\r\n{only} typ host\r\n"

    @staticmethod
    def hidden(theirs: str) -> str:
        """The client's description without a way round the network."""
        return _CANDIDATE.sub("", theirs)

    def _from_client(self) -> None:
        for datagram, client in _waiting(self._near):
            if client not in self._onward:
                self._onward[client] = _bound()
                self._loop.add_reader(self._onward[client], self._from_engine, client)
            self._pass(datagram, self._onward[client], self._engine, there=True)

    def _from_engine(self, client: Address) -> None:
        for datagram, _ in _waiting(self._onward[client]):
            self._pass(datagram, self._near, client, there=False)

    def _pass(self, datagram: bytes, onward: socket.socket, target: Address, *, there: bool) -> None:
        if datagram[0] not in SRTP_OCTETS:
            onward.sendto(datagram, target)
            return
        now = self._loop.time()
        delays = self._channels[there].delays(now)
        if datagram[1] not in _RTCP_TYPES:
            passed = Passage(at=now, timestamp=int.from_bytes(datagram[4:8]), lost=not delays)
            (self.from_client if there else self.from_engine).append(passed)
        for delay in delays:
            if delay:
                self._loop.call_at(now + delay, self._deliver, datagram, onward, target)
            else:
                onward.sendto(datagram, target)

    def _deliver(self, datagram: bytes, onward: socket.socket, target: Address) -> None:
        if onward.fileno() >= 0:
            onward.sendto(datagram, target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for endpoint in (self._near, *self._onward.values()):
            self._loop.remove_reader(endpoint)
            endpoint.close()


def _waiting(endpoint: socket.socket) -> Iterator[tuple[bytes, Address]]:
    """All that has come."""
    while True:
        try:
            yield endpoint.recvfrom(_LARGEST)
        except BlockingIOError:
            return


def _bound() -> socket.socket:
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind((LOOPBACK, 0))
    endpoint.setblocking(False)
    return endpoint
