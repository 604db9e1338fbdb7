"""What systemd is told of this process (sd_notify(3), systemd.service(5) `Type=notify`).

Where no service manager asks for it, nothing is sent.
"""

import asyncio
import os
import socket
import time
from collections.abc import Mapping

import structlog

_log = structlog.get_logger(__name__)

_MICROSECONDS = 1_000_000
_SHARE = 0.5
"""A watchdog is fed twice as often as it wants, as sd_watchdog_enabled(3) recommends."""


class ServiceManager:
    """Speaks to the socket that the environment names."""

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(environment, os.getpid() if pid is None else pid)
        """How long systemd waits for a sign of life; 0 where it does not watch."""

    def ready(self) -> None:
        """The bridge carries calls."""
        self._tell("READY=1\nSTATUS=Carrying calls")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` follows, whatever came of it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def draining(self, calls: int) -> None:
        """No new calls; those that are up finish."""
        self._tell(f"STOPPING=1\nSTATUS=Draining, calls that go on: {calls}")

    def stopping(self) -> None:
        """Every call is being hung up."""
        self._tell("STOPPING=1\nSTATUS=Hanging up")

    async def keep_alive(self) -> None:
        """Feed the watchdog from the event loop that it watches, until cancelled: a stuck loop starves it."""
        while self.watchdog_s:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s * _SHARE)

    def _tell(self, lines: str) -> None:
        if not self._address:
            return
        # A leading "@" stands for the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(lines.encode(), address)
            except OSError as error:
                _log.warning("service_manager_not_told", detail=error.strerror)


def _watchdog_s(environment: Mapping[str, str], pid: int) -> float:
    """`WATCHDOG_USEC`, unless it is meant for another process (sd_watchdog_enabled(3))."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    interval = environment.get("WATCHDOG_USEC", "")
    return int(interval) / _MICROSECONDS if interval.isascii() and interval.isdigit() else 0.0
