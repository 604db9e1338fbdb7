"""A WebRTC client inside the bridge, without a microphone: ICE, DTLS and SRTP as any client's, a tone for a voice.

It has a thread of its own, so that a busy event loop of signalling is not measured as a bad network.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

import structlog
from aioice import Candidate

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.telemetry import NoTelemetry
from bridge.media import opus, sdp, sdp_matrix
from bridge.media.candidates import Networks
from bridge.media.closing import take_all_limited
from bridge.media.coders import RATE, Decoder, make_decoder, make_encoder
from bridge.media.dtls import Certificates, DtlsSession
from bridge.media.formats import FRAME_MS, AudioFormat, Codec
from bridge.media.ice import IceAgent, webrtc_hosts
from bridge.media.ice_path import IcePath, WebRtcSettings
from bridge.media.leg_reports import FEEDBACK_INTERVAL_S, LegReports
from bridge.media.media_thread import MediaThread
from bridge.media.outbound import OutboundStream
from bridge.media.ports import PortPool
from bridge.media.probe import tone
from bridge.media.probe.tone import Heard, ToneEar
from bridge.media.rtp import RtpError, RtpPacket, is_rtcp, sequence_delta
from bridge.media.sdp_matrix import LocalStream, RemoteMatrix, Setup
from bridge.media.settings import MediaSettings
from bridge.media.srtp import Inbound, Outbound, Refusal
from bridge.media.verdicts import unavailable

CONNECT_LIMIT_S = 20.0
_OFFERED = (Codec.OPUS, Codec.PCMU, Codec.PCMA)
"""As browsers offer them, the first first."""
_ANYWHERE: Networks = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_LOOPBACK = "127.0.0.1"
_FRAME_S = FRAME_MS / 1000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFigures:
    """What the client has measured."""

    codec: str = ""
    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    jitter_ms: float = 0.0
    heard: Heard = field(default_factory=Heard)
    echo_ms: float | None = None
    """From our first tone to its return; `None` where none came back."""


class ProbeClient:
    """`offer`, then `connect` with the answer, look at `figures` for a while, and `close` in any case."""

    def __init__(self, settings: MediaSettings, *, entropy: Entropy, clock: Clock) -> None:
        self._hosts = webrtc_hosts(settings) or (_LOOPBACK,)
        self._entropy, self._clock = entropy, clock
        self._thread = MediaThread(NoTelemetry(), clock)
        self._ports = PortPool(low=settings.port_min, high=settings.port_max, entropy=entropy, clock=clock)
        self._certificate = Certificates().current(clock.monotonic())
        self._path: IcePath | None = None
        self._stream = OutboundStream(entropy)
        self._reports = LegReports(
            self._stream.ssrc, entropy.token(16), clock.monotonic(), interval_s=FEEDBACK_INTERVAL_S
        )
        self._ear = ToneEar()
        self._dtls: DtlsSession | None = None
        self._keys: tuple[Outbound, Inbound] | None = None
        self._remote: RemoteMatrix | None = None
        self._decoder: tuple[int, Decoder] | None = None
        self._newest: int | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._first_tone_at: float | None = None

    async def offer(self) -> str:
        """Our description. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        await self._thread.start(_nothing)
        return await self._thread.call(self._offer())

    async def connect(self, answer: str) -> bool:
        """Take the answer and begin to speak; false when ICE or DTLS do not come up.

        Raises :class:`bridge.media.engine.MediaError` for an answer that no client could use.
        """
        return await self._thread.call(self._connect(answer))

    def figures(self) -> ClientFigures:
        """What was measured so far; from any thread."""
        reception, heard = self._reports.reception, self._ear.heard()
        sent_at, back_at = self._first_tone_at, heard.own_tone_at
        return ClientFigures(
            codec=self._remote.audio[0].codec.value if self._remote is not None else "",
            packets_sent=self._stream.packets,
            packets_received=reception.packets,
            packets_lost=reception.lost,
            jitter_ms=round(1000 * reception.jitter_s, 2),
            heard=heard,
            echo_ms=round(1000 * (back_at - sent_at), 1) if sent_at is not None and back_at is not None else None,
        )

    async def close(self) -> None:
        """Fall silent and free everything; may be called twice."""
        if self._thread.running:
            try:
                await self._thread.call(self._close())
            finally:
                await self._thread.stop()

    # On the thread.

    async def _offer(self) -> str:
        self._path = path = self._new_path()
        await path.gather()
        transport = await path.describe(self._certificate.fingerprint)
        stream = LocalStream(
            session=self._entropy.integer(1 << 32, 1 << 61),
            version=0,
            stream=self._entropy.token(24),
            track=self._entropy.token(24),
            ssrc=self._stream.ssrc,
            cname=self._entropy.token(16),
        )
        return sdp_matrix.write_offer(transport, stream, [sdp_matrix.OUR_AUDIO[codec] for codec in _OFFERED])

    def _new_path(self) -> IcePath:
        """Nothing in it is counted: what a client does is no figure of the bridge's own."""
        settings = WebRtcSettings(
            hosts=self._hosts,
            advertised_hosts=(),
            allow_loopback=True,
            connect_timeout_s=CONNECT_LIMIT_S,
            private_networks=_ANYWHERE,
        )
        return IcePath(
            settings,
            self._ports,
            NoTelemetry(),
            controlling=True,
            on_srtp=self._take,
            on_off_path=lambda: None,
            log=_log,
        )

    async def _connect(self, answer: str) -> bool:
        path = self._path
        if path is None:
            raise unavailable("no offer that this could answer")
        try:
            remote = sdp_matrix.read_remote(answer, answer=True, allow_loopback=True, private_networks=_ANYWHERE)
        except sdp.SdpError as error:
            raise unavailable(f"the answer cannot be used: {error}") from error
        self._remote = remote
        await path.set_remote(replace(remote, candidates=(*remote.candidates, *self._back_doors(remote))))
        path.select()
        self._dtls = DtlsSession(path.agent, self._certificate, server=remote.setup is Setup.ACTIVE)
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await path.agent.connect()
                if not await self._dtls.handshake(remote.fingerprints):
                    return False
        except (ConnectionError, TimeoutError):
            return False
        ours, theirs = self._dtls.keys()
        self._keys = Outbound(ours), Inbound(theirs)
        self._speaking = asyncio.create_task(self._speak(path.agent, self._keys[0], remote.audio[0]))
        return True

    def _back_doors(self, remote: RemoteMatrix) -> Sequence[Candidate]:
        """Behind a NAT the answer names its outside, which need not let us in again; the port is the same inside."""
        return [
            _moved(candidate, host)
            for candidate in remote.candidates
            for host in self._hosts
            if candidate.host not in self._hosts and ip_address(candidate.host).version == ip_address(host).version
        ]

    async def _speak(self, agent: IceAgent, key: Outbound, audio: AudioFormat) -> None:
        """A packet every 20 ms, and reports."""
        encoder, step = make_encoder(audio.codec, RATE), audio.codec.clock_rate * FRAME_MS // 1000
        began, number, timestamp = self._clock.monotonic(), 0, self._stream.timestamp
        try:
            while True:
                now, sounding = self._clock.monotonic(), tone.sounds(number)
                payload = encoder.encode(tone.frame(number))
                packet = self._stream.append(
                    payload, payload_type=audio.payload_type, timestamp=timestamp, marker=not number, now=now
                )
                self._first_tone_at = now if sounding and self._first_tone_at is None else self._first_tone_at
                report = self._reports.due(self._stream, audio.codec.clock_rate, now, self._clock.wall())
                for plain in (bytes(packet), report):
                    if plain and (protected := key.protect(plain, rtcp=is_rtcp(plain))):
                        agent.send_now(protected)
                number, timestamp = number + 1, (timestamp + step) & 0xFFFFFFFF
                await asyncio.sleep(max(0.0, began + number * _FRAME_S - self._clock.monotonic()))
        finally:
            encoder.close()

    def _take(self, datagram: bytes) -> None:
        """SRTP or SRTCP from an address that has proven itself; without keys it is lost, as with any client."""
        if self._keys is None or self._remote is None:
            return
        rtcp, now = is_rtcp(datagram), self._clock.monotonic()
        plain = self._keys[1].unprotect(datagram, rtcp=rtcp)
        if isinstance(plain, Refusal):
            return
        if rtcp:
            self._reports.hear(plain, self._stream, self._remote.audio[0].codec.clock_rate, now)
            return
        with suppress(RtpError, opus.OpusError):
            self._listen(RtpPacket.parse(plain), self._remote, now)

    def _listen(self, packet: RtpPacket, remote: RemoteMatrix, now: float) -> None:
        codec = next((entry.codec for entry in remote.audio if entry.payload_type == packet.payload_type), None)
        if codec is None:
            return
        self._reports.reception.receive(packet, now, codec.clock_rate)
        late = self._newest is not None and -100 < sequence_delta(packet.sequence, self._newest) <= 0
        if late:
            return
        self._newest = packet.sequence
        if self._decoder is None or self._decoder[0] != packet.payload_type:
            self._decoder = packet.payload_type, make_decoder(codec, RATE)
        self._ear.hear(self._decoder[1].decode(packet.payload), now)

    async def _close(self) -> None:
        await take_all_limited(self._stop_speaking, self._close_dtls, self._close_path)

    async def _stop_speaking(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            (ended,) = await asyncio.gather(self._speaking, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended

    async def _close_dtls(self) -> None:
        if self._dtls is not None:
            await self._dtls.close()

    async def _close_path(self) -> None:
        if self._path is not None:
            await self._path.close()


def _moved(candidate: Candidate, host: str) -> Candidate:
    moved = Candidate.from_sdp(candidate.to_sdp())
    moved.host = host
    return moved


async def _nothing() -> None:
    return None
