"""Test calls over HTTP: who may ask for one, how often, and what becomes of it when nobody reads on."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.telemetry import NoTelemetry
from bridge.ops.console.access import Access, ConsoleSettings
from bridge.ops.test_calls import routes
from bridge.ops.test_calls.judging import Outcome
from bridge.ops.test_calls.report import Step, TestReport, TestWish
from bridge.ops.test_calls.routes import PATH, TestCallRoutes, TestUnderWayError
from tests.patience import PATIENCE_S

TOKEN = "a-token-of-more-than-thirty-two-characters"
REPORT = TestReport(outcome=Outcome.BOTH_WAYS, words="heard both ways", call_id="abc")
WISH = {"number": "+15550100"}


class ScriptedTester:
    """Says that it rings; then it is over, unless a test wants it to last."""

    def __init__(self) -> None:
        self.wishes: list[TestWish] = []
        self.lasts = self.busy = False
        self.ended = asyncio.Event()

    async def ask(self, wish: TestWish, tell: Callable[[Step], None]) -> TestReport:
        if self.busy:
            raise TestUnderWayError("another test call goes on: one at a time")
        self.wishes.append(wish)
        tell(Step(at_s=0.1, what="ringing"))
        try:
            if self.lasts:
                await asyncio.Event().wait()
        finally:
            self.ended.set()
        return REPORT


@asynccontextmanager
async def asking(tester: ScriptedTester, token: str = TOKEN) -> AsyncIterator[Callable[..., Any]]:
    """Something that posts to the bridge."""
    clock = SystemClock()
    access = Access(ConsoleSettings(token=TOKEN), clock=clock, entropy=SystemEntropy(), telemetry=NoTelemetry())
    application = web.Application(client_max_size=1024)
    TestCallRoutes(tester, access, clock).add_to(application)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with aiohttp.ClientSession(headers=headers) as session:
            yield lambda **body: session.post(url, **(body or {"json": WISH}))
    finally:
        await runner.cleanup()


async def _lines(answer: aiohttp.ClientResponse) -> list[Any]:
    return [json.loads(line) for line in (await answer.text()).splitlines() if line]


async def test_steps_and_report_come_as_lines() -> None:
    tester = ScriptedTester()
    async with asking(tester) as post, post() as answer:
        step, report = await _lines(answer)
    assert step == {"step": {"at_s": 0.1, "what": "ringing"}}
    assert TestReport.from_document(report["report"]) == REPORT
    assert tester.wishes == [TestWish(number="+15550100")]


async def test_there_is_one_at_a_time() -> None:
    tester = ScriptedTester()
    tester.busy = True
    async with asking(tester) as post, post() as answer:
        assert await _lines(answer) == [{"problem": "another test call goes on: one at a time"}]


async def test_nobody_calls_without_the_token_and_who_guesses_is_told_to_wait() -> None:
    tester = ScriptedTester()
    async with asking(tester, token="a-guess") as post:
        for status in [401] * 5 + [429] * 3:
            async with post() as answer:
                assert answer.status == status
                assert ("wrong tokens" in (await answer.json())["problem"]) is (status == 429)
    assert not tester.wishes


async def test_guesses_of_others_stop_nobody_who_has_the_token() -> None:
    tester = ScriptedTester()
    async with asking(tester) as post:
        for _ in range(7):
            async with post(json=WISH, headers={"Authorization": "Bearer a-guess"}) as answer:
                assert answer.status in (401, 429)
        async with post() as answer:
            assert answer.status == 200
    assert len(tester.wishes) == 1


async def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tester = ScriptedTester()
    async with asking(tester) as post:
        statuses = []
        for _ in range(routes.BURST + 1):
            async with post() as answer:
                statuses.append(answer.status)
    assert statuses == [200] * routes.BURST + [429]
    assert len(tester.wishes) == routes.BURST


@pytest.mark.parametrize("body", ["", "[" * 1_000, '{"number": "+1', "null", '{"number": "1", "seconds": 1e999}'])
async def test_what_is_no_wish_places_no_call(body: str) -> None:
    tester = ScriptedTester()
    async with asking(tester) as post, post(data=body) as answer:
        assert answer.status == 400
    assert not tester.wishes


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "application/json; charset=nonsense"}, {"Content-Encoding": "gzip"}]
)
async def test_a_body_that_cannot_be_decoded_places_no_call(headers: dict[str, str]) -> None:
    tester = ScriptedTester()
    async with asking(tester) as post, post(data=json.dumps(WISH).encode(), headers=headers) as answer:
        assert answer.status == 400
    assert not tester.wishes


async def test_who_stops_reading_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_ALIVE_S", 0.05)
    tester = ScriptedTester()
    tester.lasts = True
    async with asking(tester) as post:
        answer = await post()
        assert b"ringing" in await answer.content.readline()
        assert not tester.ended.is_set()
        answer.close()
        async with asyncio.timeout(PATIENCE_S):
            await tester.ended.wait()
