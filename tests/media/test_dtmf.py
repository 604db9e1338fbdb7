"""Digits between clocks and payload types (RFC 4733)."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.media.dtmf import DigitRelay, RelayedEvent, TelephoneEvent, WholeKeys


def push(
    relay: DigitRelay,
    event: int,
    duration: int,
    *,
    sequence: int,
    timestamp: int = 96000,
    end: bool = False,
    position: int = 5000,
    rates: tuple[int, int] = (48000, 8000),
    ssrc: int = 1,
) -> RelayedEvent | None:
    payload = bytes(TelephoneEvent(event=event, end=end, volume=10, duration=duration))
    return relay.convert(
        payload,
        ssrc=ssrc,
        sequence=sequence,
        timestamp=timestamp,
        source_rate=rates[0],
        target_rate=rates[1],
        position=position,
    )


def test_a_digit_keeps_its_start_and_its_three_ends() -> None:
    relay = DigitRelay()
    steps = [(960, False), (1920, False), (4800, True), (4800, True), (4800, True)]
    out = [
        push(relay, 5, duration, sequence=n, end=end, position=5000 + 160 * n)
        for n, (duration, end) in enumerate(steps)
    ]
    events = [TelephoneEvent.parse(p.payload) for p in out if p]
    assert [e.duration for e in events if e] == [160, 320, 800, 800, 800]
    assert [e.end for e in events if e] == [False, False, True, True, True]
    assert {e.event for e in events if e} == {5}
    assert [p.timestamp for p in out if p] == [5000] * 5
    assert [p.marker for p in out if p] == [True, False, False, False, False]
    assert [p.first for p in out if p] == [True, False, False, False, False]


def test_the_same_digit_twice_is_two_digits() -> None:
    relay = DigitRelay()
    out = [push(relay, 1, 800, sequence=0, end=True), push(relay, 1, 800, sequence=1, end=True, timestamp=110000)]
    assert [p.first for p in out if p] == [True, True]


def test_a_digit_counts_though_its_first_packets_are_lost() -> None:
    out = push(DigitRelay(), 9, 4800, sequence=8, end=True)
    assert out is not None
    assert (out.first, out.marker) == (True, True)


def test_duplicates_and_stragglers_are_not_pressed_again() -> None:
    relay = DigitRelay()
    assert push(relay, 1, 960, sequence=10, timestamp=1000)
    assert push(relay, 1, 960, sequence=10, timestamp=1000) is None
    assert push(relay, 2, 960, sequence=12, timestamp=9000)
    assert push(relay, 1, 1920, sequence=11, timestamp=1000) is None


def test_what_is_no_digit_is_dropped() -> None:
    assert push(DigitRelay(), 255, 960, sequence=1) is None
    short = DigitRelay().convert(
        b"\x01", ssrc=1, sequence=1, timestamp=1, source_rate=8000, target_rate=8000, position=0
    )
    assert short is None


def test_segments_of_a_long_press_are_one_digit() -> None:
    relay = DigitRelay()
    first = push(relay, 3, 0xFFFF, sequence=1, timestamp=0)
    second = push(relay, 3, 48000, sequence=2, timestamp=0xFFFF, end=True)
    assert first is not None
    assert second is not None
    assert (second.first, second.timestamp) == (False, first.timestamp)
    event = TelephoneEvent.parse(second.payload)
    assert event is not None
    assert event.duration == 0xFFFF // 6 + 8000


@given(st.lists(st.integers(1, 0xFFFF), min_size=1, max_size=30).map(sorted))
def test_durations_never_run_backwards(durations: list[int]) -> None:
    relay = DigitRelay()
    out = [push(relay, 7, duration, sequence=n) for n, duration in enumerate(durations)]
    converted = [TelephoneEvent.parse(p.payload) for p in out if p]
    assert sum(p.first for p in out if p) == 1
    assert all(a.duration <= b.duration for a, b in pairwise([e for e in converted if e]))


def whole(*packets: tuple[int, int, bool, float], at: float) -> list[tuple[int, int]]:
    """Keys that are told of these packets (event, duration, end, time), and when nothing more comes until `at`."""
    relay, keys = DigitRelay(), WholeKeys()
    told: list[TelephoneEvent] = []
    for sequence, (event, duration, end, now) in enumerate(packets):
        relayed = push(relay, event, duration, sequence=sequence, end=end, timestamp=96000 * event, rates=(8000, 8000))
        if relayed is not None:
            told += keys.take(relayed, now)
    overdue = keys.overdue(at)
    return [(key.event, key.duration) for key in [*told, *([overdue] if overdue else [])]]


def test_a_key_is_told_once_when_it_has_ended() -> None:
    packets = [(5, 160, False, 0.0), (5, 320, False, 0.02), *[(5, 480, True, 0.04)] * 3]
    assert whole(*packets, at=0.1) == [(5, 480)]
    assert whole(*packets, at=9.9) == [(5, 480)]


def test_a_key_whose_ends_are_lost_is_told_when_nothing_more_comes_or_another_one_does() -> None:
    assert whole((5, 320, False, 0.0), at=0.1) == []
    assert whole((5, 320, False, 0.0), at=0.3) == [(5, 320)]
    assert whole((5, 320, False, 0.0), (6, 480, True, 0.1), at=9.9) == [(5, 320), (6, 480)]


def test_an_end_that_comes_late_presses_no_key_again() -> None:
    relay, keys = DigitRelay(), WholeKeys()
    first = push(relay, 5, 320, sequence=1)
    late = push(relay, 5, 480, sequence=2, end=True)
    assert first is not None
    assert late is not None
    assert list(keys.take(first, 0.0)) == []
    assert keys.overdue(0.5) is not None
    assert list(keys.take(late, 0.6)) == []
    assert keys.overdue(9.9) is None
