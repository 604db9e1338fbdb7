"""RTCP of a leg: what we tell, what we learn from the far end's reports, and what we do not believe."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from bridge.core.entropy import SeededEntropy
from bridge.media.leg_reports import FEEDBACK_INTERVAL_S, INTERVAL_S, LegReports
from bridge.media.outbound import OutboundStream
from bridge.media.rtcp import ReportBlock, read_reports, write_bye, write_report
from bridge.media.rtp import RtpPacket

RATE = 8000
WALL = 1_700_000_000.25


class End:
    """One end of a leg: it sends audio, and reports."""

    def __init__(self, seed: int, clock_skew_s: float = 0.0, interval_s: float = INTERVAL_S) -> None:
        self.outbound = OutboundStream(SeededEntropy(seed))
        self.reports = LegReports(self.outbound.ssrc, "name", 0.0, interval_s=interval_s)
        self.skew_s = clock_skew_s

    def speak(self, now: float) -> RtpPacket:
        timestamp = self.outbound.position(now, RATE)
        return self.outbound.append(bytes(160), payload_type=0, timestamp=timestamp, marker=False, now=now)

    def hear(self, packet: RtpPacket, now: float) -> None:
        self.reports.reception.receive(packet, now, RATE)

    def report(self, now: float) -> bytes | None:
        return self.reports.due(self.outbound, RATE, now, WALL + now + self.skew_s)

    def told(self, report: bytes, now: float) -> bool:
        return self.reports.hear(report, self.outbound, RATE, now)


def converse(*, way_s: float, loss: float, seconds: int = 60) -> tuple[End, End]:
    """Two ends, whose clocks know nothing of each other, over a network that takes its time and loses audio."""
    chance, ends = random.Random(1), (End(1), End(2, clock_skew_s=-5000.0))
    under_way: list[tuple[float, int, bytes]] = []
    for tick in range(seconds * 50):
        now = tick * 0.02
        for side, end in enumerate(ends):
            packet = end.speak(now)
            if chance.random() >= loss:
                ends[1 - side].hear(packet, now + way_s)
            report = end.report(now)
            if report is not None:
                under_way.append((now + way_s, 1 - side, report))
        for arrival in [entry for entry in under_way if entry[0] <= now]:
            under_way.remove(arrival)
            assert ends[arrival[1]].told(arrival[2], arrival[0])
    return ends


@pytest.mark.parametrize("way_s", [0.0, 0.04, 0.3])
def test_the_round_trip_is_measured_whatever_the_clocks_say(way_s: float) -> None:
    for end in converse(way_s=way_s, loss=0.0):
        assert end.reports.far.round_trip_s == pytest.approx(2 * way_s, abs=0.001)


def test_the_far_end_tells_what_it_lost() -> None:
    for end in converse(way_s=0.02, loss=0.1):
        assert end.reports.far.lost == pytest.approx(300, abs=60)
        assert end.reports.far.jitter_s == pytest.approx(0.0, abs=0.001)
        assert end.reports.reception.lost == pytest.approx(300, abs=60)


def test_what_cannot_be_true_changes_nothing() -> None:
    ours, theirs = converse(way_s=0.02, loss=0.0)
    known = ours.reports.far.round_trip_s, ours.reports.far.lost, ours.reports.far.jitter_s
    honest = ReportBlock(ssrc=ours.outbound.ssrc, lost=17, jitter=80, last_report=12345, delay=0)
    lies = [
        replace(honest, ssrc=ours.outbound.ssrc ^ 1),
        replace(honest, lost=ours.outbound.packets + 1),
        replace(honest, jitter=0xFFFFFFFF),
    ]
    for lie in lies:
        forged = write_report(theirs.outbound, lie, cname="name", clock_rate=RATE, now=61.0, wall=WALL)
        assert ours.told(forged, 61.0)
        assert (ours.reports.far.round_trip_s, ours.reports.far.lost, ours.reports.far.jitter_s) == known
    echo = write_report(theirs.outbound, honest, cname="name", clock_rate=RATE, now=61.0, wall=WALL)
    assert ours.told(echo, 61.0)
    assert ours.reports.far.round_trip_s == known[0], "of a report that we never sent"


def test_a_sender_report_of_another_stream_is_not_echoed() -> None:
    ours, stranger = End(1), End(3)
    ours.hear(End(2).speak(0.0), 0.0)
    stranger.speak(0.0)
    forged = write_report(stranger.outbound, None, cname="x", clock_rate=RATE, now=0.0, wall=WALL)
    assert ours.told(forged, 0.1)
    block = ours.reports.reception.block(0.2)
    assert block is not None
    assert block.last_report == 0


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80\xcb\x00\x01\x00\x00\x00\x05",
        b"\xa0\xc9\x00\x01\x00\x00\x00\x05",
        b"\x81\xc9\x00\x01\x00\x00\x00\x05",
        b"\x80\xc8\x00\x01\x00\x00\x00\x05",
        b"\x80\xc9\x00\x05\x00\x00\x00\x05",
        write_bye(5, "name")[:-1],
        write_bye(5, "name") + b"\x00",
    ],
    ids=["nothing", "begins-with-bye", "padded", "no-block", "no-sender", "cut-off", "odd", "rest"],
)
def test_rtcp_that_is_none_is_refused_whole(datagram: bytes) -> None:
    ours = End(1)
    assert not ours.told(datagram, 1.0)
    assert ours.reports.heard_at is None


def test_a_goodbye_of_rtcp_ends_nothing() -> None:
    ours, theirs = End(1), End(2)
    ours.hear(theirs.speak(0.0), 0.0)
    assert ours.told(write_bye(theirs.outbound.ssrc, "name"), 0.01)
    ours.hear(theirs.speak(0.02), 0.02)
    assert ours.reports.reception.packets == 2
    assert ours.reports.reception.lost == 0


@pytest.mark.parametrize("interval_s", [INTERVAL_S, FEEDBACK_INTERVAL_S])
def test_reports_come_as_often_as_they_should_and_not_in_step(interval_s: float) -> None:
    moments: dict[int, list[float]] = {}
    for seed in range(8):
        end = End(seed, interval_s=interval_s)
        moments[seed] = [n / 4 for n in range(4 * 600) if end.report(n / 4) is not None]
    for times in moments.values():
        gaps = [after - before for before, after in pairwise(times)]
        assert interval_s / 2 <= min(gaps) <= max(gaps) <= interval_s * 1.5 + 0.25
        assert sum(gaps) / len(gaps) == pytest.approx(interval_s + 0.125, rel=0.1)
        assert times[0] <= interval_s * 0.8, "the first one early"
    assert len({tuple(times) for times in moments.values()}) == len(moments)


def test_we_say_goodbye_once_and_only_if_we_were_ever_heard() -> None:
    silent, speaker = End(1), End(2)
    assert silent.reports.goodbye(silent.outbound) is None
    speaker.speak(0.0)
    goodbye = speaker.reports.goodbye(speaker.outbound)
    assert goodbye is not None
    assert goodbye.endswith(b"\x81\xcb\x00\x01" + speaker.outbound.ssrc.to_bytes(4, "big"))
    assert read_reports(goodbye).blocks == ()
    assert speaker.reports.goodbye(speaker.outbound) is None
