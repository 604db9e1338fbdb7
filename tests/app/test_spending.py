"""What calls may cost: the user is refused, warned and told, the books are kept, and fraud is stopped."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.app.cash_book import UNSEEN_S
from bridge.app.live_call import LiveCall
from bridge.app.recovery import end_left_over_calls
from bridge.app.suspensions import SuspensionRule
from bridge.calls import media_events as medev
from bridge.calls.state import State
from bridge.core.ids import DialogKey, UserId
from bridge.core.verdict import Verdict
from bridge.numbers import ledger, limits
from bridge.numbers.dial_plan import DialRule
from bridge.numbers.ledger import SLICE_S
from bridge.numbers.limits import Cap, Limit
from bridge.numbers.money import Tariff
from bridge.numbers.permission import Permission
from bridge.sip.events import CallAnswered, CallEnded, CallFailed, CallProgress, ReferralProgress
from bridge.store.spending import StoredUse
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, PBX, PHONE, ROOM, TRUNK
from tests.app.stage import NOBODY_IS_SUSPECTED, Stage
from tests.app.test_handovers import leave, placed, talking, wish
from tests.app.test_transfers import referred
from tests.clock import ManualClock
from tests.patience import PATIENCE_S

CENT = 10_000
TEN_CENTS = Tariff(per_minute={"+1555": 10 * CENT})
NOON = 1_700_049_600.0


def limited(stage: Stage, **caps: object) -> None:
    stage.limits = (Limit(**{"who": ("example.org",), **caps}),)  # type: ignore[arg-type]
    stage.tariff = TEN_CENTS
    stage.__post_init__()


async def call(stage: Stage, call_id: str = "call") -> DialogKey:
    """Alice dials; gives the dialog if the phone is called."""
    before = len(stage.sip.commands)
    await stage.invite(call_id)
    return DialogKey(f"out-{before + 1}")


async def talk(stage: Stage, call_id: str = "call") -> DialogKey:
    dialog = await call(stage, call_id)
    stage.sip_intake.handle(CallProgress(dialog=dialog, status=180))
    stage.sip_intake.handle(CallAnswered(dialog=dialog, sdp="phone answer"))
    await stage.settle()
    return dialog


async def hang_up(stage: Stage, call_id: str = "call") -> None:
    await stage.event("m.call.hangup", {"call_id": call_id, "version": "1", "party_id": "LAPTOP"})


async def until(stage: Stage, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await stage.settle()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("caps", "calls", "verdict"),
    [
        ({"day": Cap(cost=9 * CENT)}, 0, limits.spent(limits.Span.DAY)),
        ({"month": Cap(seconds=0.5)}, 0, limits.spent(limits.Span.MONTH)),
        ({"calls_at_once": 1}, 1, limits.CALLS_AT_ONCE),
        ({"attempts_per_minute": 2}, 2, limits.TOO_MANY_ATTEMPTS),
    ],
)
async def test_a_refusal_has_a_verdict_a_metric_a_reject_and_a_sentence(
    stage: Stage, caps: dict[str, object], calls: int, verdict: Verdict
) -> None:
    limited(stage, **caps)
    for number in range(calls):
        await talk(stage, f"call {number}")
    invited = stage.sip.names().count("invite")
    await call(stage, "one more")
    assert stage.sip.names().count("invite") == invited
    assert [verdict for _, verdict in stage.finished] == [verdict]
    assert stage.matrix.content("m.call.reject")["call_id"] == "one more"
    assert stage.matrix.content("m.room.message")["body"] == verdict.user_text


async def test_a_call_is_warned_ended_on_both_sides_and_explained(stage: Stage) -> None:
    limited(stage, call=Cap(seconds=1.2))
    dialog = await talk(stage)
    await until(stage, lambda: bool(stage.finished))
    assert stage.reasons() == ["limit_reached"]
    assert ("bye", dialog) in stage.sip.commands
    assert stage.matrix.content("m.call.hangup")["reason"] == "unknown_error"
    warning, end = (content["body"] for content in stage.matrix.contents("m.room.message"))
    assert warning.startswith("This call will be ended in about")
    assert end == limits.spent(limits.Span.CALL).user_text


async def test_what_was_used_is_on_disk_while_the_call_goes_on_and_holds_in_the_next_process(stage: Stage) -> None:
    limited(stage, day=Cap(cost=20 * CENT))
    await talk(stage)
    (use,) = await stage.store.spending.since("")
    assert (use.account, use.seconds, use.cost) == (ALICE, SLICE_S, 10 * CENT)
    again = Stage(store=stage.store, limits=(Limit(who=(ALICE,), day=Cap(cost=10 * CENT)),), tariff=TEN_CENTS)
    await again.meter.load()
    await call(again)
    assert again.reasons() == ["limit_reached"]
    assert again.sip.commands == []


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_shared_limit_that_is_used_up_stays_so_when_its_users_change(stage: Stage, restarted: bool) -> None:
    bob, carol = UserId("@bob:example.org"), UserId("@carol:example.org")
    limited(stage, who=(ALICE, bob), together=True, day=Cap(cost=10 * CENT))
    await talk(stage)
    await hang_up(stage)
    edited = (Limit(who=(carol, bob, ALICE), together=True, day=Cap(cost=10 * CENT)),)
    again = Stage(store=stage.store, limits=edited, tariff=TEN_CENTS) if restarted else stage
    if restarted:
        await again.meter.load()
    else:
        again.meter.change_rules(edited, NOBODY_IS_SUSPECTED, SuspensionRule())
    await call(again, "another")
    assert again.reasons()[-1] == "limit_reached"
    books = {book.account: book.day.cost for book in again.meter.cash_book.books(limit=9)}
    assert books == {ALICE: 10 * CENT, f"{ALICE} {bob} {carol}": 10 * CENT}


async def test_what_no_limit_adds_up_any_more_is_forgotten(stage: Stage) -> None:
    await stage.store.spending.add([StoredUse(account=ALICE, day="2026-01-31", seconds=60.0, cost=CENT)])
    await stage.meter.cash_book.forget_old()
    assert await stage.store.spending.since("") == ()


async def test_a_call_that_nobody_answers_uses_nothing(stage: Stage) -> None:
    limited(stage, day=Cap(cost=10 * CENT))
    dialog = await call(stage)
    stage.sip_intake.handle(CallFailed(dialog=dialog, status=486))
    await stage.settle()
    assert await stage.store.spending.since("") == ()
    await call(stage, "another")
    assert stage.sip.names().count("invite") == 2


async def test_a_trunk_without_a_price_is_not_used_under_a_limit_of_money(stage: Stage) -> None:
    stage.permissions = (Permission(who=(ALICE,), prefixes=("+1555",)),)
    stage.rules = (DialRule(prefixes=("+1555",), trunks=(TRUNK, PBX)),)
    limited(stage, day=Cap(cost=10 * CENT))
    stage.tariff = Tariff(per_minute={"+49": CENT})
    stage.__post_init__()
    await call(stage)
    assert [command[1].trunk for command in stage.sip.commands] == [PBX]


async def test_a_call_to_an_emergency_number_is_never_counted_nor_stopped(stage: Stage) -> None:
    limited(stage, day=Cap(cost=0, seconds=0.1), calls_at_once=0, attempts_per_minute=0)
    stage.matrix.members = {ROOM: frozenset({ALICE, UserId("@_sip_112:example.org")})}
    await stage.invite()
    await stage.invite("again")
    assert stage.reasons() == ["emergency_refused"] * 2, "no trunk of the stage carries them: not for want of money"
    told = [content["body"] for content in stage.matrix.contents("m.room.message")]
    assert len(told) == 2, "what everybody must read is not left out the second time"
    assert all("EMERGENCY" in text for text in told)


async def test_a_transfer_is_metered_too_and_refused_when_nothing_is_left(stage: Stage) -> None:
    limited(stage, day=Cap(cost=10 * CENT))
    live = await answered(stage)
    assert live.call.state is State.CONNECTING
    assert await stage.store.spending.since("") == ()
    stage.switchboard.feed(live, medev.MediaConnected())
    stage.sip_intake.handle(referred(DialogKey("in-1"), "5550111"))
    await stage.settle()
    other = DialogKey(f"out-{len(stage.sip.commands)}")
    stage.sip_intake.handle(CallAnswered(dialog=other, sdp="other answer"))
    await stage.settle()
    assert [use.cost for use in await stage.store.spending.since("")] == [10 * CENT]
    stage.sip_intake.handle(CallEnded(dialog=DialogKey("in-1")))
    await stage.settle()
    await call(stage, "another")
    assert stage.reasons() == ["limit_reached"]


@pytest.mark.parametrize(("caps", "command"), [({"seconds": 600.0}, "invite"), ({"cost": CENT}, "refuse_referral")])
async def test_a_transfer_needs_a_price_where_a_limit_counts_money(
    stage: Stage, caps: dict[str, Any], command: str
) -> None:
    """As any call does; the price of the call that is up is known."""
    limited(stage, day=Cap(cost=CENT))
    stage.tariff = Tariff(per_minute={PHONE: 0})
    stage.__post_init__()
    dialog = await talk(stage)
    stage.meter.change_rules((Limit(who=("example.org",), day=Cap(**caps)),), NOBODY_IS_SUSPECTED, SuspensionRule())
    stage.switchboard.feed(next(iter(stage.switchboard.lives())), medev.MediaConnected())
    stage.sip_intake.handle(referred(dialog, "5550111"))
    await stage.settle()
    assert stage.sip.names()[-1] == command


async def answered(stage: Stage) -> LiveCall:
    """Alice takes a phone's call."""
    await stage.incoming()
    call_id = stage.matrix.content("m.call.invite")["call_id"]
    answer = {"type": "answer", "sdp": "alice answer"}
    await stage.event("m.call.answer", {"call_id": call_id, "version": "1", "party_id": "LAPTOP", "answer": answer})
    return next(iter(stage.switchboard.lives()))


async def test_a_transfer_that_comes_too_early_holds_nothing_of_a_limit(stage: Stage) -> None:
    limited(stage, day=Cap(cost=10 * CENT), calls_at_once=1)
    await answered(stage)
    stage.sip_intake.handle(referred(DialogKey("in-1"), "5550111"))
    await stage.settle()
    assert stage.sip.commands[-1] == ("refuse_referral", DialogKey("in-1"), 491)
    await call(stage, "another")
    assert stage.sip.names()[-1] == "invite"


async def test_a_transfer_that_came_to_nothing_holds_nothing_of_a_limit_either(stage: Stage) -> None:
    limited(stage, day=Cap(cost=10 * CENT), calls_at_once=1)
    stage.switchboard.feed(await answered(stage), medev.MediaConnected())
    stage.sip_intake.handle(referred(DialogKey("in-1"), "5550111"))
    await stage.settle()
    other = DialogKey(f"out-{len(stage.sip.commands)}")
    await call(stage, "too many")
    assert stage.reasons() == ["calls_at_once"], "the transfer is a call of Alice's while it lasts"
    stage.sip_intake.handle(CallFailed(dialog=other, status=486))
    await stage.settle()
    await call(stage, "another")
    assert stage.sip.names()[-1] == "invite"


async def test_a_phone_that_is_left_to_another_number_is_paid_for_as_well(stage: Stage) -> None:
    limited(stage, day=Cap(cost=30 * CENT))
    await talking(stage)
    await leave(stage)
    stage.sip_intake.handle(CallAnswered(dialog=placed(stage)[0], sdp="other answer"))
    await stage.settle()
    assert [use.cost for use in await stage.store.spending.since("")] == [20 * CENT]


async def test_a_phone_is_not_left_to_another_number_when_nothing_is_left(stage: Stage) -> None:
    limited(stage, day=Cap(cost=10 * CENT))
    await talking(stage)
    await leave(stage)
    assert stage.sip.names().count("invite") == 1
    assert stage.reasons() == ["limit_reached"]
    assert stage.matrix.content("m.call.reject_replacement")["reason"] == "declined"


async def test_what_a_trunk_has_moved_by_itself_is_not_booked(tmp_path: Path) -> None:
    async with open_stage(tmp_path, refers=True) as stage:
        limited(stage, calls_at_once=2)
        first = await talking(stage)
        await leave(stage)
        stage.sip_intake.handle(ReferralProgress(dialog=first, status=200))
        await stage.settle()
        for number in range(3):
            ghost = UserId(f"@_sip_+155501{number}{number}00:example.org")
            stage.matrix.members[ROOM] = frozenset({ALICE, ghost})
            await call(stage, f"call {number}")
        assert stage.reasons() == ["transferred", limits.CALLS_AT_ONCE.reason]


@pytest.mark.parametrize("stranger", [{"party_id": "ANOTHER"}, {"sender": UserId("@mallory:example.org")}])
async def test_what_somebody_else_wishes_is_not_counted_either(stage: Stage, stranger: dict[str, Any]) -> None:
    limited(stage, calls_at_once=2)
    await talking(stage)
    sender = stranger.pop("sender", ALICE)
    for _ in range(2):
        await stage.event("m.call.replaces", wish(**stranger), sender=sender)
    stage.matrix.members[ROOM] = frozenset({ALICE, UserId("@_sip_+15550111:example.org")})
    await call(stage, "another")
    assert stage.reasons() == []


@pytest.mark.parametrize(
    ("caps", "forwarded_s", "forwarded", "booked"),
    [
        ({}, 0.0, 3, (0.0, 0)),
        ({"calls_at_once": 1}, 0.0, 3, (0.0, 0)),
        ({"day": Cap(seconds=300)}, 0.0, 0, None),
        ({"day": Cap(cost=25 * CENT)}, 0.0, 0, None),
        ({"call": Cap(cost=25 * CENT)}, 0.0, 0, None),
        ({"day": Cap(seconds=300)}, 120.0, 2, (240.0, 40 * CENT)),
        ({"day": Cap(cost=25 * CENT)}, 60.0, 2, (120.0, 20 * CENT)),
        ({"call": Cap(seconds=59)}, 60.0, 0, None),
    ],
)
async def test_a_forwarded_call_counts_for_what_is_set_and_is_not_made_where_a_limit_could_not_be_kept(
    stage: Stage, caps: dict[str, object], forwarded_s: float, forwarded: int, booked: tuple[float, int] | None
) -> None:
    stage.forwarded_s = forwarded_s
    limited(stage, **caps)
    await stage.settings.change(ALICE, forward="+15550122")
    for number in range(3):
        await stage.incoming(f"in-{number}", caller=f"+1555013{number}")
    assert stage.reasons() == ["forwarded"] * forwarded
    assert stage.sip.names().count("ring") == 3 - forwarded, "the others ring their user"
    uses = await stage.store.spending.since("")
    assert [(use.seconds, use.cost) for use in uses] == ([] if booked is None else [booked])


async def test_what_a_call_has_cost_between_a_crash_and_the_restart_is_booked(tmp_path: Path) -> None:
    clock = ManualClock(epoch=NOON)
    async with open_stage(tmp_path, clock=clock) as stage:
        limited(stage, day=Cap(cost=1_000 * CENT))
        await talk(stage)
        (meter,) = (await stage.store.spending.meters()).values()
        assert (meter.seconds, meter.cost) == (SLICE_S, 10 * CENT)
        clock.now += 190.0
        again = Stage(store=stage.store, limits=stage.limits, tariff=TEN_CENTS, clock=clock)
        left_over = await again.memory.left_over()
        await again.meter.load()
        await again.meter.cash_book.settle(left_over)
        end_left_over_calls(left_over, again.switchboard, again.sip, clock, (TRUNK,))
        (live,) = again.switchboard.lives()
        await again.settle()
        (use,) = await stage.store.spending.since("")
        assert use.seconds == 190.0
        assert (use.cost, live.cost) == (40 * CENT, 40 * CENT), "four minutes have begun"
        assert await stage.store.spending.meters() == {}
        assert again.meter.cash_book.cost_of_left_over(live.call.call_id) is None


async def test_nobody_books_more_than_a_call_can_have_lasted_without_us(tmp_path: Path) -> None:
    clock = ManualClock(epoch=NOON)
    async with open_stage(tmp_path, clock=clock) as stage:
        limited(stage, day=Cap(seconds=1_000_000))
        await talk(stage)
        clock.now += 86_400.0
        again = Stage(store=stage.store, limits=stage.limits, tariff=TEN_CENTS, clock=clock)
        await again.meter.cash_book.settle(await again.memory.left_over())
        assert sum(use.seconds for use in await stage.store.spending.since("")) == SLICE_S + UNSEEN_S


async def test_a_call_that_is_over_leaves_nothing_to_be_booked(stage: Stage) -> None:
    limited(stage, day=Cap(seconds=1_000))
    await talk(stage)
    assert len(await stage.store.spending.meters()) == 1
    await hang_up(stage)
    assert await stage.store.spending.meters() == {}


@pytest.mark.parametrize("before", [{}, {"day": Cap(seconds=3_600)}])
async def test_a_call_that_is_up_comes_under_limits_that_are_read_later(
    stage: Stage, before: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "SLICE_S", 1.0)
    if before:
        limited(stage, **before)
    await talk(stage)
    change_limits(stage, Limit(who=("example.org",), month=Cap(seconds=1)))
    await until(stage, lambda: bool(stage.finished))
    assert stage.reasons() == ["limit_reached"]
    (*_, end) = (content["body"] for content in stage.matrix.contents("m.room.message"))
    assert end == limits.spent(limits.Span.MONTH).user_text


async def test_a_limit_that_is_taken_away_ends_no_call_any_more(stage: Stage) -> None:
    limited(stage, call=Cap(seconds=3_600))
    await talk(stage)
    timers = [live.meter_timer for live in stage.switchboard.lives()]
    change_limits(stage)
    after = [live.meter_timer for live in stage.switchboard.lives()]
    assert timers != [None] == after, "nothing is left that could end it, or book more of it"
    (use,) = await stage.store.spending.since("")
    await hang_up(stage)
    assert await stage.store.spending.since("") == (use,)


async def test_what_was_held_for_a_call_that_nobody_answered_is_free_under_new_limits_too(stage: Stage) -> None:
    limited(stage, day=Cap(seconds=3_600))
    dialog = await call(stage)
    change_limits(stage, Limit(who=("example.org",), together=True, day=Cap(seconds=3_600)))
    stage.sip_intake.handle(CallFailed(dialog=dialog, status=486, reason_phrase="Busy Here"))
    await stage.settle()
    assert stage.meter.cash_book.books(limit=10) == []
    assert await stage.store.spending.since("") == ()


def change_limits(stage: Stage, *limits: Limit) -> None:
    stage.meter.change_rules(limits, NOBODY_IS_SUSPECTED, SuspensionRule())
