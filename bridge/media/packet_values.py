"""What a call has agreed on, as the plain values that packet workers take, and their numbers as everybody has them."""

from typing import TYPE_CHECKING

from bridge.media.engine import HeardStats, LegStats, MediaStats, milliseconds
from bridge.media.formats import LegFormats, codec_name
from bridge.media.keypad import KEYS
from bridge.media.packet_engine import PlainFormats, PlainKey
from bridge.media.sdes import CryptoLine

if TYPE_CHECKING:
    import trunkline_native


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


def plain_key(line: CryptoLine) -> PlainKey:
    """What encrypts one way."""
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
