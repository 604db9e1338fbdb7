"""The packets of one call on a worker, whether that is a thread in Rust or a process in Python.

After ICE has nominated a pair and DTLS has made keys, the worker reads the sockets of both legs. What is no audio comes
back: connectivity checks and DTLS to the ICE agent, keys for signalling to the call. Each descriptor is duplicated, so
both sides close what is theirs. What can be asked of a worker's call is in `trunkline_native.pyi`.
"""

import abc
from typing import TYPE_CHECKING

from bridge.core.pii import Pii
from bridge.media.engine import Ear, MediaStats
from bridge.media.formats import LegFormats
from bridge.media.ice import IceAgent
from bridge.media.keypad import KEYS
from bridge.media.outbound import OutboundStream
from bridge.media.packet_values import event_codes, plain, plain_key
from bridge.media.path import PathNeeds
from bridge.media.player import Playing
from bridge.media.sdes import KeyPair
from bridge.media.sdp_sip import RemoteSip
from bridge.media.tap import Tapped
from bridge.media.verdicts import unavailable
from bridge.media.webrtc import WebRtcLeg

if TYPE_CHECKING:
    import trunkline_native

    from bridge.media.worker_paths import WorkerPaths

_OFF_PATH = "off_path"


class WorkerPath(abc.ABC):
    """Implements :class:`bridge.media.path.PacketPath`, but for what it costs to ask a worker for numbers."""

    def __init__(self, needs: PathNeeds, paths: "WorkerPaths") -> None:
        self._needs = needs
        self._paths = paths
        self.cname = needs.entropy.token(16)
        self._begins = OutboundStream(needs.entropy).begins, OutboundStream(needs.entropy).begins
        self.ssrc = self._begins[0][0]
        self._call: trunkline_native.NativeCall | None = None
        self._bound: list[int] = []
        self._matrix: LegFormats | None = None
        self._sip: LegFormats | None = None
        self._partner: WorkerPath | None = None
        self._leg: WebRtcLeg | None = None
        self._sockets: dict[int, tuple[IceAgent, int]] = {}
        """The Matrix leg's sockets by the worker's number: whose they are, and which of them."""
        self._agents: list[IceAgent] = []
        self._warned = False

    @property
    def call(self) -> "trunkline_native.NativeCall":
        """The worker's side of an open path."""
        if self._call is None:
            raise RuntimeError("the path is not open")
        return self._call

    @property
    def _hearer(self) -> "trunkline_native.NativeCall":
        """The call that hears this one's phone: itself, for its Matrix leg, or the partner, for its phone."""
        return self.call if self._partner is None else self._partner.call

    @property
    @abc.abstractmethod
    def heard_phone_at(self) -> float | None: ...

    @property
    @abc.abstractmethod
    def heard_matrix_at(self) -> float | None: ...

    @abc.abstractmethod
    def stats(self, *, off_path_dropped: int) -> MediaStats: ...

    async def open(self, host: str) -> int:
        pair = self._needs.ports.bind_pair(host)
        sockets = (pair.rtp, pair.rtcp)
        self._bound = [bound.getsockname()[1] for bound in sockets]
        try:
            self._call = self._paths.open_call(self, pair, self._needs, self.cname, self._begins)
        except OSError as error:
            self._give_back()
            raise unavailable(f"no worker takes the call: {error}") from error
        except BaseException:
            self._give_back()
            raise
        finally:
            for bound in sockets:
                bound.close()
        return self._bound[0]

    def configure(self, matrix: LegFormats | None, sip: LegFormats | None) -> None:
        self._matrix, self._sip = matrix, sip
        self._fit()
        if self._partner is not None:
            self._partner._fit()

    def _fit(self) -> None:
        """The phone hears the Matrix leg, or the partner's phone."""
        feed = self._matrix if self._partner is None else self._partner._sip
        self.call.configure(plain(self._matrix), plain(self._sip), plain(feed))

    def let_through(self, *, to_sip: bool, filling: bool, to_matrix: bool) -> None:
        self.call.let_through(to_sip=to_sip, filling=filling, to_matrix=to_matrix)

    def direct(self, remote: RemoteSip, keys: KeyPair | None) -> bool:
        host = remote.host
        return self.call.direct(
            None if host is None else ((host, remote.port), remote.rtcp_port),
            None if keys is None else (plain_key(keys.ours), plain_key(keys.theirs)),
        )

    def expect_new_phone(self) -> None:
        self.call.expect_new_phone()
        self._hearer.expect_new_source(of_partner=self._partner is not None)

    def join(self, partner: "WorkerPath | None") -> None:
        self._partner = partner
        self.call.join(None if partner is None else partner.call)
        self._fit()

    def press(self, digits: str, duration_ms: int) -> None:
        self._hearer.press(event_codes(digits), duration_ms, of_partner=self._partner is not None)

    def play(self, ear: Ear, playing: Playing | None) -> None:
        given = None
        if playing is not None:
            given = self._paths.shared(playing.sound), playing.repeats, playing.number
        self.call.play(ear is Ear.PHONE, given)

    def listen(self, wanted: bool, *, tones: bool) -> None:
        self.call.listen(wanted, tones)

    def tap(self, wanted: bool) -> None:
        self.call.tap(wanted)

    def tapped(self) -> tuple[list[Tapped], bool]:
        return self.call.tapped()

    def happened(self, kind: str, value: int, duration_ms: int) -> None:
        """The worker tells something."""
        match kind:
            case "heard" if self._leg is not None:
                self._leg.heard()
            case "pressed" if self._needs.signal_digit is not None:
                self._needs.signal_digit(KEYS[value], duration_ms)
            case "phone_digit":
                self._needs.phone_digit(KEYS[value])
            case "played":
                self._needs.played(value)

    # The Matrix leg

    def carry(self, leg: WebRtcLeg) -> None:
        self._leg = leg
        self._sockets.clear()
        self._agents.clear()
        self.call.attach(*leg.keys)
        leg.hand_over(self)
        self.paths_changed()

    def take(self, agent: IceAgent) -> None:
        """Read the sockets of a path that is in use or being tried; who may be heard on them is told first."""
        self._agents.append(agent)
        self.paths_changed()
        for index, descriptor in agent.hand_over(self).items():
            self.take_one(agent, index, descriptor)

    def take_one(self, agent: IceAgent, index: int, descriptor: int) -> None:
        """Read one socket, or what came by a TURN server, whose channels are told with every change."""
        number = self.call.add_socket(descriptor, agent.named, relayed=agent.channels(index) is not None)
        self._sockets[number] = (agent, index)

    def paths_changed(self) -> None:
        """Tell who may be heard, and on which socket to send to whom."""
        for number, (agent, index) in self._sockets.items():
            channels = agent.channels(index)
            if channels is not None:
                self.call.bind(number, channels)
        # A zone (`fe80::1%eth0`) belongs to link-local addresses, which we neither offer nor take.
        validated = [address for agent in self._agents for address in agent.validated if "%" not in address[0]]
        self.call.follow(validated, self._nominated())

    def _nominated(self) -> tuple[int, tuple[str, int]] | None:
        speaker = self._leg.speaks_through if self._leg is not None else None
        pair = speaker.nominated if speaker is not None else None
        if pair is None:
            return None
        index, remote = pair
        numbers = (number for number, known in self._sockets.items() if known == (speaker, index))
        return next(((number, remote) for number in numbers), None)

    def let_go(self, agent: IceAgent) -> None:
        """An agent is about to close its sockets."""
        numbers = [number for number, (owner, _) in self._sockets.items() if owner is agent]
        for number in numbers:
            self.call.remove_socket(number)
            del self._sockets[number]
        self._agents = [kept for kept in self._agents if kept is not agent]
        self.paths_changed()

    def take_back(self, socket: int, datagram: bytes, source: tuple[str, int]) -> None:
        """A connectivity check or DTLS that came on a socket of the Matrix leg."""
        owner = self._sockets.get(socket)
        if owner is not None:
            agent, index = owner
            agent.take_back(index, datagram, source)

    def lost(self) -> None:
        """Nobody carries the packets any more."""
        self._needs.on_lost()

    # What it tells

    def look_after(self, now: float) -> None:
        """Reports are the worker's; what it saw and counted is ours to tell."""
        unexpected = None if self._warned else self.call.unexpected_source
        if unexpected is not None:
            self._warned = True
            source, announced = map(Pii, unexpected)
            self._needs.log.warning("rtp_source_unexpected", source=source, announced=announced)
        for reason, count in self.call.take_discards():
            if reason == _OFF_PATH:
                self._needs.telemetry.count("media_offpath_dropped_total", count)
            else:
                self._needs.telemetry.count("rtp_discarded_total", count, reason=reason)

    def say_goodbye(self) -> None:
        if self._call is not None:
            self._call.say_goodbye()

    async def close(self) -> None:
        try:
            if self._call is not None:
                self._paths.close_call(self._call)
                self.look_after(0.0)
        finally:
            self._give_back()

    def _give_back(self) -> None:
        while self._bound:
            self._needs.ports.give_back(self._bound.pop())
