"""STUN and TURN servers: which there are, what they want to hear, and which are worth waiting for."""

import asyncio
import base64
import enum
import hmac
import socket
import ssl
from dataclasses import dataclass, field
from functools import cached_property

from bridge.core.clock import Clock
from bridge.media.latch import Address

REST_S = 30.0
"""How long a server that gave no answer is left alone: calls are set up without it meanwhile."""
NAME_KEPT_S = 60.0
_CREDENTIALS_LAST_S = 86_400


class TurnTransport(enum.StrEnum):
    """How a TURN server is reached (RFC 8656 §3.1)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class StunServer:
    """Tells what address our packets have behind a NAT (RFC 8489)."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnServer:
    """Carries packets where none gets through directly (RFC 8656)."""

    host: str
    port: int
    transport: TurnTransport = TurnTransport.UDP
    username: str = ""
    password: str = field(default="", repr=False)
    shared_secret: str = field(default="", repr=False)
    """Makes credentials that are good for a day, in the place of a user name and password."""

    def credentials(self, wall: float) -> tuple[str, str]:
        """User name and password (coturn's `use-auth-secret`, draft-uberti-behave-turn-rest-00)."""
        if not self.shared_secret:
            return self.username, self.password
        username = f"{int(wall) + _CREDENTIALS_LAST_S}:{self.username or 'trunkline'}"
        digest = hmac.digest(self.shared_secret.encode(), username.encode(), "sha1")
        return username, base64.b64encode(digest).decode()


IceServer = StunServer | TurnServer


class IceServers:
    """The servers of an engine, shared by its calls."""

    def __init__(self, stun: tuple[StunServer, ...], turn: tuple[TurnServer, ...], clock: Clock) -> None:
        self.clock = clock
        self._stun, self._turn = stun, turn
        self._rests: dict[IceServer, float] = {}
        self._names: dict[tuple[str, socket.AddressFamily], tuple[str, float]] = {}

    @property
    def stun(self) -> tuple[StunServer, ...]:
        """Those that are worth asking now."""
        return tuple(server for server in self._stun if self._is_awake(server))

    @property
    def turn(self) -> tuple[TurnServer, ...]:
        """Those that are worth asking now."""
        return tuple(server for server in self._turn if self._is_awake(server))

    def _is_awake(self, server: IceServer) -> bool:
        return self._rests.get(server, 0.0) <= self.clock.monotonic()

    def failed(self, server: IceServer) -> None:
        """A server gave no answer in time, or refused us."""
        self._rests[server] = self.clock.monotonic() + REST_S

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Who is trusted. Read once: all authorities take 70 ms, in which the thread would serve no other call."""
        return ssl.create_default_context()

    async def address(self, server: IceServer, family: socket.AddressFamily) -> Address:
        """Where a server is. Raises `OSError` when its name cannot be found."""
        known, until = self._names.get((server.host, family), ("", 0.0))
        if self.clock.monotonic() >= until:
            found = await asyncio.get_running_loop().getaddrinfo(
                server.host, server.port, family=family, type=socket.SOCK_DGRAM
            )
            known = str(found[0][4][0])
            self._names[server.host, family] = known, self.clock.monotonic() + NAME_KEPT_S
        return known, server.port
