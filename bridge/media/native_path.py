"""The packet path in Rust (`trunkline-native`): sockets, SRTP and codecs on threads that hold no interpreter lock.

After ICE has nominated a pair and DTLS has made keys, the native side reads the sockets of both legs. What is no audio
comes back: connectivity checks and DTLS to the ICE agent, keys for signalling to the call. Each descriptor
is duplicated, so both sides close what is theirs. Here is only what turns our values into plain ones.
"""

import asyncio
import importlib
import os
import zlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import structlog

from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.media import opus
from bridge.media.engine import Ear, HeardStats, LegStats, MediaStats, milliseconds
from bridge.media.formats import Codec, LegFormats, codec_name
from bridge.media.ice import IceAgent
from bridge.media.keypad import KEYS
from bridge.media.outbound import OutboundStream
from bridge.media.packet_engine import PlainFormats, PlainKey
from bridge.media.path import PathNeeds
from bridge.media.player import Playing
from bridge.media.ports import PortPair
from bridge.media.sdes import CryptoLine, KeyPair
from bridge.media.sdp_sip import RemoteSip
from bridge.media.sounds import CodedSound
from bridge.media.tap import Tapped
from bridge.media.verdicts import unavailable
from bridge.media.webrtc import WebRtcLeg

if TYPE_CHECKING:
    import trunkline_native

_INTERFACE = Path(__file__).with_name("native") / "trunkline_native.pyi"
_OFF_PATH = "off_path"
_log = structlog.get_logger()


def load() -> ModuleType | None:
    """The extension; `None` where it is not installed."""
    try:
        return importlib.import_module("trunkline_native")
    except ImportError:
        return None


def fits(module: ModuleType) -> bool:
    """Whether the extension can be asked what we ask: it is installed by itself, and may be older or newer than we."""
    return getattr(module, "INTERFACE", None) == zlib.crc32(_INTERFACE.read_bytes())


def plain(formats: LegFormats | None) -> PlainFormats | None:
    """What a leg agreed on, as numbers and names."""
    if formats is None:
        return None
    send, digits, wish = formats.send, formats.send_digits, formats.send.opus
    return (
        [(audio.payload_type, audio.codec.value) for audio in formats.receive],
        [(entry.payload_type, entry.clock_rate) for entry in formats.receive_digits],
        (send.payload_type, send.codec.value),
        None if digits is None else (digits.payload_type, digits.clock_rate),
        (formats.packets.made_ms, formats.packets.exact, formats.packets.longest_ms),
        (wish.bitrate, wish.playback_rate, wish.fec, wish.dtx, wish.constant),
    )


def event_codes(digits: str) -> bytes:
    """The event codes of keys (RFC 4733 §3.2); what is no key is 255, which nobody sends."""
    return bytes(KEYS.find(digit) & 0xFF for digit in digits.upper())


class NativePath:
    """Implements :class:`bridge.media.path.PacketPath`."""

    def __init__(self, needs: PathNeeds, paths: "NativePaths") -> None:
        self._needs = needs
        self._paths = paths
        self.cname = needs.entropy.token(16)
        self._begins = OutboundStream(needs.entropy).begins, OutboundStream(needs.entropy).begins
        self.ssrc = self._begins[0][0]
        self._call: trunkline_native.NativeCall | None = None
        self._bound: list[int] = []
        self._matrix: LegFormats | None = None
        self._sip: LegFormats | None = None
        self._partner: NativePath | None = None
        self._leg: WebRtcLeg | None = None
        self._sockets: dict[int, tuple[IceAgent, int]] = {}
        """The Matrix leg's sockets by the native side's number: whose they are, and which of them."""
        self._agents: list[IceAgent] = []
        self._warned = False

    @property
    def call(self) -> "trunkline_native.NativeCall":
        """The native side of an open path."""
        if self._call is None:
            raise RuntimeError("the path is not open")
        return self._call

    @property
    def _hearer(self) -> "trunkline_native.NativeCall":
        """The call that hears this one's phone: itself, for its Matrix leg, or the partner, for its phone."""
        return self.call if self._partner is None else self._partner.call

    @property
    def heard_phone_at(self) -> float | None:
        return self.call.numbers().sip.heard_at

    @property
    def heard_matrix_at(self) -> float | None:
        return self.call.numbers().matrix.heard_at

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
            None if keys is None else (_plain_key(keys.ours), _plain_key(keys.theirs)),
        )

    def expect_new_phone(self) -> None:
        self.call.expect_new_phone()
        self._hearer.expect_new_source(of_partner=self._partner is not None)

    def join(self, partner: "NativePath | None") -> None:
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
        """The native side tells something."""
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
        """Reports are the native side's; what it saw and counted is ours to tell."""
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

    def stats(self, *, off_path_dropped: int) -> MediaStats:
        if self._call is None:
            return MediaStats()
        return stats_of(
            self._call.numbers(),
            self._matrix,
            self._sip,
            off_path_dropped=off_path_dropped + self._call.off_path,
        )

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


class NativePaths:
    """Implements :class:`bridge.media.path.PacketPaths`."""

    name = "native"

    def __init__(self, module: Any, workers: int = 0) -> None:
        """`workers` is how many threads there are; 0 one for each core that this process may use."""
        self._module = module
        self._workers = workers or len(os.sched_getaffinity(0))
        self._engine: trunkline_native.Engine | None = None
        self._telemetry: Telemetry | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: dict[int, NativePath] = {}
        self._sounds: WeakKeyDictionary[CodedSound, trunkline_native.Sound] = WeakKeyDictionary()

    def start(self, telemetry: Telemetry) -> None:
        self._engine = engine = self._module.Engine(threads=self._workers, opus=opus.path())
        if not engine.has_opus:
            raise unavailable("trunkline-native cannot load libopus")
        self._telemetry, self._loop = telemetry, asyncio.get_running_loop()
        self._loop.add_reader(engine.fileno(), self._collect)

    @property
    def engine(self) -> Any:
        """The workers; what they can be asked is in `trunkline_native.pyi`."""
        if self._engine is None:
            raise unavailable("the packet path is not started")
        return self._engine

    def make(self, needs: PathNeeds) -> NativePath:
        return NativePath(needs, self)

    def open_call(
        self,
        path: NativePath,
        pair: PortPair,
        needs: PathNeeds,
        cname: str,
        begins: tuple[tuple[int, int, int], tuple[int, int, int]],
    ) -> "trunkline_native.NativeCall":
        """Give a call's sockets, which are duplicated, to a thread."""
        call: trunkline_native.NativeCall = self.engine.open(
            rtp=pair.rtp.fileno(),
            rtcp=pair.rtcp.fileno(),
            trusted=[(str(network.network_address), network.prefixlen) for network in needs.trusted],
            to_matrix=begins[0],
            to_sip=begins[1],
            cname=cname,
            signals_digits=needs.signal_digit is not None,
        )
        self._calls[call.number] = path
        return call

    def close_call(self, call: "trunkline_native.NativeCall") -> None:
        """Free the sockets of a call, and expect nothing of it any more."""
        call.close()
        self._calls.pop(call.number, None)

    def shared(self, sound: CodedSound) -> "trunkline_native.Sound":
        """The native form of a sound, made once for all calls that play it."""
        if sound not in self._sounds:
            self._sounds[sound] = self._module.Sound([(codec.value, sound.frames(codec)) for codec in Codec])
        return self._sounds[sound]

    def _collect(self) -> None:
        """What the threads have for us; each in a step of its own, for a fault in one is not the others' fault."""
        if self._engine is None or self._loop is None:
            return
        datagrams, news = self._engine.collect()
        for number, socket, datagram, source in datagrams:
            path = self._calls.get(number)
            if path is not None:
                self._loop.call_soon(path.take_back, socket, datagram, source)
        for number, kind, value, duration_ms in news:
            path = self._calls.get(number)
            if path is not None:
                self._loop.call_soon(path.happened, kind, value, duration_ms)

    def look_after(self) -> None:
        if self._engine is None or self._telemetry is None:
            return
        faults = self._engine.take_faults()
        if faults:
            self._telemetry.count("internal_errors_total", faults, component="media")
            _log.error("native_path_failed", faults=faults)

    def stop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None and self._loop is not None:
            self._loop.remove_reader(engine.fileno())
            engine.stop()


def _plain_key(line: CryptoLine) -> PlainKey:
    return line.suite.value, line.key


def stats_of(
    numbers: "trunkline_native.Numbers",
    matrix: LegFormats | None,
    sip: LegFormats | None,
    *,
    off_path_dropped: int,
) -> MediaStats:
    """The native side's numbers as everybody else knows them."""
    heard_by_matrix, heard_by_sip = _heard_stats(numbers.heard_by_matrix), _heard_stats(numbers.heard_by_sip)
    return MediaStats(
        matrix=_leg_stats(matrix, numbers.matrix),
        sip=_leg_stats(sip, numbers.sip),
        heard_by_matrix=heard_by_matrix,
        heard_by_sip=heard_by_sip,
        transcoded=numbers.transcoded,
        digits_forwarded=numbers.digits,
        concealed_frames=heard_by_matrix.frames_concealed + heard_by_sip.frames_concealed,
        off_path_dropped=off_path_dropped,
    )


def _leg_stats(formats: LegFormats | None, numbers: "trunkline_native.LegNumbers") -> LegStats:
    return LegStats(
        codec=codec_name(formats),
        packets_received=numbers.received,
        packets_sent=numbers.sent,
        packets_lost=numbers.lost,
        jitter_ms=milliseconds(numbers.jitter_s),
        round_trip_ms=milliseconds(numbers.round_trip_s),
        far_packets_lost=numbers.far_lost,
        far_jitter_ms=milliseconds(numbers.far_jitter_s),
    )


def _heard_stats(numbers: "trunkline_native.HeardNumbers") -> HeardStats:
    return HeardStats(
        frames_played=numbers.frames,
        frames_concealed=numbers.concealed,
        packets_discarded=numbers.discarded,
        playout_delay_ms=milliseconds(numbers.delay_s),
        audible=numbers.audible,
    )
