"""What costs money, and who would like to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bridge.core.ids import UserId
from tests.clients.house import SERVER_NAME
from tests.e2e.alerts.callers import Callers, callers
from tests.e2e.alerts.place import Place
from tests.peers.process import LOOPBACK
from tests.sip.phone import answer_at_once, ring

THRIFTY = UserId(f"@thrifty:{SERVER_NAME}")
_TOKEN = "the-token-of-console-and-program"
_DAY_MINUTES = 24 * 60.0
_RATES = {"rates": {"+1555": "1.00"}}
_SUSPICIOUS = 3
"""Numbers in a row."""


async def calls_cost_more_than_in_a_day(scene: Callers) -> None:
    """A call a day or so for more than a week, and then several within the hour."""
    await scene.call(answer_at_once, times=8)
    await scene.story.passes(8 * _DAY_MINUTES, title="eight days with a call each")
    await scene.call(answer_at_once, times=4)
    await scene.story.passes(60, "SpendsFast", title="four calls in an hour")
    await scene.story.passes(_DAY_MINUTES)


async def a_limit_is_reached(scene: Callers) -> None:
    """The first minute would cost more than the user may spend in a day."""
    await scene.all_call(ring, [await scene.user(who=THRIFTY)])
    await scene.story.passes(20, "LimitReached", title="a user is out of money")
    await scene.story.passes(60)


async def somebody_dials_number_after_number(scene: Callers) -> None:
    """As a program does that calls a whole range."""
    thief = await scene.user()
    rooms = [await scene.user(f"+1555020{digit}", who=thief.user_id) for digit in range(_SUSPICIOUS)]
    await scene.all_call(ring, rooms)
    await scene.story.passes(20, "UserSuspended", title="a range of numbers is dialled")
    await scene.story.passes(60)


async def somebody_guesses_a_token(scene: Callers) -> None:
    """That of the console, also on its login page; that of a program; that of the homeserver."""
    ops = f"http://{LOOPBACK}:{scene.house.bridge.ops_port}"
    appservice = f"{scene.house.homeserver.appservice_url}/_matrix/app/v1/transactions/1"
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{ops}/console/login", data={"token": "guess"}) as answer:
            assert answer.status == 403
        await _send_guesses(session, "GET", f"{ops}/console", 401, 429)
        await _alerted(scene, "console")
        await _send_guesses(session, "GET", f"{ops}/admin/v1/numbers", 401, 429)
        await _alerted(scene, "admin API")
        await _send_guesses(session, "PUT", appservice, 403)
        await _alerted(scene, "homeserver")


async def _send_guesses(session: aiohttp.ClientSession, method: str, address: str, *refusals: int) -> None:
    for number in range(60):
        guess = {"Authorization": f"Bearer guess{number}"}
        async with session.request(method, address, headers=guess) as answer:
            assert answer.status in refusals


async def _alerted(scene: Callers, what: str) -> None:
    await scene.story.passes(20, "TokenGuessed", title=f"somebody tries tokens: {what}")
    await scene.story.passes(60)


@asynccontextmanager
async def _priced(directory: Path) -> AsyncIterator[Callers]:
    async with callers(directory, _RATES, step_s=1800) as scene:
        yield scene


@asynccontextmanager
async def _guarded(directory: Path) -> AsyncIterator[Callers]:
    permissions = {
        "currency": "EUR",
        "limits": [{"who": [THRIFTY], "day_cost": "0.50"}],
        "suspension": {"sequential": _SUSPICIOUS},
    }
    (directory / "admin.token").write_text(_TOKEN)
    ops = {"console": {"token": _TOKEN}, "admin": {"tokens": {"program": "admin.token"}}}
    # Why a call is refused is spoken, to clients that connect.
    media = {"connect_timeout_s": 1.0}
    async with callers(directory, _RATES, permissions=permissions, ops=ops, media=media) as scene:
        yield scene


SPENDING = Place(name="spending", opened=_priced, causes={"SpendsFast": calls_cost_more_than_in_a_day})
ABUSE = Place(
    name="abuse",
    opened=_guarded,
    causes={
        "LimitReached": a_limit_is_reached,
        "UserSuspended": somebody_dials_number_after_number,
        "TokenGuessed": somebody_guesses_a_token,
    },
)
