"""The media engine whose packets rtpengine servers carry: for sites that outgrow one machine, or have them already."""

import asyncio
import ipaddress
from collections.abc import Callable, Iterator

import structlog

from bridge.core.addresses import is_loopback
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import CallId
from bridge.core.telemetry import Telemetry
from bridge.media.call_settings import CallMediaSettings
from bridge.media.description_reader import DescriptionReader
from bridge.media.engine import MediaEvent, MediaFailure
from bridge.media.ice_path import WebRtcSettings
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy
from bridge.media.rtpengine.control import CallControl
from bridge.media.rtpengine.key_listener import KeyListener
from bridge.media.rtpengine.player import wav_blob
from bridge.media.rtpengine.servers import Fleet, Server
from bridge.media.rtpengine.session import RtpengineSession, SessionSurroundings
from bridge.media.settings import MediaSettings
from bridge.media.verdicts import unavailable

_LOOK_EVERY_S = 0.1
_MOST_LOOKS = 32
"""Questions to servers that may be under way at once."""
_UNIQUE = 12
_log = structlog.get_logger()


class RtpengineEngine:
    """Implements :class:`bridge.media.engine.MediaEngine`."""

    def __init__(self, settings: MediaSettings, *, entropy: Entropy, clock: Clock, telemetry: Telemetry) -> None:
        self._settings = settings
        self._entropy, self._clock, self._telemetry = entropy, clock, telemetry
        self._fleet = Fleet(settings.rtpengines, entropy=entropy, clock=clock, telemetry=telemetry)
        self._sessions: dict[str, RtpengineSession] = {}
        """By the name that a server knows the call by."""
        self._around: SessionSurroundings | None = None
        self._keys = KeyListener(settings.rtpengine_keys, self._key_reported)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, on_event: Callable[[MediaEvent], None]) -> None:
        self._around = self._surroundings(on_event)
        await self._keys.open()
        await self._fleet.open()
        watching = [self._fleet.watch(server, self._end_calls_of) for server in self._fleet.servers]
        self._tasks = [asyncio.create_task(work) for work in (*watching, self._watch_calls())]
        _log.info("media_engine_started", engine="rtpengine", servers=len(self._fleet.servers))

    def _surroundings(self, on_event: Callable[[MediaEvent], None]) -> SessionSurroundings:
        settings = self._settings
        call_settings = _call_settings(settings)
        music = wav_blob(settings.hold_music) if settings.hold_music is not None else None
        return SessionSurroundings(
            entropy=self._entropy,
            clock=self._clock,
            telemetry=self._telemetry,
            emit=on_event,
            hold_music=music,
            hears_keys=settings.rtpengine_keys is not None,
            connect_timeout_s=settings.connect_timeout_s,
            rtp_timeout_s=settings.rtp_timeout_s,
            silence=settings.silence,
            reader=lambda policy: DescriptionReader(call_settings, policy),
            closed=self._closed,
        )

    @property
    def ready(self) -> bool:
        """Whether a server is there for the next call."""
        return self._fleet.any_alive

    @property
    def has_ports(self) -> bool:
        """The servers have them: one that has none left refuses the call, and the next one is asked."""
        return True

    async def open(self, call_id: CallId, policy: SipMediaPolicy = DEFAULT_POLICY) -> RtpengineSession:
        if self._around is None:
            raise unavailable("the engine is not running")
        if any(session.call_id == call_id for session in self._sessions.values()):
            raise unavailable("the call has a session already")
        if not self._fleet.any_alive:
            raise unavailable("no media server answers")
        key = f"{call_id}-{self._entropy.token(_UNIQUE)}"
        learns_sources = bool(self._settings.rtp_sources)
        control = CallControl(key, self._fleet, self._telemetry, learns_sources=learns_sources)
        session = RtpengineSession(call_id, policy, control, self._around)
        self._sessions[key] = session
        self._count_sessions()
        return session

    async def stop(self) -> None:
        self._around = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(session.close() for session in list(self._sessions.values())), return_exceptions=True)
        self._fleet.close()
        self._keys.close()

    def _closed(self, session: RtpengineSession) -> None:
        self._sessions.pop(session.key, None)
        self._count_sessions()

    def _count_sessions(self) -> None:
        self._telemetry.gauge("media_sessions", len(self._sessions))

    def _end_calls_of(self, server: Server) -> None:
        """A server is gone: what it carried is silence. It may come back, and then knows these calls or not."""
        for session in list(self._sessions.values()):
            if session.is_lost:
                session.end(MediaFailure.SERVER_LOST)

    def _key_reported(self, key: str, tag: str, digit: str, duration_ms: int) -> None:
        """A server has heard a key."""
        session = self._sessions.get(key)
        if session is not None:
            session.key_heard(tag, digit, duration_ms)

    async def _watch_calls(self) -> None:
        """Look at each call when it is due, some at a time."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            due = [session for session in self._sessions.values() if session.is_due(self._clock.monotonic())]
            for some in _in_groups(due):
                await asyncio.gather(*(self._look_at(session) for session in some))

    async def _look_at(self, session: RtpengineSession) -> None:
        """A fault in one call is not the others' fault."""
        try:
            await session.look()
        except Exception:
            self._telemetry.count("internal_errors_total", component="media")
            _log.exception("media_look_failed", call_id=session.call_id)


def _in_groups(sessions: list[RtpengineSession]) -> Iterator[list[RtpengineSession]]:
    for start in range(0, len(sessions), _MOST_LOOKS):
        yield sessions[start : start + _MOST_LOOKS]


def _call_settings(settings: MediaSettings) -> CallMediaSettings:
    """What descriptions are read by. Addresses of this machine are of use only to servers that run on it."""
    loopback = all(is_loopback(server.host) for server in settings.rtpengines)
    return CallMediaSettings(
        webrtc=WebRtcSettings(
            hosts=(),
            advertised_hosts=(),
            allow_loopback=loopback,
            connect_timeout_s=settings.connect_timeout_s,
            private_networks=settings.private_networks,
        ),
        rtp_host=settings.rtp_host,
        sip_host=settings.rtp_host,
        sip_loopback=loopback,
        ip_version=ipaddress.ip_address(settings.rtp_host).version,
        rtp_timeout_s=settings.rtp_timeout_s,
        rtp_sources=settings.rtp_sources,
        hold_music=settings.hold_music,
        silence=settings.silence,
    )
