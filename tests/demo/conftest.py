"""What the tests of the demo share."""

from collections.abc import AsyncIterator
from pathlib import Path

import aioice.ice
import pytest

from deploy.demo.homeserver import Synapse
from deploy.demo.webrtc import gather_on_loopback
from tests.peers.process import free_port


@pytest.fixture
def loopback_ice(monkeypatch: pytest.MonkeyPatch) -> None:
    """ICE on 127.0.0.1 alone, for the time of one test."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", aioice.ice.get_host_addresses)
    gather_on_loopback()


@pytest.fixture
async def synapse(tmp_path: Path) -> AsyncIterator[Synapse]:
    """A homeserver of its own."""
    server = Synapse(tmp_path / "synapse", port=free_port())
    await server.start()
    yield server
    await server.stop()
