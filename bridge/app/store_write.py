"""Writing down what is in memory already, for the next process."""

from collections.abc import Awaitable

import structlog

from bridge.core.telemetry import Telemetry
from bridge.store import StoreError

log = structlog.get_logger(__name__)


async def write_down(write: Awaitable[None], telemetry: Telemetry, *, if_not: str) -> None:
    """Wait for the write. A store in trouble costs what a restart would know of it, and a line `if_not` in the log."""
    try:
        await write
    except StoreError as error:
        log.warning(if_not, reason=str(error))
    except Exception:
        log.exception(if_not)
        telemetry.count("internal_errors_total", component="store")
