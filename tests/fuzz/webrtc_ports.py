"""Damage what arrives at a WebRTC port and see that it is sorted, never believed and hardly ever answered.

`python -m tests.fuzz.webrtc_ports --count 20000 --seed 1`. The oracle: no exception; an answer goes only to who sent a
check with our password, and is no longer than it; nothing but DTLS of a validated address is kept, and not much of it.
"""

import argparse
import asyncio
import random
import struct
from collections import Counter
from typing import Any, cast

from aioice import Candidate, stun

from bridge.media.ice import MAX_WAITING_DATAGRAMS, IceAgent
from bridge.media.ice_socket import GuardedProtocol
from tests.fuzz._damage import damage

PER_AGENT = 500
KNOWN, STRANGER = ("192.0.2.7", 5000), ("198.51.100.9", 4000)
DTLS = bytes.fromhex("16fefd0000000000000000002f01000023000000000000002300000000") + bytes(40)
SRTP = struct.pack("!BBHII", 0x80, 111, 7, 8, 9) + bytes(60)


class Wire:
    """A transport that keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, tuple[str, int]]] = []

    def sendto(self, datagram: bytes, address: tuple[str, int]) -> None:
        self.sent.append((datagram, address))

    def close(self) -> None:
        return None

    def abort(self) -> None:
        return None


class Port:
    """One agent with one socket, before or after a device was selected; all of it follows from `chance`."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.taken = Counter[str]()
        self.agent = IceAgent(
            controlling=chance.random() < 0.5,
            on_srtp=lambda _: self.taken.update(["srtp"]),
            on_off_path=lambda: self.taken.update(["dropped"]),
            on_excess=lambda: self.taken.update(["excess"]),
        )
        self._name()
        self.wire = Wire()
        self.protocol = GuardedProtocol(self.agent)
        self.protocol.connection_made(cast(Any, self.wire))
        self.protocol.local_candidate = Candidate.from_sdp("1 1 udp 1 192.0.2.1 20000 typ host")
        if chance.random() < 0.5:
            self.agent.select(ufrag="them", password="p" * 22, is_lite=False)
        self.genuine = self._check(self.agent.local_password)

    def _name(self) -> None:
        """Give the agent credentials that can be had again, in the place of those that nobody can guess."""
        self.agent._local_username = f"{self.chance.getrandbits(16):04x}"
        self.agent._local_password = f"{self.chance.getrandbits(88):022x}"
        self.agent.named = f"{self.agent.local_username}:".encode()

    def _message(self, kind: stun.Class) -> stun.Message:
        return stun.Message(stun.Method.BINDING, kind, transaction_id=self.chance.randbytes(12))

    def _check(self, password: str) -> bytes:
        message = self._message(stun.Class.REQUEST)
        message.attributes |= {"USERNAME": f"{self.agent.local_username}:them", "PRIORITY": 1, "ICE-CONTROLLED": 7}
        message.add_message_integrity(password.encode())
        return bytes(message)

    def corpus(self) -> tuple[bytes, ...]:
        """What belongs on such a port, and what only looks like it."""
        response = self._message(stun.Class.RESPONSE)
        response.attributes["XOR-MAPPED-ADDRESS"] = KNOWN
        return self.genuine, self._check("wrong" * 5), bytes(response), DTLS, SRTP

    def take(self, datagram: bytes, source: tuple[str, int]) -> None:
        """One datagram, and the oracle."""
        queued, before = self.agent._queue.qsize(), len(self.wire.sent)
        known = self.agent.is_validated(source)
        self.protocol.datagram_received(datagram, source)
        for answer, address in self.wire.sent[before:]:
            assert address == source
            assert len(answer) <= len(datagram)
            assert stun.parse_message(datagram).check_message_integrity(self.agent.local_password.encode())
        assert len(self.agent.validated) <= 2
        assert self.agent._queue.qsize() <= MAX_WAITING_DATAGRAMS
        assert len(self.agent._held) <= MAX_WAITING_DATAGRAMS
        assert known or self.agent._queue.qsize() == queued
        self.wire.sent.clear()


async def run(count: int, seed: int) -> Counter[str]:
    """Examine `count` damaged datagrams; raises at the first that breaks the oracle."""
    chance, outcomes = random.Random(seed), Counter[str]()
    for first in range(0, count, PER_AGENT):
        port = Port(chance)
        for number in range(first, min(first + PER_AGENT, count)):
            datagram = chance.choice(port.corpus())
            if chance.random() < 0.95:
                datagram = damage(datagram, chance, times=chance.choice((1, 1, 2, 4)))[:1500]
            try:
                port.take(datagram, chance.choice((KNOWN, STRANGER)))
            except Exception as error:
                raise AssertionError(f"datagram {number} of seed {seed}: {datagram.hex()}") from error
        outcomes += port.taken
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcomes = asyncio.run(run(options.count, options.seed))
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    print(f"webrtc_ports: {options.count} datagrams with seed {options.seed}: {told}")


if __name__ == "__main__":
    main()
