"""Ports: within the range, in pairs, at rest after use."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.media.engine import MediaError
from bridge.media.ports import REST_S, PortPair, PortPool
from tests.media.free_ports import free_ports

HOST = "127.0.0.1"


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def pool(clock: Hands) -> PortPool:
    low = free_ports(6)
    return PortPool(low=low, high=low + 5, entropy=SeededEntropy(1), clock=clock)


def numbers(pair: PortPair) -> tuple[int, int]:
    return pair.rtp.getsockname()[1], pair.rtcp.getsockname()[1]


def release(pool: PortPool, pair: PortPair) -> None:
    for port, bound in zip(numbers(pair), (pair.rtp, pair.rtcp), strict=True):
        bound.close()
        pool.give_back(port)


@contextlib.contextmanager
def occupied(port: int) -> Iterator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, port))
        yield


def test_pairs_are_even_and_neighbours_until_none_is_left(pool: PortPool) -> None:
    pairs = [pool.bind_pair(HOST) for _ in range(3)]
    assert all(rtp % 2 == 0 and rtcp == rtp + 1 for rtp, rtcp in map(numbers, pairs))
    assert pool.in_use == 6
    with pytest.raises(MediaError):
        pool.bind_pair(HOST)
    with pytest.raises(MediaError):
        pool.bind_single(HOST)
    for pair in pairs:
        release(pool, pair)
    assert pool.in_use == 0


def test_a_port_rests_before_it_is_used_again_while_others_are_free(pool: PortPool, clock: Hands) -> None:
    first = pool.bind_pair(HOST)
    used = numbers(first)
    release(pool, first)
    others = [pool.bind_pair(HOST) for _ in range(2)]
    assert used not in [numbers(pair) for pair in others]
    in_need = pool.bind_pair(HOST)
    assert numbers(in_need) == used, "a port at rest is better than no call"
    for pair in (*others, in_need):
        release(pool, pair)
    clock.now += REST_S
    release(pool, pool.bind_pair(HOST))


def test_ports_of_other_programs_are_passed_over(pool: PortPool) -> None:
    probe = pool.bind_pair(HOST)
    taken = numbers(probe)[1]
    release(pool, probe)
    with occupied(taken):
        pairs = [pool.bind_pair(HOST) for _ in range(2)]
        assert taken not in {port for pair in pairs for port in numbers(pair)}
        with pytest.raises(MediaError):
            pool.bind_pair(HOST)
    for pair in pairs:
        release(pool, pair)
    assert pool.in_use == 0


def test_an_empty_range_has_no_ports(clock: Hands) -> None:
    pool = PortPool(low=20001, high=20001, entropy=SeededEntropy(1), clock=clock)
    with pytest.raises(MediaError):
        pool.bind_pair(HOST)
