"""Ports that nobody has right now."""

import socket

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.media.ports import PortPool


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody has, beginning with an even one."""
    pool = PortPool(low=20000, high=29999, entropy=SystemEntropy(), clock=SystemClock())
    for _ in range(100):
        pair = pool.bind_pair("127.0.0.1")
        low = pair.rtp.getsockname()[1]
        pair.rtp.close()
        pair.rtcp.close()
        if all(is_free(port) for port in range(low, low + count)):
            return int(low)
    raise AssertionError("no free ports")


def is_free(port: int) -> bool:
    """Whether a port can be bound right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
