"""Hours of the week: what is read, what they cover, what is refused."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.numbers.hours import parse_hours

MONDAY = datetime(2026, 3, 2)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("text", "moment", "covered"),
    [
        ("mon-fri 9:00-17:00", at(0, 9), True),
        ("mon-fri 9:00-17:00", at(0, 8, 59), False),
        ("mon-fri 9:00-17:00", at(4, 16, 59), True),
        ("mon-fri 9:00-17:00", at(4, 17), False),
        ("mon-fri 9:00-17:00", at(5, 12), False),
        ("MON-FRI 9:00 - 17:00,  Sat 10:00-13:00", at(5, 12), True),
        ("fri-mon 8:00-9:00", at(6, 8), True),
        ("fri-mon 8:00-9:00", at(2, 8), False),
        ("22:00-06:00", at(3, 23), True),
        ("22:00-06:00", at(3, 5, 59), True),
        ("22:00-06:00", at(3, 12), False),
        ("sun 22:00-06:00", at(0, 5), True),
        ("sun 22:00-06:00", at(6, 5), False),
        ("0:00-24:00", at(2, 23, 59), True),
        ("tue 8:00-8:00", at(2, 7, 59), True),
    ],
)
def test_what_is_covered(text: str, moment: datetime, covered: bool) -> None:
    assert parse_hours(text).cover(moment) is covered


@pytest.mark.parametrize(
    "text", ["", "mon", "9-17", "mon-fri 9:00", "25:00-26:00", "24:01-1:00", "foo 9:00-10:00", "mon-fr 9:00-9:10"]
)  # fmt: skip
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|days|there is no"):
        parse_hours(text)


def test_a_list_has_an_end() -> None:
    with pytest.raises(ValueError, match="too much"):
        parse_hours(",".join(["1:00-2:00"] * 21))


@given(st.text(max_size=60))
def test_nothing_else_is_ever_raised(text: str) -> None:
    try:
        parse_hours(text)
    except ValueError:
        return
