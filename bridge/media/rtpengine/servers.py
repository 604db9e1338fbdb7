"""A fleet of rtpengine servers: which of them answer, and which one a new call goes to."""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import structlog

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.telemetry import Telemetry
from bridge.media.rtpengine.bencode import Value
from bridge.media.rtpengine.ng import NgClient, NgError, Reply, ServerRefusedError
from bridge.media.settings import ServerAddress

PING_EVERY_S = 2.0
OUT_AFTER_MISSES = 2
"""One answer may be lost by chance; a server that misses two gets no new calls until it answers again."""
CALLS_LOST_AFTER_S = 10.0
"""How long a server may be away before its calls are given up: a switch that restarts takes less, and packets may well
go on while only the control network is away."""
_MOST_OWED = 10_000
_LOAD_EVERY = 3
"""Pings between two looks at a server's own count of sessions: that answer is long."""
_log = structlog.get_logger()


class Server:
    """One server, as far as it is known."""

    def __init__(self, number: int, address: ServerAddress, entropy: Entropy) -> None:
        self.number = number
        """Its position in the configuration, from 1: the label of its metrics."""
        self.client = NgClient(address.host, address.port, entropy)
        self.alive = False
        self.sessions = 0
        """Of this bridge."""
        self.lost = 0
        """How often its calls were given up: a call that began before is gone, even if the server has come back."""
        self.owed: deque[str] = deque(maxlen=_MOST_OWED)
        """Calls that ended, or went elsewhere, while it was silent: told when it is back, lest it keeps their ports."""
        self._misses = 0
        self._away_since: float | None = None
        self._elsewhere = 0
        """Sessions of other bridges, when it was asked last."""

    @property
    def label(self) -> str:
        """What metrics and logs call it."""
        return str(self.number)

    @property
    def load(self) -> int:
        """Sessions of everybody."""
        return self.sessions + self._elsewhere

    def answered(self) -> bool:
        """Note an answer; whether it was away before."""
        returned, self.alive = not self.alive, True
        self._misses, self._away_since = 0, None
        return returned

    def missed(self, now: float) -> bool:
        """Note that no answer came; whether it is out from now on."""
        self._misses += 1
        if self._away_since is None:
            self._away_since = now
        gone = self.alive and self._misses >= OUT_AFTER_MISSES
        self.alive = self.alive and not gone
        return gone

    def is_given_up(self, now: float) -> bool:
        """Whether its calls are lost; asked again, it says so once for each time that the server was away."""
        if self._away_since is None or self.alive or now - self._away_since < CALLS_LOST_AFTER_S:
            return False
        self._away_since = now
        self.lost += 1
        return True

    def settle(self, key: str) -> None:
        """A call is owed no more: the server was told, or the call is tried there again."""
        with contextlib.suppress(ValueError):
            self.owed.remove(key)

    def weigh(self, statistics: Reply) -> None:
        """Take over what the server says of its load."""
        figures = statistics.get("statistics")
        current = figures.get("currentstatistics") if isinstance(figures, dict) else None
        total = current.get("sessionstotal") if isinstance(current, dict) else None
        if isinstance(total, int):
            self._elsewhere = max(total - self.sessions, 0)


def _deletion(key: str) -> dict[str, Value]:
    return {"call-id": key, "delete-delay": 0}


class Fleet:
    """All servers of the configuration."""

    def __init__(
        self, addresses: Sequence[ServerAddress], *, entropy: Entropy, clock: Clock, telemetry: Telemetry
    ) -> None:
        self.servers = tuple(Server(number, address, entropy) for number, address in enumerate(addresses, 1))
        self._entropy, self._clock, self._telemetry = entropy, clock, telemetry
        for server, result in itertools.product(self.servers, ("ok", "refused", "full", "silent")):
            telemetry.count("media_server_requests_total", 0, server=server.label, result=result)

    async def open(self) -> None:
        """See who answers."""
        await asyncio.gather(*map(self.look_at, self.servers))
        self.count()

    def close(self) -> None:
        """Let go of all of them."""
        for server in self.servers:
            server.client.close()

    @property
    def any_alive(self) -> bool:
        """Whether a new call can be carried at all."""
        return any(server.alive for server in self.servers)

    def in_order(self) -> Iterator[Server]:
        """Those that a new call may go to, the least busy first; equals in any order, so that bridges do not agree."""
        alive = [server for server in self.servers if server.alive]
        yield from sorted(alive, key=lambda server: (server.load, self._entropy.uniform(0, 1)))

    async def watch(self, server: Server, on_lost: Callable[[Server], None]) -> None:
        """Look at one server for ever; `on_lost` when its calls have to be given up."""
        rounds = 0
        while True:
            await asyncio.sleep(PING_EVERY_S)
            rounds += 1
            await self.look_at(server, weigh=rounds % _LOAD_EVERY == 0)
            if server.is_given_up(self._clock.monotonic()):
                _log.error("media_server_lost", server=server.label, sessions=server.sessions)
                on_lost(server)
            self.count()

    async def look_at(self, server: Server, *, weigh: bool = True) -> None:
        """Connect if need be, ping, and ask for the load."""
        try:
            await server.client.open()
            await server.client.request("ping")
            self.answered(server)
            await self._pay(server)
            if weigh:
                server.weigh(await server.client.request("statistics"))
        except NgError as error:
            self.missed(server, error)

    async def _pay(self, server: Server) -> None:
        """Tell a server of the calls that ended while it was away; one that was started anew knows none of them."""
        while server.owed:
            key = server.owed[0]
            with contextlib.suppress(ServerRefusedError):
                await server.client.request("delete", **_deletion(key))
            server.settle(key)

    def answered(self, server: Server) -> None:
        """A server has answered something."""
        if server.answered():
            _log.info("media_server_up", server=server.label)

    def missed(self, server: Server, error: NgError) -> None:
        """A server has not answered something."""
        if server.missed(self._clock.monotonic()):
            _log.warning("media_server_down", server=server.label, error=str(error))

    def count(self) -> None:
        """Tell the metrics."""
        for server in self.servers:
            self._telemetry.gauge("media_server_up", int(server.alive), server=server.label)
            self._telemetry.gauge("media_server_sessions", server.load, server=server.label)
