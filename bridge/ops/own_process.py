"""Metrics of our own process, also where of /proc there is only that (`ProcSubset=pid` of the systemd unit)."""

import time

from prometheus_client import ProcessCollector


class OwnProcess(ProcessCollector):
    """The client library reads when the machine was booted from /proc/stat, and without that tells nothing at all."""

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
