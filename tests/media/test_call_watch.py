"""Who is not heard, and a call's numbers as metrics; time is an argument."""

from dataclasses import replace
from typing import Any

import pytest
import structlog

from bridge.core.ids import TrunkName
from bridge.media.call_watch import SAMPLED_EVERY_S, CallWatch
from bridge.media.engine import HeardStats, LegStats, MediaStats, Silent
from bridge.media.silence_watch import SilenceLimits, SilenceWatch
from bridge.ops.metrics import PrometheusTelemetry
from tests.media.counting import CountingTelemetry

LOOK_S = 0.25


def watch(
    until_s: float,
    *,
    matrix: tuple[float, float] | None,
    sip: tuple[float, float] | None,
    held: tuple[float, float] = (-1.0, -1.0),
    limits: SilenceLimits | None = None,
) -> tuple[Silent | None, float]:
    """Who is found silent, and when, in a call in which each side sends from one moment to another."""
    silence = SilenceWatch(limits or SilenceLimits())
    for look in range(round(until_s / LOOK_S)):
        now = 1000 + look * LOOK_S
        if held[0] <= now - 1000 < held[1]:
            silence.rest()
            continue
        found = silence.look(now, matrix_heard_at=heard(now, matrix), sip_heard_at=heard(now, sip))
        if found is not None:
            return found, now - 1000
    return None, until_s


def heard(now: float, spell: tuple[float, float] | None) -> float | None:
    """When a side was heard last that sends all the time of a spell."""
    if spell is None or now < 1000 + spell[0]:
        return None
    return min(now, 1000 + spell[1])


ALWAYS = (0.0, 1e6)


def test_a_call_in_which_both_are_heard_is_none_of_these() -> None:
    assert watch(600, matrix=ALWAYS, sip=ALWAYS)[0] is None


@pytest.mark.parametrize(("matrix", "sip", "expected"), [(None, ALWAYS, Silent.MATRIX), (ALWAYS, None, Silent.SIP)])
def test_a_side_that_is_not_heard_at_first_is_given_half_a_minute(
    matrix: tuple[float, float] | None, sip: tuple[float, float] | None, expected: Silent
) -> None:
    found, after_s = watch(100, matrix=matrix, sip=sip)
    assert found is expected
    assert after_s == pytest.approx(30, abs=2 * LOOK_S)


def test_a_side_that_falls_silent_is_told_of_sooner() -> None:
    found, after_s = watch(200, matrix=(2, 60), sip=ALWAYS)
    assert found is Silent.MATRIX
    assert after_s == pytest.approx(75, abs=2 * LOOK_S)


def test_a_call_in_which_nobody_is_heard_is_no_one_way_call() -> None:
    found, after_s = watch(100, matrix=None, sip=None)
    assert found is Silent.BOTH
    assert after_s == pytest.approx(30, abs=2 * LOOK_S)


def test_both_falling_silent_at_once_is_nobody_in_particular() -> None:
    assert watch(100, matrix=(0, 40), sip=(0, 40))[0] is Silent.BOTH


def test_a_side_is_not_blamed_when_the_other_has_just_gone_too() -> None:
    found, after_s = watch(100, matrix=(0, 30), sip=(0, 38))
    assert found is Silent.BOTH
    assert after_s == pytest.approx(53, abs=2 * LOOK_S)


def test_late_beginners_and_short_silences_are_no_cause_for_alarm() -> None:
    assert watch(300, matrix=(25, 1e6), sip=ALWAYS)[0] is None


def test_on_hold_nobody_owes_anything() -> None:
    found, after_s = watch(300, matrix=ALWAYS, sip=(0, 20), held=(22, 120))
    assert found is Silent.SIP
    assert after_s == pytest.approx(135, abs=2 * LOOK_S), "only what comes after the hold counts"


def test_limits_can_be_set_and_switched_off() -> None:
    quick = SilenceLimits(first_s=3.0, later_s=2.0)
    assert watch(100, matrix=None, sip=ALWAYS, limits=quick)[1] == pytest.approx(3, abs=2 * LOOK_S)
    never = SilenceLimits(first_s=0.0, later_s=0.0)
    assert watch(1000, matrix=None, sip=(0, 5), limits=never)[0] is None


def call_watch(telemetry: Any) -> CallWatch:
    return CallWatch(SilenceLimits(), telemetry, structlog.get_logger(), 0.0)


def test_a_silent_side_is_counted_and_logged_once() -> None:
    telemetry = CountingTelemetry()
    watched = call_watch(telemetry)
    with structlog.testing.capture_logs() as lines:
        for look in range(400):
            watched.listen(look * LOOK_S, matrix_heard_at=None, sip_heard_at=look * LOOK_S)
    assert telemetry.total("one_way_calls_total", silent="matrix") == 1
    assert telemetry.total("silent_calls_total") == 0
    assert [(line["event"], line["silent"], line["heard_before"]) for line in lines] == [
        ("call_silent", "matrix", ["sip"])
    ]
    assert watched.silent is Silent.MATRIX


STATS = MediaStats(
    matrix=LegStats(codec="OPUS", packets_received=1000, packets_sent=900, packets_lost=50, jitter_ms=12.0, mos=3.9),
    sip=LegStats(codec="PCMU", packets_received=800, packets_sent=990, round_trip_ms=40.0, far_packets_lost=7, mos=4.2),
    heard_by_sip=HeardStats(frames_played=940, frames_concealed=60, packets_discarded=9, playout_delay_ms=45.0),
    transcoded=True,
)


def test_numbers_become_metrics_as_they_grow_and_ratings_at_the_end() -> None:
    telemetry = PrometheusTelemetry(trunks=[TrunkName("carrier")], version="1", strict=True)
    watched = call_watch(telemetry)

    def value(name: str, **labels: str) -> float | None:
        return telemetry.registry.get_sample_value(f"trunkline_{name}", labels)

    half = replace(STATS, matrix=replace(STATS.matrix, packets_received=400, packets_lost=60))
    watched.sample(half)
    assert value("rtp_packets_total", leg="matrix", direction="in") == 400
    assert not value("media_mos_count", heard_by="sip")
    watched.finish(STATS)
    watched.finish(STATS)
    assert value("rtp_packets_total", leg="matrix", direction="in") == 1000
    assert value("rtp_lost_total", leg="matrix", direction="in") == 60, "a packet that was only late is not taken back"
    assert value("rtp_lost_total", leg="sip", direction="out") == 7
    assert value("rtp_discarded_total", reason="late") == 9
    assert value("audio_frames_total", heard_by="sip", kind="concealed") == 60
    assert value("concealed_ratio_sum", heard_by="sip") == pytest.approx(0.06)
    assert value("media_mos_sum", heard_by="sip") == pytest.approx(3.9)
    assert value("media_mos_count", heard_by="matrix") == 1
    assert value("rtp_round_trip_seconds_sum", leg="sip") == pytest.approx(0.08)
    assert value("playout_delay_seconds_count", heard_by="sip") == 1, "nothing was played since"


@pytest.mark.parametrize(("transcoded", "behind_us"), [(True, 30), (False, 10)])
def test_what_was_lost_before_us_is_not_lost_behind_us_again(transcoded: bool, behind_us: int) -> None:
    telemetry = CountingTelemetry()
    stats = MediaStats(
        matrix=LegStats(packets_received=980, packets_lost=20),
        sip=LegStats(packets_sent=980, far_packets_lost=30),
        transcoded=transcoded,
    )
    watched = call_watch(telemetry)
    watched.sample(stats)
    # The next report of the far end comes later than the next loss: nothing is taken back.
    watched.sample(replace(stats, matrix=replace(stats.matrix, packets_lost=40)))
    assert telemetry.total("rtp_lost_total", leg="sip", direction="out") == behind_us
    assert telemetry.total("rtp_lost_total", leg="matrix", direction="in") == 40


def test_samples_are_taken_every_five_seconds() -> None:
    watched = call_watch(CountingTelemetry())
    due = [n * SAMPLED_EVERY_S for n in range(1, 6)]
    assert [n for n in range(30) if watched.is_due(float(n))] == due
