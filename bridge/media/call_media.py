"""The audio of one call: two legs, two directions, and the steps of the negotiation between them.

Lives on the loop of the media thread; `bridge.media.embedded` is its face towards the application.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import CallId
from bridge.core.telemetry import Telemetry
from bridge.media import sdp_matrix, sdp_sip
from bridge.media.direction import Direction
from bridge.media.engine import (
    IceCandidate,
    LegStats,
    MediaConnected,
    MediaEnded,
    MediaEvent,
    MediaFailure,
    MediaStats,
)
from bridge.media.formats import LegFormats
from bridge.media.negotiation import (
    matrix_answer_formats,
    matrix_offer_audio,
    matrix_offered_formats,
    sip_answer_formats,
    sip_offer_audio,
    sip_offered_formats,
)
from bridge.media.outbound import OutboundStream
from bridge.media.ports import PortPool
from bridge.media.rtcp import REPORT_INTERVAL_S, Reception, parse_rtcp, write_bye, write_report
from bridge.media.rtp import RtpError, RtpPacket, is_rtcp
from bridge.media.rtp_leg import RtpLeg
from bridge.media.sdp import Flow, SdpError
from bridge.media.sdp_matrix import LocalStream, RemoteMatrix, Setup
from bridge.media.sdp_sip import LocalSip, RemoteSip
from bridge.media.verdicts import matrix_refused, sip_refused, unavailable
from bridge.media.webrtc import WebRtcLeg, WebRtcListener, WebRtcSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMediaSettings:
    """The part of the settings that a call needs, worked out once."""

    webrtc: WebRtcSettings
    rtp_host: str
    sip_host: str
    """Written into descriptions for phones."""
    ip_version: int
    rtp_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all calls of an engine share."""

    settings: CallMediaSettings
    ports: PortPool
    entropy: Entropy
    clock: Clock
    telemetry: Telemetry
    tasks: asyncio.TaskGroup
    emit: Callable[[MediaEvent], None]


class CallMedia:
    """One call."""

    def __init__(self, call_id: CallId, around: Surroundings) -> None:
        self.call_id = call_id
        self._around = around
        self._settings = around.settings
        self._now = around.clock.monotonic
        self._cname = around.entropy.token(16)
        self._stream = LocalStream(
            session=around.entropy.integer(1 << 32, 1 << 61),
            version=0,
            stream=around.entropy.token(24),
            track=around.entropy.token(24),
            ssrc=0,
            cname=self._cname,
        )
        self._to_matrix = Direction(OutboundStream(around.entropy), self._send_to_matrix, fills_pauses=False)
        self._to_sip = Direction(OutboundStream(around.entropy), self._send_to_sip, fills_pauses=True)
        self._stream = replace(self._stream, ssrc=self._to_matrix.outbound.ssrc)
        self._from_matrix, self._from_sip = Reception(), Reception()
        self._sip = RtpLeg(around.ports, around.telemetry, now=self._now, on_rtp=self._sip_rtp, on_rtcp=self._sip_rtcp)
        self._sip_port = 0
        self._sip_version = 0
        self._matrix: WebRtcLeg | None = None
        self._next_matrix: WebRtcLeg | None = None
        self._matrix_remote: RemoteMatrix | None = None
        self._matrix_setup = Setup.PASSIVE
        self._sip_remote: RemoteSip | None = None
        self._sip_offered = False
        self._matrix_formats: LegFormats | None = None
        self._sip_formats: LegFormats | None = None
        self.closed = False
        self._connected = self._ended = False
        self._off_path = 0
        self._heard_phone_at: float | None = None
        self._report_due = self._now() + REPORT_INTERVAL_S

    async def open(self) -> None:
        """Bind the RTP sockets. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        self._sip_port = await self._sip.open(self._settings.rtp_host)

    # The Matrix side

    async def set_matrix_offer(self, text: str) -> None:
        """An offer: of a new call, of a hold, or with new ICE credentials (RFC 8839 §4.4.1.1: an ICE restart)."""
        remote = self._read_matrix(text, answer=False)
        current = self._matrix_remote
        if self._matrix is not None and (current is None or current.ufrag != remote.ufrag):
            await self._discard_next()
            self._next_matrix = await self._new_leg(remote, controlling=remote.ice_lite)
        elif self._matrix is None:
            self._matrix = await self._new_leg(remote, controlling=remote.ice_lite)
        self._matrix_remote = remote

    async def create_matrix_answer(self) -> str:
        """Fix the codec, start the checks, describe our side."""
        remote = self._matrix_remote
        if remote is None:
            raise unavailable("no offer to answer")
        leg, is_new = await self._answering_leg()
        self._matrix_formats = matrix_answer_formats(remote, self._sip_formats, self._sip_remote, self._matrix_formats)
        if is_new:
            self._matrix_setup = Setup.ACTIVE if remote.setup is Setup.PASSIVE else Setup.PASSIVE
            leg.start(self._around.tasks, self._matrix_setup)
        self._reconfigure()
        return sdp_matrix.write_answer(remote, leg.local, self._next_stream(), self._matrix_formats, self._matrix_setup)

    async def _answering_leg(self) -> tuple[WebRtcLeg, bool]:
        """The leg that the answer describes, and whether it has yet to be started."""
        if self._next_matrix is not None:
            before, self._matrix, self._next_matrix = self._matrix, self._next_matrix, None
            if before is not None:
                await before.close()
            return self._matrix, True
        if self._matrix is None:
            raise unavailable("no leg to answer with")
        return self._matrix, not self._matrix.started

    async def create_matrix_offer(self) -> str:
        """Describe our side first."""
        if self._matrix is not None:
            raise unavailable("there is a description already")
        self._matrix = await self._new_leg(None, controlling=True)
        audio = matrix_offer_audio(self._sip_formats, self._sip_remote)
        return sdp_matrix.write_offer(self._matrix.local, self._next_stream(), audio)

    async def set_matrix_answer(self, text: str) -> None:
        """Take the answer and start the checks."""
        if self._matrix is None or self._matrix_remote is not None:
            raise unavailable("no offer that this could answer")
        remote = self._read_matrix(text, answer=True)
        self._matrix_formats = matrix_offered_formats(remote)
        self._matrix_remote = remote
        self._matrix_setup = Setup.PASSIVE if remote.setup is Setup.ACTIVE else Setup.ACTIVE
        await self._matrix.set_remote(remote)
        self._matrix.start(self._around.tasks, self._matrix_setup)
        self._reconfigure()

    async def add_matrix_candidates(self, candidates: Sequence[IceCandidate]) -> None:
        """Candidates go to the newest credentials."""
        leg = self._next_matrix or self._matrix
        if leg is not None:
            await leg.add_trickled(candidates)

    async def reset_matrix_leg(self) -> None:
        """Forget the Matrix side, keep the phone's."""
        await self._discard_next()
        leg, self._matrix, self._matrix_remote, self._matrix_formats = self._matrix, None, None, None
        self._connected = False
        self._reconfigure()
        if leg is not None:
            await leg.close()

    async def _discard_next(self) -> None:
        leg, self._next_matrix = self._next_matrix, None
        if leg is not None:
            await leg.close()

    def _read_matrix(self, text: str, *, answer: bool) -> RemoteMatrix:
        try:
            return sdp_matrix.read_remote(text, answer=answer, allow_loopback=self._settings.webrtc.allow_loopback)
        except SdpError as error:
            raise matrix_refused(error) from error

    async def _new_leg(self, remote: RemoteMatrix | None, *, controlling: bool) -> WebRtcLeg:
        leg = WebRtcLeg(self._settings.webrtc, self._around.ports, self._listener(), self._around.telemetry)
        try:
            await leg.gather(controlling=controlling)
            if remote is not None:
                await leg.set_remote(remote)
        except BaseException:
            await leg.close()
            raise
        return leg

    def _listener(self) -> WebRtcListener:
        return WebRtcListener(
            on_connected=self._on_connected,
            on_ended=self._end,
            on_packet=self._matrix_packet,
            on_off_path=self._on_off_path,
        )

    def _next_stream(self) -> LocalStream:
        self._stream = replace(self._stream, version=self._stream.version + 1)
        return self._stream

    # The phone's side

    async def create_sip_offer(self) -> str:
        """Describe our RTP side first."""
        self._sip_offered = True
        return sdp_sip.write_offer(self._local_sip(), Flow.SENDRECV, sip_offer_audio(self._matrix_remote))

    async def set_sip_answer(self, text: str) -> None:
        """Take an answer, early or final."""
        if not self._sip_offered:
            raise unavailable("no offer that this could answer")
        remote = self._read_sip(text)
        self._sip_formats = sip_offered_formats(remote)
        self._direct(remote)

    async def set_sip_offer(self, text: str) -> None:
        """Take an offer; it counts once it is answered."""
        self._sip_remote = self._read_sip(text)

    async def create_sip_answer(self) -> str:
        """Answer the offer; from here on audio goes to its address."""
        remote = self._sip_remote
        if remote is None:
            raise unavailable("no offer to answer")
        self._sip_formats = sip_answer_formats(remote, self._matrix_formats, self._sip_formats)
        self._direct(remote)
        return sdp_sip.write_answer(remote, self._local_sip(), self._sip_formats)

    def _read_sip(self, text: str) -> RemoteSip:
        settings = self._settings
        try:
            return sdp_sip.read_remote(
                text, allow_loopback=settings.webrtc.allow_loopback, ip_version=settings.ip_version
            )
        except SdpError as error:
            raise sip_refused(error) from error

    def _local_sip(self) -> LocalSip:
        self._sip_version += 1
        return LocalSip(
            host=self._settings.sip_host,
            port=self._sip_port,
            session=self._stream.session,
            version=self._sip_version,
        )

    def _direct(self, remote: RemoteSip) -> None:
        self._sip_remote = remote
        moved = self._sip.direct(remote)
        self._reconfigure()
        if moved:
            self._to_sip.prime()
        self._heard_phone_at = self._now()

    # What flows

    def _reconfigure(self) -> None:
        """Fit both directions to what is agreed."""
        self._to_sip.configure(self._matrix_formats, self._sip_formats)
        self._to_matrix.configure(self._sip_formats, self._matrix_formats)
        matrix, sip = self._matrix_remote, self._sip_remote
        self._to_sip.enabled = sip is not None and sip.host is not None and sip.flow.receives
        self._to_sip.filling = self._connected
        self._to_matrix.enabled = self._connected and matrix is not None and matrix.flow.receives

    def _matrix_packet(self, plain: bytes) -> None:
        if is_rtcp(plain):
            self._heard_rtcp(self._from_matrix, plain)
            return
        self._received(self._to_sip, self._from_matrix, plain)

    def _sip_rtp(self, datagram: bytes) -> None:
        if self._received(self._to_matrix, self._from_sip, datagram):
            self._heard_phone_at = self._now()

    def _sip_rtcp(self, datagram: bytes) -> None:
        if self._heard_rtcp(self._from_sip, datagram):
            self._heard_phone_at = self._now()

    def _received(self, direction: Direction, reception: Reception, datagram: bytes) -> bool:
        try:
            packet = RtpPacket.parse(datagram)
        except RtpError:
            self._around.telemetry.count("rtp_discarded_total", reason="malformed")
            return False
        now = self._now()
        clock_rate = direction.receive(packet, now)
        reception.receive(packet, now, clock_rate)
        return True

    def _heard_rtcp(self, reception: Reception, datagram: bytes) -> bool:
        try:
            summary = parse_rtcp(datagram)
        except RtpError:
            self._around.telemetry.count("rtp_discarded_total", reason="malformed")
            return False
        if summary.sender_report is not None:
            reception.heard_report(summary.sender_report, self._now())
        return True

    def _send_to_matrix(self, packet: RtpPacket) -> None:
        if self._matrix is not None:
            self._matrix.send(bytes(packet))

    def _send_to_sip(self, packet: RtpPacket) -> None:
        self._sip.send(bytes(packet))

    def tick(self, now: float) -> None:
        """Every 20 ms."""
        self._to_sip.tick(now)
        self._to_matrix.tick(now)

    def look_after(self, now: float) -> None:
        """A few times a second: reports and time limits."""
        if now >= self._report_due:
            self._report_due = now + REPORT_INTERVAL_S
            self._send_reports(now)
        limit_s = self._settings.rtp_timeout_s
        heard_at, sip = self._heard_phone_at, self._sip_remote
        if limit_s <= 0 or not self._connected or heard_at is None or sip is None:
            return
        if sip.on_hold:
            self._heard_phone_at = now
        elif now - heard_at > limit_s:
            self._end(MediaFailure.RTP_TIMEOUT)

    def _send_reports(self, now: float) -> None:
        wall = self._around.clock.wall()
        if self._sip_formats is not None:
            self._sip.send_rtcp(self._report(self._to_sip, self._from_sip, self._sip_formats, now, wall))
        if self._matrix is not None and self._matrix_formats is not None:
            report = self._report(self._to_matrix, self._from_matrix, self._matrix_formats, now, wall)
            self._matrix.send(report)

    def _report(
        self, direction: Direction, reception: Reception, formats: LegFormats, now: float, wall: float
    ) -> bytes:
        rate = formats.send.codec.clock_rate
        return write_report(direction.outbound, reception, cname=self._cname, clock_rate=rate, now=now, wall=wall)

    # What is told

    def _on_connected(self) -> None:
        first, self._connected = not self._connected, True
        self._heard_phone_at = self._now()
        self._reconfigure()
        if first:
            self._around.emit(MediaConnected(call_id=self.call_id))

    def _on_off_path(self) -> None:
        self._off_path += 1
        self._around.telemetry.count("media_offpath_dropped_total")

    def _end(self, failure: MediaFailure) -> None:
        if not self._ended and not self.closed:
            self._ended = True
            self._around.emit(MediaEnded(call_id=self.call_id, failure=failure))

    def stats(self) -> MediaStats:
        """The numbers so far; only reads, so any thread may call it."""
        matrix, sip = self._matrix_formats, self._sip_formats
        to_sip, to_matrix = self._to_sip, self._to_matrix
        return MediaStats(
            matrix=_leg_stats(matrix, self._from_matrix, to_matrix),
            sip=_leg_stats(sip, self._from_sip, to_sip),
            transcoded=to_sip.transcoder is not None or to_matrix.transcoder is not None,
            digits_forwarded=to_sip.digits + to_matrix.digits,
            concealed_frames=to_sip.concealed_frames + to_matrix.concealed_frames,
            off_path_dropped=self._off_path,
        )

    async def close(self) -> MediaStats:
        """Free everything; the numbers stay."""
        final = self.stats()
        if self.closed:
            return final
        self.closed = True
        self._sip.send_rtcp(write_bye(self._to_sip.outbound.ssrc, self._cname))
        self._to_sip.close()
        self._to_matrix.close()
        await self._discard_next()
        if self._matrix is not None:
            await self._matrix.close()
        await self._sip.close()
        return final


def _leg_stats(formats: LegFormats | None, reception: Reception, direction: Direction) -> LegStats:
    return LegStats(
        codec=formats.send.codec.value if formats is not None else "",
        packets_received=reception.packets,
        packets_sent=direction.outbound.packets,
        packets_lost=reception.lost,
        jitter_ms=round(reception.jitter_s * 1000, 3),
    )
