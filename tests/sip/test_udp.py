"""Datagram sockets on both event loops: what they hear of peers that are gone, and that they go on hearing others."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvloop

from bridge.sip.io.udp import UdpSocket
from tests.peers.process import LOOPBACK, free_port
from tests.sip.phone import eventually

Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> Loop:
    factory: Loop = request.param
    return factory


class Listening:
    """An open socket, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.unreachable: list[int] = []
        self.socket = UdpSocket(
            0,
            on_datagram=lambda payload, host, port, number: self.heard.append(payload),
            on_unreachable=lambda host, port: self.unreachable.append(port),
        )
        self.socket.open(LOOPBACK, 0)


@contextmanager
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((LOOPBACK, 0))
        yield opened


def test_a_socket_hears_on_when_a_peer_is_gone(loop_factory: Loop) -> None:
    async def scenario() -> None:
        listening, dead = Listening(), free_port()
        with peer() as alive:
            for number in range(1, 4):
                listening.socket.send(b"anybody?", LOOPBACK, dead)
                await eventually(lambda wanted=number: len(listening.unreachable) >= wanted)  # type: ignore[misc]
                alive.sendto(b"hello", (LOOPBACK, listening.socket.port))
                await eventually(lambda wanted=number: len(listening.heard) >= wanted)  # type: ignore[misc]
        listening.socket.close()
        assert set(listening.unreachable) == {dead}

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())


def test_a_closed_socket_leaves_nothing_behind(loop_factory: Loop) -> None:
    async def scenario() -> None:
        listening = Listening()
        port = listening.socket.port
        listening.socket.close()
        listening.socket.close()
        again = UdpSocket(0, on_datagram=lambda *_: None, on_unreachable=lambda *_: None)
        again.open(LOOPBACK, port)
        again.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())
