"""The values that an engine and its packet workers exchange, whether those are threads in Rust or processes in Python.

`trunkline_native.pyi` says the same of the ones in Rust.
"""

from dataclasses import dataclass
from typing import NamedTuple

from bridge.media.latch import Address

StreamStart = tuple[int, int, int]
"""SSRC, timestamp and sequence number with which a stream begins."""
PlainFormats = tuple[
    list[tuple[int, str]],
    list[tuple[int, int]],
    tuple[int, str],
    tuple[int, int] | None,
    tuple[int, bool, int],
    tuple[int, int, bool, bool, bool],
]
"""Payload types with the codecs that may arrive and the clocks of the events that may, and with those that are
sent; how long packets are made, whether they have to be, and the longest ones; and what Opus is to be: its bit rate,
the rate at which it is played, whether with redundancy, pauses, and packets of one length."""
PlainKey = tuple[str, bytes]
"""A profile's name (`AES_CM_128_HMAC_SHA1_80` and so on), with key and salt."""
News = tuple[int, str, int, int]
"""A call, and what happened there: `heard` (its Matrix leg, first), `pressed` (a key for signalling: event code, ms),
`phone_digit` (event code) or `played` (a sound's number)."""
Contents = tuple[list[tuple[int, int, bytes, Address]], list[News]]
"""Datagrams for ICE and DTLS, with call, socket and source; and the news."""


class Seen(NamedTuple):
    """What is asked of every call a few times a second."""

    heard_phone_at: float | None = None
    heard_matrix_at: float | None = None
    off_path: int = 0
    """Datagrams from addresses that ICE has not validated."""
    unexpected_source: tuple[str, str] | None = None
    """Where RTP came from first that was not announced, and what was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """With what a call begins, besides the phone's sockets."""

    trusted: list[tuple[str, int]]
    """Networks, with the length of the prefix, from which a phone's RTP may come although it announced another."""
    to_matrix: StreamStart
    to_sip: StreamStart
    cname: str
    signals_digits: bool
    """Whether the Matrix client's digits are told where the phone has no events for them."""
