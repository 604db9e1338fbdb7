"""What flows in a call: two directions, the statistics of both legs, their reports."""

from collections.abc import Callable

from bridge.core.clock import Clock
from bridge.core.telemetry import Telemetry
from bridge.media.digit_listener import DigitListener
from bridge.media.direction import Direction
from bridge.media.engine import Ear, HeardStats, LegStats, MediaStats, milliseconds
from bridge.media.formats import LegFormats, codec_name
from bridge.media.leg_reports import FEEDBACK_INTERVAL_S, LegReports
from bridge.media.outbound import OutboundStream
from bridge.media.player import Playing
from bridge.media.rtp import RtpError, RtpPacket, is_rtcp
from bridge.media.sources import Sources
from bridge.media.tap import Tap

SendBytes = Callable[[bytes], object]


class CallAudio:
    """Packets of either leg in, packets for the other out."""

    def __init__(
        self,
        *,
        cname: str,
        streams: tuple[OutboundStream, OutboundStream],
        clock: Clock,
        telemetry: Telemetry,
        to_matrix: SendBytes,
        to_sip: SendBytes,
        to_sip_rtcp: SendBytes,
    ) -> None:
        """`streams` are those to the Matrix client and to the phone; `cname` is our name in RTCP."""
        self._clock, self._telemetry = clock, telemetry
        self._write_matrix, self._write_sip_rtcp = to_matrix, to_sip_rtcp
        self.cname = cname
        self.to_matrix = Direction(streams[0], to_matrix, fills_pauses=False)
        self.to_sip = Direction(streams[1], to_sip, fills_pauses=True)
        now = clock.monotonic()
        self.matrix_reports = LegReports(self.to_matrix.outbound.ssrc, self.cname, now, interval_s=FEEDBACK_INTERVAL_S)
        self.sip_reports = LegReports(self.to_sip.outbound.ssrc, self.cname, now)
        self._matrix_sources, self._sip_sources = Sources(), Sources()
        self._matrix: LegFormats | None = None
        self._sip: LegFormats | None = None
        self._feed: LegFormats | None = None
        self._listener: DigitListener | None = None
        self.tap: Tap | None = None
        """Where packets of both sides are set aside while they are recorded."""

    def configure(self, matrix: LegFormats | None, sip: LegFormats | None, feed: LegFormats | None) -> None:
        """Take what the legs agreed on, and what feeds the phone: the Matrix leg, or another call's phone."""
        self._matrix, self._sip, self._feed = matrix, sip, feed
        self.to_sip.configure(feed, sip)
        self.to_matrix.configure(sip, matrix)

    def let_through(self, *, to_sip: bool, filling: bool, to_matrix: bool) -> None:
        """Which way audio may flow, and whether pauses towards the phone are filled."""
        self.to_sip.enable(to_sip)
        self.to_sip.filling = filling
        self.to_matrix.enable(to_matrix)

    def expect_new_phone(self) -> None:
        """The phone is another one, or elsewhere: open the path with a little silence, believe whoever comes next."""
        self._sip_sources.expect_new()
        self.to_sip.prime()

    def play(self, ear: Ear, playing: Playing | None) -> None:
        """Let one side hear this in the place of the other; `None` is the other again."""
        (self.to_sip if ear is Ear.PHONE else self.to_matrix).play(playing)

    def listen(self, on_digit: Callable[[str], object] | None, *, tones: bool = False) -> None:
        """Tell of keys of the phone, of tones in its audio too, or no longer."""
        self._listener = None if on_digit is None else DigitListener(on_digit, tones=tones)

    def matrix_packet(self, plain: bytes) -> None:
        """RTP or RTCP of the Matrix leg, decrypted (both share a port, RFC 5761)."""
        if is_rtcp(plain):
            self._heard_report(self.matrix_reports, self.to_matrix, self._matrix, plain)
        else:
            self._received(self.to_sip, self._matrix_sources, self.matrix_reports, plain)

    def sip_packet(self, datagram: bytes) -> bool:
        """RTP of the phone; `True` when it was taken.

        Some send their reports here although nobody agreed on that (RFC 5761 §5.1.1). Taken for audio, each of them
        would be another source, which begins anew.
        """
        if is_rtcp(datagram):
            return self.sip_report(datagram)
        return self._received(self.to_matrix, self._sip_sources, self.sip_reports, datagram)

    def from_partner(self, datagram: bytes) -> None:
        """RTP of another call's phone, for this one."""
        packet, now = RtpPacket.parse(datagram), self._clock.monotonic()
        if self.tap is not None and self._feed is not None:
            self.tap.take(packet, self._feed, now, from_phone=False)
        self.to_sip.receive(packet, now)

    def to_partner(self, datagram: bytes) -> bool:
        """Count RTP of the phone; `True` when it may go on to another call."""
        if is_rtcp(datagram):
            self.sip_report(datagram)
            return False
        return self._received(None, self._sip_sources, self.sip_reports, datagram)

    def sip_report(self, datagram: bytes) -> bool:
        """RTCP of the phone; `True` when it was well-formed."""
        return self._heard_report(self.sip_reports, self.to_sip, self._sip, datagram)

    def _received(self, direction: Direction | None, sources: Sources, reports: LegReports, datagram: bytes) -> bool:
        try:
            packet = RtpPacket.parse(datagram)
        except RtpError:
            return self._discarded("malformed")
        if not sources.believe(packet.ssrc, packet.sequence):
            return self._discarded("unproven")
        now = self._clock.monotonic()
        if reports is self.sip_reports:
            self._overhear_phone(packet, now)
        elif self.tap is not None and self._matrix is not None:
            self.tap.take(packet, self._matrix, now, from_phone=False)
        reports.heard_at = now
        clock_rate = self._audio_clock(packet) if direction is None else direction.receive(packet, now)
        reports.reception.receive(packet, now, clock_rate)
        return True

    def _overhear_phone(self, packet: RtpPacket, now: float) -> None:
        """What the phone says, for those who listen or record beside whoever it talks to."""
        if self._sip is None:
            return
        if self._listener is not None:
            self._listener.hear(packet, self._sip)
        if self.tap is not None:
            self.tap.take(packet, self._sip, now, from_phone=True)

    def _audio_clock(self, packet: RtpPacket) -> int | None:
        """The clock of the phone's audio; `None` for what is none."""
        formats = self._sip
        if formats is None or formats.received_digits(packet.payload_type) is not None:
            return None
        codec = formats.received_codec(packet.payload_type)
        return codec.clock_rate if codec is not None else None

    def _heard_report(
        self, reports: LegReports, direction: Direction, formats: LegFormats | None, datagram: bytes
    ) -> bool:
        """RTCP of a leg, which tells of the stream of the direction that leads there."""
        if reports.hear(datagram, direction.outbound, _clock_rate(formats), self._clock.monotonic()):
            return True
        return self._discarded("malformed")

    def _discarded(self, reason: str) -> bool:
        self._telemetry.count("rtp_discarded_total", reason=reason)
        return False

    def tick(self, now: float) -> None:
        """Every 20 ms."""
        self.to_sip.tick(now)
        self.to_matrix.tick(now)

    def report(self, now: float) -> None:
        """A few times a second: send the RTCP that is due on either leg."""
        wall = self._clock.wall()
        to_sip = self.sip_reports.due(self.to_sip.outbound, _clock_rate(self._sip), now, wall)
        if to_sip is not None:
            self._write_sip_rtcp(to_sip)
        to_matrix = self.matrix_reports.due(self.to_matrix.outbound, _clock_rate(self._matrix), now, wall)
        if to_matrix is not None:
            self._write_matrix(to_matrix)

    def say_goodbye(self) -> None:
        """Tell both ends that our streams are over; again, there is nothing more to say."""
        to_sip = self.sip_reports.goodbye(self.to_sip.outbound)
        if to_sip is not None:
            self._write_sip_rtcp(to_sip)
        to_matrix = self.matrix_reports.goodbye(self.to_matrix.outbound)
        if to_matrix is not None:
            self._write_matrix(to_matrix)

    def stats(self, *, off_path_dropped: int) -> MediaStats:
        """The numbers so far; only reads, so any thread may call it."""
        to_sip, to_matrix = self.to_sip, self.to_matrix
        return MediaStats(
            matrix=_leg_stats(self._matrix, self.matrix_reports, to_matrix),
            sip=_leg_stats(self._sip, self.sip_reports, to_sip),
            heard_by_matrix=_heard_stats(to_matrix),
            heard_by_sip=_heard_stats(to_sip),
            transcoded=to_sip.transcoded or to_matrix.transcoded,
            digits_forwarded=to_sip.digits + to_matrix.digits,
            concealed_frames=to_sip.concealed_frames + to_matrix.concealed_frames,
            off_path_dropped=off_path_dropped,
        )

    def close(self) -> None:
        """Say goodbye, free the codec states."""
        try:
            self.say_goodbye()
        finally:
            self.to_sip.close()
            self.to_matrix.close()


def _clock_rate(formats: LegFormats | None) -> int | None:
    """Of what we send on a leg; `None` before it is agreed."""
    return None if formats is None else formats.send.codec.clock_rate


def _leg_stats(formats: LegFormats | None, reports: LegReports, direction: Direction) -> LegStats:
    reception, far = reports.reception, reports.far
    return LegStats(
        codec=codec_name(formats),
        packets_received=reception.packets,
        packets_sent=direction.outbound.packets,
        packets_lost=reception.lost,
        jitter_ms=milliseconds(reception.jitter_s),
        round_trip_ms=milliseconds(far.round_trip_s),
        far_packets_lost=far.lost,
        far_jitter_ms=milliseconds(far.jitter_s),
    )


def _heard_stats(direction: Direction) -> HeardStats:
    played = direction.played
    return HeardStats(
        frames_played=played.frames,
        frames_concealed=played.concealed,
        packets_discarded=played.discarded,
        playout_delay_ms=milliseconds(played.delay_s),
        audible=direction.audible,
    )
