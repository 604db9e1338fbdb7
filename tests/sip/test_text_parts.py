"""Long texts in parts (RFC 3428 §8, 3GPP TS 23.038)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.settings import Texting
from bridge.sip.text_parts import MAX_PARTS, parts_of

WORDS = "The train to the sea leaves at noon from the second platform. "


def units(part: str) -> int:
    return len(part.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("text", "count"),
    [("a" * 160, 1), ("a" * 161, 2), ("€" * 80, 1), ("€" * 81, 2), ("ж" * 70, 1), ("ж" * 71, 2), ("😀" * 35, 1)],
)
def test_one_message_holds_160_septets_or_70_units(text: str, count: int) -> None:
    assert len(parts_of(text, Texting.SMS)) == count


def test_parts_are_numbered_and_cut_between_words() -> None:
    parts = parts_of((WORDS * 6).strip(), Texting.SMS)
    assert [part[:6] for part in parts] == [f"({n}/{len(parts)}) " for n in range(1, len(parts) + 1)]
    assert all(len(part) <= 153 for part in parts)
    assert " ".join(part[6:] for part in parts) == (WORDS * 6).strip()


@pytest.mark.parametrize("cluster", ["👩\u200d👩\u200d👧", "e\u0301", "👍🏽", "❤\ufe0f"])
def test_what_is_seen_as_one_is_not_taken_apart(cluster: str) -> None:
    for part in parts_of(cluster * 40, Texting.SMS):
        bare = part.partition(") ")[2]
        assert bare == cluster * (len(bare) // len(cluster))


def test_a_page_is_longer_and_counted_in_octets() -> None:
    assert len(parts_of("a" * 1000, Texting.PAGE)) == 1
    parts = parts_of("ж" * 600, Texting.PAGE)
    assert len(parts) == 2
    assert all(len(part.encode()) <= 1000 for part in parts)


def test_a_document_is_no_text_message() -> None:
    assert parts_of("a" * 153 * (MAX_PARTS + 1), Texting.SMS) == ()


@given(st.text(min_size=1, max_size=600))
def test_nothing_is_lost_but_blanks_and_no_part_is_too_long(text: str) -> None:
    parts = parts_of(text, Texting.SMS)
    assert all(units(part) <= 160 for part in parts)
    if len(parts) > 1:
        bare = "".join(part.partition(") ")[2] for part in parts)
        assert "".join(bare.split()) == "".join(text.split())
