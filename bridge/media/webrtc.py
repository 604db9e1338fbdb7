"""The Matrix leg's transport: ICE and DTLS-SRTP without a peer connection around them.

A packet path takes the keys and the sockets: no receivers, senders or jitter buffers of a WebRTC stack.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from bridge.core.telemetry import Telemetry
from bridge.media.closing import take_all_limited
from bridge.media.dtls import DtlsSession, SrtpKey
from bridge.media.engine import IceCandidate, MediaFailure
from bridge.media.ice import IceAgent, SocketReader
from bridge.media.ice_path import IcePath, IceRoute, WebRtcSettings
from bridge.media.ports import PortPool
from bridge.media.sdp_matrix import LocalTransport, RemoteMatrix, Setup

GOODBYE_GRACE_S = 5.0
"""A client closes DTLS just before its hangup event gets here; the event knows the reason better."""
LINGER_S = 1.0
"""After a change of paths, packets are still under way on the old one."""
PATIENCE_S = 3.0
"""How long the client may take to read our answer to an ICE restart, before we check its new path ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRtcListener:
    """Who wants to know."""

    on_connected: Callable[[], None]
    on_ended: Callable[[MediaFailure], None]
    on_off_path: Callable[[], None]
    """A datagram from an address that ICE has not validated was dropped."""


class WebRtcLeg:
    """One DTLS association with the other side, over one path at a time.

    New ICE credentials (RFC 8445 §9: a client on another network) open a second path. The association and its keys stay
    (RFC 8842 §6), and the old path carries the audio until the new one is proven.
    """

    def __init__(
        self,
        settings: WebRtcSettings,
        ports: PortPool,
        listener: WebRtcListener,
        telemetry: Telemetry,
        *,
        now: Callable[[], float],
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._ports = ports
        self._listener = listener
        self._telemetry = telemetry
        self._log = log
        self._certificate = settings.certificates.current(now())
        self._route = IceRoute(self._new_path)
        self._dtls: DtlsSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._remote: RemoteMatrix | None = None
        self._setup = Setup.ACTPASS
        self._closed = False
        self._reader: SocketReader | None = None

    def _new_path(self, controlling: bool) -> IcePath:
        return IcePath(
            self._settings,
            self._ports,
            self._telemetry,
            controlling=controlling,
            on_srtp=self._too_early,
            on_off_path=self._listener.on_off_path,
            log=self._log,
        )

    async def describe(self) -> LocalTransport:
        """Our side of the description, of the newest path; takes a moment while servers are asked."""
        return await self._route.newest.describe(self._certificate.fingerprint)

    @property
    def started(self) -> bool:
        """Whether the checks have begun."""
        return self._task is not None

    async def gather(self, *, controlling: bool) -> None:
        """Open the sockets. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        await self._route.open(controlling=controlling)

    async def set_remote(self, remote: RemoteMatrix) -> None:
        """Take a checked description and the candidates in it, and those that were trickled before it."""
        await self._route.newest.set_remote(remote)
        self._remote = remote

    async def add_trickled(self, candidates: Sequence[IceCandidate]) -> None:
        """Candidates belong to the newest credentials."""
        await self._route.newest.add_trickled(candidates)

    # The association

    def start(self, tasks: asyncio.TaskGroup, setup: Setup) -> None:
        """Begin connectivity checks, then DTLS, in the role that our description says."""
        path = self._route.current
        if self._task is None:
            remote, self._setup = path.select(), setup
            self._dtls = DtlsSession(path.agent, self._certificate, server=setup is Setup.PASSIVE)
            self._task = tasks.create_task(self._guarded(self._live(path, self._dtls, remote)))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """A fault of one leg must not end the others' thread."""
        try:
            await work
        except Exception as error:
            self._log.exception("webrtc_leg_failed", error=type(error).__name__)
            self._telemetry.count("internal_errors_total", component="media")
            self._listener.on_ended(MediaFailure.ICE_FAILED)

    async def _live(self, path: IcePath, dtls: DtlsSession, remote: RemoteMatrix) -> None:
        """From the first check to the end of the association."""
        if not await self._in_time(_associate(path, dtls, remote)):
            # Clients have one word for both, and an operator wants to know which.
            self._log.info("webrtc_not_connected", missing=dtls.missing)
            self._telemetry.count("webrtc_not_connected_total", missing=dtls.missing)
            self._listener.on_ended(MediaFailure.ICE_FAILED)
            return
        self._listener.on_connected()
        self._listener.on_ended(await self._until_gone(dtls))

    async def _in_time(self, work: Awaitable[bool]) -> bool:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                return await work
        except (ConnectionError, TimeoutError):
            return False

    async def _until_gone(self, dtls: DtlsSession) -> MediaFailure:
        """Wait for the end: consent lost, or a goodbye and its grace."""
        await dtls.closed.wait()
        self._tell_paths()
        if self._route.current.agent.is_closed:
            return MediaFailure.ICE_TIMEOUT
        await asyncio.sleep(GOODBYE_GRACE_S)
        return MediaFailure.CLIENT_CLOSED

    # Another path

    def continues_with(self, remote: RemoteMatrix) -> bool:
        """Whether new credentials are those of the association that is up: the same certificate, roles that fit."""
        known, dtls = self._remote, self._dtls
        if known is None or dtls is None or not dtls.connected:
            return False
        return remote.fingerprints == known.fingerprints and remote.setup is not self._setup

    async def prepare_restart(self, remote: RemoteMatrix) -> None:
        """Open a path for new credentials. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        await self.give_up_restart()
        controlling = remote.ice_lite or self._route.current.agent.ice_controlling
        try:
            await self._route.open(controlling=controlling)
            if self._reader is not None:
                self._reader.take(self._route.newest.agent)
            await self.set_remote(remote)
        except BaseException:
            await self.give_up_restart()
            raise

    def restart(self, tasks: asyncio.TaskGroup) -> None:
        """Check the prepared path and change over to it, once; without one there is nothing to do."""
        path, dtls = self._route.newest, self._dtls
        if path is not self._route.current and dtls is not None and self._restarting is None:
            path.select()
            dtls.pipe.begin_trial()
            self._restarting = tasks.create_task(self._guarded(self._change_over(path, dtls)))

    async def _change_over(self, path: IcePath, dtls: DtlsSession) -> None:
        """The old path carries the audio while the new one is tried, and goes on when that fails."""
        if await self._in_time(_reach(path)):
            self._route.adopt(path)
            self._tell_paths()
            dtls.pipe.end_trial(path.agent)
            self._telemetry.count("ice_restarts_total", result="success")
            await asyncio.sleep(LINGER_S)
        else:
            self._telemetry.count("ice_restarts_total", result="failed")
            dtls.pipe.end_trial()
        await self._route.close_unused()

    async def give_up_restart(self) -> None:
        """Forget a path that is still being tried."""
        await self._stop(self._restarting)
        self._restarting = None
        if self._dtls is not None:
            self._dtls.pipe.end_trial()
        await self._route.close_unused()

    # Packets

    @property
    def keys(self) -> tuple[SrtpKey, SrtpKey]:
        """Ours and theirs, for whoever does the encryption in our place."""
        if self._dtls is None:
            raise RuntimeError("a leg that is not connected has no keys")
        return self._dtls.keys()

    def hand_over(self, reader: SocketReader) -> None:
        """Let someone else read the sockets from now on, those of later paths too."""
        self._reader = reader
        reader.take(self._route.current.agent)

    def heard(self) -> None:
        """Whoever does the encryption has decrypted audio: the client has our keys."""
        if self._dtls is not None:
            self._dtls.pipe.settle()

    @property
    def speaks_through(self) -> IceAgent | None:
        """The agent on whose nominated pair audio is sent; none before the handshake, and after a goodbye."""
        connected = self._dtls is not None and self._dtls.connected and not self._closed
        return self._route.current.agent if connected else None

    def _tell_paths(self) -> None:
        if self._reader is not None:
            self._reader.paths_changed()

    def _too_early(self, datagram: bytes) -> None:
        """Audio that comes before there are keys for it: whoever reads the sockets afterwards gets the rest."""
        self._telemetry.count("rtp_discarded_total", reason="srtp")

    async def close(self) -> None:
        """Free the tasks, the sockets and their ports; called again, it finishes what failed."""
        self._closed = True
        await take_all_limited(self._stop_tasks, self._close_dtls, self._route.close)

    async def _stop_tasks(self) -> None:
        await self._stop(self._restarting)
        await self._stop(self._task)

    async def _stop(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _close_dtls(self) -> None:
        if self._dtls is not None:
            await self._dtls.close()


async def _reach(path: IcePath) -> bool:
    """Let the client begin: libwebrtc takes a check that overtakes our answer for a path that is worse than the one in
    use, and never looks at it again while that one works."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await path.agent.checked.wait()
    await path.agent.connect()
    return True


async def _associate(path: IcePath, dtls: DtlsSession, remote: RemoteMatrix) -> bool:
    await path.agent.connect()
    return await dtls.handshake(remote.fingerprints)
