"""The console's pages and buttons."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import CallId, TrunkName
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.ops.console.access import COOKIE, SESSION_S, Access, ConsoleSettings, Visitor
from bridge.ops.console.desk import Desk
from bridge.ops.console.rendering import Renderer, static
from bridge.ops.console.streams import Streams
from bridge.ops.console.views import Views
from bridge.ops.tokens import TooManyGuesses
from bridge.store.database import StoreError
from bridge.store.traces.reader import TraceReader

HOME = "/console"
LOGIN = f"{HOME}/login"
_FORM = "application/x-www-form-urlencoded"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATIC = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}

_log = structlog.get_logger(__name__)

Page = Callable[[web.Request, Visitor], Awaitable[web.StreamResponse]]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleParts:
    """What a console is made of."""

    settings: ConsoleSettings
    desk: Desk
    traces: TraceReader | None
    """`None` where none are kept."""
    clock: Clock
    entropy: Entropy
    telemetry: Telemetry


class Console:
    """`add_to` an application, and `close` when that stops."""

    def __init__(self, parts: ConsoleParts) -> None:
        self._desk = parts.desk
        self._access = Access(parts.settings, clock=parts.clock, entropy=parts.entropy, telemetry=parts.telemetry)
        self._renderer = Renderer()
        self._views = Views(parts.desk, parts.traces, parts.clock)
        self._streams = Streams(parts.clock)
        self._telemetry = parts.telemetry

    @property
    def access(self) -> Access:
        """Who may see it."""
        return self._access

    def add_to(self, application: web.Application) -> None:
        """Serve everything under `/console`."""
        add = application.router
        for name in _STATIC:
            add.add_get(f"{HOME}/{name}", self._static)
        add.add_get(LOGIN, self._guarded(self._login_page))
        add.add_post(LOGIN, self._guarded(self._log_in))
        pages: dict[str, Page] = {
            "": self._live,
            "/live": self._live_stream,
            "/calls": self._calls,
            "/calls/{call_id}": self._call,
            "/calls/{call_id}/live": self._call_stream,
            "/spend": self._spend,
        }
        for path, page in pages.items():
            add.add_get(HOME + path, self._guarded(self._for_visitors(page)))
        buttons: dict[str, Page] = {
            "/calls/{call_id}/end": self._end,
            "/trunks/{trunk}/service": self._service,
            "/numbers": self._numbers,
            "/logout": self._log_out,
        }
        for path, button in buttons.items():
            add.add_post(HOME + path, self._guarded(self._for_own_forms(button)))

    def close(self) -> None:
        """End the streams, which would go on for as long as somebody looks."""
        self._streams.close()

    # Who may.

    def _guarded(self, answer: Answer) -> Answer:
        """Faults and refusals as pages, and headers that let nothing foreign in."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                response = await answer(request)
            except TooManyGuesses:
                _log.warning("console_guesses_limited", peer=Pii(request.remote or ""))
                response = self._problem(429, "Too many attempts. Wait half a minute, then try again.")
            except StoreError as error:
                response = self._problem(503, str(error))
            except web.HTTPException as error:
                response = self._problem(error.status, error.reason)
            if not response.prepared:
                response.headers.update(_HEADERS)
            return response

        return guarded

    def _for_visitors(self, page: Page) -> Answer:
        async def shown(request: web.Request) -> web.StreamResponse:
            visitor = self._access.visitor(request)
            if visitor is not None:
                return await page(request, visitor)
            if "Authorization" in request.headers or request.path != HOME:
                return self._page("problem.html", status=401, words="Log in to see this.", link=LOGIN)
            return web.Response(status=303, headers={"Location": LOGIN})

        return shown

    def _for_own_forms(self, button: Page) -> Answer:
        async def pressed(request: web.Request) -> web.StreamResponse:
            visitor = self._access.visitor(request)
            if visitor is None:
                return self._page("problem.html", status=401, words="Log in to do this.", link=LOGIN)
            form = await _form(request)
            if not self._access.is_own_form(visitor, request, str(form.get("csrf", ""))):
                _log.warning("console_request_refused", peer=Pii(request.remote or ""), path=request.path)
                raise web.HTTPForbidden(reason="This page is out of date. Go back, reload it, and try again.")
            return await button(request, visitor)

        return pressed

    async def _login_page(self, request: web.Request) -> web.StreamResponse:
        if self._access.visitor(request) is not None:
            return web.Response(status=303, headers={"Location": HOME})
        return self._page("login.html", takes_token=self._access.takes_token, wrong=False)

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        if not self._access.is_same_site(request):
            raise web.HTTPForbidden(reason="Log in on the page of the console itself.")
        form = await _form(request)
        session = self._access.log_in(str(form.get("token", "")).strip(), request)
        if session is None:
            _log.warning("console_login_refused", peer=Pii(request.remote or ""))
            return self._page("login.html", status=403, takes_token=self._access.takes_token, wrong=True)
        self._telemetry.count("console_logins_total")
        _log.info("console_login", peer=Pii(request.remote or ""))
        response = web.Response(status=303, headers={"Location": HOME})
        secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
        response.set_cookie(
            COOKIE, session, path=HOME, max_age=int(SESSION_S), httponly=True, samesite="Strict", secure=secure
        )
        return response

    async def _log_out(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        self._access.log_out(request)
        response = web.Response(status=303, headers={"Location": LOGIN})
        response.del_cookie(COOKIE, path=HOME)
        return response

    # Pages.

    async def _live(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        return await self._shown(request, visitor, "live.html", **await self._views.live(self._numbers_for(visitor)))

    async def _live_stream(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        async def part() -> str | None:
            if not self._access.still(visitor):
                return None
            values = await self._views.live(self._numbers_for(visitor))
            return await self._part("_live.html", csrf=visitor.csrf, **values)

        return await self._streams.serve(request, part)

    async def _calls(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        values = await self._views.calls(request.query, self._numbers_for(visitor))
        return await self._shown(request, visitor, "calls.html", **values)

    async def _call(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        call_id = CallId(request.match_info["call_id"])
        values = await self._views.call(call_id, request.query, self._numbers_for(visitor))
        if values is None:
            raise web.HTTPNotFound(reason="No trace of such a call. It may be too old, or begin in a moment.")
        return await self._shown(request, visitor, "call.html", **values)

    async def _call_stream(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        call_id = CallId(request.match_info["call_id"])

        async def part() -> str | None:
            values = await self._views.call(call_id, request.query, self._numbers_for(visitor))
            if values is None or not self._access.still(visitor):
                return None
            return await self._part("_call.html", csrf=visitor.csrf, **values)

        return await self._streams.serve(request, part)

    async def _spend(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        return await self._shown(request, visitor, "spend.html", **await self._views.spend(self._numbers_for(visitor)))

    # Buttons.

    async def _end(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        call_id = CallId(request.match_info["call_id"])
        ended = self._desk.end_call(call_id)
        _log.info("console_call_ended", call_id=call_id, done=ended, by=Pii(visitor.name))
        self._telemetry.count("console_actions_total", action="end_call")
        return _back(request, HOME)

    async def _service(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        trunk, on = TrunkName(request.match_info["trunk"]), (await _form(request)).get("on") == "1"
        if not await self._desk.set_in_service(trunk, on=on):
            raise web.HTTPNotFound(reason="There is no such trunk.")
        _log.info("console_trunk_switched", trunk=trunk, in_service=on, by=Pii(visitor.name))
        self._telemetry.count("console_actions_total", action="trunk_on" if on else "trunk_off")
        return _back(request, HOME)

    async def _numbers(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        on = (await _form(request)).get("on") == "1"
        self._access.show_numbers(visitor, on=on)
        if on:
            _log.info("console_numbers_shown", by=Pii(visitor.name))
            self._telemetry.count("console_actions_total", action="show_numbers")
        return _back(request, HOME)

    # Answers.

    def _numbers_for(self, visitor: Visitor) -> bool:
        return self._access.shows_numbers(visitor)

    async def _shown(self, request: web.Request, visitor: Visitor, template: str, **values: Any) -> web.Response:
        text = await self._part(
            template, csrf=visitor.csrf, visitor=visitor, here=request.path, back=request.path_qs, **values
        )
        return web.Response(text=text, content_type="text/html")

    def _page(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        text = self._renderer.render(template, **values)
        return web.Response(status=status, text=text, content_type="text/html")

    async def _part(self, template: str, **values: Any) -> str:
        """On a thread: a long call takes its time, again and again, and the loop is that of the calls."""
        return await asyncio.to_thread(self._renderer.render, template, **values)

    def _problem(self, status: int, words: str) -> web.Response:
        return self._page("problem.html", status=status, words=words, link=HOME)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        headers = {**_HEADERS, "Cache-Control": "max-age=300"}
        return web.Response(body=static(name), content_type=_STATIC[name], charset="utf-8", headers=headers)


async def _form(request: web.Request) -> Mapping[str, object]:
    """What a form of ours says; strangers send others, with parts and charsets that nobody can read."""
    if request.can_read_body and request.content_type != _FORM:
        raise web.HTTPUnsupportedMediaType(reason="This is no form of the console.")
    try:
        return await request.post()
    except (ValueError, LookupError, web.RequestPayloadError) as error:
        raise web.HTTPBadRequest(reason="This form cannot be read.") from error


def _back(request: web.Request, otherwise: str) -> web.Response:
    """Where the button was; only ever a page of ours."""
    target = request.query.get("back", "")
    ours = target.startswith(HOME) and target.isprintable() and ".." not in target and "\\" not in target
    return web.Response(status=303, headers={"Location": target if ours else otherwise})
