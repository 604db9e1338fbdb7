"""Numbers, permissions and groups in the configuration, and mistakes there."""

from pathlib import Path

import pytest

from bridge.app.plan import number_plan
from bridge.config import (
    warnings,
)
from bridge.core.ids import TrunkName
from tests.config_files import MINIMAL, TRUNK, faults, load


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("numbers: {default_region: NO}", "numbers.default_region", "expected text, found false: put it in quotes"),
        ("numbers: {default_region: XX}", "numbers.default_region", "expected a country code"),
        ("numbers: {emergency: [112]}", "numbers.emergency[0]", "found the number 112: put it in quotes"),
        ("numbers: {inbound: {+15550100: '@a:b.c'}}", "numbers.inbound[15550100]", "put it in quotes"),
        ("numbers: {inbound: {'+1': '@a:b.c'}}", "numbers.inbound.+1", "expected + and a country code"),
        (
            "numbers: {default_region: DE, inbound: {'030 12345678901234567890': '@a:b.c'}}",
            "numbers.inbound.030 12345678901234567890",
            "such as '+15550100', a national one of DE, or the name of an extension, found '030 12345678901234567890'",
        ),
        ("numbers: {inbound: {'front desk': '@a:b.c'}}", "numbers.inbound.front desk", "or the name of an extension"),
        ("numbers: {inbound: {'+alice': '@a:b.c'}}", "numbers.inbound.+alice", "expected + and a country code"),
        ("numbers: {inbound: {'+15550100': alice}}", "numbers.inbound.+15550100", "expected a user id such as"),
        ("numbers: {inbound: {'+1555*': alice}}", "numbers.inbound.+1555*", "expected a user id such as"),
        (
            "numbers: {inbound: {'030 1234567*': '@a:b.c'}, default_region: DE}",
            "numbers.inbound.030 1234567*",
            "would never match",
        ),
        (
            "numbers: {inbound: {'+1 55*': '@a:b.c', '+155*': '@a:b.c'}}",
            "numbers.inbound.+155*",
            "is the same number as",
        ),
        ("numbers: {inbound: {'201': {hours: '9:00-10:00'}}}", "numbers.inbound.201.to", "is required"),
        (
            "numbers: {inbound: {'201': {to: '@a:b.c', hours: mon}}}",
            "numbers.inbound.201.hours",
            "expected hours such as",
        ),
        (
            "numbers: {inbound: {'201': {to: '@a:b.c', otherwise: '@d:b.c'}}}",
            "numbers.inbound.201.otherwise",
            "without hours",
        ),
        ("numbers: {inbound: {'201': 'menu:front'}}", "numbers.inbound.201", "no menu is called 'front'"),
        (
            "numbers: {inbound: {'201': 'group:sales'}}",
            "numbers.inbound.201",
            "there is none",
        ),
        ("groups: {Sales: {members: ['@a:b.c']}}", "groups.Sales", "expected a name of a-z"),
        (
            "permissions: {outbound: [{who: [a.b], prefixes: ['+49'], but_not: ['+49 0900']}]}",
            "permissions.outbound[0].but_not[0]",
            "would never match: no number that is dialled from abroad begins with '+490900'",
        ),
        (
            "numbers: {inbound: {'+1 011 881 6123': '@a:b.c'}}",
            "numbers.inbound.+1 011 881 6123",
            "the number as it is dialled from abroad",
        ),
        ("numbers: {inbound: {'+49030123*': '@a:b.c'}}", "numbers.inbound.+49030123*", "would never match"),
        ("groups: {sales: {members: []}}", "groups.sales.members", "at least one entry"),
        ("groups: {sales: {}}", "groups.sales.members", "is required"),
        ("groups: {sales: {members: ['@a:b.c', '@a:b.c']}}", "groups.sales.members[1]", "is listed twice"),
        ("groups: {sales: {members: ['@_sip_bot:example.org']}}", "groups.sales.members[0]", "own users"),
        ("groups: {sales: {members: ['@a:b.c'], otherwise: 'group:sales'}}", "groups.sales.otherwise", "leads back"),
        ("groups: {sales: {members: ['@a:b.c'], otherwise: 'group:x'}}", "groups.sales.otherwise", "there is sales"),
        ("groups: {sales: {members: ['@a:b.c'], each_s: 1}}", "groups.sales.each_s", "5"),
        (
            "numbers: {inbound: {'201': 'voicemail:@a:b.c'}}",
            "numbers.inbound.201",
            "@a:b.c is not one of voicemail.users",
        ),
        (
            "numbers: {inbound: {'+15550100': }}",
            "numbers.inbound.+15550100",
            "expected text, found nothing",
        ),
        (
            "numbers: {inbound: {'+15550100': '@_sip_+15550101:example.org'}}",
            "numbers.inbound.+15550100",
            "is one of the bridge's own users",
        ),
        (
            "numbers: {inbound: {'+15550100': '@a:b.c', '+1 555 0100': '@a:b.c'}}",
            "numbers.inbound.+1 555 0100",
            "is the same number as '+15550100'",
        ),
        (
            "numbers: {default_region: DE, inbound: {'030 1234567': '@a:b.c', '+49 30 1234567': '@d:b.c'}}",
            "numbers.inbound.+49 30 1234567",
            "is the same number as '030 1234567'",
        ),
        (
            "numbers: {default_region: DE, inbound: {'030 1234567': '@_sip_bot:example.org'}}",
            "numbers.inbound.030 1234567",
            "is one of the bridge's own users",
        ),
        ("permissions: {outbound: [{who: ['@a'], prefixes: ['+1']}]}", "permissions.outbound[0].who[0]", "user id"),
        ("permissions: {outbound: [{who: [a.b], prefixes: [+1]}]}", "permissions.outbound[0].prefixes[0]", "quotes"),
        (
            "numbers: {default_region: DE}\npermissions: {outbound: [{who: [a.b], prefixes: ['030 1234567']}]}",
            "permissions.outbound[0].prefixes[0]",
            "would never match, because calls have this number as +49301234567: write it so",
        ),
        ("permissions: {outbound: [{who: [a.b], prefixes: []}]}", "permissions.outbound[0].prefixes", "at least one"),
        (
            "permissions: {outbound: [{who: [a.b], prefixes: ['+'], trunk: x}]}",
            "permissions.outbound[0].trunk",
            "no trunk is called 'x'; there is none",
        ),
        ("permissions: {outbound: [{who: ['!'], prefixes: ['+']}]}", "permissions.outbound[0].who[0]", "a room id"),
        ("numbers: {dial_plan: [{prefixes: ['+'], trunks: [x]}]}", "numbers.dial_plan[0].trunks[0]", "there is none"),
        ("numbers: {dial_plan: [{prefixes: ['+'], trunks: []}]}", "numbers.dial_plan[0].trunks", "at least one"),
        (f"{TRUNK}numbers: {{dial_plan: [{{trunks: [a]}}]}}", "numbers.dial_plan[0]", "either prefixes or a pattern"),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], pattern: x, trunks: [a]}}]}}",
            "numbers.dial_plan[0]",
            "either prefixes or a pattern",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{pattern: '+49(', trunks: [a]}}]}}",
            "numbers.dial_plan[0].pattern",
            "is no regular expression",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], trunks: [a, a]}}]}}",
            "numbers.dial_plan[0].trunks[1]",
            "is listed twice",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], trunks: [a], choose: best}}]}}",
            "numbers.dial_plan[0].choose",
            "expected order, cost or weight",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], trunks: [a], choose: weight, weights: {{b: 2}}}}]}}",
            "numbers.dial_plan[0].weights.b",
            "is not one of the trunks of this rule",
        ),
        (
            f"{TRUNK}numbers: {{dial_plan: [{{prefixes: ['+'], trunks: [a], weights: {{a: 2}}}}]}}",
            "numbers.dial_plan[0].weights",
            "count only with choose: weight",
        ),
        ("numbers: {caller_ids: {'@a:b.c': '201'}}", "numbers.caller_ids.@a:b.c", "or withheld, found '201'"),
        (
            "trunks: {a: {server: h.b, caller_ids: ['+15550100']}}\nnumbers: {caller_ids: {b.c: '+15550101'}}",
            "numbers.caller_ids.b.c",
            "no trunk has this number",
        ),
        ("permissions: {limits: [{who: [], day_minutes: 5}]}", "permissions.limits[0].who", "at least one"),
        (
            "permissions: {limits: [{who: [a.b], day_cost: '5'}]}",
            "permissions.limits[0].day_cost",
            "could not be kept: no trunk says what calls cost",
        ),
        (
            "trunks: {a: {server: h.b, rates: {'+': '1'}}}\npermissions: {limits: [{who: [a.b], day_cost: 5}]}",
            "permissions.limits[0].day_cost",
            "put it in quotes",
        ),
        ("permissions: {limits: [{who: [a.b], call_minutes: -1}]}", "permissions.limits[0].call_minutes", "0"),
        ("permissions: {suspension: {hours: 0}}", "permissions.suspension.hours", "0"),
        ("permissions: {admins: [a]}", "permissions.admins[0]", "expected a user id"),
    ],
)
def test_a_mistake_is_explained(tmp_path: Path, text: str, path: str, words: str) -> None:
    found = faults(tmp_path, MINIMAL + text)
    assert set(found) == {path}
    assert words in found[path]


@pytest.mark.parametrize(
    ("region", "written", "number"),
    [
        ("DE", "030 1234567", "+49301234567"),
        ("DE", "+49 30 1234567", "+49301234567"),
        ("DE", "+49 (0)30 1234567", "+49301234567"),
        ("DE", "tel:+49-30-1234567", "+49301234567"),
        ("DE", "0049301234567", "+49301234567"),
        ("GB", "020 7946 0100", "+442079460100"),
        ("DE", "201", "201"),
        ("DE", "*97", "*97"),
        ("DE", "alice", "alice"),
        ("DE", "alice-030.1234567", "alice-030.1234567"),
        ("US", "12345678901234567890", "12345678901234567890"),
    ],
)
def test_numbers_are_read_as_those_of_calls_are(tmp_path: Path, region: str, written: str, number: str) -> None:
    text = f"""
numbers: {{default_region: {region}, inbound: {{"{written}": "@a:b.c"}}}}
trunks: {{t: {{server: a.b, caller_id: "{written}"}}}}
"""
    config = load(tmp_path, MINIMAL + text)
    assert list(config.numbers.inbound) == [number]
    assert config.trunks[TrunkName("t")].caller_id == number


@pytest.mark.parametrize("sent", ["+49301234567", "0301234567", "49301234567", "0049301234567"])
def test_a_number_in_national_form_is_found_however_a_trunk_sends_it(tmp_path: Path, sent: str) -> None:
    text = 'numbers: {default_region: DE, inbound: {"030 1234567": "@a:b.c"}}'
    assert number_plan(load(tmp_path, MINIMAL + text)).user_of(sent) == "@a:b.c"


def test_a_limit_that_limits_nothing_is_noted(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + "permissions: {limits: [{who: [a.b], day_minutes: 5}, {who: [a.b]}]}")
    assert [note for note in warnings(config) if "limits" in note] == ["permissions.limits[1]: limits nothing"]


WORLD = "permissions.outbound[0]: reaches the whole world, and no entry of permissions.limits has minutes or money"


@pytest.mark.parametrize(
    ("outbound", "limits", "note"),
    [
        ("{who: [example.org], prefixes: ['+']}", "", f"{WORLD} of a day or a month for 'example.org'"),
        ("{who: ['@a:example.org', '@b:example.org'], prefixes: ['+']}", "{who: ['@a:example.org'], day_minutes: 60}",
         f"{WORLD} of a day or a month for '@b:example.org'"),
        ("{who: [example.org], prefixes: ['+']}", "{who: [example.org], call_minutes: 60, calls_at_once: 2}", WORLD),
        ("{who: [example.org], prefixes: ['+']}", "{who: ['@a:example.org'], month_minutes: 60}", WORLD),
        ("{who: ['!room:example.org'], prefixes: ['+']}", "{who: ['@a:example.org'], month_minutes: 60}", WORLD),
        ("{who: ['!room:example.org'], prefixes: ['+']}", "{who: [example.org], month_minutes: 60}", ""),
        ("{who: ['@a:example.org'], prefixes: ['+']}", "{who: [example.org], day_cost: '5'}", ""),
        ("{who: [example.org], prefixes: ['+44', '201']}", "", ""),
        ("{who: [example.org], prefixes: ['+44'], costly: true}", "", "reaches numbers at special rates"),
    ],
)  # fmt: skip
def test_callers_whom_no_limit_of_minutes_or_money_holds_are_noted(
    tmp_path: Path, outbound: str, limits: str, note: str
) -> None:
    trunks = "trunks: {a: {server: h.b, rates: {'+': '1'}}}"
    text = f"{trunks}\npermissions: {{outbound: [{outbound}], limits: [{limits}]}}\n"
    notes = [
        line for line in warnings(load(tmp_path, MINIMAL + text)) if line.startswith("permissions.outbound[0]: reach")
    ]
    assert [note in line for line in notes] == ([True] if note else [])


def test_groups_that_lead_to_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    text = """
groups:
  a: {members: ['@a:b.c'], otherwise: 'group:b'}
  b: {members: ['@a:b.c'], otherwise: 'group:a'}
  c: {members: ['@a:b.c'], otherwise: 'group:a'}
"""
    found = faults(tmp_path, MINIMAL + text)
    assert set(found) == {"groups.a.otherwise", "groups.b.otherwise"}


def test_a_group_that_rings_for_longer_than_callers_wait_is_warned_of(tmp_path: Path) -> None:
    text = "groups: {a: {members: ['@a:b.c', '@d:b.c'], ring: in_turn, each_s: 100}}"
    assert any(
        warning.startswith("groups.a: may ring for 200 s") for warning in warnings(load(tmp_path, MINIMAL + text))
    )
