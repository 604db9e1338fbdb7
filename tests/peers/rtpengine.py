"""A real rtpengine, all in user space, on the loopback address."""

import asyncio
import contextlib
from pathlib import Path

from bridge.core.entropy import SystemEntropy
from bridge.media.rtpengine.ng import NgClient, NgError
from bridge.media.settings import ServerAddress
from tests.peers.process import LOOPBACK, POLL_S, READY_LIMIT_S, PeerProcess, free_port

PORTS = 60
"""Enough for six calls; two servers with a port in common would share it, and steal each other's packets."""


class Rtpengine(PeerProcess):
    """One server. Started again it has the same ports and knows nothing of the calls before."""

    stop_limit_s = 1.0

    def __init__(
        self, directory: Path, *, name: str = "rtpengine", options: tuple[str, ...] = ("--log-level=7",)
    ) -> None:
        super().__init__(name, directory)
        self.address = ServerAddress(host=LOOPBACK, port=free_port())
        self._first = free_port(span=PORTS)
        self._options = options

    async def start(self) -> None:
        await self.launch(
            (
                "rtpengine",
                "--config-file=none",
                "--foreground",
                "--log-stderr",
                "--no-log-timestamps",
                "--table=-1",
                "--num-threads=1",
                f"--interface={LOOPBACK}",
                f"--listen-ng={self.address.host}:{self.address.port}",
                f"--port-min={self._first}",
                f"--port-max={self._first + PORTS - 1}",
                f"--pidfile={self.directory / self.name}.pid",
                *self._options,
            )
        )
        await asyncio.wait_for(self._answers(), READY_LIMIT_S)

    async def _answers(self) -> None:
        client = NgClient(self.address.host, self.address.port, SystemEntropy())
        await client.open()
        try:
            while True:
                with contextlib.suppress(NgError):
                    await client.request("ping")
                    return
                if self.pid is None:
                    raise RuntimeError(f"rtpengine ended:\n{self.log_tail()}")
                await asyncio.sleep(POLL_S)
        finally:
            client.close()
