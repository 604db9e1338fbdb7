"""A trunk that is dead, in every way that trunks die: the call goes on over another one, and is answered there."""

import socket
from contextlib import AsyncExitStack
from pathlib import Path

from tests.e2e import scripted
from tests.e2e.exchange import SERVER_NAME, open_exchange
from tests.e2e.phone import Phone
from tests.e2e.running_bridge import Section
from tests.e2e.webrtc import mute_offer
from tests.peers.certificates import Authority
from tests.peers.process import LOOPBACK, free_port
from tests.peers.sipp import SippUas

ALIVE = "alive"
WAYS = ("refuses", "silent", "unavailable", "impostor", "nameless", "fails")
"""Nobody listens; nobody answers; 503; another authority's certificate; no address; 500 some time after a 100."""
PREFIXES = {way: f"+15551{index}" for index, way in enumerate(WAYS)}


def _sections(servers: dict[str, Section], tls: Section) -> dict[str, Section]:
    rules = [{"prefixes": [prefix], "trunks": [way, ALIVE]} for way, prefix in PREFIXES.items()]
    return {
        "sip": {"tls": tls},
        "trunks": servers,
        "numbers": {"dial_plan": rules},
        "permissions": {"outbound": [{"who": [SERVER_NAME], "prefixes": ["+1555"]}]},
    }


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


async def test_a_call_goes_on_whatever_its_first_trunk_has_died_of(tmp_path: Path) -> None:
    ours, theirs = (Authority(_folder(tmp_path, name)) for name in ("ours", "theirs"))
    identity = ours.issue(file="bridge")
    tls = {
        "certificate": str(identity.certificate),
        "private_key": str(identity.private_key),
        "ca_file": str(ours.ca_file),
    }
    impostor = free_port(span=2)
    peers = {
        "unavailable": SippUas(tmp_path, scenario=scripted.dead(tmp_path, 503)),
        "fails": SippUas(tmp_path, scenario=scripted.dead(tmp_path, 500, trying=True)),
        ALIVE: SippUas(tmp_path, rtp_echo=True),
        "impostor": Phone(
            _folder(tmp_path, "impostor"),
            "+15551300",
            port=impostor,
            transport="tls",
            identity=theirs.issue(file="phone"),
            authority=theirs,
        ),
    }
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((LOOPBACK, 0))
    servers: dict[str, Section] = {
        "refuses": {"server": f"{LOOPBACK}:{free_port()}", "transport": "tcp"},
        "silent": {"server": f"{LOOPBACK}:{silent.getsockname()[1]}", "failover_after_s": 0.5},
        "impostor": {"server": f"{LOOPBACK}:{impostor + 1}", "transport": "tls"},
        "nameless": {"server": "trunk.does-not-exist.invalid"},
        **{name: {"server": f"{LOOPBACK}:{peer.port}"} for name, peer in peers.items() if isinstance(peer, SippUas)},
    }
    async with AsyncExitStack() as stack:
        stack.callback(silent.close)
        for peer in peers.values():
            await stack.enter_async_context(peer)
        sections = _sections(servers, tls)
        exchange = await stack.enter_async_context(open_exchange(tmp_path, sections))
        for number, (way, prefix) in enumerate(PREFIXES.items()):
            user = await exchange.user(f"caller-{way}", f"{prefix}00")
            await user.invite(way, mute_offer(number + 1, port=exchange.mute_port))
            await user.answered(way)
            await user.hang_up(way)
            await exchange.bridge.wait_metric("trunk_failovers_total", 1, trunk=way)
        await exchange.bridge.wait_metric("calls_active", 0)
        records = exchange.bridge.records()
        assert [(record["tried"], record["trunk"]) for record in records] == [([way], ALIVE) for way in WAYS]
        assert {record["reason"] for record in records} == {"no_media"}
        assert await exchange.bridge.metric("internal_errors_total") == 0
