"""The whole examination, in the order in which things depend on each other."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from bridge.app.doctor.findings import Finding, ok, warning
from bridge.app.doctor.homeserver import HomeserverCheck
from bridge.app.doctor.ice_servers import ice_server_findings
from bridge.app.doctor.machine import MachineCheck
from bridge.app.doctor.media_servers import media_server_findings
from bridge.app.doctor.running import Running, ask_bridge
from bridge.app.doctor.trunks import ANSWER_LIMIT_S, TrunkCheck
from bridge.config import Config, matrix_settings, media_settings, sip_settings, warnings
from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import TrunkName


async def examine(config: Config, file: Path, *, limit_s: float = ANSWER_LIMIT_S) -> AsyncIterator[Finding]:
    """Everything there is to see of a set-up, each thing as soon as it is known. Disturbs no bridge that runs.

    `limit_s` is how long trunks have to answer, and so have STUN and TURN servers.
    """
    clock, entropy = SystemClock(), SystemEntropy()
    yield ok("configuration", f"{file} can be used")
    for sentence in warnings(config):
        setting, _, seen = sentence.partition(": ")
        yield warning(setting, seen)
    with _silent_log():
        bridge = await ask_bridge(config.ops.listen)
        running = bridge if isinstance(bridge, Running) else None
        if running is not None:
            for finding in running.findings():
                yield finding
        elif isinstance(bridge, Finding):
            yield bridge
        else:
            yield ok("bridge", "does not run: what only it can know is left out")
        homeserver = HomeserverCheck(settings=matrix_settings(config), clock=clock, entropy=entropy)
        async for finding in homeserver.findings(bridge_runs=running is not None):
            yield finding
        trunks = TrunkCheck(settings=sip_settings(config), clock=clock, entropy=entropy, limit_s=limit_s)
        found = await trunks.addresses()
        async for finding in _of_trunks(trunks, found, running):
            yield finding
        async for finding in media_server_findings(media_settings(config), entropy):
            yield finding
        async for finding in ice_server_findings(media_settings(config), clock, limit_s=limit_s):
            yield finding
        hosts = {host for hosts in found.values() for host in hosts}
        machine = MachineCheck(config=config, file=file)
        for finding in machine.findings(bridge_runs=running is not None, trunk_hosts=hosts):
            yield finding


async def _of_trunks(
    check: TrunkCheck, found: Mapping[TrunkName, Sequence[str]], running: Running | None
) -> AsyncIterator[Finding]:
    for finding in (*await check.advertised(), *check.names(found)):
        yield finding
    located = [trunk for trunk in check.settings.trunks if found[trunk.name]]
    if running is None:
        async for finding in check.by_trial(located):
            yield finding
        return
    for finding in check.by_bridge(running.trunks_up):
        yield finding
    unread = [trunk for trunk in located if trunk.name not in running.trunks_up]
    async for finding in check.beside_bridge(unread):
        yield finding


@contextmanager
def _silent_log() -> Iterator[None]:
    """What parts of the bridge would log is said here in other words."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
