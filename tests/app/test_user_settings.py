"""What users have set for themselves decides before anything rings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bridge.app.plan import ring_rule
from bridge.app.user_settings import BLOCKED, FORWARDS_AT_ONCE, MAX_DIVERSIONS, UserSettings, Wishes
from bridge.core.ids import DialogKey, SipCallId, UserId
from bridge.core.presence import RingWhen
from bridge.core.turn import Turn
from bridge.numbers.forwards import DAY_S, ForwardLimits
from bridge.numbers.policy import NumberPlan
from bridge.numbers.reach import Reach
from bridge.sip.events import IncomingCall
from bridge.store.people import StoredSettings
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, BOB, PBX, PHONE, ROOM, TRUNK
from tests.app.stage import Stage
from tests.clock import ManualClock
from tests.config_files import MINIMAL, load

MOBILE = "+15550122"
NOON = 1_700_049_600.0


async def test_who_does_not_want_to_be_disturbed_is_busy_and_hears_nothing(stage: Stage) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True)
    await stage.incoming()
    assert stage.sip.commands == [("reject", "in-1", 486)]
    assert stage.matrix.sent == []
    assert stage.reasons() == ["do_not_disturb"]


async def test_once_switched_off_the_next_call_rings(stage: Stage) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True)
    await stage.settings.change(ALICE, do_not_disturb=False)
    await stage.incoming()
    assert stage.sip.names() == ["ring"]


async def test_a_forwarded_call_is_sent_to_the_other_number(stage: Stage) -> None:
    await stage.settings.change(ALICE, forward=MOBILE)
    await stage.incoming()
    assert stage.sip.commands == [("reject", "in-1", 302, MOBILE)]
    assert stage.matrix.sent == []
    assert stage.reasons() == ["forwarded"]


async def test_calls_to_a_block_of_numbers_are_forwarded_but_not_in_a_circle(tmp_path: Path) -> None:
    async with open_stage(tmp_path, inbound={"+1555020*": Reach.of_user(ALICE)}) as stage:
        await stage.settings.change(ALICE, forward=MOBILE)
        await stage.incoming(called="+15550207")
        assert stage.sip.commands == [("reject", "in-1", 302, MOBILE)]
        await stage.incoming("in-2", called="+15550207", diverted_from=("+15550208",))
        await stage.settings.change(ALICE, forward="+15550209")
        await stage.incoming("in-3", called="+15550207")
        assert stage.sip.names() == ["reject", "ring", "ring"], "two circles within the block"


async def test_forwarding_comes_before_not_being_disturbed(stage: Stage) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True, forward=MOBILE)
    await stage.incoming()
    assert stage.reasons() == ["forwarded"]


@pytest.mark.parametrize(
    "target",
    ["+4930123456", "112", "+1112", "+15550199"],
    ids=["not permitted", "emergency", "emergency behind a country code", "own number"],
)
async def test_a_number_that_may_not_be_forwarded_to_rings_the_user(stage: Stage, target: str) -> None:
    await stage.settings.change(ALICE, forward=target)
    await stage.incoming()
    assert stage.sip.names() == ["ring"]


async def test_a_trunk_that_cannot_forward_rings_the_user(stage: Stage) -> None:
    await stage.settings.change(ALICE, forward=MOBILE)
    await stage.incoming(trunk=PBX)
    assert stage.sip.names() == ["ring"]


@pytest.mark.parametrize(
    "diverters", [("+15550199",), tuple(f"+1555012{n}" for n in range(MAX_DIVERSIONS))], ids=["same", "many"]
)
async def test_a_call_that_goes_in_a_circle_rings(stage: Stage, diverters: tuple[str, ...]) -> None:
    await stage.settings.change(ALICE, forward=MOBILE)
    await stage.incoming(diverted_from=diverters)
    assert stage.sip.names() == ["ring"]


async def test_a_circle_of_which_the_network_says_nothing_ends_by_ringing(stage: Stage) -> None:
    await stage.settings.change(ALICE, forward=MOBILE)
    for turn in range(FORWARDS_AT_ONCE + 1):
        await stage.incoming(f"in-{turn}")
    assert stage.sip.names() == ["reject"] * FORWARDS_AT_ONCE + ["ring"]


def forwards(stage: Stage, outcome: str) -> float:
    series = f'trunkline_forwards_total{{outcome="{outcome}",trunk="{TRUNK}"}} '
    lines = stage.telemetry.exposition().decode().splitlines()
    return next(float(line.removeprefix(series)) for line in lines if line.startswith(series))


@pytest.mark.parametrize("shown", ["+15550177", ""], ids=["one number", "no number"])
async def test_a_stranger_who_keeps_calling_is_forwarded_a_few_times_and_then_rings_the_user(
    stage: Stage, shown: str
) -> None:
    stage.forward_limits = ForwardLimits(of_user=9, of_caller=2)
    await stage.settings.change(ALICE, forward=MOBILE)
    for turn in range(3):
        await stage.incoming(f"in-{turn}", caller=shown)
    await stage.incoming("another", caller="+15550178")
    assert stage.sip.names() == ["reject", "reject", "ring", "reject"]
    assert forwards(stage, "caller_limit") == 1
    assert forwards(stage, "forwarded") == 3


async def test_numbers_that_are_made_up_for_each_call_do_not_help_a_stranger(stage: Stage) -> None:
    stage.forward_limits = ForwardLimits(of_user=3, of_caller=2)
    await stage.settings.change(ALICE, forward=MOBILE)
    for turn in range(5):
        await stage.incoming(f"in-{turn}", caller=f"+1555017{turn}")
    assert stage.sip.names() == ["reject"] * 3 + ["ring"] * 2
    assert forwards(stage, "user_limit") == 2


async def test_a_restart_gives_a_stranger_no_more_forwarded_calls(tmp_path: Path) -> None:
    clock = ManualClock(epoch=NOON - 100.0)
    limits = ForwardLimits(of_user=3, of_caller=2)
    async with open_stage(tmp_path, clock=clock, forward_limits=limits) as stage:
        await stage.settings.change(ALICE, forward=MOBILE)
        for turn, caller in enumerate(("+15550177", "+15550177", "")):
            await stage.incoming(f"in-{turn}", caller=caller)
            clock.now += 60.0
        assert stage.sip.names() == ["reject"] * 3
    clock = ManualClock(now=5.0, epoch=NOON + 295.0)
    async with open_stage(tmp_path, clock=clock, forward_limits=limits) as stage:
        await stage.settings.load()
        await stage.forwards.load()
        await stage.incoming("another", caller="+15550178")
        assert stage.sip.names() == ["ring"]
        clock.now += DAY_S - 280.0
        await stage.incoming("next", caller="+15550177")
        assert stage.sip.names() == ["ring", "reject"], "the first of that day counts no more"
        await stage.store.prune(now=clock.wall())
        kept = await stage.store.forwards.since(0.0, limit=10)
        assert [forward.at - NOON for forward in kept] == [60.0, 120.0, DAY_S + 20.0]


async def test_settings_survive_a_restart_and_the_defaults_leave_nothing_behind(stage: Stage) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True, forward=MOBILE, ring_when=RingWhen.ONLINE)
    after = UserSettings(stage.store, Turn())
    await after.load()
    assert after.of(ALICE) == stage.settings.of(ALICE)
    await stage.store.settings.put(ALICE, StoredSettings())
    assert await stage.store.settings.all() == {}


@pytest.mark.parametrize(
    ("configured", "chosen", "rule"),
    [
        ("{}", RingWhen.ONLINE, RingWhen.ALWAYS),
        ("{b.c: always}", RingWhen.ONLINE, RingWhen.ONLINE),
        ("{b.c: online}", RingWhen.ALWAYS, RingWhen.ALWAYS),
        ("{b.c: online}", None, RingWhen.ONLINE),
        ("{b.c: online, '@a:b.c': not_offline}", None, RingWhen.NOT_OFFLINE),
        ("{elsewhere.org: online}", None, RingWhen.ALWAYS),
    ],
)
def test_what_a_user_chose_counts_before_what_is_configured(
    tmp_path: Path, configured: str, chosen: RingWhen | None, rule: RingWhen
) -> None:
    config = load(tmp_path, f"{MINIMAL}calls: {{ring_when: {configured}}}")
    assert ring_rule(lambda: config, lambda user: chosen)(UserId("@a:b.c")) is rule


async def test_who_wants_to_be_anonymous_shows_no_number_to_the_phone(stage: Stage) -> None:
    for wanted, withheld in ((None, False), (True, True), (False, False)):
        if wanted is not None:
            await stage.settings.change(ALICE, withheld=wanted)
        await stage.invite(f"call {wanted}")
        placed = [command[1] for command in stage.sip.commands if command[0] == "invite"][-1]
        assert placed.withheld is withheld
        await stage.event("m.call.hangup", {"call_id": f"call {wanted}", "version": "1", "party_id": "LAPTOP"})


async def test_a_code_before_the_number_hides_the_caller_in_this_one_call(stage: Stage) -> None:
    ghost = UserId("@_sip_#31#+15550100:example.org")
    stage.matrix.members = {ROOM: frozenset({ALICE, ghost})}
    await stage.invite("hidden")
    (placed,) = [command[1] for command in stage.sip.commands if command[0] == "invite"]
    assert (placed.called, placed.withheld) == (PHONE, True)


async def test_the_wish_to_be_anonymous_is_remembered(stage: Stage) -> None:
    await stage.settings.change(ALICE, withheld=False)
    again = UserSettings(stage.store, Turn())
    await again.load()
    assert again.of(ALICE) == StoredSettings(withheld=False)


async def test_a_blocked_number_is_declined_and_another_rings(stage: Stage) -> None:
    await stage.settings.block(ALICE, PHONE)
    await stage.incoming("one")
    assert stage.sip.commands[-1][2] == 603
    assert stage.reasons() == ["blocked"]
    assert await stage.settings.unblock(ALICE, PHONE)
    assert not await stage.settings.unblock(ALICE, PHONE)
    await stage.incoming("two")
    assert stage.sip.names()[-1] == "ring"


async def test_blocked_numbers_are_there_after_a_restart(stage: Stage) -> None:
    await stage.settings.block(ALICE, PHONE)
    again = UserSettings(stage.store, Turn())
    await again.load()
    assert again.blocked(ALICE) == {PHONE}
    assert again.blocked(BOB) == frozenset()


async def test_only_so_many_numbers_are_blocked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.app.user_settings.MAX_BLOCKED", 1)
    assert await stage.settings.block(ALICE, PHONE)
    assert await stage.settings.block(ALICE, PHONE)
    assert not await stage.settings.block(ALICE, "+15550111")


@pytest.mark.parametrize(("caller", "rings"), [("", False), (PHONE, True)])
async def test_callers_without_a_number_are_refused_where_the_user_wants_it(
    stage: Stage, caller: str, rings: bool
) -> None:
    await stage.settings.change(ALICE, refuses_anonymous=True)
    await stage.incoming(caller=caller)
    assert (stage.sip.names() == ["ring"]) is rings
    assert rings or stage.sip.commands[-1][2] == 433


@pytest.mark.parametrize(("hours", "rings"), [("mon-sun 0:00-24:00", True), ("", True), (None, False)])
async def test_outside_of_the_hours_of_a_user_nothing_rings(stage: Stage, hours: str | None, rings: bool) -> None:
    if hours is None:
        now = datetime.fromtimestamp(stage.clock.wall())
        day = (now + timedelta(days=2)).strftime("%a").lower()
        hours = f"{day} 0:00-24:00"
    await stage.settings.change(ALICE, hours=hours)
    await stage.incoming()
    assert (stage.sip.names() == ["ring"]) is rings
    assert rings or stage.reasons() == ["out_of_hours"]


@pytest.mark.parametrize(("zone", "rings"), [("Europe/Berlin", True), ("Europe/London", False)])
async def test_hours_are_of_the_configured_time_zone(stage: Stage, zone: str, rings: bool) -> None:
    await stage.settings.change(ALICE, hours="mon 9:00-10:00")
    clock = ManualClock(now=datetime(2026, 3, 2, 8, 30, tzinfo=UTC).timestamp())
    wishes = Wishes(
        stage.settings, stage.forwards, lambda: NumberPlan(inbound={}), clock, time_zone=lambda: ZoneInfo(zone)
    )
    call = IncomingCall(
        dialog=DialogKey("in"), trunk=TRUNK, sip_call_id=SipCallId("abc"), called="+15550199", caller=PHONE
    )
    assert (wishes.for_call(ALICE, call) is None) is rings


@pytest.mark.parametrize(("caller", "refused"), [("+4420123456", True), ("4711", True), ("47110", False), ("", False)])
async def test_the_configuration_blocks_for_everybody(stage: Stage, caller: str, refused: bool) -> None:
    wishes = Wishes(
        stage.settings, stage.forwards, lambda: NumberPlan(inbound={}), stage.clock, blocked=lambda: ("+44", "4711")
    )
    assert wishes.refuses(BOB, caller) == (BLOCKED if refused else None)
