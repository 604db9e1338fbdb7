"""Numbers that people type, the ghosts that stand for them, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.matrix.ghosts import GhostNames, display_name
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
    ("number", "name"),
    [("+14155552671", "+1 415-555-2671"), ("+15550100", "+1 5550100"), ("112", "112"), ("alice", "alice"), ("", "")],
)
def test_how_a_ghost_is_called(number: str, name: str) -> None:
    assert display_name(number) == name
