"""How old an event is: by the homeserver's own clock if it says so, else by two clocks that may disagree."""

from typing import Any

import pytest

from bridge.matrix.envelope import take_apart

NOW_MS = 1_000_000_000.0


def age_of(**changes: Any) -> int:
    event = {
        "event_id": "$invite",
        "room_id": "!room:example.org",
        "sender": "@alice:example.org",
        "type": "m.call.invite",
        "content": {},
        **changes,
    }
    (good,) = take_apart({"events": [event]}, now_ms=NOW_MS).good
    return good.age_ms


def test_the_age_that_the_homeserver_measured_counts_whatever_the_clocks_say() -> None:
    assert age_of(unsigned={"age": 1234}, origin_server_ts=0) == 1234


@pytest.mark.parametrize("unsigned", [None, {}, {"age": None}, {"age": "5"}, {"age": True}, {"age": 1 << 60}])
def test_without_an_age_the_clocks_have_to_agree(unsigned: object) -> None:
    assert age_of(unsigned=unsigned, origin_server_ts=int(NOW_MS) - 7_000) == 7_000


def test_a_clock_that_is_ahead_makes_an_event_new_not_younger_than_that() -> None:
    assert age_of(origin_server_ts=int(NOW_MS) + 60_000) == 0
    assert age_of(unsigned={"age": -5}) == 0


def test_an_event_without_any_time_is_new() -> None:
    assert age_of() == 0
