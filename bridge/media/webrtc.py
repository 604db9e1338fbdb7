"""The Matrix leg's transport: ICE and DTLS-SRTP without a peer connection around them.

RTP is taken right after SRTP and sent right before it: no receivers, senders or jitter buffers of a WebRTC stack.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aioice import Candidate
from structlog.typing import FilteringBoundLogger

from bridge.core.telemetry import Telemetry
from bridge.media.candidates import MAX_CANDIDATES, MAX_LINE, IgnoredCandidate, parse_candidate
from bridge.media.closing import take_all_limited
from bridge.media.dtls import Certificate, DtlsSession
from bridge.media.engine import IceCandidate, MediaFailure
from bridge.media.ice import IceAgent
from bridge.media.packet_rate import PacketRate
from bridge.media.ports import PortPool
from bridge.media.sdp_matrix import LocalTransport, RemoteMatrix, Setup, belongs
from bridge.media.verdicts import unavailable

GOODBYE_GRACE_S = 5.0
"""A client closes DTLS just before its hangup event gets here; the event knows the reason better."""
_MOST_TRICKLED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRtcSettings:
    """What a leg needs to know of its surroundings."""

    hosts: tuple[str, ...]
    advertised_host: str
    allow_loopback: bool
    connect_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRtcListener:
    """Who wants to know."""

    on_connected: Callable[[], None]
    on_ended: Callable[[MediaFailure], None]
    on_packet: Callable[[bytes], None]
    """A decrypted RTP or RTCP packet."""
    on_off_path: Callable[[], None]
    """A datagram from an address that ICE has not validated was dropped."""


class WebRtcLeg:
    """One ICE agent and one DTLS association, used for one set of ICE credentials."""

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
        self._rate = PacketRate(now)
        self._certificate = Certificate.generateCertificate()
        self._agent: IceAgent | None = None
        self._dtls: DtlsSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._local: LocalTransport | None = None
        self._remote: RemoteMatrix | None = None
        self._early: list[IceCandidate] = []
        self._candidates = 0
        self._trickled = 0
        self._closed = False

    @property
    def local(self) -> LocalTransport:
        """Our side of the description, known after `gather`."""
        if self._local is None:
            raise unavailable("candidates were not gathered")
        return self._local

    @property
    def started(self) -> bool:
        """Whether the checks have begun."""
        return self._task is not None

    async def gather(self, *, controlling: bool) -> None:
        """Open the sockets. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        agent = IceAgent(
            controlling=controlling,
            on_srtp=self._received,
            on_off_path=self._listener.on_off_path,
            on_excess=lambda: self._discarded("rate"),
        )
        self._agent = agent
        await agent.gather_on(self._settings.hosts, self._ports)
        candidates = [self._advertised(candidate) for candidate in agent.local_candidates]
        self._local = LocalTransport(
            ufrag=agent.local_username,
            password=agent.local_password,
            fingerprint=self._certificate.fingerprint,
            candidates=tuple(f"candidate:{candidate.to_sdp()}" for candidate in candidates),
            host=candidates[0].host,
            port=candidates[0].port,
        )

    def _advertised(self, candidate: Candidate) -> Candidate:
        """The candidate under the address that the outside knows (a one-to-one NAT keeps the port)."""
        shown = Candidate.from_sdp(candidate.to_sdp())
        outside = self._settings.advertised_host
        if outside and (":" in outside) == (":" in candidate.host):
            shown.host = outside
        return shown

    async def set_remote(self, remote: RemoteMatrix) -> None:
        """Take a checked description and the candidates in it, and those that were trickled before it."""
        self._remote = remote
        for reason in remote.ignored:
            self._ignored(reason)
        for candidate in remote.candidates:
            await self._add(candidate)
        early, self._early = self._early, []
        await self.add_trickled(early)

    async def add_trickled(self, candidates: Sequence[IceCandidate]) -> None:
        """Add candidates that came after the description. The end of candidates is not needed: time limits decide."""
        for entry in candidates[:_MOST_TRICKLED]:
            self._trickled += 1
            if not entry.candidate.strip():
                continue
            if self._trickled > _MOST_TRICKLED:
                self._ignored(IgnoredCandidate.TOO_MANY)
            elif len(entry.candidate) > MAX_LINE:
                self._ignored(IgnoredCandidate.UNPARSABLE)
            elif self._remote is None:
                self._early.append(entry)
            else:
                await self._add_entry(entry, self._remote)

    async def _add_entry(self, entry: IceCandidate, remote: RemoteMatrix) -> None:
        if not belongs(remote, entry.sdp_mid, entry.sdp_m_line_index):
            self._ignored(IgnoredCandidate.SECTION)
            return
        parsed = parse_candidate(entry.candidate, allow_loopback=self._settings.allow_loopback)
        if isinstance(parsed, IgnoredCandidate):
            self._ignored(parsed)
        else:
            await self._add(parsed)

    async def _add(self, candidate: Candidate) -> None:
        if self._agent is None or self._agent.is_closed:
            return
        if self._candidates >= MAX_CANDIDATES:
            self._ignored(IgnoredCandidate.TOO_MANY)
            return
        self._candidates += 1
        await self._agent.add_remote_candidate(candidate)

    def _ignored(self, reason: IgnoredCandidate) -> None:
        self._telemetry.count("ice_candidates_ignored_total", reason=reason.value)

    def start(self, tasks: asyncio.TaskGroup, setup: Setup) -> None:
        """Begin connectivity checks, then DTLS, in the role that our description says."""
        if self._agent is None or self._remote is None:
            raise unavailable("no remote description")
        if self._task is None:
            remote = self._remote
            self._agent.select(ufrag=remote.ufrag, password=remote.password, is_lite=remote.ice_lite)
            self._dtls = DtlsSession(self._agent, self._certificate, server=setup is Setup.PASSIVE)
            self._task = tasks.create_task(self._run(self._agent, self._dtls, remote))

    async def _run(self, agent: IceAgent, dtls: DtlsSession, remote: RemoteMatrix) -> None:
        """From the first check to the end of the association; a fault of one leg must not end the others' thread."""
        try:
            await self._live(agent, dtls, remote)
        except Exception as error:
            self._log.exception("webrtc_leg_failed", error=type(error).__name__)
            self._telemetry.count("internal_errors_total", component="media")
            self._listener.on_ended(MediaFailure.ICE_FAILED)

    async def _live(self, agent: IceAgent, dtls: DtlsSession, remote: RemoteMatrix) -> None:
        if not await self._connect(agent, dtls, remote):
            self._listener.on_ended(MediaFailure.ICE_FAILED)
            return
        self._listener.on_connected()
        await self._until_gone(agent, dtls)
        self._listener.on_ended(MediaFailure.ICE_TIMEOUT)

    async def _connect(self, agent: IceAgent, dtls: DtlsSession, remote: RemoteMatrix) -> bool:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await agent.connect()
                return await dtls.handshake(remote.fingerprints)
        except (ConnectionError, TimeoutError):
            return False

    async def _until_gone(self, agent: IceAgent, dtls: DtlsSession) -> None:
        """Wait for the end: consent lost, or a goodbye and its grace."""
        await dtls.closed.wait()
        if not agent.is_closed:
            await asyncio.sleep(GOODBYE_GRACE_S)

    def _received(self, datagram: bytes) -> None:
        if not self._rate.admits():
            self._discarded("rate")
            return
        plain = self._dtls.unprotect(datagram) if self._dtls is not None else None
        if plain is None:
            self._discarded("srtp")
        else:
            self._listener.on_packet(plain)

    def _discarded(self, reason: str) -> None:
        self._telemetry.count("rtp_discarded_total", reason=reason)

    def send(self, packet: bytes) -> bool:
        """Encrypt and send RTP or RTCP; `False` when the leg is not up."""
        if self._closed or self._agent is None or self._dtls is None or not self._dtls.connected:
            return False
        protected = self._dtls.protect(packet)
        return protected is not None and self._agent.send_now(protected)

    async def close(self) -> None:
        """Free the task, the sockets and their ports; called again, it finishes what failed."""
        self._closed = True
        await take_all_limited(self._stop_task, self._close_dtls, self._close_agent)

    async def _stop_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _close_dtls(self) -> None:
        if self._dtls is not None:
            await self._dtls.close()

    async def _close_agent(self) -> None:
        if self._agent is not None:
            await self._agent.close_and_give_back(self._ports)
