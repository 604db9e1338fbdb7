"""Numbers as people and trunks write them."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.numbers.number import canonical, is_beginning
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


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("+49015112345678", "US", "+4915112345678"),
        ("+49 0 88161234567", "US", "+4988161234567"),
        ("+490442079460018", "DE", "+49442079460018"),
        ("+33 0 1 23 45 67 89", "FR", "+33123456789"),
        ("+44 020 7946 0018", "GB", "+442079460018"),
        ("+44 (0)020 7946 0018", "GB", "+442079460018"),
        ("+7 8 495 123 45 67", "RU", "+74951234567"),
        ("+36 06 1 234 5678", "HU", "+3612345678"),
        ("+1 1 206 555 0100", "US", "+12065550100"),
        ("00 49 0 151 12345678", "DE", "+4915112345678"),
        ("tel:015112345678;phone-context=+49", "US", "+4915112345678"),
        ("sip:+49015112345678@example.org", "US", "+4915112345678"),
        ("#31#+49015112345678", "DE", "#31#+4915112345678"),
        ("+54 11 15 2345 6789", "AR", "+5491123456789"),
        ("+39 02 1234 5678", "IT", "+390212345678"),
        ("+225 07 12 34 56 78", "US", "+2250712345678"),
        ("+7 800 123 45 67", "RU", "+78001234567"),
        ("+7 812 345 67 89", "RU", "+78123456789"),
        ("+375 801 123 45 67", "BY", "+3758011234567"),
        ("+972 1800 123 456", "IL", "+9721800123456"),
        ("+15550100", "US", "+15550100"),
        ("+49 999 1234567", "DE", "+499991234567"),
        ("+881 6 1234 567", "US", "+88161234567"),
    ],
)
def test_a_number_has_one_form_whatever_is_dialled_at_home_before_it(written: str, region: str, number: str) -> None:
    assert canonical(written, region) == number
    assert canonical(number, region) == number


@pytest.mark.parametrize(
    ("written", "region"),
    [
        ("+1 011 881 6123 4567", "US"),
        ("+101144207946001", "US"),
        ("+1 0 206 555 0100", "US"),
        ("+1 00 44 20 7946", "US"),
        ("+1 101 0288 011", "US"),
        ("011 1 011 234 5678", "GB"),
        ("0111 0112345678", "US"),
        ("tel:01188161234567;phone-context=+1", "US"),
        ("01188161234567;phone-context=+1", "US"),
        ("tel:1188161234567;phone-context=+10", "US"),
        ("sip:+101188161234567@example.org", "US"),
        ("*67 +1 011 881 6123 4567", "US"),
        ("+49 00 44 2079 460018", "DE"),
        ("+49 010 13 0044 2079", "DE"),
        ("+33 00 44 2079 46001", "FR"),
        ("+44 00 881 6123 4567", "GB"),
        ("+39 00 44 2079 460018", "IT"),
        ("+7 8 10 44 2079 460018", "RU"),
        ("+7 10 44 2079 460018", "RU"),
        ("+7 8 10 44 2079 4", "RU"),
        ("+7 8 10 8 816 123 4567", "RU"),
        ("+972 12 44 2079 4600", "IL"),
        ("+999 123456", "US"),
        ("+491", "DE"),
    ],
)
def test_what_would_be_dialled_elsewhere_without_its_country_code_is_no_number(written: str, region: str) -> None:
    assert canonical(written, region) is None


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_kind_of_number_of_every_country_has_its_own_form(region: str) -> None:
    for kind in phonenumbers.PhoneNumberType.values():
        example = phonenumbers.example_number_for_type(region, kind)
        if example is not None:
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            assert canonical(number, region) == number


@pytest.mark.parametrize("beginning", ["+1", "+1876", "+4", "+4915", "+39", "+390", "+7812", "+881", "+44 118", "+521"])
def test_numbers_may_begin_so(beginning: str) -> None:
    assert is_beginning(beginning.replace(" ", ""))


@pytest.mark.parametrize("beginning", ["+10", "+11", "+49015", "+440", "+49010", "+3606", "+999"])
def test_no_number_begins_so(beginning: str) -> None:
    assert not is_beginning(beginning)


@given(st.text(max_size=128))
def test_any_text_is_a_number_or_none(text: str) -> None:
    number = canonical(text, "US")
    if number is not None:
        assert number.isascii()
        assert canonical(number, "US") == number


@given(st.from_regex(r"\+[1-9][0-9]{1,14}", fullmatch=True), st.sampled_from(["US", "DE", "RU"]))
def test_what_has_been_read_once_is_read_the_same_again(written: str, region: str) -> None:
    number = canonical(written, region)
    assert number is None or canonical(number, region) == number
