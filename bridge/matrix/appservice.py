"""The application-service API: what the homeserver calls us for."""

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from bridge.core.addresses import why_not_bound
from bridge.core.errors import TrunklineError
from bridge.core.http import HttpLimits, HttpServer
from bridge.core.ids import UserId
from bridge.core.telemetry import Telemetry
from bridge.matrix.envelope import NotJsonError, load_json
from bridge.matrix.receiver import Receiver
from bridge.matrix.routes import Endpoint, Route, find_route, query_values
from bridge.matrix.settings import MatrixSettings
from bridge.matrix.thirdparty import ThirdParty, protocol
from bridge.store import StoreError

_log = structlog.get_logger()

_MAX_BODY = 16 * 1024 * 1024
"""A hundred events of 64 KiB and their wrapping; a transaction refused for its size would come again for ever."""
_LIMITS = HttpLimits(
    connections=128,
    # Longer than a homeserver keeps an unused connection (Synapse: 120 s): it must never send into one that we close.
    idle_s=150.0,
    # What is not answered when we stop comes again.
    shutdown_s=0.5,
    # Transaction ids are opaque and may be long; aiohttp's default would refuse them with the whole transaction.
    line_length=65536,
)


class _Answer(Exception):  # noqa: N818 - an answer is no error of ours
    """An answer other than success, from wherever it was understood."""

    def __init__(self, status: int, errcode: str, message: str) -> None:
        super().__init__(errcode)
        self.status = status
        self.body = {"errcode": errcode, "error": message}


class ListenError(TrunklineError):
    """The address for the homeserver cannot be had; the text is for the admin."""


class AppService:
    """The HTTP server. `start` binds it."""

    def __init__(
        self, settings: MatrixSettings, *, receiver: Receiver, third_party: ThirdParty, telemetry: Telemetry
    ) -> None:
        self._settings = settings
        self._receiver = receiver
        self._third_party = third_party
        self._telemetry = telemetry
        self._prefix = urlsplit(settings.appservice_url).path.rstrip("/")
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._http = HttpServer(app, name="matrix_appservice", limits=_LIMITS, telemetry=telemetry)
        self._refusing = False
        self.address: tuple[str, int] = (settings.listen_host, settings.listen_port)

    async def start(self) -> None:
        """Bind and serve. Raises `ListenError` when the address cannot be had."""
        host, port = self._settings.listen_host, self._settings.listen_port
        try:
            self.address = await self._http.start(host, port)
        except OSError as error:
            raise ListenError(f"appservice.listen: cannot listen on {host}:{port}: {why_not_bound(error)}") from error

    async def stop(self) -> None:
        """Take no more requests; those at work are finished."""
        await self._http.stop()

    def refuse_transactions(self) -> None:
        """Acknowledge no more, for nobody would work on it: the homeserver keeps it for the next process."""
        self._refusing = True

    async def _serve(self, request: web.Request) -> web.Response:
        raw_path, _, raw_query = request.raw_path.partition("?")
        try:
            route = self._route(request.method, raw_path)
            self._authorise(request, raw_query)
            return web.json_response(await self._answer(request, route, raw_query))
        except _Answer as answer:
            return web.json_response(answer.body, status=answer.status)
        except web.HTTPRequestEntityTooLarge:
            return web.json_response({"errcode": "M_TOO_LARGE", "error": "the body is too large"}, status=413)
        except Exception:
            self._telemetry.count("internal_errors_total", component="matrix_appservice")
            _log.exception("request_failed", method=request.method)
            return web.json_response({"errcode": "M_UNKNOWN", "error": "internal error"}, status=500)

    def _route(self, method: str, raw_path: str) -> Route:
        if not raw_path.startswith(f"{self._prefix}/"):
            raise _Answer(404, "M_UNRECOGNIZED", "unknown path")
        route = find_route(raw_path.removeprefix(self._prefix))
        if route is None:
            raise _Answer(404, "M_UNRECOGNIZED", "unknown path")
        if route.method != method:
            raise _Answer(405, "M_UNRECOGNIZED", "unknown method")
        return route

    def _authorise(self, request: web.Request, raw_query: str) -> None:
        """The token of the header, or of older homeservers' query; with both, both must be right."""
        offered = query_values(raw_query, "access_token")
        header = request.headers.get("Authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            offered.append(token.strip() if scheme.lower() == "bearer" else "")
        if not any(offered):
            self._telemetry.count("matrix_txn_total", outcome="rejected")
            raise _Answer(401, "M_MISSING_TOKEN", "no access token")
        if not all(map(self._matches, offered)):
            self._telemetry.count("matrix_txn_total", outcome="rejected")
            self._telemetry.count("wrong_tokens_total", at="appservice")
            _log.warning("token_rejected", method=request.method)
            raise _Answer(403, "M_FORBIDDEN", "wrong access token")

    def _matches(self, token: str) -> bool:
        """In constant time, and as bytes: `compare_digest` refuses strings that are not ASCII."""
        return hmac.compare_digest(token.encode("utf-8", errors="surrogateescape"), self._settings.hs_token.encode())

    async def _answer(self, request: web.Request, route: Route, raw_query: str) -> Any:
        match route.endpoint:
            case Endpoint.TRANSACTION:
                return await self._transaction(request, route.argument)
            case Endpoint.PING:
                return await self._ping(request)
            case Endpoint.USER:
                return await self._user(route.argument)
            case Endpoint.ROOM_ALIAS:
                raise _Answer(404, "M_NOT_FOUND", "no such room")
            case Endpoint.PROTOCOL:
                return _found(protocol(route.argument, sip_lookups=self._settings.sip_lookups))
            case Endpoint.THIRD_PARTY_USERS:
                return await self._third_party.users(route.argument, lambda name: _first(raw_query, name))
            case Endpoint.THIRD_PARTY_USER_REVERSE:
                return self._third_party.reverse(_first(raw_query, "userid"))
            case Endpoint.LOCATIONS | Endpoint.LOCATION_REVERSE:
                return []

    async def _transaction(self, request: web.Request, txn_id: str) -> Mapping[str, object]:
        body = await self._body(request)
        if self._refusing:
            raise _Answer(503, "M_UNKNOWN", "transactions are not worked on at present")
        try:
            await self._receiver.accept(txn_id, body)
        except NotJsonError as error:
            self._telemetry.count("matrix_txn_total", outcome="rejected")
            _log.error("transaction_was_not_json", txn_id=txn_id[:64], size=len(body))
            raise _Answer(400, "M_NOT_JSON", str(error)) from error
        except StoreError as error:
            # Not acknowledged, so it comes again.
            _log.error("transaction_not_stored", txn_id=txn_id[:64], reason=str(error))
            raise _Answer(503, "M_UNKNOWN", "the transaction could not be stored") from error
        return {}

    async def _ping(self, request: web.Request) -> Mapping[str, object]:
        try:
            load_json(await self._body(request) or b"{}")
        except NotJsonError as error:
            raise _Answer(400, "M_NOT_JSON", str(error)) from error
        return {}

    async def _user(self, user_id: str) -> Mapping[str, object]:
        """The homeserver has met a user in our namespace and waits for it to exist."""
        known = self._third_party.reverse(user_id)
        if not known or not await self._third_party.make_known(UserId(user_id)):
            raise _Answer(404, "M_NOT_FOUND", "no such user")
        return {}

    async def _body(self, request: web.Request) -> bytes:
        try:
            return await self._http.read_body(request)
        except TimeoutError as error:
            raise _Answer(408, "M_UNKNOWN", "the body took too long") from error
        except web.RequestPayloadError as error:
            raise _Answer(400, "M_NOT_JSON", "the body cannot be decoded") from error
        except ConnectionError as error:
            # Nobody hears this: the homeserver is gone in the middle of its request, and repeats it.
            raise _Answer(400, "M_NOT_JSON", "the body broke off") from error


def _first(raw_query: str, name: str) -> str:
    return next(iter(query_values(raw_query, name)), "")


def _found(document: Any) -> Any:
    if document is None:
        raise _Answer(404, "M_NOT_FOUND", "no such protocol")
    return document
