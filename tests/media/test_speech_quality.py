"""The estimated MOS: the E-model's published values, and what raises or lowers it in a call."""

from dataclasses import replace

import pytest

from bridge.media.engine import HeardStats, LegStats, MediaStats
from bridge.media.speech_quality import G711, Codec, delay_impairment, opinion, rated, rating

GOOD = LegStats(codec="PCMU", packets_received=5000, packets_sent=5000, round_trip_ms=20.0, far_packets_lost=0)
NETWORK = Codec(impairment=0.0, robustness=4.3)


@pytest.mark.parametrize(
    ("rated_at", "expected"), [(93.2, 4.41), (90, 4.34), (80, 4.02), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0)]
)
def test_ratings_have_the_opinions_of_g_107_annex_b(rated_at: float, expected: float) -> None:
    assert opinion(rated_at) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("delay_ms", "expected"), [(50, 0.0), (100, 0.0), (150, 0.2), (200, 3.0), (400, 24.2)])
def test_delay_hurts_a_conversation_from_about_150_ms_on(delay_ms: float, expected: float) -> None:
    assert delay_impairment(delay_ms) == pytest.approx(expected, abs=0.6)


def test_loss_hurts_less_where_it_is_concealed() -> None:
    concealed, bare = (rating(codec=codec, loss=0.05, delay_ms=50) for codec in (G711, NETWORK))
    assert concealed == pytest.approx(93.2 - 95 * 5 / (5 + 25.1))
    assert bare == pytest.approx(93.2 - 95 * 5 / (5 + 4.3))


def mos(matrix: LegStats, sip: LegStats, heard_by_sip: HeardStats | None = None) -> float:
    stats = rated(MediaStats(matrix=matrix, sip=sip, heard_by_sip=heard_by_sip or HeardStats()))
    assert stats.matrix.mos is not None
    return stats.matrix.mos


def test_a_call_over_a_good_network_is_as_good_as_a_telephone() -> None:
    assert mos(GOOD, GOOD) == pytest.approx(4.4, abs=0.02)


@pytest.mark.parametrize(
    ("matrix", "sip", "heard"),
    [
        (replace(GOOD, packets_lost=200), GOOD, None),
        (GOOD, replace(GOOD, far_packets_lost=200), None),
        (GOOD, GOOD, HeardStats(packets_discarded=200)),
        (replace(GOOD, round_trip_ms=400.0), GOOD, None),
        (GOOD, GOOD, HeardStats(playout_delay_ms=200.0)),
    ],
    ids=["lost-on-the-way-here", "lost-on-the-way-there", "thrown-away", "far", "held-back"],
)
def test_everything_that_goes_wrong_lowers_it(matrix: LegStats, sip: LegStats, heard: HeardStats | None) -> None:
    assert 2.5 < mos(matrix, sip, heard) < 4.37


def test_a_gap_that_passes_through_is_not_counted_again_by_the_far_end() -> None:
    spoken, heard = replace(GOOD, packets_lost=500), replace(GOOD, far_packets_lost=500)
    assert mos(spoken, heard) == mos(spoken, GOOD)
    assert mos(spoken, replace(heard, far_packets_lost=1000)) < mos(spoken, GOOD)
    made_anew = rated(MediaStats(matrix=spoken, sip=heard, transcoded=True)).matrix.mos
    once = rated(MediaStats(matrix=spoken, sip=GOOD, transcoded=True)).matrix.mos
    assert made_anew is not None
    assert once is not None
    assert made_anew < once


def test_each_direction_has_its_own() -> None:
    stats = rated(MediaStats(matrix=replace(GOOD, packets_lost=500), sip=GOOD))
    assert stats.matrix.mos is not None
    assert stats.sip.mos is not None
    assert stats.matrix.mos < 3.6 < 4.3 < stats.sip.mos


def test_nobody_rates_silence() -> None:
    assert rated(MediaStats(sip=GOOD)).matrix.mos is None


def test_numbers_that_make_no_sense_make_no_nonsense() -> None:
    odd = LegStats(codec="?", packets_received=10, packets_lost=-5, far_packets_lost=9, round_trip_ms=1e9)
    assert 1.0 <= mos(odd, odd, HeardStats(packets_discarded=99)) <= 4.5


def test_in_a_joined_call_the_other_phone_speaks() -> None:
    stats = rated(MediaStats(sip=GOOD), speaks_to_sip=replace(GOOD, packets_lost=300))
    assert stats.matrix.mos is not None
    assert stats.matrix.mos < 4.0
