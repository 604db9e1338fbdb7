"""Numbers as people and trunks write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.numbers.number import canonical


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("+15550100", "US", "+15550100"),
        ("+1 (555) 0100", "US", "+15550100"),
        ("+44 20 7946 0018", "US", "+442079460018"),
        ("+49(0)30-1 23", "US", "+4930123"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("030 1234567", "DE", "+49301234567"),
        ("(212) 555-0123", "US", "+12125550123"),
        ("0049 30 1234567", "DE", "+49301234567"),
        ("011 49 30 123456", "US", "+4930123456"),
        (" 15550100", "US", "+15550100"),
        ("tel:+14155552671", "US", "+14155552671"),
        ("TEL:+1-415-555-2671;ext=12", "US", "+14155552671"),
        ("tel:2671;phone-context=+1-415-555", "DE", "+14155552671"),
        ("tel:030 1234567", "DE", "+49301234567"),
        ("tel:112", "DE", "112"),
        ("sip:+4930123456@example.org;user=phone", "US", "+4930123456"),
        ("sips:+4930123456;isub=1@example.org", "US", "+4930123456"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("+123", "US", "+123"),
        ("112", "DE", "112"),
        ("201", "US", "201"),
        ("*#06#", "US", "*#06#"),
        ("*97", "US", "*97"),
    ],
)
def test_numbers_are_reduced_to_one_form(written: str, region: str, number: str) -> None:
    assert canonical(written, region) == number


@pytest.mark.parametrize(
    "written",
    [
        "",
        "+",
        "0",
        "alice",
        "@alice:example.org",
        "sip:alice@example.org",
        "sip:201@elsewhere.net",
        "sip:112@elsewhere.net",
        "tel:",
        "tel:;phone-context=+49",
        "mailto:+4930123456",
        "urn:service:sos",
        "+0123456",
        "+" + "1" * 16,
        "1" * 40,
        "٩١١",
        "+٤٩٣٠",
        "1",
        "+49\x0030",
        "++49",
        "x" * 10_000,
    ],
)
def test_what_is_no_number_is_none(written: str) -> None:
    assert canonical(written, "US") is None


@given(st.text(max_size=128))
def test_any_text_is_a_number_or_none(text: str) -> None:
    number = canonical(text, "US")
    if number is not None:
        assert number.isascii()
        assert canonical(number, "US") == number
