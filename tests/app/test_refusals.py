"""Every refusal: a verdict of its own, counted by it, recorded with it, and told to whoever is refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.app import user_settings
from bridge.app.bot_desk import BotDesk
from bridge.app.history import History
from bridge.app.people import People
from bridge.app.reporting import Reporting
from bridge.bot import commands as said
from bridge.bot import replies
from bridge.calls import outcomes
from bridge.core.ids import DialogKey, SipCallId, TrunkName, UserId
from bridge.core.verdict import Result, Verdict
from bridge.numbers import limits, refusals
from bridge.numbers.limits import Cap
from bridge.numbers.money import Tariff
from bridge.numbers.permission import Permission
from bridge.ops.records import CallRecords
from bridge.sip.events import IncomingCall, IncomingRefused
from bridge.store.spending import StoredSuspension
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, BOB, PHONE, ROOM, TRUNK
from tests.app.stage import Stage
from tests.app.test_spending import CENT, limited, talk

Scene = Callable[[Stage], Awaitable[None]]
MOBILE = "+15550122"


def all_of(module: object) -> dict[str, Verdict]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Verdict)}


REFUSALS = {**all_of(refusals), **all_of(limits), **all_of(user_settings)}


def dials(number: str, **settings: Any) -> Scene:
    """Alice calls a number, with these settings."""

    async def scene(stage: Stage) -> None:
        for name, value in settings.items():
            setattr(stage, name, value)
        stage.__post_init__()
        stage.matrix.members = {ROOM: frozenset({ALICE, UserId(f"@_sip_{number}:example.org")})}
        await stage.invite()

    return scene


def limit(calls: int = 0, **caps: object) -> Scene:
    """Alice calls within these limits, after so many calls that go on."""

    async def scene(stage: Stage) -> None:
        limited(stage, **caps)
        for number in range(calls):
            await talk(stage, f"call {number}")
        await stage.invite("one more")

    return scene


async def without_a_price(stage: Stage) -> None:
    limited(stage, day=Cap(cost=CENT))
    stage.tariff = Tariff(per_minute={"+49": CENT})
    stage.__post_init__()
    await stage.invite()


async def suspended(stage: Stage) -> None:
    await stage.store.suspensions.put(StoredSuspension(user_id=ALICE, reason="sequential", until=2e10))
    await stage.meter.load()
    await stage.invite()


def anyone(*prefixes: str, who: UserId = ALICE, trunk: str | None = None) -> tuple[Permission, ...]:
    return (Permission(who=(who,), prefixes=prefixes, trunk=TrunkName(trunk) if trunk else None),)


CALLS_OUT: dict[str, Scene] = {
    "NOT_PERMITTED": dials("+442079460018"),
    "COSTLY_NUMBER": dials("+881612345678", permissions=anyone("+")),
    "OUTBOUND_IS_OFF": dials(PHONE, permissions=anyone("+", who=BOB)),
    "NO_NUMBER": dials("alice"),
    "NO_TRUNK": dials(PHONE, permissions=anyone("+", trunk="gone")),
    "NO_EMERGENCY_CALLS": dials("112"),
    "LIMIT_REACHED": limit(day=Cap(seconds=0.5)),
    "CALLS_AT_ONCE": limit(1, calls_at_once=1),
    "TOO_MANY_ATTEMPTS": limit(1, attempts_per_minute=1),
    "NO_PRICE": without_a_price,
    "SUSPENDED": suspended,
}
CALLS_IN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "UNKNOWN_NUMBER": ({}, {"called": "+15559999"}),
    "DO_NOT_DISTURB": ({"do_not_disturb": True}, {}),
    "OUT_OF_HOURS": ({"hours": "mon 0:00-0:01"}, {}),
    "FORWARDED": ({"forward": MOBILE}, {}),
    "ANONYMOUS": ({"refuses_anonymous": True}, {"caller": ""}),
    "BLOCKED": ({}, {}),
}
"""What the called user has set, and how the call is."""
BOT = ("NO_FORWARDING", "FORWARDED_TO_SELF", "NO_UNMETERED_CALLS")
"""No calls: what the bot is asked for."""


class Recorded(Stage):
    """A stage that writes call records."""

    reporting: Reporting

    async def _on_finished(self, live: Any, verdict: Verdict) -> None:
        await super()._on_finished(live, verdict)
        await self.reporting.finished(live, verdict)


@asynccontextmanager
async def recorded(tmp_path: Path) -> AsyncIterator[tuple[Stage, Path]]:
    """A stage, and the file of its call records."""
    file = tmp_path / "records.jsonl"
    async with open_stage(tmp_path, kind=Recorded) as stage:
        assert isinstance(stage, Recorded)
        records = CallRecords(file, telemetry=stage.telemetry)
        history = History(stage.store, days=0, clock=stage.clock)
        stage.reporting = Reporting(records=records, history=history, clock=stage.clock, telemetry=stage.telemetry)
        writing = asyncio.create_task(records.run())
        yield stage, file
        records.stop()
        await writing


def counted(stage: Stage, verdict: Verdict) -> float:
    samples = [sample for metric in stage.telemetry.registry.collect() for sample in metric.samples]
    return sum(
        sample.value
        for sample in samples
        if sample.name == "trunkline_calls_total"
        and (sample.labels["reason"], sample.labels["result"]) == (verdict.reason, verdict.result)
    )


def test_no_refusal_is_left_out() -> None:
    assert set(REFUSALS) == {*CALLS_OUT, *CALLS_IN, *BOT}


@pytest.mark.parametrize("name", CALLS_OUT)
async def test_a_refused_call_of_a_user_has_a_verdict_a_metric_a_record_and_a_sentence(
    tmp_path: Path, name: str
) -> None:
    async with recorded(tmp_path) as (stage, file):
        await CALLS_OUT[name](stage)
        await stage.settle()
        (_, verdict) = stage.finished[-1]
        assert replace(verdict, user_text=None) == replace(REFUSALS[name], user_text=None)
        assert verdict.result is Result.SERVER if name == "NO_TRUNK" else verdict.result is Result.POLICY
        assert counted(stage, verdict) == 1
        record = json.loads(file.read_text().splitlines()[-1])
        assert (record["reason"], record["result"], record["duration_s"]) == (verdict.reason, verdict.result, 0)
        assert stage.matrix.content("m.call.reject")["call_id"]
        assert verdict.user_text
        assert stage.matrix.content("m.room.message")["body"] == verdict.user_text


@pytest.mark.parametrize("name", CALLS_IN)
async def test_a_refused_call_of_a_phone_has_a_verdict_a_metric_a_record_and_a_response(
    tmp_path: Path, name: str
) -> None:
    settings, call = CALLS_IN[name]
    async with recorded(tmp_path) as (stage, file):
        await stage.settings.change(ALICE, **settings)
        if name == "BLOCKED":
            await stage.settings.block(ALICE, PHONE)
        await stage.incoming(**call)
        verdict = REFUSALS[name]
        assert [verdict for _, verdict in stage.finished] == [verdict]
        assert counted(stage, verdict) == 1
        assert json.loads(file.read_text())["reason"] == verdict.reason
        assert stage.sip.commands[-1][:3] == ("reject", "in-1", verdict.sip_status)


@pytest.mark.parametrize("limit", outcomes.OF_TRUNK_LIMITS)
async def test_a_call_that_a_limit_of_its_trunk_keeps_out_has_a_verdict_a_metric_and_a_record(
    tmp_path: Path, limit: str
) -> None:
    verdict = outcomes.OF_TRUNK_LIMITS[limit]
    async with recorded(tmp_path) as (stage, file):
        call = IncomingCall(
            dialog=DialogKey("in-1"), trunk=TRUNK, sip_call_id=SipCallId("abc"), called="+15550199", caller=PHONE
        )
        stage.sip_intake.handle(IncomingRefused(limit=limit, call=call))
        await stage.settle()
        assert [verdict for _, verdict in stage.finished] == [verdict]
        assert counted(stage, verdict) == 1
        record = json.loads(file.read_text())
        said = [record[name] for name in ("reason", "result", "sip_status", "sip_call_id", "ended_by")]
        assert said == [limit, "policy", verdict.sip_status, "abc", "bridge"]
        assert stage.sip.commands == []
        assert not stage.switchboard.directory


@pytest.mark.parametrize("name", BOT)
async def test_what_the_bot_is_refused_is_explained(tmp_path: Path, name: str) -> None:
    async with recorded(tmp_path) as (stage, _):
        stage.permissions = anyone("+1555")
        if name == "NO_UNMETERED_CALLS":
            limited(stage, day=Cap(seconds=60))
        stage.__post_init__()
        trunks = [trunk for trunk in stage.plan.trunks if name != "NO_FORWARDING" or not trunk.forwards]
        plan = replace(stage.plan, trunks=tuple(trunks))
        people = await People.load(
            stage.store,
            history_days=0,
            forwards=stage.forwards,
            clock=stage.clock,
            name_of=lambda number: None,
            turn=stage.settings.turn,
        )
        desk = BotDesk(
            plan=lambda: plan,
            trunk_up=lambda trunk: True,
            rooms=stage.matrix,  # type: ignore[arg-type]
            directory=stage.switchboard.directory,
            people=people,
            meter=stage.meter,
        )
        number = "+15550199" if name == "FORWARDED_TO_SELF" else MOBILE
        assert await desk.do(ALICE, said.Forward(number=number)) == REFUSALS[name].user_text != replies.FAILED
