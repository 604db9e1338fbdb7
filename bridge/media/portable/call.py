"""One call in a worker: its audio, and the sockets of both legs. It can do what `trunkline_native`'s calls can."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.telemetry import Telemetry
from bridge.media.audio import CallAudio
from bridge.media.engine import Ear, MediaStats
from bridge.media.formats import AudioFormat, Codec, DigitFormat, LegFormats, PacketTimes
from bridge.media.keypad import KEYS
from bridge.media.latch import Address
from bridge.media.opus_wish import OpusWish
from bridge.media.outbound import OutboundStream
from bridge.media.packet_engine import Opening, PlainFormats, Seen
from bridge.media.player import Playing
from bridge.media.portable.client import Client, Sorted
from bridge.media.portable.mailbox import Mailbox
from bridge.media.portable.path import Path
from bridge.media.portable.phone import Phone
from bridge.media.portable.sockets import MAX_READ, adopt, send
from bridge.media.sounds import CodedSound
from bridge.media.srtp import Key
from bridge.media.tap import Tap, Tapped

Readable = Callable[[float], None]
"""What is done when a socket has something to read; the argument is the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What all calls of a worker share."""

    clock: Clock
    entropy: Entropy
    telemetry: Telemetry
    mailbox: Mailbox
    watch: Callable[[socket.socket, Readable], None]
    unwatch: Callable[[socket.socket], None]
    sounds: dict[int, CodedSound]
    """What may be played, by the number that the engine gave it."""


class PortableCall:
    """A call without a Matrix leg, at first."""

    def __init__(self, number: int, opening: Opening, sockets: tuple[int, int], around: Around) -> None:
        self.number = number
        self._off_path = 0
        self._tap = Tap()
        self._around = around
        self._client: Client | None = None
        self._next_socket = 0
        self._partner: socket.socket | None = None
        """Where the phone's audio goes instead of to the Matrix side: to another call, perhaps of another worker."""
        self._heard_from: socket.socket | None = None
        """Where the audio of another call's phone comes from."""
        now, entropy = around.clock.monotonic(), around.entropy
        self._phone = Phone(
            *map(adopt, sockets),
            trusted=tuple(ip_network(f"{host}/{prefix}") for host, prefix in opening.trusted),
            telemetry=around.telemetry,
            now=now,
        )
        self._audio = CallAudio(
            cname=opening.cname,
            streams=(
                OutboundStream.beginning(opening.to_matrix, entropy),
                OutboundStream.beginning(opening.to_sip, entropy),
            ),
            clock=around.clock,
            telemetry=around.telemetry,
            to_matrix=self._send_to_matrix,
            to_sip=self._phone.send_rtp,
            to_sip_rtcp=self._phone.send_rtcp,
        )
        if opening.signals_digits:
            self._audio.to_sip.signal_digit = lambda key, ms: self._tell("pressed", KEYS.index(key), ms)
        self._audio.to_sip.on_played = self._audio.to_matrix.on_played = partial(self._tell, "played")
        around.watch(self._phone.rtp, self._rtp_readable)
        around.watch(self._phone.rtcp, self._rtcp_readable)

    # What is agreed

    def configure(self, matrix: PlainFormats | None, sip: PlainFormats | None, feed: PlainFormats | None) -> None:
        """Take what the legs agreed on, and what feeds the phone: the Matrix leg, or another call's phone."""
        self._audio.configure(_formats(matrix), _formats(sip), _formats(feed))

    def let_through(self, *, to_sip: bool, filling: bool, to_matrix: bool) -> None:
        """Which way audio may flow, and whether pauses towards the phone are filled."""
        self._audio.let_through(to_sip=to_sip, filling=filling, to_matrix=to_matrix)

    def direct(self, address: tuple[Address, int] | None, keys: tuple[Key, Key] | None) -> bool:
        """Take the phone's address with its port of RTCP, and the keys; `True` when the address is new."""
        moved = address is not None and self._phone.direct(*address)
        self._phone.secure(keys)
        return moved

    def expect_new_phone(self) -> None:
        """The phone is another one, or elsewhere: open the path with a little silence, believe whoever comes next."""
        self._audio.expect_new_phone()

    def expect_new_source(self, *, of_partner: bool) -> None:
        """What this call hears continues its stream, whatever its numbers: from the phone, or from the partner's."""
        (self._audio.to_sip if of_partner else self._audio.to_matrix).expect_new_source()

    def press(self, events: bytes, duration_ms: int, *, of_partner: bool) -> None:
        """Send keys, by their event codes, to the Matrix client, or to the phone in the place of the partner's."""
        digits = "".join(KEYS[event] for event in events if event < len(KEYS))
        (self._audio.to_sip if of_partner else self._audio.to_matrix).keypad.press(digits, duration_ms)

    def play(self, to_phone: bool, given: tuple[int, bool, int] | None) -> None:
        """Let one side hear a sound in the place of the other: which, whether it repeats, and its number there."""
        playing = None
        if given is not None:
            sound, repeats, number = given
            playing = Playing(sound=self._around.sounds[sound], repeats=repeats, number=number)
        self._audio.play(Ear.PHONE if to_phone else Ear.MATRIX, playing)

    def listen(self, wanted: bool, tones: bool) -> None:
        """Tell of keys of the phone, of tones in its audio too, or no longer."""
        self._audio.listen((lambda key: self._tell("phone_digit", KEYS.index(key))) if wanted else None, tones=tones)

    def tap(self, wanted: bool) -> None:
        """Set packets of both sides aside, or no longer."""
        self._audio.tap = self._tap if wanted else None

    def tapped(self) -> tuple[list[Tapped], bool]:
        """What was set aside since the last time, and whether some was lost."""
        return self._tap.empty(), self._tap.overflowed

    # Another call

    def hand_to(self, *descriptors: int) -> None:
        """Carry this phone's audio to the other end of a socket from now on; without one to the Matrix side again."""
        self._partner = self._replaced(self._partner, *descriptors)
        self._audio.to_sip.expect_new_source()

    def hear(self, *descriptors: int) -> None:
        """The audio of another call's phone comes on a socket; without one it comes no more."""
        if self._heard_from is not None:
            self._around.unwatch(self._heard_from)
        self._heard_from = self._replaced(self._heard_from, *descriptors)
        if self._heard_from is not None:
            self._around.watch(self._heard_from, self._partner_readable)

    def _replaced(self, before: socket.socket | None, *descriptors: int) -> socket.socket | None:
        if before is not None:
            before.close()
        return adopt(*descriptors) if descriptors else None

    # The Matrix leg

    def attach(self, ours: Key, theirs: Key) -> None:
        """Encrypt and decrypt for a Matrix leg whose DTLS is up; one that was there before is let go."""
        self._detach()
        self._client = Client(
            ours,
            theirs,
            telemetry=self._around.telemetry,
            on_off_path=self._count_off_path,
            now=self._around.clock.monotonic(),
        )

    def add_socket(self, named: bytes, relayed: bool, descriptor: int) -> int:
        """Read one more socket of the Matrix leg, or a relay; the number by which it is known from now on."""
        number, bound = self._next_socket, adopt(descriptor)
        self._next_socket += 1
        if self._client is None:
            bound.close()
            return number
        path = self._client.paths[number] = Path(bound, named, relayed=relayed)
        self._around.watch(bound, lambda now: self._client_readable(number, path, now))
        return number

    def bind(self, number: int, channels: list[tuple[int, Address]]) -> None:
        """Take what the channels of a relay stand for."""
        if self._client is not None and number in self._client.paths:
            self._client.paths[number].bind(channels)

    def remove_socket(self, number: int) -> None:
        """Read a socket no more."""
        path = self._client.remove(number) if self._client is not None else None
        if path is not None:
            self._around.unwatch(path.socket)
            path.socket.close()

    def follow(self, validated: list[Address], nominated: tuple[int, Address] | None) -> None:
        """Who may be heard on the Matrix leg, and on which socket to send to whom."""
        if self._client is not None:
            self._client.validated = frozenset(validated)
            self._client.nominate(nominated)

    def _detach(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            for path in client.paths.values():
                self._around.unwatch(path.socket)
            client.close()

    # Packets

    def _rtp_readable(self, now: float) -> None:
        datagram = self._phone.read_rtp(now)
        if datagram is None:
            return
        if self._partner is None:
            self._audio.sip_packet(datagram)
        elif self._audio.to_partner(datagram):
            send(self._partner, datagram, None)

    def _rtcp_readable(self, now: float) -> None:
        datagram = self._phone.read_rtcp(now)
        if datagram is not None:
            self._audio.sip_report(datagram)

    def _partner_readable(self, now: float) -> None:
        bound = self._heard_from
        if bound is None:
            return
        try:
            datagram = bound.recv(MAX_READ)
        except OSError:
            return
        if datagram:
            self._audio.from_partner(datagram)
        else:
            self.hear()  # the other call has gone

    def _client_readable(self, number: int, path: Path, now: float) -> None:
        datagram, source = path.receive()
        client = self._client
        if not datagram or client is None:
            return
        match client.sort(path, datagram, source, now):
            case Sorted.AUDIO:
                self._client_audio(client, datagram, now)
            case Sorted.SIGNALLING:
                if not self._around.mailbox.give_back(self.number, number, datagram, source):
                    self._around.telemetry.count("rtp_discarded_total", reason="rate")

    def _client_audio(self, client: Client, datagram: bytes, now: float) -> None:
        plain = client.take(datagram, now)
        if plain is None:
            return
        if not client.heard:
            client.heard = True
            self._tell("heard")
        self._audio.matrix_packet(plain)

    def _count_off_path(self) -> None:
        self._off_path += 1
        self._around.telemetry.count("media_offpath_dropped_total")

    def _tell(self, kind: str, value: int = 0, duration_ms: int = 0) -> None:
        self._around.mailbox.tell(self.number, kind, value, duration_ms)

    def _send_to_matrix(self, packet: bytes) -> None:
        if self._client is not None:
            self._client.send(packet)

    # The clock

    def tick(self, now: float) -> None:
        """Every 20 ms."""
        self._audio.tick(now)

    def report(self, now: float) -> None:
        """A few times a second."""
        self._audio.report(now)

    # What it has seen

    def seen(self) -> Seen:
        """What is asked of it a few times a second."""
        audio = self._audio
        return Seen(
            heard_phone_at=audio.sip_reports.heard_at,
            heard_matrix_at=audio.matrix_reports.heard_at,
            off_path=self._off_path,
            unexpected_source=self._phone.unexpected,
        )

    def stats(self) -> tuple[MediaStats, Seen]:
        """The numbers so far, and what was seen."""
        return self._audio.stats(off_path_dropped=self._off_path), self.seen()

    def say_goodbye(self) -> None:
        """Tell both ends that our streams are over."""
        self._audio.say_goodbye()

    def close(self) -> tuple[tuple[MediaStats, Seen], tuple[list[Tapped], bool]]:
        """Say goodbye, free sockets and codecs; the last numbers, what was seen, and what is still set aside."""
        for bound in (self._phone.rtp, self._phone.rtcp):
            self._around.unwatch(bound)
        try:
            self._audio.close()
        finally:
            self.hand_to()
            self.hear()
            self._detach()
            self._phone.close()
        return self.stats(), self.tapped()


def _formats(plain: PlainFormats | None) -> LegFormats | None:
    if plain is None:
        return None
    receive, receive_digits, send, send_digits, (made_ms, exact, longest_ms), wish = plain
    bitrate, playback_rate, fec, dtx, constant = wish
    opus = OpusWish(bitrate=bitrate, playback_rate=playback_rate, fec=fec, dtx=dtx, constant=constant)
    return LegFormats(
        receive=tuple(_audio(entry) for entry in receive),
        receive_digits=tuple(_digits(entry) for entry in receive_digits),
        send=replace(_audio(send), opus=opus),
        send_digits=None if send_digits is None else _digits(send_digits),
        packets=PacketTimes(made_ms=made_ms, exact=exact, longest_ms=longest_ms),
    )


def _audio(entry: tuple[int, str]) -> AudioFormat:
    return AudioFormat(payload_type=entry[0], codec=Codec(entry[1]))


def _digits(entry: tuple[int, int]) -> DigitFormat:
    return DigitFormat(payload_type=entry[0], clock_rate=entry[1])
