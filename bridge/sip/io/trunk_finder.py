"""Keeping up with where trunks are: their names are looked up again as soon as the answer may have changed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from bridge.core.entropy import Entropy
from bridge.sip.actions import TrunkResolved
from bridge.sip.io.resolver import Resolver
from bridge.sip.settings import Transport, Trunk
from bridge.sip.targets import Server, Target

MIN_WAIT_S = 10.0
"""A name is not looked up more often."""

JITTER = (1.0, 1.1)
"""Share of the wait: many bridges that started together do not ask together for ever."""

_log = structlog.get_logger()


class TrunkFinder:
    """Finds the servers of trunks (RFC 3263 §4)."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        entropy: Entropy,
        transports: Callable[[], set[Transport]],
        reaches: Callable[[str], bool],
        on_found: Callable[[TrunkResolved], None],
    ) -> None:
        """`transports` are what we listen on; `reaches` says whether a datagram socket of ours can send to a host."""
        self._resolver = resolver
        self._entropy = entropy
        self._transports = transports
        self._reaches = reaches
        self._on_found = on_found

    async def find(self, trunk: Trunk) -> float:
        """Look the trunk up now, tell what was found, and return how long that is good."""
        located = await self._resolver.locate(
            trunk.host, trunk.port, trunk.transport, dns_mode=trunk.dns, usable=self._usable_by(trunk)
        )
        if not located.servers:
            _log.warning("trunk_name_not_resolved", trunk=trunk.name)
        self._on_found(TrunkResolved(trunk=trunk.name, servers=self._reachable(located.servers)))
        return max(located.until - asyncio.get_running_loop().time(), MIN_WAIT_S)

    async def keep_finding(self, trunk: Trunk, wait_s: float) -> None:
        """Names move; one that had no address at the start may have one later."""
        while True:
            await asyncio.sleep(wait_s * self._entropy.uniform(*JITTER))
            wait_s = await self.find(trunk)

    def _usable_by(self, trunk: Trunk) -> set[Transport]:
        """A name server must not talk a trunk out of TLS."""
        return {Transport.TLS} if trunk.transport is Transport.TLS else self._transports()

    def _reachable(self, servers: tuple[Server, ...]) -> tuple[Server, ...]:
        kept = (replace(server, targets=tuple(filter(self._is_reachable, server.targets))) for server in servers)
        return tuple(server for server in kept if server.targets)

    def _is_reachable(self, target: Target) -> bool:
        return target.transport is not Transport.UDP or self._reaches(target.host)
