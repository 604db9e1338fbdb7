"""Host names to addresses, with a time limit and a memory (RFC 3263 §4.2; A and AAAA records)."""

import asyncio
import socket
from collections import OrderedDict

from bridge.sip.actions import Address
from bridge.sip.trunks import is_numeric

LOOKUP_LIMIT_S = 3.0
FRESH_S = 60.0
STALE_S = 360.0
"""How long an old answer is used when no new one can be had: a broken name server must not end calls."""
MAX_NAMES = 256


class Resolver:
    """Asks the system's resolver."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()

    def known(self, host: str, port: int) -> tuple[Address, ...]:
        """An answer without asking: a numeric address, or a fresh memory."""
        if is_numeric(host):
            return (Address(host, port),)
        return tuple(Address(found, port) for found in self._remembered(host, FRESH_S))

    async def resolve(self, host: str, port: int) -> tuple[Address, ...]:
        """All addresses of a host, best first; none when nobody knows in time."""
        known = self.known(host, port)
        if known:
            return known
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_LIMIT_S):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (OSError, TimeoutError, UnicodeError):
            return tuple(Address(old, port) for old in self._remembered(host, STALE_S))
        hosts = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        self._remember(host, hosts)
        return tuple(Address(name, port) for name in hosts)

    def _remembered(self, host: str, limit_s: float) -> tuple[str, ...]:
        asked_at, hosts = self._known.get(host, (0.0, ()))
        return hosts if hosts and asyncio.get_running_loop().time() - asked_at < limit_s else ()

    def _remember(self, host: str, hosts: tuple[str, ...]) -> None:
        self._known[host] = (asyncio.get_running_loop().time(), hosts)
        self._known.move_to_end(host)
        if len(self._known) > MAX_NAMES:
            self._known.popitem(last=False)
