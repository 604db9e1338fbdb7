"""Which trunks carry a call, in which order, and what the phone is shown."""

from collections import Counter

import phonenumbers
import pytest

from bridge.core.entropy import SeededEntropy
from bridge.core.ids import E164, RoomId, TrunkName, UserId
from bridge.numbers import refusals
from bridge.numbers.costly import why_costly
from bridge.numbers.dial_plan import Choose, DialRule
from bridge.numbers.money import Price, Tariff, parse_price, shown
from bridge.numbers.permission import Permission
from bridge.numbers.policy import WITHHELD, Decision, NumberPlan, TrunkChoice
from bridge.numbers.reach import Reach

ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")
A, B, C = TrunkName("a"), TrunkName("b"), TrunkName("c")
EVERYTHING = Permission(who=("example.org",), prefixes=("+", "201"))


def tariff(**rates: str) -> Tariff:
    return Tariff(per_minute={f"+{prefix[1:]}": parse_price(rate) for prefix, rate in rates.items()})


def trunks(**tariffs: Tariff) -> tuple[TrunkChoice, ...]:
    return tuple(TrunkChoice(name=name, tariff=tariffs.get(name)) for name in (A, B, C))


def plan(*rules: DialRule, **changes: object) -> NumberPlan:
    settings: dict[str, object] = {"permissions": (EVERYTHING,), "trunks": trunks(), "inbound": {}, "rules": rules}
    return NumberPlan(**{**settings, **changes})  # type: ignore[arg-type]


def up(_: TrunkName) -> bool:
    return True


def order(of: NumberPlan, number: str, *, down: tuple[TrunkName, ...] = ()) -> list[TrunkName]:
    decision = of.decide(ALICE, number, lambda trunk: trunk not in down)
    assert isinstance(decision, Decision)
    return [route.trunk for route in decision.routes]


@pytest.mark.parametrize(
    ("number", "chosen"),
    [
        ("+4930123456", [B, A]),
        ("+49891234567", [C]),
        ("+447911123456", [A, B, C]),
        ("201", [C, A]),
    ],
)
def test_the_first_rule_that_fits_names_the_trunks(number: str, chosen: list[TrunkName]) -> None:
    rules = (
        DialRule(pattern=r"\+4930\d+", trunks=(B, A)),
        DialRule(prefixes=("+49",), trunks=(C,)),
        DialRule(prefixes=("201",), trunks=(C, A)),
    )
    assert order(plan(*rules), number) == chosen


def test_a_pattern_is_for_the_whole_number() -> None:
    assert order(plan(DialRule(pattern=r"\+4930", trunks=(C,))), "+4930123456") == [A, B, C]


def test_trunks_out_of_service_come_last_and_are_tried_all_the_same() -> None:
    rule = DialRule(prefixes=("+49",), trunks=(B, A, C))
    assert order(plan(rule), "+4930123456", down=(B,)) == [A, C, B]
    assert order(plan(rule), "+4930123456", down=(A, B, C)) == [B, A, C]
    assert order(plan(), "+447911123456", down=(A,)) == [B, C, A]


def test_the_cheapest_for_the_number_comes_first() -> None:
    choices = trunks(a=tariff(_49="0.02", _4915="0.001"), b=tariff(_49="0.01"), c=tariff(_44="0.001"))
    cheapest = plan(DialRule(prefixes=("+",), trunks=(A, B, C), choose=Choose.COST), trunks=choices)
    assert order(cheapest, "+4930123456") == [B, A, C]
    assert order(cheapest, "+4915123456789") == [A, B, C]


def test_weights_share_the_calls_and_a_reserve_stays_behind() -> None:
    rule = DialRule(prefixes=("+",), trunks=(A, B, C), choose=Choose.WEIGHT, weights={A: 3, C: 0})
    entropy, first = SeededEntropy(7), Counter[TrunkName]()
    for _ in range(2_000):
        drawn = rule.in_order(lambda _: 0, lambda total: entropy.integer(0, total - 1))
        assert set(drawn) == {A, B, C}
        assert drawn[-1] == C
        first[drawn[0]] += 1
    assert 1_400 < first[A] < 1_600


def test_a_permission_that_names_its_trunk_has_the_last_word() -> None:
    permission = Permission(who=(ALICE,), prefixes=("+",), trunk=C)
    assert order(plan(DialRule(prefixes=("+49",), trunks=(A, B)), permissions=(permission,)), "+4930123456") == [C]


@pytest.mark.parametrize(
    ("number", "refused"),
    [
        ("+4930123456", None),
        ("+499009876543", refusals.NOT_PERMITTED),
        ("+4990012345678", None),
        ("+44790012345", refusals.NOT_PERMITTED),
    ],
)
def test_the_longest_prefix_decides(number: str, refused: object) -> None:
    permission = Permission(who=(ALICE,), prefixes=("+49", "+4990012345"), but_not=("+4990", "+4"), costly=True)
    decision = plan(permissions=(permission,)).decide(ALICE, number, up)
    assert isinstance(decision, Decision) if refused is None else decision is refused


def test_a_room_may_call_what_its_entry_names() -> None:
    room = RoomId("!lobby:example.org")
    limited = plan(permissions=(Permission(who=(room,), prefixes=("+49",)),))
    assert isinstance(limited.decide(BOB, "+4930123456", up, room=room), Decision)
    assert limited.decide(BOB, "+447911123456", up, room=room) is refusals.NOT_PERMITTED
    assert limited.decide(BOB, "+4930123456", up, room=RoomId("!other:example.org")) is refusals.OUTBOUND_IS_OFF
    assert limited.decide(BOB, "+4930123456", up) is refusals.OUTBOUND_IS_OFF


@pytest.mark.parametrize(
    ("prefixes", "number", "refused"),
    [
        (("+",), "+4930123456", False),
        (("+",), "+18765551234", False),
        (("+1",), "+18765551234", True),
        (("+1", "+1876"), "+18765551234", False),
        (("+1",), "+18765551234567", True),
        (("+1",), "+18761234", True),
        (("+",), "+18765551234567", False),
        (("+1",), "+14155550100", False),
        (("+1",), "+15550100", False),
        (("+", "+1"), "+19005551234", True),
        (("+49",), "+49900123456", True),
        (("+49",), "+49900123456789", True),
        (("+44",), "+448712345678", True),
        (("+44",), "+442079460018", False),
        (("+",), "+881612345678", True),
        (("+881",), "+881612345678", False),
        (("+",), "+870773123456", True),
        (("+",), "+883510001234", True),
        (("+",), "+979112345678", True),
        (("201",), "201", False),
    ],
)
def test_what_costs_far_more_than_a_call_must_be_permitted_by_name(
    prefixes: tuple[str, ...], number: str, *, refused: bool
) -> None:
    entry = Permission(who=(ALICE,), prefixes=prefixes)
    decision = plan(permissions=(entry,)).decide(ALICE, number, up)
    assert decision is refusals.COSTLY_NUMBER if refused else isinstance(decision, Decision)
    costly = Permission(who=(ALICE,), prefixes=prefixes, costly=True)
    assert isinstance(plan(permissions=(entry, costly)).decide(ALICE, number, up), Decision)


@pytest.mark.parametrize(
    ("number", "refused"),
    [
        ("+33118712", True),
        ("+333635", True),
        ("+391254", True),
        ("+4911833", True),
        ("+49118000", True),
        ("+44118118", True),
        ("+34 11811", True),
        ("+353 11811", True),
        ("+46 118118", True),
        ("+385 11888", True),
        ("+33118712000", False),
        ("+331014", True),
        ("+44 118 496 0018", False),
        ("+44 118 201 0018", False),
        ("+4911801234", False),
        ("+49 911 8330", False),
        ("+46 11 81 18 00", False),
        ("+98 118000", False),
        ("+386 1180", False),
        ("+31 118 123456", False),
        ("+1 555 0118", False),
        ("+1 411", False),
    ],
)
def test_short_services_cost_far_more_than_a_call_too(number: str, *, refused: bool) -> None:
    entry = Permission(who=(ALICE,), prefixes=("+",))
    decision = plan(permissions=(entry,)).decide(ALICE, number, up)
    assert decision is refusals.COSTLY_NUMBER if refused else isinstance(decision, Decision)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_no_ordinary_number_of_any_country_passes_for_a_costly_one(region: str) -> None:
    ordinary = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    for kind in ordinary:
        example = phonenumbers.example_number_for_type(region, kind)
        if example is not None:
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            assert why_costly(E164(number), "+", region) is None


def test_an_island_within_plus_one_is_no_foreign_country_at_home() -> None:
    entry = Permission(who=(ALICE,), prefixes=("+1",))
    assert isinstance(plan(permissions=(entry,), default_region="JM").decide(ALICE, "+18765551234", up), Decision)


OWN, COMPANY, MAIN = E164("+15550101"), "+15550110", "+15550199"


@pytest.mark.parametrize(
    ("caller_ids", "verified", "inbound", "caller"),
    [
        ({}, frozenset(), {}, MAIN),
        ({}, frozenset(), {OWN: ALICE}, OWN),
        ({}, frozenset({COMPANY}), {OWN: ALICE}, MAIN),
        ({}, frozenset({OWN}), {OWN: ALICE}, OWN),
        ({"example.org": COMPANY}, frozenset(), {}, COMPANY),
        ({"example.org": COMPANY}, frozenset(), {OWN: ALICE}, OWN),
        ({ALICE: COMPANY}, frozenset(), {OWN: ALICE}, COMPANY),
        ({ALICE: COMPANY}, frozenset({OWN}), {OWN: ALICE}, OWN),
        ({ALICE: COMPANY}, frozenset({OWN, COMPANY}), {OWN: ALICE}, COMPANY),
        ({BOB: COMPANY}, frozenset(), {}, MAIN),
        ({ALICE: WITHHELD}, frozenset(), {OWN: ALICE}, OWN),
    ],
)
def test_the_phone_is_shown_only_a_number_that_the_trunk_has_verified(
    caller_ids: dict[str, str], verified: frozenset[str], inbound: dict[E164, UserId], caller: str
) -> None:
    trunk = TrunkChoice(name=A, caller_id=MAIN, verified=verified)
    decision = plan(
        trunks=(trunk,),
        caller_ids=caller_ids,
        inbound={number: Reach.of_user(user) for number, user in inbound.items()},
    ).decide(ALICE, "+15550100", up)
    assert isinstance(decision, Decision)
    assert decision.routes[0].caller == caller


@pytest.mark.parametrize(
    ("caller_ids", "wanted", "withheld"),
    [
        ({}, None, False),
        ({}, True, True),
        ({ALICE: WITHHELD}, None, True),
        ({"example.org": WITHHELD}, None, True),
        ({ALICE: COMPANY, "example.org": WITHHELD}, None, False),
        ({ALICE: WITHHELD}, False, False),
    ],
)
def test_a_number_is_withheld_on_request(caller_ids: dict[str, str], wanted: bool | None, *, withheld: bool) -> None:
    decision = plan(caller_ids=caller_ids).decide(ALICE, "+15550100", up, withheld=wanted)
    assert isinstance(decision, Decision)
    assert [route.withheld for route in decision.routes] == [withheld] * 3


def test_an_emergency_call_tries_every_trunk_that_is_marked_and_is_never_anonymous() -> None:
    marked = tuple(TrunkChoice(name=name, caller_id=MAIN, emergency=name != A) for name in (A, B, C))
    helping = plan(trunks=marked, emergency=frozenset({"112"}), permissions=(), caller_ids={ALICE: WITHHELD})
    decision = helping.decide(ALICE, "112", lambda trunk: trunk != B, withheld=True)
    assert isinstance(decision, Decision)
    assert decision.is_emergency
    assert [(route.trunk, route.caller, route.withheld) for route in decision.routes] == [
        (C, MAIN, False),
        (B, MAIN, False),
    ]


@pytest.mark.parametrize(
    ("seconds", "step_s", "cost"),
    [(0, 60, 0), (0.1, 60, 12_500), (60, 60, 12_500), (60.1, 60, 25_000), (1, 1, 209), (60, 1, 12_500), (10, 6, 2_500)],
)
def test_each_step_that_has_begun_is_paid_in_full(seconds: float, step_s: int, cost: int) -> None:
    assert Price(trunk=A, per_minute=12_500, step_s=step_s).until(seconds) == cost


@pytest.mark.parametrize(("text", "amount"), [("0.0125", 12_500), ("1", 1_000_000), ("0", 0), ("12.50", 12_500_000)])
def test_prices_are_exact(text: str, amount: int) -> None:
    assert parse_price(text) == amount
    assert parse_price(shown(amount)) == amount


@pytest.mark.parametrize("text", ["", "-1", "1,5", "1e3", "0.1234567", "1 EUR", "٣", "NaN"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected an amount"):
        parse_price(text)
