"""`POST /test-calls` on the ops port: places one call, and tells its steps while they happen.

It wants the console's token (`Authorization: Bearer`), for it spends money. The answer is a stream of JSON lines:
`{"step": …}` for each step, and `{"report": …}` or `{"problem": …}` at the end. Whoever stops reading hangs up.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.errors import TrunklineError
from bridge.ops.console.access import Access
from bridge.ops.test_calls.report import Step, TestReport, TestWish, WishError
from bridge.ops.tokens import BLOCK_S, TooManyGuesses

PATH = "/test-calls"
BURST, REFILL_S = 10, 6.0
"""How many calls can be asked for at once, and how soon one more."""
MAX_STEPS = 100
_ALIVE_S = 1.0
"""A stream that says nothing is not known to have a reader."""


class TestUnderWayError(TrunklineError):
    """Another test call goes on: one at a time."""

    __test__ = False


class Tester(Protocol):
    """Who places the call; `bridge.app.probe.prober.Prober`."""

    async def ask(self, wish: TestWish, tell: Callable[[Step], None]) -> TestReport:
        """Raises :class:`TestUnderWayError`, :class:`WishError` and `TrunklineError`."""
        ...


class TestCallRoutes:
    """`add_to` an application."""

    __test__ = False

    def __init__(self, tester: Tester, access: Access, clock: Clock) -> None:
        self._tester, self._access, self._clock = tester, access, clock
        self._budget = Budgets(burst=BURST, refill_s=REFILL_S)

    def add_to(self, application: web.Application) -> None:
        """Serve it."""
        application.router.add_post(PATH, self._post)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            known = bool(request.headers.get("Authorization")) and self._knows(request)
        except TooManyGuesses:
            return _problem(429, f"too many wrong tokens came from this address; try again in {BLOCK_S:.0f} s")
        if not known:
            return _problem(401, "the console's token is needed")
        try:
            wish = TestWish.parse(await request.json())
        except (ValueError, LookupError, RecursionError, web.RequestPayloadError) as error:
            # LookupError: it claims a charset that nobody knows.
            return _problem(400, str(error) if isinstance(error, WishError) else "the body is no JSON")
        if not self._budget.spend("all", self._clock.monotonic()):
            return _problem(429, f"too many test calls; one more in {REFILL_S:.0f} s")
        return await self._stream(request, wish)

    def _knows(self, request: web.Request) -> bool:
        """A program with the token; a person's session, which a foreign page could use, is none.

        Raises :class:`TooManyGuesses`.
        """
        visitor = self._access.visitor(request)
        return visitor is not None and not visitor.csrf

    async def _stream(self, request: web.Request, wish: TestWish) -> web.StreamResponse:
        steps: asyncio.Queue[Step | None] = asyncio.Queue()

        def tell(step: Step) -> None:
            if steps.qsize() < MAX_STEPS:
                steps.put_nowait(step)

        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        await response.prepare(request)
        call = asyncio.create_task(self._tester.ask(wish, tell))
        call.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            await _pass_on(response, steps)
            await response.write(_line(await _ending(call)))
        except ConnectionError:
            return response
        finally:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        return response


async def _pass_on(response: web.StreamResponse, steps: "asyncio.Queue[Step | None]") -> None:
    """Until `None` says that there are no more."""
    while True:
        try:
            async with asyncio.timeout(_ALIVE_S):
                step = await steps.get()
        except TimeoutError:
            await response.write(b"\n")
            continue
        if step is None:
            return
        await response.write(_line({"step": {"at_s": step.at_s, "what": step.what}}))


async def _ending(call: "asyncio.Task[TestReport]") -> dict[str, Any]:
    try:
        return {"report": (await call).to_document()}
    except (TrunklineError, WishError) as error:
        return {"problem": str(error)}


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def _problem(status: int, words: str) -> web.Response:
    return web.json_response({"problem": words}, status=status)
