"""One direction of a call's audio: packets of one leg in, packets of the other out.

Chooses between passing through and transcoding by what arrives and what was agreed, and carries digits either way.
"""

from collections.abc import Callable

from bridge.media import g711
from bridge.media.coders import silence
from bridge.media.dtmf import DigitRelay, RelayedEvent, TelephoneEvent, WholeKeys
from bridge.media.ears import Ears
from bridge.media.formats import COMFORT_NOISE, FRAME_MS, Codec, DigitFormat, LegFormats
from bridge.media.keypad import KEYS, Keypad
from bridge.media.outbound import OutboundStream
from bridge.media.player import Player, Playing
from bridge.media.playout import Played
from bridge.media.rewriter import Rewriter
from bridge.media.rtp import RtpPacket
from bridge.media.transcoder import Transcoder

PRIMING_PACKETS = 5
"""Silence sent as soon as the far end's address is known, so that a NAT or a trunk behind it learns ours."""
_KEEP_ALIVE_AFTER_S = 0.5
_DIGIT_HOLDS_AUDIO_S = 0.06
_FRAME_S = 0.020
_SIGNALLED = DigitFormat(payload_type=0, clock_rate=8000)
"""Digits that leave by signalling are measured with this clock."""
_PASSED_THROUGH: dict[tuple[Codec, Codec], Callable[[bytes], bytes]] = {
    (Codec.PCMU, Codec.PCMA): g711.ulaw_to_alaw,
    (Codec.PCMA, Codec.PCMU): g711.alaw_to_ulaw,
    **{(codec, codec): bytes for codec in Codec},
}
"""What needs no decoder: at most another law, octet by octet."""


class Direction:
    """Packets of the source leg, changed into packets of the target leg.

    `fills_pauses`: the target is a phone, which takes silence on the wire for a dead call; a browser that mutes sends
    nothing or next to nothing.
    """

    def __init__(self, outbound: OutboundStream, send: Callable[[bytes], object], *, fills_pauses: bool) -> None:
        self.outbound = outbound
        self.enabled = False
        self.filling = False
        self.digits = 0
        self.keypad = Keypad()
        """Keys that came by signalling, to be sent as events."""
        self.signal_digit: Callable[[str, int], object] | None = None
        """Who takes digits, and their length in milliseconds, where the target has no events for them."""
        self.transcoder: Transcoder | None = None
        self.on_played: Callable[[int], object] | None = None
        """Who is told the number of a sound that has been played to its end."""
        self._player = Player(outbound)
        self._write = send
        self._fills_pauses = fills_pauses
        self._source: LegFormats | None = None
        self._target: LegFormats | None = None
        self._rewriter = Rewriter(outbound, clock_rate=8000)
        self._relay = DigitRelay()
        self._whole_keys = WholeKeys()
        self._priming = 0
        self._timeline = self._key_began = 0
        self._paused = True
        self._digit_until = 0.0
        self._ears = Ears()
        self._played_before = Played()
        self._was_transcoded = False

    def configure(self, source: LegFormats | None, target: LegFormats | None) -> None:
        """Take what the legs agreed on; called again after every negotiation."""
        if target != self._target:
            self.expect_new_source()
        if target is not None:
            self._rewriter.clock_rate, self._rewriter.packet_ms = target.send.codec.clock_rate, target.packets.made_ms
        self._source, self._target = source, target

    def enable(self, enabled: bool) -> None:
        """Let audio through or hold it back; what waits to be played is out of date afterwards."""
        if not enabled:
            self._drop_transcoder()
            self._player.pause()
        self.enabled = enabled

    def expect_new_source(self) -> None:
        """The source moved: what comes next continues the stream, whatever its numbers."""
        self._drop_transcoder()
        self._rewriter.restart()

    def play(self, playing: Playing | None) -> None:
        """Play this in the place of the source, to its end or until told otherwise; `None` is the source again."""
        self.expect_new_source()
        self._player.play(playing)

    def prime(self) -> None:
        """Open the path to a new address with a little silence."""
        self._priming = PRIMING_PACKETS

    @property
    def transcoded(self) -> bool:
        """Whether audio was ever decoded and encoded on its way."""
        return self._was_transcoded

    @property
    def played(self) -> Played:
        """What became of the packets so far, where they were transcoded; any thread may ask."""
        before, current = self._played_before, self.transcoder
        return before if current is None else before + current.playout.played_so_far

    @property
    def concealed_frames(self) -> int:
        """Frames that had to be made up so far."""
        return self.played.concealed

    @property
    def audible(self) -> bool | None:
        """Whether there was ever more than silence; `None` while nobody knows."""
        return self._ears.audible

    # Packets

    def receive(self, packet: RtpPacket, now: float) -> int | None:
        """Take a packet of the source leg; the answer is its clock rate when it was audio."""
        if self._source is None:
            return None
        digits = self._source.received_digits(packet.payload_type)
        codec = self._source.received_codec(packet.payload_type)
        if self._target is None or not self.enabled:
            return codec.clock_rate if codec else None
        if digits is not None and (not self._player.busy or self._target.send_digits is None):
            self._receive_digit(packet, digits, self._target, now)
            return None
        if self._player.busy:
            return codec.clock_rate if codec else None
        if codec is None:
            self._leave_out(packet, now)
            return None
        self._receive_audio(packet, codec, self._target, now)
        return codec.clock_rate

    def _receive_audio(self, packet: RtpPacket, codec: Codec, target: LegFormats, now: float) -> None:
        if self.keypad.busy:
            self._leave_out(packet, now)
            return
        pair = (codec, target.send.codec)
        translate = _PASSED_THROUGH.get(pair)
        if translate is not None and not self._repacks(pair) and target.packets.fit(codec, packet.payload):
            self._drop_transcoder()
            self._ears.hear(codec, packet.payload, now)
            payload = translate(packet.payload)
            self._send(self._rewriter.rewrite(packet, payload, payload_type=target.send.payload_type, now=now))
            return
        self._transcoding(codec, target, now).push(packet, now)

    def _repacks(self, pair: tuple[Codec, Codec]) -> bool:
        """Whether this source's packets had another length than the target takes: from then on all are made anew."""
        return self.transcoder is not None and (self.transcoder.source, self.transcoder.target) == pair

    def _transcoding(self, source: Codec, formats: LegFormats, now: float) -> Transcoder:
        """The transcoder for a pair of codecs, kept while the pair stays."""
        current, target = self.transcoder, formats.send
        if current is not None and (current.source, current.target) == (source, target.codec):
            return current
        self._drop_transcoder()
        packet_ms = formats.packets.made_ms
        self.transcoder = Transcoder(source, target.codec, packet_ms, wish=target.opus, ears=self._ears)
        self._was_transcoded = True
        self._timeline = self.outbound.position(now, target.codec.clock_rate)
        return self.transcoder

    def _drop_transcoder(self) -> None:
        if self.transcoder is not None:
            self._played_before = self.played
            self.transcoder.close()
            self.transcoder = None
            self._rewriter.restart()

    def _leave_out(self, packet: RtpPacket, now: float) -> None:
        """Comfort noise and unknown payload types: not passed on, and not taken for a loss."""
        if self.transcoder is not None and packet.payload_type == COMFORT_NOISE:
            self.transcoder.pause(packet, now)
        elif self.transcoder is not None:
            self.transcoder.account(packet, now)
        else:
            self._rewriter.skip(packet, now)

    # Digits

    def _receive_digit(self, packet: RtpPacket, digits: DigitFormat, target: LegFormats, now: float) -> None:
        if self.transcoder is not None:
            self.transcoder.account(packet, now)
            position = self._timeline
        else:
            self._rewriter.follow(packet, now)
            position = self._rewriter.timestamp(packet.timestamp)
        event = self._convert(packet, digits, target.send_digits or _SIGNALLED, position)
        if event is None or target.send_digits is None:
            if self.transcoder is None:
                self._rewriter.skip(packet, now)
            if event is not None:
                for key in self._whole_keys.take(event, now):
                    self._signal(key)
            return
        self.digits += event.first
        self._digit_until = now + (0.0 if event.end else _DIGIT_HOLDS_AUDIO_S)
        self._send(self._numbered(packet, event, target.send_digits.payload_type, now))

    def _convert(
        self, packet: RtpPacket, source: DigitFormat, target: DigitFormat, position: int
    ) -> RelayedEvent | None:
        return self._relay.convert(
            packet.payload,
            ssrc=packet.ssrc,
            sequence=packet.sequence,
            timestamp=packet.timestamp,
            source_rate=source.clock_rate,
            target_rate=target.clock_rate,
            position=position,
        )

    def _signal(self, key: TelephoneEvent) -> None:
        """Hand over a digit that has ended: signalling tells it whole, with its length."""
        if self.signal_digit is not None:
            self.digits += 1
            self.signal_digit(KEYS[key.event], key.duration * 1000 // _SIGNALLED.clock_rate)

    def _numbered(self, packet: RtpPacket, event: RelayedEvent, payload_type: int, now: float) -> RtpPacket | None:
        """An event packet in the numbering of whatever feeds the stream."""
        if self.transcoder is not None:
            return self.outbound.append(
                event.payload, payload_type=payload_type, timestamp=event.timestamp, marker=event.marker, now=now
            )
        return self._rewriter.place(
            packet,
            event.payload,
            payload_type=payload_type,
            timestamp=event.timestamp,
            marker=event.marker,
            now=now,
        )

    def _send(self, packet: RtpPacket | None) -> None:
        if packet is not None:
            self._write(bytes(packet))

    # The clock

    def tick(self, now: float) -> None:
        """What is due every 20 ms."""
        target = self._target
        if target is None or not self.enabled:
            return
        if self.keypad.busy:
            self._press(target, now)
        overdue = self._whole_keys.overdue(now)
        if overdue is not None:
            self._signal(overdue)
        if self._player.busy:
            self._play_sound(target, now)
        elif self.transcoder is not None:
            self._play(self.transcoder, target, now)
        elif self._fills_pauses and self._needs_filling(target, now):
            self._fill(target, now)

    def _press(self, target: LegFormats, now: float) -> None:
        """The next packet of a key, in a stream whose audio waits."""
        key, digits = self.keypad.next(), target.send_digits
        if key is None or digits is None:
            return
        self._digit_until = now + _DIGIT_HOLDS_AUDIO_S
        if key.first:
            self.digits += 1
            self._key_began = self.outbound.position(now, target.send.codec.clock_rate)
        self._rewriter.restart()
        self._send(
            self.outbound.append(
                key.payload(digits.clock_rate),
                payload_type=digits.payload_type,
                timestamp=self._key_began,
                marker=key.first,
                now=now,
            )
        )

    def _play(self, transcoder: Transcoder, target: LegFormats, now: float) -> None:
        clock_rate = target.send.codec.clock_rate
        payloads = transcoder.frame(now)
        if payloads is None and self._fills_pauses:
            payloads = transcoder.background()
        if payloads is None:
            transcoder.break_off()
            self._timeline = (self._timeline + clock_rate * FRAME_MS // 1000) & 0xFFFFFFFF
            self._paused = True
            return
        for payload in payloads:
            self._timeline = (self._timeline + clock_rate * transcoder.packet_ms // 1000) & 0xFFFFFFFF
            if now >= self._digit_until:
                self._send_played(payload, target, now)

    def _send_played(self, payload: bytes, target: LegFormats, now: float) -> None:
        marker, self._paused = self._paused, False
        payload_type, timestamp = target.send.payload_type, self._timeline
        self._send(
            self.outbound.append(payload, payload_type=payload_type, timestamp=timestamp, marker=marker, now=now)
        )

    def _play_sound(self, target: LegFormats, now: float) -> None:
        if now < self._digit_until:
            self._player.pause()
            return
        for packet in self._player.packets(target.send, now, target.packets.made_ms):
            self._send(packet)
        number = self._player.ended()
        if number is not None:
            self.expect_new_source()
            if self.on_played is not None:
                self.on_played(number)

    def _needs_filling(self, target: LegFormats, now: float) -> bool:
        sent_at = self.outbound.sent_at
        pause_s = _KEEP_ALIVE_AFTER_S if sent_at is None else now - sent_at
        if self._priming > 0 and pause_s > target.packets.made_ms / 1000 - _FRAME_S / 2:
            self._priming -= 1
            return True
        return self.filling and pause_s >= _KEEP_ALIVE_AFTER_S

    def _fill(self, target: LegFormats, now: float) -> None:
        """One frame of silence between the packets of a source that pauses."""
        self._rewriter.restart()
        self._send(
            self.outbound.append(
                silence(target.send.codec, target.packets.made_ms),
                payload_type=target.send.payload_type,
                timestamp=self.outbound.position(now, target.send.codec.clock_rate),
                marker=self.outbound.sent_at is None,
                now=now,
            )
        )

    def close(self) -> None:
        """Free the codec states."""
        self.enable(False)
