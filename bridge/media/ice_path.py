"""Ways to the other side: one path for each set of ICE credentials, one of them in use (RFC 8445, RFC 8838)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aioice import Candidate
from structlog.typing import FilteringBoundLogger

from bridge.core.telemetry import Telemetry
from bridge.media.advertised import advertised
from bridge.media.candidates import MAX_CANDIDATES, MAX_LINE, IgnoredCandidate, Networks, parse_candidate
from bridge.media.closing import Closable, close_each
from bridge.media.dtls import Certificates
from bridge.media.engine import IceCandidate
from bridge.media.gathering import Gathering
from bridge.media.ice import IceAgent, SrtpReceiver
from bridge.media.ice_servers import IceServers
from bridge.media.ports import PortPool
from bridge.media.sdp_matrix import LocalTransport, RemoteMatrix, belongs
from bridge.media.verdicts import unavailable

_MOST_TRICKLED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRtcSettings:
    """What the Matrix side's transport needs to know of its surroundings."""

    hosts: tuple[str, ...]
    advertised_hosts: tuple[str, ...]
    """What the outside knows our addresses as, one for each version of IP."""
    allow_loopback: bool
    connect_timeout_s: float
    private_networks: Networks = ()
    """Where clients with private addresses may be."""
    servers: IceServers | None = None
    """STUN and TURN servers."""
    certificates: Certificates = field(default_factory=Certificates)
    """Ours, for DTLS."""


class IcePath:
    """Our agent for one set of credentials, and the other side's candidates as they come."""

    def __init__(
        self,
        settings: WebRtcSettings,
        ports: PortPool,
        telemetry: Telemetry,
        *,
        controlling: bool,
        on_srtp: SrtpReceiver,
        on_off_path: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._ports = ports
        self._telemetry = telemetry
        self._remote: RemoteMatrix | None = None
        self._early: list[IceCandidate] = []
        self._candidates = 0
        self._trickled = 0
        self.agent = IceAgent(
            controlling=controlling,
            on_srtp=on_srtp,
            on_off_path=on_off_path,
            on_excess=lambda: telemetry.count("rtp_discarded_total", reason="rate"),
        )
        servers = settings.servers
        self._gathering = None if servers is None else Gathering(self.agent, servers, telemetry, log)

    async def gather(self) -> None:
        """Open the sockets and ask the servers. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        await self.agent.gather_on(self._settings.hosts, self._ports)
        if self._gathering is not None:
            self._gathering.start()

    async def describe(self, fingerprint: str) -> LocalTransport:
        """Our side, with what servers have answered by now, or do within a moment."""
        agent, gathered = self.agent, list[Candidate]()
        candidates = [self._advertised(protocol.local_candidate) for protocol in agent.sockets]
        if self._gathering is not None:
            await self._gathering.wait()
            gathered = self._gathering.candidates
        known = {(candidate.host, candidate.port) for candidate in candidates}
        candidates += [candidate for candidate in gathered if (candidate.host, candidate.port) not in known]
        return LocalTransport(
            ufrag=agent.local_username,
            password=agent.local_password,
            fingerprint=fingerprint,
            candidates=tuple(f"candidate:{candidate.to_sdp()}" for candidate in candidates),
            host=candidates[0].host,
            port=candidates[0].port,
        )

    def _advertised(self, candidate: Candidate) -> Candidate:
        """The candidate under the address that the outside knows (a one-to-one NAT keeps the port)."""
        shown = Candidate.from_sdp(candidate.to_sdp())
        shown.host = advertised(candidate.host, self._settings.advertised_hosts)
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
        settings = self._settings
        parsed = parse_candidate(
            entry.candidate, allow_loopback=settings.allow_loopback, private_networks=settings.private_networks
        )
        if isinstance(parsed, IgnoredCandidate):
            self._ignored(parsed)
        else:
            await self._add(parsed)

    async def _add(self, candidate: Candidate) -> None:
        if self.agent.is_closed:
            return
        if self._candidates >= MAX_CANDIDATES:
            self._ignored(IgnoredCandidate.TOO_MANY)
            return
        self._candidates += 1
        await self.agent.add_remote_candidate(candidate)

    def _ignored(self, reason: IgnoredCandidate) -> None:
        self._telemetry.count("ice_candidates_ignored_total", reason=reason.value)

    def select(self) -> RemoteMatrix:
        """From here on only the device that was described counts; gives its description."""
        remote = self._remote
        if remote is None:
            raise unavailable("no remote description")
        self.agent.select(ufrag=remote.ufrag, password=remote.password, is_lite=remote.ice_lite)
        return remote

    async def close(self) -> None:
        """Free the sockets and their ports."""
        try:
            if self._gathering is not None:
                await self._gathering.close()
        finally:
            await self.agent.close_and_give_back(self._ports)


class IceRoute:
    """The path in use, and at most one that is to take its place."""

    def __init__(self, new_path: Callable[[bool], IcePath]) -> None:
        """`new_path` makes a path that is controlling or not."""
        self._new_path = new_path
        self._current: IcePath | None = None
        self._paths: list[Closable] = []
        """Those that are open; one that could not be closed stays here for the next try."""
        self._newest: IcePath | None = None

    @property
    def current(self) -> IcePath:
        """The path in use, known after `open`."""
        if self._current is None:
            raise unavailable("candidates were not gathered")
        return self._current

    @property
    def newest(self) -> IcePath:
        """The path whose credentials were described last."""
        return self._newest or self.current

    async def open(self, *, controlling: bool) -> None:
        """Gather for a path: the first is the one in use at once, any other when it is adopted."""
        path = self._new_path(controlling)
        self._paths.append(path)
        self._newest, self._current = path, self._current or path
        await path.gather()

    def adopt(self, path: IcePath) -> None:
        """Use another path from here on."""
        self._current = path

    async def close_unused(self) -> None:
        """Close every path but the one in use."""
        unused = [path for path in self._paths if path is not self._current]
        kept, self._newest = [path for path in self._paths if path is self._current], None
        try:
            await close_each(unused)
        finally:
            self._paths = [*unused, *kept]

    async def close(self) -> None:
        """Free all sockets and their ports; called again, it finishes what failed."""
        await close_each(self._paths)
