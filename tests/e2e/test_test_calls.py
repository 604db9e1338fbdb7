"""An operator asks for a test call, or the bridge calls itself: real phones answer, and what they do is told."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from bridge.app.probe.asking import AskError, ask
from bridge.config import load_config
from bridge.ops.test_calls.report import TestReport, TestWish
from tests.e2e.exchange import PHONE, SERVER_NAME, Exchange, open_exchange
from tests.e2e.phone import Phone
from tests.e2e.running_bridge import COMMAND, Section
from tests.e2e.sound import Tone
from tests.ops.collector import Collector, attributes_of
from tests.peers.certificates import Authority
from tests.peers.process import LOOPBACK, free_port
from tests.peers.rtpengine import Rtpengine
from tests.peers.sipp import SippUas

TOKEN = "opens-the-console-of-a-test"
CALLER = f"@tests:{SERVER_NAME}"
ELSEWHERE = "+15560100"
"""A number of the trunk `other`."""
ENCRYPTED = "+15570100"
SILENCE = Tone(pitch_hz=0)


async def call_test(exchange: Exchange, *words: str) -> tuple[int, str]:
    """Run the command; gives its exit code and what it prints."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *("call-test", "--config", str(exchange.bridge.config), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode() or errors.decode()


async def report_of(exchange: Exchange, number: str, *, trunk: str = "", seconds: float = 2.0) -> TestReport:
    """What the command is told, without a process for it."""
    config = load_config(exchange.bridge.config, {})
    *_, report = [told async for told in ask(config, TestWish(number=number, trunk=trunk, seconds=seconds))]
    assert isinstance(report, TestReport)
    return report


async def test_a_test_call_says_what_a_phone_does_with_it(tmp_path: Path) -> None:
    phone_port, other_port, secure_port = free_port(span=2), free_port(), free_port(span=2)
    sections: dict[str, Section] = {
        "trunks": {
            "phone": {"server": f"{LOOPBACK}:{phone_port}"},
            "other": {"server": f"{LOOPBACK}:{other_port}"},
            "secure": {"server": f"{LOOPBACK}:{secure_port}", "srtp": "required", "srtp_without_tls": True},
        },
        "ops": {"console": {"token": TOKEN}, "test_calls": {"caller": CALLER}},
        "permissions": {
            "outbound": [
                {"who": [CALLER], "prefixes": ["+1555"], "trunk": "phone"},
                {"who": [CALLER], "prefixes": ["+1556"], "trunk": "other"},
                {"who": [CALLER], "prefixes": ["+1557"], "trunk": "secure"},
            ],
            # One call after the other is what a test is, and what fraud looks like.
            "suspension": {"short_calls": 2, "sequential": 2},
        },
    }
    async with open_exchange(tmp_path, sections) as exchange:
        async with Phone(tmp_path, PHONE, port=phone_port) as phone:
            code, text = await call_test(exchange, PHONE)
            assert code == 0, text
            await phone.wait_closed()
            document = json.loads((await call_test(exchange, "--json", "--seconds", "1", PHONE))[1])
        steps = ["-> INVITE", "<- 180 Ringing (INVITE)", "<- 200 Answering (INVITE)", "audio connected", "-> BYE"]
        positions = [text.index(step) for step in steps]
        assert positions == sorted(positions)
        assert "from phone   PCMU" in text
        assert "outcome      both_ways: heard both ways: the phone reports that our packets arrive" in text
        assert PHONE not in text
        assert (document["outcome"], document["exit_code"]) in (("unproven", 3), ("both_ways", 0))

        async with SippUas(tmp_path, port=other_port, rtp_echo=True):
            echo = await report_of(exchange, ELSEWHERE, trunk="other")
        assert (echo.outcome, echo.trunk, echo.result) == ("both_ways", "other", "success")
        assert echo.echo_ms is not None
        assert 0 <= echo.echo_ms < 500
        assert echo.from_phone.level_dbfs == pytest.approx(-16, abs=2)
        assert (echo.from_phone.mos or 0) > 4

        async with SippUas(tmp_path, port=other_port):
            mute = await report_of(exchange, ELSEWHERE)
        assert (mute.outcome, mute.from_phone.packets, mute.sip_status) == ("no_audio", 0, 200)

        authority = Authority(tmp_path)
        async with Phone(
            tmp_path,
            ENCRYPTED,
            port=secure_port,
            account_options=";mediaenc=srtp-mand",
            identity=authority.issue(file="phone"),
            authority=authority,
        ):
            secret = await report_of(exchange, ENCRYPTED)
        assert (secret.trunk, secret.srtp, echo.srtp) == ("secure", True, False)
        assert secret.from_phone.level_dbfs == pytest.approx(-6, abs=2)

        folder = tmp_path / "silent"
        folder.mkdir()
        async with Phone(folder, PHONE, port=phone_port, tone=SILENCE):
            silent = await report_of(exchange, PHONE, seconds=7)
        assert (silent.outcome, silent.from_phone.level_dbfs) == ("one_way", None)
        assert silent.from_phone.packets > 100

        folder = tmp_path / "busy"
        folder.mkdir()
        async with Phone(folder, PHONE, port=phone_port, answer="manual") as phone:
            asking = asyncio.create_task(report_of(exchange, PHONE))
            await phone.wait_ringing()
            await phone.hangup()
            busy = await asking
        assert (busy.outcome, busy.reason, busy.sip_status) == ("not_answered", "busy", 486)
        assert busy.ringing_s is not None

        gone = await report_of(exchange, ELSEWHERE)
        assert (gone.outcome, gone.reason) == ("failed", "trunk_unreachable")
        for number, reason in (("112", "emergency_refused"), ("+33123456789", "not_permitted")):
            refused = await report_of(exchange, number)
            assert (refused.outcome, refused.reason, refused.trunk) == ("refused", reason, "")
        with pytest.raises(AskError, match="none of that name"):
            await report_of(exchange, PHONE, trunk="nowhere")

        await _check_that_nobody_else_may(exchange)
        bridge = exchange.bridge
        assert all(record["test"] for record in bridge.records())
        assert len(bridge.records()) == 10
        assert await bridge.metric("calls_total") == await bridge.metric("call_attempts_total") == 0
        assert await bridge.metric("calls_active") == 0
        assert await bridge.metric("suspensions_total") == 0
        assert await bridge.metric("test_calls_total", kind="asked") == 10
        assert await bridge.metric("internal_errors_total") == 0
        assert await bridge.metric("call_illegal_events_total") == 0
    code, text = await call_test(exchange, PHONE)
    assert code == 1
    assert "is it running?" in text


async def _check_that_nobody_else_may(exchange: Exchange) -> None:
    url = f"http://{LOOPBACK}:{exchange.bridge.ops_port}/test-calls"
    wish = {"number": PHONE}
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "trunkline_console=x"}):
            async with session.post(url, json=wish, headers=headers) as answer:
                assert answer.status == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for body in ("", "[]", '{"number": 5}', '{"number": "1", "seconds": 1e9}', '{"number": "1", "more": 1}'):
            async with session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 400


async def test_the_bridge_calls_itself(tmp_path: Path) -> None:
    async with Collector.open() as collector:
        await _calls_itself(tmp_path, collector, {})


async def test_the_bridge_calls_itself_through_an_rtpengine_server(tmp_path: Path) -> None:
    async with Collector.open() as collector, Rtpengine(tmp_path) as server:
        media = {"engine": "rtpengine", "rtpengine": [f"{server.address.host}:{server.address.port}"]}
        await _calls_itself(tmp_path, collector, media)


async def _calls_itself(folder: Path, collector: Collector, media: Section) -> None:
    ops = {"test_calls": {"every_s": 10, "required": True}, "telemetry": {"otlp_url": collector.url}}
    async with open_exchange(folder, {"ops": ops, "media": media}) as exchange:
        bridge = exchange.bridge
        await bridge.wait_metric("self_test_success", 1, through="echo")
        # An rtpengine server rates a call by its reports, and the echo sends none.
        assert media or await bridge.metric("self_test_mos") > 4
        assert 0 < await bridge.metric("self_test_duration_seconds") < 5
        assert await bridge.metric("self_test_last_success_timestamp_seconds") > 1.6e9
        assert (await bridge.checks())["self_test"] is True
        assert await bridge.metric("sip_requests_total", method="INVITE", direction="out") == 1
        assert await bridge.metric("calls_total") == await bridge.metric("call_attempts_total") == 0
        await bridge.wait_until(lambda: bool(bridge.records()))
        (record,) = bridge.records()
        assert (record["test"], record["trunk"], record["reason"]) == (True, "(echo)", "completed")
        assert record["sip"]["packets_received"] > 100
        root, *stages = (await collector.wait(6))[:6]
        assert [span.name for span in stages] == ["matrix_invite", "dial", "ring", "media_setup", "talk"]
        facts = attributes_of(root)
        assert (facts["trunkline.call_id"], facts["trunkline.test"]) == (record["call_id"], True)
        assert await bridge.metric("internal_errors_total") == 0
