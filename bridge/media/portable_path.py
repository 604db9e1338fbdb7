"""The packet path in Python: it runs wherever Python does, and is what the native one is held against."""

from bridge.core.telemetry import Telemetry
from bridge.media.audio import CallAudio
from bridge.media.closing import take_all
from bridge.media.engine import Ear, MediaStats
from bridge.media.formats import LegFormats
from bridge.media.path import PathNeeds
from bridge.media.player import Playing
from bridge.media.rtp_leg import RtpLeg
from bridge.media.sdp_sip import RemoteSip
from bridge.media.srtp import SrtpContext
from bridge.media.tap import Tap, Tapped
from bridge.media.webrtc import WebRtcLeg


class PortablePath:
    """Implements :class:`bridge.media.path.PacketPath`."""

    def __init__(self, needs: PathNeeds) -> None:
        self._phone_digit = needs.phone_digit
        self._leg: WebRtcLeg | None = None
        self._tap = Tap()
        self._sip = RtpLeg(
            needs.ports,
            needs.telemetry,
            now=needs.clock.monotonic,
            log=needs.log,
            trusted=needs.trusted,
            on_rtp=lambda datagram: self._audio.sip_packet(datagram),
            on_rtcp=lambda datagram: self._audio.sip_report(datagram),
        )
        self._audio = CallAudio(
            entropy=needs.entropy,
            clock=needs.clock,
            telemetry=needs.telemetry,
            to_matrix=self._send_to_matrix,
            to_sip=self._sip.send,
            to_sip_rtcp=self._sip.send_rtcp,
        )
        self._audio.to_sip.signal_digit = needs.signal_digit
        self._audio.to_sip.on_played = self._audio.to_matrix.on_played = needs.played

    @property
    def heard_phone_at(self) -> float | None:
        return self._audio.sip_reports.heard_at

    @property
    def heard_matrix_at(self) -> float | None:
        return self._audio.matrix_reports.heard_at

    @property
    def ssrc(self) -> int:
        return self._audio.to_matrix.outbound.ssrc

    @property
    def cname(self) -> str:
        return self._audio.cname

    async def open(self, host: str) -> int:
        return await self._sip.open(host)

    def configure(self, matrix: LegFormats | None, sip: LegFormats | None) -> None:
        self._audio.configure(matrix, sip)

    def let_through(self, *, to_sip: bool, filling: bool, to_matrix: bool) -> None:
        self._audio.let_through(to_sip=to_sip, filling=filling, to_matrix=to_matrix)

    def direct(self, remote: RemoteSip, keys: SrtpContext | None) -> bool:
        moved = self._sip.direct(remote)
        self._sip.secure(keys)
        return moved

    def expect_new_phone(self) -> None:
        self._audio.expect_new_phone()

    def join(self, partner: "PortablePath | None") -> None:
        self._audio.join(None if partner is None else partner._audio)

    def press(self, digits: str, duration_ms: int) -> None:
        self._audio.from_phone.keypad.press(digits, duration_ms)

    def play(self, ear: Ear, playing: Playing | None) -> None:
        self._audio.play(ear, playing)

    def listen(self, wanted: bool, *, tones: bool) -> None:
        self._audio.listen(self._phone_digit if wanted else None, tones=tones)

    def tap(self, wanted: bool) -> None:
        self._audio.tap = self._tap if wanted else None

    def tapped(self) -> tuple[list[Tapped], bool]:
        return self._tap.empty(), self._tap.overflowed

    def carry(self, leg: WebRtcLeg) -> None:
        self._leg = leg

    def matrix_packet(self, plain: bytes) -> None:
        self._audio.matrix_packet(plain)

    def tick(self, now: float) -> None:
        self._audio.tick(now)

    def look_after(self, now: float) -> None:
        self._audio.report(now)

    def stats(self, *, off_path_dropped: int) -> MediaStats:
        return self._audio.stats(off_path_dropped=off_path_dropped)

    def say_goodbye(self) -> None:
        self._audio.say_goodbye()

    async def close(self) -> None:
        await take_all(self._close_audio, self._sip.close)

    async def _close_audio(self) -> None:
        self._audio.close()

    def _send_to_matrix(self, packet: bytes) -> None:
        if self._leg is not None:
            self._leg.send(packet)


class PortablePaths:
    """Implements :class:`bridge.media.path.PacketPaths`: its calls share nothing."""

    name = "portable"
    keeps_time = False

    def start(self, telemetry: Telemetry) -> None:
        return None

    def make(self, needs: PathNeeds) -> PortablePath:
        return PortablePath(needs)

    def look_after(self) -> None:
        return None

    def stop(self) -> None:
        return None
