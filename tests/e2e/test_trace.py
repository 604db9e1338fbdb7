"""An operator asks afterwards what happened in a call: `trunkline trace`, and a Homer server that was listening."""

import asyncio
import socket
from pathlib import Path

from tests.e2e.exchange import PHONE, open_exchange
from tests.e2e.phone import Phone
from tests.e2e.running_bridge import COMMAND, Section
from tests.e2e.webrtc import mute_offer
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port
from tests.peers.sipp import SippUac


async def trace(config: Path, *words: str) -> str:
    """What the command prints."""
    process = await asyncio.create_subprocess_exec(
        COMMAND, "trace", "--config", config, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE_S):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_a_call_can_be_explained_afterwards(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as homer:
        homer.bind(("127.0.0.1", 0))
        homer.setblocking(False)
        hep = {"server": f"127.0.0.1:{homer.getsockname()[1]}"}
        async with (
            open_exchange(tmp_path, {"ops": {"hep": hep}}) as exchange,
            Phone(tmp_path, PHONE, port=exchange.phone_port) as phone,
        ):
            alice = await exchange.user("alice", PHONE)
            await alice.invite("their-call", mute_offer(1, port=exchange.mute_port))
            await alice.answered("their-call")
            await phone.wait_answered()
            await alice.hang_up("their-call")
            await phone.wait_closed()
            await exchange.bridge.wait_until(lambda: bool(exchange.bridge.records()))
            record = exchange.bridge.records()[-1]
            config = exchange.bridge.config
        captured = []
        while True:
            try:
                captured.append(homer.recv(65_535))
            except BlockingIOError:
                break
    assert str(record["call_id"]) in await trace(config)
    for name in ("their-call", str(record["call_id"])):
        text = await trace(config, name, "--messages")
        positions = [
            text.index(step)
            for step in ("m.call.invite", "│INVITE ", "200 Answering (INVITE)", "m.call.answer", "│BYE ")
        ]
        assert positions == sorted(positions)
        assert ": no_media" in text, "it was hung up before there was any"
        assert PHONE not in text
        assert "alice" not in text
        assert all(len(line) <= 100 for line in text.splitlines() if "┊" not in line)
    assert PHONE in await trace(config, "their-call", "--show-numbers")
    assert sum(str(record["call_id"]).encode() in packet for packet in captured) >= 4


async def test_each_call_that_a_limit_of_its_trunk_keeps_out_has_a_record_a_metric_and_a_trace(tmp_path: Path) -> None:
    calls = 3
    sections: dict[str, Section] = {
        "trunks": {"phone": {"server": f"{LOOPBACK}:{free_port()}", "max_incoming_per_s": 0.01}},
        "permissions": {},
    }
    async with open_exchange(tmp_path, sections) as exchange:
        bridge = exchange.bridge
        async with SippUac(tmp_path, f"{LOOPBACK}:{bridge.sip_port}", service="+15559999", calls=calls):
            await bridge.wait_metric("calls_total", calls - 1, reason="max_incoming_per_s")
        await bridge.wait_until(lambda: len(bridge.records()) >= calls)
        assert await bridge.metric("call_attempts_total") == calls
        reasons = [(record["reason"], record["sip_status"]) for record in bridge.records()]
        assert reasons == [("unassigned_number", 404)] + [("max_incoming_per_s", 503)] * (calls - 1)
        refused, config = bridge.records()[-1], bridge.config
    text = await trace(config, str(refused["call_id"]))
    assert "503 Service Unavailable (INVITE)" in text
    assert "verdict: policy: max_incoming_per_s" in text
