"""Datagram sockets: what they hear of peers that are gone, and that they go on hearing others."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.sip.io.udp import UdpSocket
from tests.peers.process import LOOPBACK, free_port
from tests.sip.phone import eventually


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


async def test_a_socket_hears_on_when_a_peer_is_gone() -> None:
    listening, dead = Listening(), free_port()
    with peer() as alive:
        for number in range(1, 4):
            listening.socket.send(b"anybody?", LOOPBACK, dead)
            await eventually(lambda wanted=number: len(listening.unreachable) >= wanted)  # type: ignore[misc]
            alive.sendto(b"hello", (LOOPBACK, listening.socket.port))
            await eventually(lambda wanted=number: len(listening.heard) >= wanted)  # type: ignore[misc]
    listening.socket.close()
    assert set(listening.unreachable) == {dead}


async def test_a_closed_socket_leaves_nothing_behind() -> None:
    listening = Listening()
    port = listening.socket.port
    listening.socket.close()
    listening.socket.close()
    again = UdpSocket(0, on_datagram=lambda *_: None, on_unreachable=lambda *_: None)
    again.open(LOOPBACK, port)
    again.close()
