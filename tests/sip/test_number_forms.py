"""Numbers as trunks write them, there and back."""

import time
from collections.abc import Iterator
from pathlib import Path

import phonenumbers
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bridge.config.convert import dial_rules
from bridge.core.ids import TrunkName
from bridge.numbers.number import canonical
from bridge.sip.errors import SipError
from bridge.sip.number_forms import read, read_called, user_of, written, written_called
from bridge.sip.settings import NumberFormat, Trunk
from bridge.sip.uri import parse_any_uri

F = NumberFormat
PROFILES = Path(__file__).parents[2] / "config" / "trunks"


def trunk(form: NumberFormat = F.E164, region: str = "DE", **settings: object) -> Trunk:
    plain = {"name": TrunkName("t"), "host": "192.0.2.2", "number_format": form, "dial_rules": dial_rules(region)}
    return Trunk(**{**plain, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "region", "number", "sent"),
    [
        (F.E164, "DE", "+4930123456", "+4930123456"),
        (F.DIGITS, "DE", "+4930123456", "4930123456"),
        (F.INTERNATIONAL, "DE", "+4930123456", "004930123456"),
        (F.INTERNATIONAL, "US", "+4930123456", "0114930123456"),
        (F.NATIONAL, "DE", "+4930123456", "030123456"),
        (F.NATIONAL, "DE", "+12065550100", "0012065550100"),
        (F.NATIONAL, "US", "+12065550100", "2065550100"),
        (F.NATIONAL, "FR", "+33123456789", "0123456789"),
        (F.NATIONAL, "IT", "+390212345678", "0212345678"),
    ],
)
def test_a_number_is_sent_in_the_trunks_format_and_read_back(
    form: NumberFormat, region: str, number: str, sent: str
) -> None:
    there = trunk(form, region)
    assert written(number, there) == sent
    if (form, region) != (F.NATIONAL, "IT"):  # Italy writes nothing before a national number that would show it.
        assert read(sent, there) == number


@pytest.mark.parametrize("form", list(F))
@pytest.mark.parametrize("number", ["112", "*97", "201", "alice", "", "+", "anonymous"])
def test_what_is_no_number_stays_as_it_is(form: NumberFormat, number: str) -> None:
    assert written(number, trunk(form)) == number
    assert read(number, trunk(form)) == number


def test_a_prefix_stands_before_every_called_number_and_is_taken_away() -> None:
    there = trunk(F.DIGITS, "US", number_prefix="12345678*")
    assert written_called("+12065550100", there) == "12345678*12065550100"
    assert read_called("12345678*12065550100", there) == "+12065550100"
    assert read_called("12065550100", there) == "+12065550100"


@pytest.mark.parametrize(
    ("region", "number"),
    [
        ("US", "+101188161234567"),
        ("US", "+101144207946001"),
        ("US", "+1101028801144"),
        ("DE", "+49088161234567"),
        ("DE", "+490442079460018"),
        ("DE", "+4910130044207"),
        ("FR", "+330442079460018"),
        ("GB", "+440881612345678"),
        ("IT", "+390044207946001"),
        ("RU", "+710442079460018"),
        ("IL", "+9721800123456"),
        ("JP", "+8100777012"),
    ],
)
def test_no_number_is_sent_home_that_would_go_abroad(region: str, number: str) -> None:
    assert written(number, trunk(F.NATIONAL, region)) == number


def shipped() -> Iterator[tuple[NumberFormat, str]]:
    for path in sorted(PROFILES.glob("*.yaml")):
        profile = yaml.safe_load(path.read_text())
        yield F(profile.get("number_format", F.E164)), profile.get("region", "US")


def read_there(text: str, form: NumberFormat, region: str) -> str:
    """As an exchange of the country would, by the numbering plan alone."""
    number = phonenumbers.parse(f"+{text}" if form is F.DIGITS else text, region)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_whole(number: str) -> bool:
    """Whether it is as long as numbers of its country are: in shorter ones that plan takes no prefix for one."""
    length = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(number))
    return length == phonenumbers.ValidationResult.IS_POSSIBLE


def country_of(text: str, region: str) -> str | None:
    """Where an exchange of the region would call; nowhere what is too short for a number."""
    try:
        return str(phonenumbers.parse(text, region).country_code)
    except phonenumbers.NumberParseException:
        return None


def home_prefixes() -> st.SearchStrategy[str]:
    """What is dialled before numbers somewhere, alone or with the beginning of a number abroad."""
    plans = map(dial_rules, sorted(phonenumbers.SUPPORTED_REGIONS))
    prefixes = {prefix for plan in plans for prefix in (plan.national_prefix, plan.international_prefix)}
    return st.sampled_from(sorted(prefixes | {"", "00", "10", "12", "010", "01188161", "0044", "1010", "118"}))


def dialled() -> st.SearchStrategy[str]:
    """Numbers with and without what is dialled at home before them, and any digits at all."""
    beginnings = st.sampled_from(["+1", "+1876", "+49", "+33", "+44", "+39", "+7", "+881"])
    digits = st.text("0123456789", max_size=11)
    return st.one_of(
        st.builds(lambda *parts: "".join(parts), beginnings, home_prefixes(), digits),
        st.from_regex(r"\+[1-9][0-9]{1,14}", fullmatch=True),
    )


@given(dialled(), st.sampled_from(sorted(set(shipped()))))
def test_what_a_shipped_trunk_is_sent_is_the_number_that_was_permitted(text: str, there: tuple[F, str]) -> None:
    number = canonical(text, there[1])
    if number is not None and number.startswith("+"):
        assert read_there(written(number, trunk(*there)), *there) == number


@given(dialled(), st.sampled_from(list(F)), st.sampled_from(["US", "DE", "FR", "GB", "IT", "RU", "AU", "IL"]))
def test_what_any_trunk_is_sent_is_the_number_that_was_permitted(text: str, form: NumberFormat, region: str) -> None:
    number = canonical(text, region)
    if number is not None and number.startswith("+") and is_whole(number):
        assert read_there(written(number, trunk(form, region)), form, region) == number


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), home_prefixes(), st.text("0123456789", max_size=11))
def test_no_call_within_a_country_leaves_it(region: str, prefix: str, digits: str) -> None:
    there = trunk(F.NATIONAL, region)
    number = canonical(f"+{there.dial_rules.country_code}{prefix}{digits}", region)
    if number is not None:
        assert country_of(written(number, there), region) in (there.dial_rules.country_code, None)


def test_ten_digits_in_north_america_are_a_number_of_north_america() -> None:
    assert read("2065550100", trunk(F.DIGITS, "US")) == "+12065550100"


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("tel:+49-30-12.34(56)", "+4930123456"),
        ("tel:+49(0)30123456", "+4930123456"),
        ("tel:030123456;phone-context=+49", "+4930123456"),
        ("tel:555-0100;phone-context=+1-206", "+12065550100"),
        ("tel:201;phone-context=pbx.example.org", "201"),
        ("tel:+4930123456;ext=12;isub=7", "+4930123456"),
        ("sip:+4930123456;npdi;rn=+4930@example.org;user=phone", "+4930123456"),
        ("sip:+4930123456;tgrp=a;trunk-context=b@example.org", "+4930123456"),
        ("sip:+4930123456;verstat=TN-Validation-Passed@example.org", "+4930123456"),
        ("sip:555-0100;phone-context=+1206@example.org;user=phone", "+12065550100"),
        ("sip:+49(0)30-1%2023%2045%206@example.org", "+4930123456"),
        ("sip:004930123456@example.org", "+4930123456"),
        ("sip:alice@example.org", "alice"),
        ("sip:alice.b-c@example.org", "alice.b-c"),
        ("sip:1.2.3.4@example.org", "1234"),
        ("sip:example.org", ""),
        ("urn:service:sos", ""),
    ],
)
def test_a_number_is_found_in_every_kind_of_address(uri: str, number: str) -> None:
    assert user_of(parse_any_uri(uri), trunk()) == number


@pytest.mark.parametrize("text", ["tel:" + "1" * 65000, "sip:" + "+1-" * 21000 + "@a", "sip:1" + ";a" * 32000 + "@a"])
def test_no_number_takes_long_to_read(text: str) -> None:
    begin = time.thread_time()
    user_of(parse_any_uri(text), trunk(F.NATIONAL))
    assert time.thread_time() - begin < 0.2


@given(st.text(max_size=60), st.sampled_from(list(F)), st.sampled_from(["DE", "US", "HU"]))
def test_any_text_is_read_and_only_once(text: str, form: NumberFormat, region: str) -> None:
    there = trunk(form, region)
    number = read(text, there)
    if number.startswith("+"):
        assert read(number, there) == number


@given(st.text(alphabet="+0123456789-.();=a", max_size=40))
def test_any_user_part_gives_a_number_or_a_sip_error(user: str) -> None:
    try:
        uri = parse_any_uri(f"sip:{user}@example.org")
    except SipError:
        return
    assert isinstance(user_of(uri, trunk()), str)
