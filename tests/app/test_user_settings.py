"""What users have set for themselves decides before anything rings."""

from pathlib import Path

import pytest

from bridge.app.plan import ring_rule
from bridge.app.user_settings import FORWARDS_AT_ONCE, MAX_DIVERSIONS, UserSettings
from bridge.core.ids import UserId
from bridge.core.presence import RingWhen
from bridge.store.people import StoredSettings
from tests.app.stage import ALICE, PBX, Stage
from tests.test_config import MINIMAL, load

MOBILE = "+15550122"


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


async def test_settings_survive_a_restart_and_the_defaults_leave_nothing_behind(stage: Stage) -> None:
    await stage.settings.change(ALICE, do_not_disturb=True, forward=MOBILE, ring_when=RingWhen.ONLINE)
    after = UserSettings(stage.store)
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
    assert ring_rule(config, lambda user: chosen)(UserId("@a:b.c")) is rule


async def test_who_wants_to_be_anonymous_shows_no_number_to_the_phone(stage: Stage) -> None:
    for wanted, withheld in ((None, False), (True, True), (False, False)):
        if wanted is not None:
            await stage.settings.change(ALICE, withheld=wanted)
        await stage.invite(f"call {wanted}")
        placed = [command[1] for command in stage.sip.commands if command[0] == "invite"][-1]
        assert placed.withheld is withheld
        await stage.event("m.call.hangup", {"call_id": f"call {wanted}", "version": "1", "party_id": "LAPTOP"})


async def test_the_wish_to_be_anonymous_is_remembered(stage: Stage) -> None:
    await stage.settings.change(ALICE, withheld=False)
    again = UserSettings(stage.store)
    await again.load()
    assert again.of(ALICE) == StoredSettings(withheld=False)
