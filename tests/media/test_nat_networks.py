"""Calls between two networks behind NATs, with programs in network namespaces and coturn between them."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.media.settings import PathChoice
from tests.peers import networks
from tests.peers.coturn import PASSWORD, USER, Coturn
from tests.peers.networks import PUBLIC_HOST, Networks

pytestmark = pytest.mark.skipif(not networks.can_be_made(), reason="network namespaces need root, ip and iptables")
LIMIT_S = 45.0


@contextlib.asynccontextmanager
async def between_nats(directory: Path, *, symmetric: bool) -> AsyncIterator[tuple[Networks, Coturn]]:
    """The networks, and a server between them."""
    async with contextlib.AsyncExitStack() as up:
        nets = await up.enter_async_context(Networks.behind_nats(symmetric=symmetric))
        yield nets, await up.enter_async_context(Coturn(directory, host=PUBLIC_HOST, namespace=nets.public))


class Program:
    """One end of the call."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, namespace: str, *arguments: str) -> "Program":
        return cls(await networks.start(namespace, sys.executable, "-m", "tests.media.behind_nat", *arguments))

    async def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return line

    def write(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()


async def call(
    nets: Networks, coturn: Coturn, path: PathChoice, *, turn: bool, connect_timeout_s: float = 15.0
) -> tuple[bool, bool, str]:
    """Whether each end was heard, and what the bridge offered."""
    server = {"host": coturn.host, "port": coturn.port}
    credentials = {"username": USER, "password": PASSWORD}
    options = {
        "engine": path,
        "connect_timeout_s": connect_timeout_s,
        "stun": [server],
        "turn": [server | credentials] if turn else [],
    }
    bridge = await Program.start(nets.inner[0], "bridge", json.dumps(options))
    client = await Program.start(nets.inner[1], "client", f"stun:{coturn.host}:{coturn.port}")
    try:
        async with asyncio.timeout(LIMIT_S):
            offer = await bridge.read()
            client.write(offer)
            bridge.write(await client.read())
            heard = (await bridge.read())["heard"]
            return heard, heard and (await client.read())["heard"], offer["sdp"]
    finally:
        await bridge.stop()
        await client.stop()


async def test_two_ends_behind_nats_find_each_other_by_stun(path: PathChoice, tmp_path: Path) -> None:
    async with between_nats(tmp_path, symmetric=False) as (nets, coturn):
        heard, client_heard, offer = await call(nets, coturn, path, turn=False)
    assert "192.0.2.10 " in offer
    assert "typ srflx raddr 10.1.0.2" in offer
    assert (heard, client_heard) == (True, True)


async def test_a_turn_server_gets_through_what_stun_does_not(path: PathChoice, tmp_path: Path) -> None:
    """NATs that give every destination another port."""
    async with between_nats(tmp_path, symmetric=True) as (nets, coturn):
        heard, client_heard, offer = await call(nets, coturn, path, turn=True)
    assert f"{PUBLIC_HOST} " in offer
    assert (heard, client_heard) == (True, True)


async def test_stun_alone_finds_nobody_behind_such_nats(tmp_path: Path) -> None:
    """Or else the tests before would prove nothing."""
    async with between_nats(tmp_path, symmetric=True) as (nets, coturn):
        heard, _, _ = await call(nets, coturn, PathChoice.PORTABLE, turn=False, connect_timeout_s=3.0)
    assert not heard
