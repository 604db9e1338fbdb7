"""UDP ports of the configured range: random, and at rest for a while after use: packets of the last call still come."""

import contextlib
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.media.verdicts import exhausted

REST_S = 30.0
_RANDOM_TRIES = 64


def ports_of_a_call(webrtc_hosts: Collection[str]) -> int:
    """RTP and RTCP of the phone, and one for each address that the client may reach us at."""
    return 2 + len(webrtc_hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortPair:
    """An even port for RTP and the one above for RTCP (RFC 3550 §11), bound."""

    rtp: socket.socket
    rtcp: socket.socket


class PortPool:
    """Binds sockets and remembers which ports are taken or at rest."""

    def __init__(self, *, low: int, high: int, entropy: Entropy, clock: Clock) -> None:
        self._low, self._high = low, high
        self._entropy, self._clock = entropy, clock
        self._taken: set[int] = set()
        self._resting: OrderedDict[int, float] = OrderedDict()

    @property
    def in_use(self) -> int:
        """How many ports are taken."""
        return len(self._taken)

    @property
    def left(self) -> int:
        """How many of the range are not taken by us; other programs may have some of them."""
        return self._high - self._low + 1 - len(self._taken)

    def bind_pair(self, host: str) -> PortPair:
        """Two neighbouring sockets. Raises :class:`bridge.media.engine.MediaError` when none are left."""
        lowest = self._low + self._low % 2
        for port in self._order(range(lowest, self._high, 2)):
            if self._free(port) and self._free(port + 1):
                pair = self._try_pair(host, port)
                if pair is not None:
                    return pair
        raise exhausted("no pair of ports for RTP")

    def bind_single(self, host: str) -> socket.socket:
        """One socket. Raises :class:`bridge.media.engine.MediaError` when none is left."""
        for port in self._order(range(self._low, self._high + 1)):
            if self._free(port):
                bound = self._try_bind(host, port)
                if bound is not None:
                    return bound
        raise exhausted("no port for WebRTC")

    def give_back(self, port: int) -> None:
        """The socket on a port is closed."""
        if port in self._taken:
            self._taken.discard(port)
            self._resting[port] = self._clock.monotonic() + REST_S

    def _order(self, ports: range) -> Iterator[int]:
        """Some at random, so that ports cannot be foretold, then all of them; those at rest last of all."""
        self._wake()
        if not ports:
            return
        chosen = (ports[self._entropy.integer(0, len(ports) - 1)] for _ in range(_RANDOM_TRIES))
        yield from (port for port in chosen if port not in self._resting)
        yield from (port for port in ports if port not in self._resting)
        yield from (port for port in tuple(self._resting) if port in ports)

    def _wake(self) -> None:
        now = self._clock.monotonic()
        while self._resting and next(iter(self._resting.values())) <= now:
            self._resting.popitem(last=False)

    def _free(self, port: int) -> bool:
        return port not in self._taken

    def _try_pair(self, host: str, port: int) -> PortPair | None:
        rtp = self._try_bind(host, port)
        if rtp is None:
            return None
        rtcp = self._try_bind(host, port + 1)
        if rtcp is None:
            rtp.close()
            self._taken.discard(port)
            return None
        return PortPair(rtp=rtp, rtcp=rtcp)

    def _try_bind(self, host: str, port: int) -> socket.socket | None:
        """A non-blocking socket on a port, `None` when another program has it."""
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        try:
            bound = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            raise exhausted(f"no socket: {error.strerror}") from error
        bound.setblocking(False)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with contextlib.suppress(OSError):
            bound.bind((host, port))
            self._taken.add(port)
            self._resting.pop(port, None)
            return bound
        bound.close()
        return None
