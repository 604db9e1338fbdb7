"""Who may call what."""

import itertools

import phonenumbers
import pytest

from bridge.core.ids import E164, TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.numbers import refusals
from bridge.numbers.money import Price, Tariff
from bridge.numbers.permission import Permission
from bridge.numbers.policy import WITHHELD, Decision, NumberPlan, Route, TrunkChoice
from bridge.numbers.reach import Reach
from bridge.numbers.region import emergency_numbers
from bridge.numbers.withholding import codes_of

ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")
EVE = UserId("@eve:elsewhere.net")
CARRIER, BACKUP, RESCUE = TrunkName("carrier"), TrunkName("backup"), TrunkName("rescue")


def plan(**changes: object) -> NumberPlan:
    settings: dict[str, object] = {
        "permissions": (
            Permission(who=("@alice:example.org",), prefixes=("+1", "+44")),
            Permission(who=("example.org",), prefixes=("+1555", "*97"), trunk=BACKUP),
        ),
        "trunks": (TrunkChoice(name=CARRIER, caller_id="+15550199"), TrunkChoice(name=BACKUP)),
        "inbound": {"+15550101": Reach.of_user(ALICE)},
        "emergency": frozenset({"112", "911"}),
    }
    return NumberPlan(**{**settings, **changes})  # type: ignore[arg-type]


def up(_: TrunkName) -> bool:
    return True


@pytest.mark.parametrize(
    ("user", "dialled", "verdict"),
    [
        (BOB, "+15550100", None),
        (BOB, "*97", None),
        (BOB, "+14155550100", refusals.NOT_PERMITTED),
        (BOB, "+442079460018", refusals.NOT_PERMITTED),
        (BOB, "*98", refusals.NOT_PERMITTED),
        (ALICE, "+442079460018", None),
        (ALICE, "+881612345678", refusals.NOT_PERMITTED),
        (EVE, "+15550100", refusals.OUTBOUND_IS_OFF),
        (ALICE, "alice", refusals.NO_NUMBER),
        (ALICE, "112", refusals.NO_EMERGENCY_CALLS),
        (ALICE, "+112", refusals.NO_EMERGENCY_CALLS),
        (ALICE, "+1911", refusals.NO_EMERGENCY_CALLS),
        (ALICE, "+1 911", refusals.NO_EMERGENCY_CALLS),
        (ALICE, "+44112", refusals.NO_EMERGENCY_CALLS),
        (ALICE, "9-1-1", refusals.NO_EMERGENCY_CALLS),
        (EVE, "911", refusals.NO_EMERGENCY_CALLS),
        (ALICE, "*67 911", refusals.NO_EMERGENCY_CALLS),
        (ALICE, "#31#+44 112", refusals.NO_EMERGENCY_CALLS),
        (BOB, "*67 0100", refusals.NOT_PERMITTED),
        (BOB, "*67 +1 555 0100", None),
        (BOB, "*67 +1 415 555 0100", refusals.NOT_PERMITTED),
    ],
)
def test_every_call_is_allowed_or_refused_for_a_reason(user: UserId, dialled: str, verdict: Verdict | None) -> None:
    decision = plan().route(user, dialled, up)
    assert isinstance(decision, Route) if verdict is None else decision is verdict


@pytest.mark.parametrize(
    "dialled",
    [
        "+101188161234567",
        "+101144207946001",
        "tel:01188161234567;phone-context=+1",
        "*67+101188161234567",
        "+112345678",
    ],
)
def test_what_a_trunk_would_take_for_a_number_abroad_is_no_number(dialled: str) -> None:
    everywhere = plan(trunks=(TrunkChoice(name=CARRIER, forwards=True),))
    assert everywhere.decide(ALICE, dialled, up) is refusals.NO_NUMBER
    assert everywhere.route_over(ALICE, dialled, CARRIER) is refusals.NO_NUMBER
    assert everywhere.forward(ALICE, dialled, CARRIER) is refusals.NO_NUMBER


@pytest.mark.parametrize("dialled", ["+4915112345678", "+49015112345678", "tel:015112345678;phone-context=+49"])
def test_an_exception_holds_however_its_numbers_are_written(dialled: str) -> None:
    but_mobiles = plan(permissions=(Permission(who=("example.org",), prefixes=("+49",), but_not=("+4915",)),))
    assert but_mobiles.decide(ALICE, dialled, up) is refusals.NOT_PERMITTED


def test_a_number_has_one_price_however_it_is_written() -> None:
    tariff = Tariff(per_minute={"+49": 1, "+4915": 20})
    priced = plan(
        permissions=(Permission(who=("example.org",), prefixes=("+49",)),),
        trunks=(TrunkChoice(name=CARRIER, tariff=tariff),),
    )
    route = priced.route(ALICE, "+49015112345678", up)
    assert isinstance(route, Route)
    assert priced.price_over(route.trunk, route.number) == Price(trunk=CARRIER, per_minute=20)


@pytest.mark.parametrize("written", ["+49 0 30 123456", "+4930123456", "0049 030 123456"])
def test_who_calls_is_the_same_phone_however_the_trunk_writes_it(written: str) -> None:
    here = plan(default_region="DE", inbound={"+4930123456": Reach.of_user(ALICE)})
    assert here.caller_number(written) == "+4930123456"
    assert here.user_of(written) == ALICE


@pytest.mark.parametrize("dialled", ["+1 0 911", "+1112", "+49 0 112", "+112"])
def test_who_calls_for_help_in_a_way_that_is_no_number_is_understood(dialled: str) -> None:
    assert plan().is_emergency(dialled, ALICE)


def test_nobody_may_call_until_the_configuration_says_so() -> None:
    assert plan(permissions=()).route(ALICE, "+15550100", up) is refusals.OUTBOUND_IS_OFF


def test_a_server_name_does_not_match_a_longer_one() -> None:
    assert plan().route(UserId("@x:evil-example.org"), "+15550100", up) is refusals.OUTBOUND_IS_OFF
    assert plan().route(UserId("@x:example.org.evil"), "+15550100", up) is refusals.OUTBOUND_IS_OFF


def test_the_first_trunk_that_is_up_is_taken() -> None:
    decision = plan().route(ALICE, "+14155550100", lambda trunk: trunk == BACKUP)
    assert isinstance(decision, Route)
    assert decision.trunk == BACKUP


def test_a_permission_can_name_its_trunk() -> None:
    decision = plan().route(BOB, "+15550100", up)
    assert isinstance(decision, Route)
    assert decision.trunk == BACKUP


def test_with_every_trunk_down_the_first_is_tried() -> None:
    decision = plan().route(ALICE, "+14155550100", lambda _: False)
    assert isinstance(decision, Route)
    assert decision.trunk == CARRIER


def test_without_a_trunk_the_user_is_told() -> None:
    assert plan(trunks=()).route(ALICE, "+15550100", up) is refusals.NO_TRUNK


def test_the_phone_shows_the_callers_own_number_or_the_trunks() -> None:
    own = plan().route(ALICE, "+15550100", up)
    shared = plan(inbound={}).route(ALICE, "+15550100", up)
    assert isinstance(own, Route)
    assert isinstance(shared, Route)
    assert (own.caller, shared.caller) == ("+15550101", "+15550199")


def test_emergency_calls_go_only_over_a_trunk_that_is_marked_for_them_and_need_no_permission() -> None:
    trunks = (TrunkChoice(name=CARRIER), TrunkChoice(name=RESCUE, emergency=True))
    decision = plan(trunks=trunks).route(EVE, "112", up)
    assert decision == Route(trunk=RESCUE, number=E164("112"), caller="")


@pytest.mark.parametrize("called", ["+15550101", "15550101", "+1 555 0101"])
def test_a_called_number_finds_its_user_however_the_trunk_writes_it(called: str) -> None:
    assert plan().user_of(called) == ALICE


@pytest.mark.parametrize("called", ["", "+15550109", "alice", "0101"])
def test_a_number_that_nobody_has_finds_nobody(called: str) -> None:
    assert plan().user_of(called) is None


def test_an_extensions_name_stays_as_it_is() -> None:
    assert plan().caller_number("alice") == "alice"
    assert plan().caller_number("(212) 555-0123") == "+12125550123"
    assert plan().caller_number("x" * 2_000) == ""


def test_emergency_calls_take_the_trunk_that_is_up_in_the_form_that_it_knows() -> None:
    trunks = (TrunkChoice(name=CARRIER, emergency=True), TrunkChoice(name=RESCUE, emergency=True))
    decision = plan(trunks=trunks).route(EVE, "+1911", lambda trunk: trunk == RESCUE)
    assert decision == Route(trunk=RESCUE, number=E164("911"), caller="")


def test_an_extension_is_not_shown_to_the_world() -> None:
    decision = plan(inbound={"201": Reach.of_user(ALICE)}).route(ALICE, "+15550100", up)
    assert isinstance(decision, Route)
    assert decision.caller == "+15550199"


def test_only_a_trunk_that_is_marked_joins_crossing_calls() -> None:
    trunks = (TrunkChoice(name=CARRIER), TrunkChoice(name=BACKUP, joins_crossing_calls=True))
    assert not plan(trunks=trunks).joins_crossing_calls(CARRIER)
    assert plan(trunks=trunks).joins_crossing_calls(BACKUP)


def test_a_user_is_reached_by_an_extension_before_a_number() -> None:
    owners = {"+15550100": ALICE, "201": ALICE, "+15550101": UserId("@bob:hs")}
    owned = NumberPlan(inbound={number: Reach.of_user(user) for number, user in owners.items()})
    assert owned.number_of(ALICE) == "201"
    assert owned.number_of(UserId("@bob:hs")) == "+15550101"
    assert owned.number_of(UserId("@carol:hs")) is None


def test_a_call_is_forwarded_where_a_call_of_the_user_s_own_could_go() -> None:
    forwarding = plan(trunks=(TrunkChoice(name=CARRIER, forwards=True, emergency=True), TrunkChoice(name=BACKUP)))
    assert forwarding.forward(ALICE, "(415) 555-0100", CARRIER) == Route(
        trunk=CARRIER, number=E164("+14155550100"), caller="+15550101"
    )
    assert forwarding.forward(ALICE, "+4930123456", CARRIER) is refusals.NOT_PERMITTED
    assert forwarding.forward(ALICE, "+15550101", CARRIER) is refusals.FORWARDED_TO_SELF
    assert forwarding.forward(ALICE, "+14155550100", BACKUP) is refusals.NO_FORWARDING
    assert forwarding.forward(ALICE, "Jane", CARRIER) is refusals.NO_NUMBER


@pytest.mark.parametrize("number", ["112", "+1112"])
def test_nobody_s_calls_are_forwarded_to_the_emergency_services(number: str) -> None:
    forwarding = plan(trunks=(TrunkChoice(name=CARRIER, forwards=True, emergency=True),))
    assert forwarding.forward(ALICE, number, CARRIER) is refusals.NO_EMERGENCY_CALLS


def test_a_number_is_read_as_in_the_country_of_whoever_types_it() -> None:
    anywhere = (Permission(who=("example.org", "elsewhere.net"), prefixes=("+",)),)
    abroad = plan(permissions=anywhere, regions={ALICE: "DE", "elsewhere.net": "GB"})

    def number(user: UserId, dialled: str) -> str:
        route = abroad.route(user, dialled, up)
        assert isinstance(route, Route)
        return route.number

    assert number(ALICE, "030 1234567") == "+49301234567"
    assert number(EVE, "020 7946 0018") == "+442079460018"
    assert number(BOB, "(415) 555-0100") == "+14155550100"


@pytest.mark.parametrize(
    ("region", "present", "absent"),
    [("US", {"911", "112"}, {"999", "110"}), ("BR", {"190", "192", "193"}, {"999"}), ("AU", {"000", "112"}, {"110"})],
)
def test_each_country_has_its_own_emergency_numbers(region: str, present: set[str], absent: set[str]) -> None:
    numbers = emergency_numbers(region)
    assert present <= numbers
    assert not absent & numbers


def test_countries_without_known_emergency_numbers_have_none() -> None:
    assert emergency_numbers("TA") == frozenset()


def test_an_emergency_number_is_sent_without_its_country_code_and_not_cut_from_a_longer_one() -> None:
    helping = plan(trunks=(TrunkChoice(name=RESCUE, emergency=True),), emergency=frozenset({"112", "12", "2112"}))
    decision = helping.route(EVE, "+1 2112", up)
    assert isinstance(decision, Route)
    assert decision.number == "2112"


@pytest.mark.parametrize(
    ("dialled", "usual", "set_to", "withheld"),
    [
        ("+15550100", "", None, False),
        ("+15550100", WITHHELD, None, True),
        ("+15550100", WITHHELD, False, False),
        ("*67+15550100", "", None, True),
        ("*67+15550100", "", False, True),
        ("*82+15550100", WITHHELD, None, False),
        ("*82+15550100", "", True, False),
        ("#31#+15550100", "", None, True),
    ],
)
def test_a_code_decides_for_one_call_whether_the_number_is_shown(
    dialled: str, usual: str, set_to: bool | None, withheld: bool
) -> None:
    route = plan(caller_ids={ALICE: usual} if usual else {}).route(ALICE, dialled, up, withheld=set_to)
    assert isinstance(route, Route)
    assert (route.number, route.withheld) == ("+15550100", withheld)


def test_who_calls_for_help_is_shown_whatever_was_dialled_before() -> None:
    helping = TrunkChoice(name=RESCUE, caller_id="+15550199", emergency=True)
    route = plan(trunks=(helping,)).route(ALICE, "*67911", up, withheld=True)
    assert route == Route(trunk=RESCUE, number=E164("911"), caller="+15550101", withheld=False)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_code_of_a_country_may_stand_before_every_emergency_number_of_it(region: str) -> None:
    """As it is typed, and as the number that a client finds for it."""
    helping = plan(default_region=region, emergency=emergency_numbers(region) | {"112", "911", "999", "000", "111"})
    missed = []
    for code, number in itertools.product(("", *codes_of(region)), helping.emergency):
        for dialled in (f"{code}{number}", f"{code} {number}".strip(), f"{code[:2]} {code[2:]}-{number}".strip(" -")):
            found = helping.read_marked(ALICE, dialled) or ""
            if not (helping.is_emergency(dialled, ALICE) and helping.is_emergency(found, ALICE)):
                missed.append((dialled, found))
    assert missed == []


@pytest.mark.parametrize(
    ("region", "dialled", "reached"),
    [
        ("JP", "184110", "110"),
        ("JP", "186 119", "119"),
        ("GB", "141 999", "999"),
        ("GB", "1470112", "112"),
        ("GB", "+441470112", "112"),
        ("AU", "1831 000", "000"),
        ("ES", "067112", "112"),
        ("US", "*67911", "911"),
        ("NZ", "0197111", "111"),
        ("NZ", "+64 197 111", "111"),
        ("FR", "36 51 112", "112"),
        ("NZ", "0197 1234", ""),
        ("DE", "#31#+49112", "112"),
        ("GB", "141 9991", ""),
        ("GB", "+44 141 999 0112", ""),
        ("DE", "141112", ""),
    ],
)
def test_a_code_before_an_emergency_number_keeps_nobody_from_help(region: str, dialled: str, reached: str) -> None:
    helping = plan(
        default_region=region,
        emergency=frozenset({"000", "110", "111", "112", "119", "911", "999"}),
        trunks=(TrunkChoice(name=RESCUE, emergency=True),),
        permissions=(),
    )
    decision = helping.decide(ALICE, dialled, up)
    numbers = [route.number for route in decision.routes] if isinstance(decision, Decision) else []
    assert numbers == [reached] * bool(reached)
