"""The admin API of a bridge without trunks and rooms; every answer is held against the OpenAPI description."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from bridge.app.added_entries import AddedEntries
from bridge.app.admin_desk import BridgeAdminDesk
from bridge.app.console_desk import ConsoleDesk
from bridge.app.live_plan import LivePlan
from bridge.app.plan import limits
from bridge.app.trunk_service import TrunkService
from bridge.config import load_config
from bridge.core.clock import Clock, SystemClock
from bridge.core.ids import TrunkName
from bridge.ops.admin.api import ROOT, AdminApi, AdminParts, description
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.server import Heartbeat, OpsServer
from bridge.sip.user_agent import TrunkStanding
from bridge.store.traces.reader import TraceReader
from tests.app.stage import Stage
from tests.stores import open_store

TOKEN, WHO = "a-token-for-programs-0123456789abcdef", "provisioning"
LIMIT = aiohttp.ClientTimeout(total=10)
TOKENS = {"TRUNKLINE_AS_TOKEN": "a" * 32, "TRUNKLINE_HS_TOKEN": "h" * 32}
SECTIONS: Mapping[str, Any] = {
    "homeserver": {"url": "http://127.0.0.1:8008", "server_name": "example.org"},
    "trunks": {
        "carrier": {"server": "sip.example.net", "rates": {"+1": "0.01"}, "forwards": True, "caller_id": "+15550199"},
        "pbx": {"server": "pbx.example.net"},
    },
    "numbers": {"inbound": {"+15550100": "@alice:example.org"}},
    "permissions": {
        "outbound": [{"who": ["@alice:example.org"], "prefixes": ["+1555"], "trunk": "carrier"}],
        "limits": [{"who": ["example.org"], "day_minutes": 60, "month_cost": "10.00", "calls_at_once": 2}],
        "currency": "EUR",
    },
}
DESCRIPTION = description()
_REGISTRY: Registry[Any] = Registry().with_resource("urn:openapi", DRAFT202012.create_resource(DESCRIPTION))


class StandingTrunks:
    """As much of the SIP endpoint as the console asks for."""

    def trunk_standing(self, trunk: TrunkName) -> TrunkStanding:
        return TrunkStanding(registered=True)


@dataclass(slots=True, kw_only=True)
class House:
    """What a test has of it."""

    stage: Stage
    live: LivePlan
    entries: AddedEntries
    desk: BridgeAdminDesk
    telemetry: PrometheusTelemetry
    session: aiohttp.ClientSession
    seen: set[tuple[str, str, int]] = field(default_factory=set)
    """Methods, paths of the description and statuses of all answers."""

    tag: str = ""
    """The entity tag of the last answer, in quotes."""

    async def ask(
        self,
        method: str,
        path: str,
        *names: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """`path` is one of the description; what its braces stand for follows."""
        parts = iter(names)
        filled = "/".join(quote(next(parts), safe="") if "{" in part else part for part in path.split("/"))
        content = {} if body is None else {"json": body}
        async with self.session.request(
            method,
            ROOT + filled,
            params=query or {},
            headers=headers,
            **content,  # type: ignore[arg-type]
        ) as answer:
            text, self.tag = await answer.text(), answer.headers.get("ETag", "")
            document = json.loads(text) if text else None
            assert answer.headers["Cache-Control"] == "no-store"
            check(method, path, answer.status, answer.content_type, document)
            self.seen.add((method, path, answer.status))
            return answer.status, document

    async def put(self, path: str, *names: str, **body: object) -> tuple[int, Any]:
        """Set something."""
        return await self.ask("PUT", path, *names, body=body)

    async def get(self, path: str, *names: str, **query: str) -> Any:
        """Read something that is there."""
        status, document = await self.ask("GET", path, *names, query=query)
        assert status == 200, document
        return document


def check(method: str, path: str, status: int, content_type: str, document: object) -> None:
    """Whether an answer is one that the description has, and looks as it says."""
    responses = DESCRIPTION["paths"][path][method.lower()]["responses"]
    response = responses.get(str(status)) or (responses["default"] if status >= 400 else None)
    assert response is not None, f"{method} {path} is not described to answer {status}"
    if "$ref" in response:
        response = DESCRIPTION["components"]["responses"][response["$ref"].rpartition("/")[2]]
    if "content" not in response:
        assert document is None
        return
    schema = response["content"][content_type]["schema"]
    inside = {"$id": "urn:openapi", **DESCRIPTION, **schema}
    validator = Draft202012Validator(inside, registry=_REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(document)


@asynccontextmanager
async def open_house(
    directory: Path,
    *,
    sections: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
    token: str = TOKEN,
    traces: Path | None = None,
) -> AsyncIterator[House]:
    """A store, a plan and the API on a port of its own."""
    clock = clock or SystemClock()
    file = directory / "trunkline.yaml"
    file.write_text(yaml.safe_dump({**SECTIONS, **(sections or {})}, sort_keys=False))
    config = load_config(file, TOKENS)
    live, store = LivePlan(config), await open_store(directory / "store.sqlite3")
    stage = Stage(store=store, limits=limits(config))
    turn = stage.settings.turn
    entries = AddedEntries(live, store.admin_entries, turn)
    stage.switchboard.service = TrunkService(live.trunks, store.trunks_out, turn)
    await stage.settings.load()
    await entries.load()
    console = ConsoleDesk(
        config=live.config,
        switchboard=stage.switchboard,
        sip=StandingTrunks(),  # type: ignore[arg-type]
        meter=stage.meter,
        clock=clock,
    )
    desk = BridgeAdminDesk(
        live=live,
        entries=entries,
        settings=stage.settings,
        meter=stage.meter,
        console=console,
        traces=TraceReader(traces) if traces is not None else None,
    )
    telemetry = PrometheusTelemetry(trunks=tuple(config.trunks), version="1", strict=True)
    api = AdminApi(
        AdminParts(
            tokens={WHO: TOKEN},
            desk=desk,
            changes=store.admin_changes,
            turn=turn,
            clock=clock,
            telemetry=telemetry,
        )
    )
    heartbeat = Heartbeat(clock=clock, telemetry=telemetry)
    server = OpsServer(telemetry=telemetry, heartbeat=heartbeat, checks={}, admin=api)
    port = await server.start("127.0.0.1", 0)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers, timeout=LIMIT) as session:
            yield House(stage=stage, live=live, entries=entries, desk=desk, telemetry=telemetry, session=session)
    finally:
        await server.stop()
        await stage.switchboard.shut_down(2.0)
        await store.close()
