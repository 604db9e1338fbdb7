"""The process of one bridge: from its start to the signal, or the fault, that ends it."""

import asyncio
import gc
import os
from collections.abc import Callable

import structlog

from bridge.app.application import Application
from bridge.app.foundation import VERSION
from bridge.app.life_cycle import LifeCycle
from bridge.config import Config
from bridge.core.descriptors import raise_descriptor_limit
from bridge.core.errors import TrunklineError
from bridge.ops.service_manager import ServiceManager

log = structlog.get_logger(__name__)


class BridgeFailedError(TrunklineError):
    """A part of the bridge died of a bug; the process must end, so that whoever watches it starts a new one."""


async def run(config: Config, read_config: Callable[[], Config]) -> None:
    """Run the bridge until a signal ends it. Raises `TrunklineError` or `OSError` when it cannot start or go on.

    `read_config` reads the configuration anew, for SIGHUP.
    """
    raise_descriptor_limit()
    application, service_manager = Application(config), ServiceManager(os.environ)
    life = LifeCycle(
        drain_limit_s=config.calls.drain_timeout_s,
        read_config=read_config,
        service_manager=service_manager,
        telemetry=application.telemetry,
    )
    life.listen()
    async with application.running() as bridge:
        # What was made so far stays: the collector need not walk through it in the middle of a call.
        gc.collect()
        gc.freeze()
        log.info("bridge_started", version=VERSION)
        fed = asyncio.create_task(service_manager.keep_alive())
        life.started(bridge)
        stopped, failed = asyncio.create_task(life.stopped()), asyncio.create_task(bridge.failed())
        await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
        has_failed = failed.done()
        for task in (stopped, failed, fed):
            task.cancel()
        await life.close()
        log.info("bridge_stopping")
    log.info("bridge_stopped")
    if has_failed:
        raise BridgeFailedError("the Matrix side has failed; the log says why")
