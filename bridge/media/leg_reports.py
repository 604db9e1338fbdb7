"""RTCP of one leg: each has reports of its own, since the synchronisation sources change between the legs."""

from collections import deque

from bridge.media.outbound import OutboundStream
from bridge.media.reception import Reception
from bridge.media.rtcp import ReportBlock, middle_ntp, read_reports, write_bye, write_report
from bridge.media.rtp import RtpError

INTERVAL_S = 5.0
FEEDBACK_INTERVAL_S = 1.0
"""Where the profile allows feedback (RFC 4585 §3.4): a client protects its audio once it knows of losses, and of every
report that tells it one may be lost."""
_REMEMBERED = 8
"""Sender reports of ours to which a round trip can be measured."""
_LONGEST_ROUND_TRIP_S = 20.0
_MOST_JITTER_S = 10.0


class FarReception:
    """How the far end receives what we send, by its own reports."""

    def __init__(self) -> None:
        self.round_trip_s: float | None = None
        self.lost: int | None = None
        self.jitter_s: float | None = None
        self._sent: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

    def sent_report(self, middle: int, now: float) -> None:
        """Remember when a sender report of ours left: round trips are measured by our own clock alone."""
        self._sent.append((middle, now))

    def heard(self, block: ReportBlock, outbound: OutboundStream, clock_rate: int, now: float) -> None:
        """Take what a report says of our stream, as far as it can be true."""
        jitter_s = block.jitter / clock_rate
        if block.ssrc != outbound.ssrc or block.lost > outbound.packets or jitter_s > _MOST_JITTER_S:
            return
        self.lost, self.jitter_s = max(block.lost, 0), jitter_s
        for middle, sent_at in self._sent:
            round_trip_s = now - sent_at - block.delay / 65536
            if middle == block.last_report and 0 <= round_trip_s <= _LONGEST_ROUND_TRIP_S:
                self.round_trip_s = round_trip_s


class LegReports:
    """What is told and heard in RTCP on a leg."""

    def __init__(self, ssrc: int, cname: str, now: float, *, interval_s: float = INTERVAL_S) -> None:
        self.reception, self.far = Reception(), FarReception()
        self.heard_at: float | None = None
        """When anything well-formed came last on this leg, RTP or RTCP."""
        self._cname, self._interval_s = cname, interval_s
        self._chance = ssrc & 0xFFFFFFFF
        self._due = now + self._interval() / 2
        self._spoke = self._gone = False

    def _interval(self) -> float:
        """Between half and one and a half times the nominal one, so that reports do not fall into step (RFC 3550
        §6.3.1). The source is random, so what is computed from it is for the far end too."""
        self._chance = (self._chance * 1664525 + 1013904223) & 0xFFFFFFFF
        return self._interval_s * (0.5 + self._chance / (1 << 32))

    def hear(self, datagram: bytes, outbound: OutboundStream, clock_rate: int | None, now: float) -> bool:
        """Take RTCP; `True` when it was well-formed."""
        try:
            reports = read_reports(datagram)
        except RtpError:
            return False
        self.heard_at = now
        for ssrc, middle in reports.senders:
            self.reception.heard_sender(ssrc, middle, now)
        for block in reports.blocks:
            if clock_rate is not None:
                self.far.heard(block, outbound, clock_rate, now)
        return True

    def due(self, outbound: OutboundStream, clock_rate: int | None, now: float, wall: float) -> bytes | None:
        """The report that is due; first after half an interval (RFC 3550 §6.2)."""
        if now < self._due or clock_rate is None:
            return None
        self._due, self._spoke = now + self._interval(), True
        if outbound.packets:
            self.far.sent_report(middle_ntp(wall), now)
        block = self.reception.block(now)
        return write_report(outbound, block, cname=self._cname, clock_rate=clock_rate, now=now, wall=wall)

    def goodbye(self, outbound: OutboundStream) -> bytes | None:
        """The end of our stream, once; `None` when nobody has ever heard of it (RFC 3550 §6.3.7)."""
        if self._gone or not (outbound.packets or self._spoke):
            return None
        self._gone = True
        return write_bye(outbound.ssrc, self._cname)
