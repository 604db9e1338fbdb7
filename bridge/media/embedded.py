"""The media engine inside this process: aioice and aiortc connect, our own packet path carries the audio."""

import asyncio
import ipaddress
from collections.abc import Callable

import structlog

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.floodgate import Floodgate
from bridge.core.ids import CallId
from bridge.core.telemetry import Telemetry
from bridge.media import native_path, opus
from bridge.media.advertised import advertised
from bridge.media.call_media import CallMedia
from bridge.media.call_settings import CallMediaSettings, Surroundings
from bridge.media.engine import MediaEvent, MediaStats
from bridge.media.ice import webrtc_hosts
from bridge.media.ice_path import WebRtcSettings
from bridge.media.ice_servers import IceServers
from bridge.media.media_thread import MediaThread
from bridge.media.native_path import NativePaths
from bridge.media.path import PacketPaths
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy
from bridge.media.portable_path import PortablePaths
from bridge.media.ports import PortPool, ports_of_a_call
from bridge.media.recorder import Recorder
from bridge.media.session import EmbeddedSession, limited
from bridge.media.settings import MediaSettings, PathChoice
from bridge.media.verdicts import unavailable

__all__ = ["EmbeddedEngine", "EmbeddedSession"]

_FOREIGN = "is of another version of Trunkline: install it again, as Trunkline was"
_LOOK_AFTER_EVERY_S = 0.24
_log = structlog.get_logger()


class EmbeddedEngine:
    """Implements :class:`bridge.media.engine.MediaEngine`."""

    def __init__(self, settings: MediaSettings, *, entropy: Entropy, clock: Clock, telemetry: Telemetry) -> None:
        self._settings = settings
        self._entropy, self._clock, self._telemetry = entropy, clock, telemetry
        self._ports = PortPool(low=settings.port_min, high=settings.port_max, entropy=entropy, clock=clock)
        self._thread = MediaThread(telemetry, clock)
        self._floodgate = Floodgate(clock)
        self._recorder = Recorder(clock, telemetry)
        self._calls: dict[CallId, CallMedia] = {}
        self._paths: PacketPaths = _choose_paths(settings)
        self._call_settings: CallMediaSettings | None = None
        self._on_event: Callable[[MediaEvent], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self, on_event: Callable[[MediaEvent], None]) -> None:
        self._call_settings = _call_settings(self._settings, self._clock)
        self._on_event, self._loop = on_event, asyncio.get_running_loop()
        libopus = _opus_version()
        if self._settings.hold_music is not None:
            await asyncio.to_thread(self._settings.hold_music.prepare)
        await self._thread.start(self._look_after)
        await self._thread.call(self._start_paths())
        _log.info("media_engine_started", engine=self._paths.name, libopus=libopus)

    @property
    def ready(self) -> bool:
        return self._call_settings is not None and self._thread.running

    @property
    def has_ports(self) -> bool:
        if self._call_settings is None:
            return False
        return self._ports.left >= ports_of_a_call(self._call_settings.webrtc.hosts)

    async def _start_paths(self) -> None:
        self._paths.start(self._telemetry)

    async def open(self, call_id: CallId, policy: SipMediaPolicy = DEFAULT_POLICY) -> EmbeddedSession:
        if self._call_settings is None or not self._thread.running:
            raise unavailable("the engine is not running")
        media = await self._thread.call(self._open(call_id, policy, self._call_settings))
        return EmbeddedSession(media, self._thread, self._close)

    async def _open(self, call_id: CallId, policy: SipMediaPolicy, settings: CallMediaSettings) -> CallMedia:
        if call_id in self._calls:
            raise unavailable("the call has a session already")
        media = CallMedia(call_id, policy, self._surroundings(settings))
        await media.open()
        self._calls[call_id] = media
        self._count_sessions()
        return media

    def _surroundings(self, settings: CallMediaSettings) -> Surroundings:
        return Surroundings(
            settings=settings,
            ports=self._ports,
            entropy=self._entropy,
            clock=self._clock,
            telemetry=self._telemetry,
            tasks=self._thread.tasks,
            emit=self._emit,
            paths=self._paths,
            recorder=self._recorder,
        )

    async def _close(self, media: CallMedia) -> MediaStats:
        """Close a call; one that could not be closed stays known, for the next try or the end of the engine."""
        try:
            final = await media.close()
            if self._calls.get(media.call_id) is media:
                del self._calls[media.call_id]
        finally:
            self._count_sessions()
        return final

    def _count_sessions(self) -> None:
        self._telemetry.gauge("media_sessions", len(self._calls))
        self._telemetry.gauge("media_ports_in_use", self._ports.in_use)

    def _emit(self, event: MediaEvent) -> None:
        """Deliver on the application's loop; one that is gone wants no events."""
        if self._loop is None or self._on_event is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._on_event, event)
        except RuntimeError:
            _log.info("media_event_dropped", call_id=event.call_id, media_event=type(event).__name__)

    async def stop(self) -> None:
        try:
            if self._thread.running:
                await self._thread.call(self._close_all())
        finally:
            await self._thread.stop()
            if self._recorder.busy:
                await asyncio.to_thread(self._recorder.stop)
            self._count_sessions()

    async def _close_all(self) -> None:
        """Close every call; what cannot be closed is told, and keeps neither the others nor the thread."""
        calls, self._calls = list(self._calls.values()), {}
        results = await asyncio.gather(*(limited(media.close()) for media in calls), return_exceptions=True)
        for media, result in zip(calls, results, strict=True):
            if isinstance(result, BaseException):
                self._report("media_close_failed", media, result)
        self._paths.stop()

    async def _look_after(self) -> None:
        """A few times a second: reports and time limits. What is due every 20 ms is the workers'."""
        while True:
            before = self._clock.monotonic()
            await asyncio.sleep(_LOOK_AFTER_EVERY_S)
            now = self._clock.monotonic()
            lag_s = max(0.0, now - before - _LOOK_AFTER_EVERY_S)
            self._telemetry.observe("event_loop_lag_seconds", lag_s, loop="media")
            self._paths.look_after()
            for media in tuple(self._calls.values()):
                self._look_after_call(media, now)

    def _look_after_call(self, media: CallMedia, now: float) -> None:
        """A fault in one call is not the others' fault."""
        try:
            media.look_after(now)
        except Exception as error:
            self._report("media_tick_failed", media, error)

    def _report(self, name: str, media: CallMedia, error: BaseException) -> None:
        """Count a fault of a call and log it, though not fifty times a second."""
        self._telemetry.count("internal_errors_total", component="media")
        suppressed = self._floodgate.pass_or_count(f"{name} {type(error).__name__}")
        if suppressed is not None:
            _log.error(name, call_id=media.call_id, error=type(error).__name__, suppressed=suppressed, exc_info=error)


def _choose_paths(settings: MediaSettings) -> PacketPaths:
    """Raises :class:`bridge.media.engine.MediaError` if the native path is demanded and not there, or not ours."""
    choice = settings.engine
    module = None if choice is PathChoice.PORTABLE else native_path.load()
    if module is not None and native_path.fits(module):
        return NativePaths(module, settings.workers)
    if choice is PathChoice.NATIVE:
        raise unavailable(f"media.engine is native, and trunkline-native {_FOREIGN if module else 'is not installed'}")
    if module is not None:
        _log.warning("native_path_not_used", reason=f"trunkline-native {_FOREIGN}")
    return PortablePaths(settings.workers)


def _opus_version() -> str:
    try:
        return opus.version()
    except opus.OpusError as error:
        raise unavailable(str(error)) from error


def _ice_servers(settings: MediaSettings, clock: Clock) -> IceServers | None:
    if not settings.stun_servers and not settings.turn_servers:
        return None
    return IceServers(settings.stun_servers, settings.turn_servers, clock)


def _call_settings(settings: MediaSettings, clock: Clock) -> CallMediaSettings:
    """Work out the addresses. Raises :class:`bridge.media.engine.MediaError` when there is none to be called at."""
    hosts = webrtc_hosts(settings)
    rtp_address = ipaddress.ip_address(settings.rtp_host)
    if not hosts:
        raise unavailable("no address for WebRTC; set webrtc_hosts")
    sip_host = advertised(settings.rtp_host, settings.advertised_hosts)
    if ipaddress.ip_address(sip_host).is_unspecified:
        raise unavailable("rtp_host is no address that a phone can send to; set advertised_host")
    return CallMediaSettings(
        webrtc=WebRtcSettings(
            hosts=hosts,
            advertised_hosts=settings.advertised_hosts,
            allow_loopback=any(ipaddress.ip_address(host).is_loopback for host in hosts),
            connect_timeout_s=settings.connect_timeout_s,
            private_networks=settings.private_networks,
            servers=_ice_servers(settings, clock),
        ),
        rtp_host=settings.rtp_host,
        sip_host=sip_host,
        sip_loopback=rtp_address.is_loopback,
        ip_version=rtp_address.version,
        rtp_timeout_s=settings.rtp_timeout_s,
        silence=settings.silence,
        rtp_sources=settings.rtp_sources,
        hold_music=settings.hold_music,
    )
