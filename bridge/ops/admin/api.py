"""The admin API over HTTP: who may ask, what a request is, and how an answer looks."""

import importlib.resources
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog
import yaml
from aiohttp import web

from bridge.core.clock import Clock
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.core.turn import Turn
from bridge.ops.admin.desk import AdminDesk, Document
from bridge.ops.admin.preconditions import is_known, require, tag_of
from bridge.ops.admin.problems import CONTENT_TYPE, Problem
from bridge.ops.admin.requests import read_body
from bridge.ops.admin.routes import Action, Asked, Reply, Routes
from bridge.ops.admin.trail import Trail
from bridge.ops.tokens import BLOCK_S, Tokens, TooManyGuesses, bearer
from bridge.store.administration import ChangeTable
from bridge.store.database import StoreError

ROOT = "/admin/v1"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_MAX_NAME = 255
_WITH_BODY = ("PUT",)

_log = structlog.get_logger(__name__)


def description() -> Document:
    """The OpenAPI description."""
    text = importlib.resources.files(__package__).joinpath("openapi.yaml").read_text(encoding="utf-8")
    document: Document = yaml.safe_load(text)
    return document


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminParts:
    """What an API is made of."""

    tokens: Mapping[str, str]
    """By the name that the trail has of whoever holds one."""
    desk: AdminDesk
    changes: ChangeTable
    turn: Turn
    """For every change, also of those who change the same in other ways: the bot's users, and the console."""
    clock: Clock
    telemetry: Telemetry


class AdminApi:
    """`add_to` an application. Whoever has no token learns nothing, not even which paths there are."""

    def __init__(self, parts: AdminParts) -> None:
        self._tokens = Tokens(parts.tokens, parts.clock, parts.telemetry, at="admin")
        self._telemetry = parts.telemetry
        self._trail = Trail(table=parts.changes, clock=parts.clock)
        self.routes = Routes(parts.desk, self._trail, description())
        self._turn = parts.turn

    def add_to(self, application: web.Application) -> None:
        """Serve everything under `/admin`."""
        for path, actions in self.routes.table.items():
            application.router.add_route("*", ROOT + path, self._answering(path, actions))
        application.router.add_route("*", "/admin/{rest:.*}", self._answering("", {}))

    def _answering(
        self, path: str, actions: Mapping[str, Action]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            response = await self._answer(request, path, actions)
            response.headers.update(_HEADERS)
            self._telemetry.count("admin_requests_total", status=f"{response.status // 100}xx")
            return response

        return answer

    async def _answer(self, request: web.Request, path: str, actions: Mapping[str, Action]) -> web.Response:
        try:
            who = self._who(request)
            if request.method not in actions:
                raise _nothing_there(actions)
            name = _name(request)
            if request.method == "GET":
                reply = await self._read(request, actions, name)
            else:
                reply = await self._change(request, path, actions, name, who)
        except Problem as problem:
            return _refused(problem)
        except StoreError as error:
            return _refused(Problem(503, str(error)))
        except Exception:
            self._telemetry.count("internal_errors_total", component="ops")
            _log.exception("admin_request_failed", path=path)
            return _refused(Problem(500, "this is a bug; the log has more"))
        headers = {"ETag": f'"{reply.tag}"'} if reply.tag else {}
        if reply.document is None:
            return web.Response(status=reply.status, headers=headers)
        return web.json_response(reply.document, status=reply.status, headers=headers)

    def _who(self, request: web.Request) -> str:
        try:
            who = self._tokens.owner(bearer(request.headers.get("Authorization", "")) or "", request.remote or "")
        except TooManyGuesses as error:
            _log.warning("admin_guesses_limited", peer=Pii(request.remote or ""))
            wait = {"Retry-After": str(int(BLOCK_S))}
            raise Problem(429, "Too many attempts. Wait half a minute, then try again.", headers=wait) from error
        if who is None:
            _log.warning("admin_request_refused", peer=Pii(request.remote or ""))
            raise Problem(401, "This needs a token.", headers={"WWW-Authenticate": 'Bearer realm="trunkline"'})
        return who

    async def _read(self, request: web.Request, actions: Mapping[str, Action], name: str) -> Reply:
        """What can be set has a tag, by which a change can be meant for what was read."""
        reply = await actions["GET"](Asked(name=name, query=request.query))
        if "PUT" not in actions or reply.document is None:
            return reply
        tag = tag_of(reply.document)
        return Reply(tag=tag, known=True) if is_known(request, tag) else replace(reply, tag=tag)

    async def _change(
        self, request: web.Request, path: str, actions: Mapping[str, Action], name: str, who: str
    ) -> Reply:
        """One at a time, so that what a program means to change cannot become another thing meanwhile.

        Written down before it is done, so that a crash leaves no change that nobody knows of; what comes of it, after.
        """
        body = await read_body(request) if request.method in _WITH_BODY else {}
        async with self._turn.taken():
            begun = await self._trail.begin(who=who, action=f"{request.method} {path}", subject=name, body=body)
            status = 500
            try:
                # What is refused on any condition is refused for that, and no condition looked at (RFC 9110 §13.2.1).
                self.routes.targets[path][request.method](name)
                require(request, await self._current(actions, name))
                reply = await actions[request.method](Asked(name=name, body=body))
                status = reply.status
            except Problem as problem:
                status = problem.status
                raise
            except StoreError:
                status = 503
                raise
            finally:
                await self._trail.end(begun, status=status)
        return reply

    async def _current(self, actions: Mapping[str, Action], name: str) -> str | None:
        """The tag of what is there; nothing for what has no versions."""
        if "GET" not in actions:
            return None
        try:
            reply = await actions["GET"](Asked(name=name))
        except Problem:
            return None
        return tag_of(reply.document or {})


def _name(request: web.Request) -> str:
    """What stands between the braces of a path."""
    name = next(iter(request.match_info.values()), "")
    if len(name) > _MAX_NAME or not name.isprintable():
        raise Problem(404, "There is nothing of that name.")
    return name


def _nothing_there(actions: Mapping[str, Action]) -> Problem:
    if not actions:
        return Problem(404, "There is nothing here.")
    return Problem(405, "That cannot be done here.", headers={"Allow": ", ".join(actions)})


def _refused(problem: Problem) -> web.Response:
    return web.json_response(
        problem.document(), status=problem.status, content_type=CONTENT_TYPE, headers=problem.headers
    )
