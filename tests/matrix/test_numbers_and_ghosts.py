"""Numbers that people type, the ghosts that stand for them, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.matrix.ghosts import GhostNames, display_name
from bridge.matrix.lookup import normalise
from bridge.matrix.settings import MatrixSettings

NAMES = GhostNames(
    MatrixSettings(homeserver_url="http://127.0.0.1", server_name="example.org", as_token="a", hs_token="h")
)


@pytest.mark.parametrize(
    ("number", "user_id"),
    [
        ("+15550100", "@_sip_+15550100:example.org"),
        ("112", "@_sip_112:example.org"),
        ("*97", "@_sip_=2a97:example.org"),
        ("alice", "@_sip_alice:example.org"),
        ("alice@pbx", "@_sip_alice=40pbx:example.org"),
        ("Alice=1", "@_sip_=41lice=3d1:example.org"),
        ("Jürgen", "@_sip_=4a=c3=bcrgen:example.org"),
        ("bot", "@_sip_=62ot:example.org"),
    ],
)
def test_a_ghost_and_its_number(number: str, user_id: str) -> None:
    assert NAMES.ghost_id(number) == user_id
    assert NAMES.number(user_id) == number


@pytest.mark.parametrize(
    "user_id",
    [
        "@_sip_bot:example.org",
        "@alice:example.org",
        "@_sip_+15550100:elsewhere.org",
        "@_sip_:example.org",
        "@_sip_=2b15550100:example.org",
        "@_sip_=ff:example.org",
        "@_sip_=2B1:example.org",
        "@_sip_ALICE:example.org",
        "@_sip_" + "1" * 300 + ":example.org",
        "_sip_+15550100",
        "",
    ],
)
def test_who_is_not_a_ghost(user_id: str) -> None:
    assert NAMES.number(user_id) is None


def test_our_namespace_is_the_ghosts_and_the_bot() -> None:
    assert NAMES.is_ours("@_sip_+15550100:example.org")
    assert NAMES.is_ours("@_sip_bot:example.org")
    assert NAMES.is_ours("@_sip_=zz:example.org")
    assert not NAMES.is_ours("@alice:example.org")
    assert not NAMES.is_ours("@_sip_+15550100:elsewhere.org")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_every_number_survives_the_way_there_and_back(number: str) -> None:
    assert NAMES.number(NAMES.ghost_id(number)) == number or len(NAMES.ghost_id(number)) > 255


@pytest.mark.parametrize(
    ("typed", "region", "number"),
    [
        ("+15550100", "US", "+15550100"),
        (" 15550100", "US", "+15550100"),
        ("+1 (555) 010-0", "US", "+15550100"),
        ("+1 (415) 555-2671", "DE", "+14155552671"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("tel:+14155552671", "US", "+14155552671"),
        ("030 123456", "DE", "+4930123456"),
        ("+49 (0)30 123456", "US", "+4930123456"),
        ("0049 30 123456", "DE", "+4930123456"),
        ("011 49 30 123456", "US", "+4930123456"),
        ("+٤٩30123456", "US", "+4930123456"),
        ("٩١١", "US", "911"),
        ("911", "US", "911"),
        ("112", "DE", "112"),
        ("201", "US", "201"),
        ("*97", "US", "*97"),
        ("*#06#", "US", "*#06#"),
        ("+123", "US", "+123"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("", "US", None),
        ("+", "US", None),
        ("0", "US", None),
        ("alice", "US", None),
        ("@alice:example.org", "US", None),
        ("sip:alice@example.org", "US", None),
        ("+1234567890123456", "US", None),
        ("1" * 40, "US", None),
        ("+1555\x00100", "US", None),
    ],
)
def test_what_people_type(typed: str, region: str, number: str | None) -> None:
    assert normalise(typed, region) == number


@given(st.text(max_size=80))
def test_whatever_is_typed_gives_a_number_or_none(typed: str) -> None:
    number = normalise(typed, "US")
    assert number is None or set(number) <= set("+0123456789*#")


@pytest.mark.parametrize(
    ("number", "name"),
    [("+14155552671", "+1 415-555-2671"), ("+15550100", "+1 5550100"), ("112", "112"), ("alice", "alice"), ("", "")],
)
def test_how_a_ghost_is_called(number: str, name: str) -> None:
    assert display_name(number) == name
