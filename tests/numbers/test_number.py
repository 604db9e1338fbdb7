"""Numbers as people and trunks write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.numbers.number import canonical
from bridge.numbers.withholding import HIDE, SHOW, is_withheld, split_mark


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


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("*67 (212) 555-0123", "US", "#31#+12125550123"),
        ("*82 212 555 0123", "CA", "*82+12125550123"),
        ("tel:*6712125550123", "US", "#31#+12125550123"),
        ("#31#+49 30 1234567", "US", "#31#+49301234567"),
        ("#31# 030 1234567", "SE", "#31#+46301234567"),
        ("*31# 020 7946 0018", "GB", "*82+442079460018"),
        ("*31# 030 1234567", "DE", "#31#+49301234567"),
        ("*31* 01 234567", "AT", "#31#+431234567"),
        ("141 020 7946 0018", "GB", "#31#+442079460018"),
        ("1470 020 7946 0018", "GB", "*82+442079460018"),
        ("141 01 234 5678", "IE", "#31#+35312345678"),
        ("1831 02 5550 1234", "AU", "#31#+61255501234"),
        ("184 03 1234 5678", "JP", "#31#+81312345678"),
        ("#31#+49301234567", "DE", "#31#+49301234567"),
        ("*82+49301234567", "DE", "*82+49301234567"),
        ("*67 030 1234567", "DE", "*670301234567"),
        ("*67", "US", "*67"),
        ("*6797", "US", "*6797"),
        ("#31#", "DE", "#31#"),
        ("#31#112", "DE", "#31#112"),
        ("141112", "GB", "141112"),
        ("#31##31#+49301234567", "DE", None),
        ("*67*67 212 555 0123", "US", "*67*672125550123"),
        ("#31#" + "1" * 40, "US", None),
        ("#31#+٤٩٣٠", "US", None),
    ],
)
def test_a_code_before_a_number_is_the_same_code_in_every_country(
    written: str, region: str, number: str | None
) -> None:
    assert canonical(written, region) == number


@pytest.mark.parametrize(
    ("marked", "parts"),
    [
        ("#31#+15550100", (HIDE, "+15550100")),
        ("*82+15550100", (SHOW, "+15550100")),
        ("+15550100", ("", "+15550100")),
        ("#31#112", ("", "#31#112")),
        ("alice", ("", "alice")),
        ("", ("", "")),
    ],
)
def test_a_code_is_told_from_the_number_behind_it(marked: str, parts: tuple[str, str]) -> None:
    assert split_mark(marked) == parts
    assert is_withheld(parts[0]) is {HIDE: True, SHOW: False, "": None}[parts[0]]


@given(st.text(max_size=128))
def test_any_text_is_a_number_or_none(text: str) -> None:
    number = canonical(text, "US")
    if number is not None:
        assert number.isascii()
        assert canonical(number, "US") == number
