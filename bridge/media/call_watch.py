"""A call's sound under watch: its numbers as metrics while it lasts, what rates it at its end, and who is not heard."""

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from bridge.core.telemetry import Telemetry
from bridge.media.engine import HeardStats, LegStats, MediaStats, Silent
from bridge.media.path import PacketPath
from bridge.media.sdp import Flow
from bridge.media.silence_watch import SilenceLimits, SilenceWatch
from bridge.media.sip_side import SipSide

SAMPLED_EVERY_S = 5.0
_LEAST_FRAMES = 50
"""A call in which less was played says nothing of how calls sound."""
_MS = 1000.0


class CallWatch:
    """One call; time is an argument."""

    def __init__(self, limits: SilenceLimits, telemetry: Telemetry, log: FilteringBoundLogger, now: float) -> None:
        self._telemetry, self._log = telemetry, log
        self._silence = SilenceWatch(limits)
        self._due = now + SAMPLED_EVERY_S
        self._counted: dict[tuple[str, str], int] = {}
        self._finished = False

    def look(
        self, now: float, path: PacketPath, phone: SipSide, stats: Callable[[], MediaStats], *, talking: bool
    ) -> None:
        """A few times a second: sample the numbers; while both sides should be heard, listen whether they are."""
        if self.is_due(now):
            self.sample(stats())
        remote = phone.remote
        if not talking or remote is None or remote.on_hold or phone.may_be_silent or phone.flow is not Flow.SENDRECV:
            self.rest()
        else:
            self.listen(now, matrix_heard_at=path.heard_matrix_at, sip_heard_at=path.heard_phone_at)

    # Who is not heard

    @property
    def silent(self) -> Silent | None:
        """Who was recognised as silent, first."""
        return self._silence.found

    def rest(self) -> None:
        """Nobody owes anything just now."""
        self._silence.rest()

    def listen(self, now: float, *, matrix_heard_at: float | None, sip_heard_at: float | None) -> None:
        """Tell of a side that is silent; the moments are when each was heard last."""
        silent = self._silence.look(now, matrix_heard_at=matrix_heard_at, sip_heard_at=sip_heard_at)
        if silent is None:
            return
        if silent is Silent.BOTH:
            self._telemetry.count("silent_calls_total")
        else:
            self._telemetry.count("one_way_calls_total", silent=silent.value)
        began = {"matrix": matrix_heard_at is not None, "sip": sip_heard_at is not None}
        self._log.warning("call_silent", silent=silent.value, heard_before=[side for side in began if began[side]])

    # Numbers

    def is_due(self, now: float) -> bool:
        """Whether it is time for a sample, which is taken then."""
        if now < self._due:
            return False
        self._due = now + SAMPLED_EVERY_S
        return True

    def sample(self, stats: MediaStats) -> None:
        """Count what came since the last time, and observe what is so just now."""
        self._sample_leg("matrix", stats.matrix)
        self._sample_leg("sip", stats.sip)
        self._sample_far("matrix", stats.matrix, stats.sip, transcoded=stats.transcoded)
        self._sample_far("sip", stats.sip, stats.matrix, transcoded=stats.transcoded)
        self._sample_heard("matrix", stats.heard_by_matrix)
        self._sample_heard("sip", stats.heard_by_sip)

    def finish(self, stats: MediaStats) -> None:
        """Count the rest and rate the call, once."""
        if self._finished:
            return
        self._finished = True
        self.sample(stats)
        for ear, heard, spoken in (
            ("matrix", stats.heard_by_matrix, stats.sip),
            ("sip", stats.heard_by_sip, stats.matrix),
        ):
            frames = heard.frames_played + heard.frames_concealed
            if frames >= _LEAST_FRAMES:
                self._telemetry.observe("concealed_ratio", heard.frames_concealed / frames, heard_by=ear)
            if spoken.mos is not None and spoken.packets_received >= _LEAST_FRAMES:
                self._telemetry.observe("media_mos", spoken.mos, heard_by=ear)

    def _sample_leg(self, leg: str, numbers: LegStats) -> None:
        received, sent = self._grown("in", leg, numbers.packets_received), self._grown("out", leg, numbers.packets_sent)
        self._telemetry.count("rtp_packets_total", received, leg=leg, direction="in")
        self._telemetry.count("rtp_packets_total", sent, leg=leg, direction="out")
        lost = self._grown("lost", leg, numbers.packets_lost)
        self._telemetry.count("rtp_lost_total", lost, leg=leg, direction="in")
        if received:
            self._telemetry.observe("rtp_jitter_seconds", numbers.jitter_ms / _MS, leg=leg)
        if numbers.round_trip_ms is not None:
            self._telemetry.observe("rtp_round_trip_seconds", numbers.round_trip_ms / _MS, leg=leg)

    def _sample_far(self, leg: str, heard: LegStats, spoken: LegStats, *, transcoded: bool) -> None:
        """What got lost behind us: audio that passes through keeps its gaps, and the far end counts those as well."""
        before = 0 if transcoded else max(spoken.packets_lost, 0)
        behind = self._grown("far", leg, max(0, (heard.far_packets_lost or 0) - before))
        self._telemetry.count("rtp_lost_total", behind, leg=leg, direction="out")

    def _sample_heard(self, ear: str, heard: HeardStats) -> None:
        played = self._grown("played", ear, heard.frames_played)
        concealed = self._grown("concealed", ear, heard.frames_concealed)
        self._telemetry.count("audio_frames_total", played, heard_by=ear, kind="played")
        self._telemetry.count("audio_frames_total", concealed, heard_by=ear, kind="concealed")
        self._telemetry.count("rtp_discarded_total", self._grown("late", ear, heard.packets_discarded), reason="late")
        if played and heard.playout_delay_ms:
            self._telemetry.observe("playout_delay_seconds", heard.playout_delay_ms / _MS, heard_by=ear)

    def _grown(self, what: str, whose: str, total: int) -> int:
        """By how much a total has grown; one that shrinks (a packet was late, not lost) has to catch up first."""
        before = self._counted.get((what, whose), 0)
        self._counted[what, whose] = max(total, before)
        return max(total - before, 0)
