"""What a test is told of a peer that does not do what the test waits for."""

import sys
from pathlib import Path

import pytest

from tests.peers.process import PeerEndedError, PeerProcess, PeerTooSlowError

_SAYS_ITS_LAST = "import sys; print('no sound card'); sys.exit(3)"


class Peer(PeerProcess):
    """A program of one line, which is ready at once."""

    def __init__(self, directory: Path, program: str) -> None:
        super().__init__("peer", directory)
        self._program = program

    async def start(self) -> None:
        await self.launch((sys.executable, "-c", self._program))


async def test_a_peer_that_ended_is_not_said_to_be_slow(tmp_path: Path) -> None:
    async with Peer(tmp_path, _SAYS_ITS_LAST) as peer:
        with pytest.raises(PeerEndedError, match=r"peer ended \(3\) and did not hear a tone:\nno sound card"):
            await peer.wait_until(lambda: False, awaited="hear a tone")


async def test_a_peer_that_is_slow_is_not_said_to_have_ended(tmp_path: Path) -> None:
    async with Peer(tmp_path, "import time; time.sleep(60)") as peer:
        with pytest.raises(PeerTooSlowError, match=r"peer did not hear a tone in 0\.0 s"):
            await peer.wait_until(lambda: False, limit_s=0.0, awaited="hear a tone")
