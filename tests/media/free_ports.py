"""Ports of a pool that is as small as a test wants it."""

from tests.peers.process import free_port


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody has, beginning with an even one."""
    first = free_port(span=count + 1)
    return first + first % 2
