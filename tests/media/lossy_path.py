"""A way through the network that loses DTLS: a relay that stands where our candidate says that we are."""

import asyncio
import random
import re
import socket
import sys
from typing import Self

from bridge.media.first_octet import DTLS_OCTETS
from tests.peers.process import LOOPBACK

Address = tuple[str, int]
_OUR_CANDIDATE = re.compile(r"(a=candidate:\S+ 1 udp \d+ \S+ )(\d+)")
_CANDIDATE = re.compile(r"a=candidate:.*\r\n")
_LARGEST = 2048
_MOST_IN_A_ROW = 2


class LossyPath:
    """Between the engine and one client; each of the client's sockets has one of the relay's towards the engine.

    What is lost is decided for the first datagram, the second and so on of each direction, the same in every run; as a
    rule never three in a row, because the timer of OpenSSL doubles with each.
    """

    def __init__(self, ours: str, *, loss: float, seed: int = 0, most_in_a_row: int = _MOST_IN_A_ROW) -> None:
        found = _OUR_CANDIDATE.search(ours)
        assert found is not None
        self._engine: Address = (LOOPBACK, int(found[2]))
        self._loss = loss
        self._most_in_a_row = most_in_a_row
        self._chances = {direction: random.Random(f"{seed} {direction}") for direction in ("there", "back")}
        self._in_a_row = {"there": 0, "back": 0}
        self.lost = 0
        self._onward: dict[Address, socket.socket] = {}
        self._near = _bound()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._near, self._from_client)

    @classmethod
    def cut(cls, ours: str) -> Self:
        """Lets connectivity checks pass and no DTLS."""
        return cls(ours, loss=1.0, most_in_a_row=sys.maxsize)

    def shown(self, ours: str) -> str:
        """Our description as the client gets it: the relay is where it finds us."""
        return _OUR_CANDIDATE.sub(rf"\g<1>{self._near.getsockname()[1]}", ours)

    @staticmethod
    def hidden(theirs: str) -> str:
        """The client's description without a way round the relay."""
        return _CANDIDATE.sub("", theirs)

    def _from_client(self) -> None:
        datagram, client = self._near.recvfrom(_LARGEST)
        if client not in self._onward:
            self._onward[client] = _bound()
            self._loop.add_reader(self._onward[client], self._from_engine, client)
        if not self._is_lost(datagram, "there"):
            self._onward[client].sendto(datagram, self._engine)

    def _from_engine(self, client: Address) -> None:
        datagram = self._onward[client].recv(_LARGEST)
        if not self._is_lost(datagram, "back"):
            self._near.sendto(datagram, client)

    def _is_lost(self, datagram: bytes, direction: str) -> bool:
        if datagram[0] not in DTLS_OCTETS:
            return False
        unlucky = self._chances[direction].random() < self._loss
        is_lost = unlucky and self._in_a_row[direction] < self._most_in_a_row
        self._in_a_row[direction] = self._in_a_row[direction] + 1 if is_lost else 0
        self.lost += is_lost
        return is_lost

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for endpoint in (self._near, *self._onward.values()):
            self._loop.remove_reader(endpoint)
            endpoint.close()


def _bound() -> socket.socket:
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind((LOOPBACK, 0))
    endpoint.setblocking(False)
    return endpoint
