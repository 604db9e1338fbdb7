"""Keys in the body of an INFO: `application/dtmf-relay` and `application/dtmf`, older than any standard of them."""

import re
from dataclasses import dataclass, field

from bridge.sip.errors import LocalSipError, SipError

RELAY_TYPE = "application/dtmf-relay"
PLAIN_TYPE = "application/dtmf"
ACCEPTED = f"{RELAY_TYPE}, {PLAIN_TYPE}"

FLASH = "!"
DEFAULT_MS = 250
MIN_MS = 40
MAX_MS = 5000

_MAX_BODY = 256
_DIGITS = re.compile(r"[0-9*#A-D]{1,32}")
_DURATION = re.compile(r"[0-9]{1,6}")

_SIGNALS = {
    **{key: key for key in "0123456789*#ABCD!"},
    **{str(10 + code): key for code, key in enumerate("*#ABCD!")},
    **dict.fromkeys(("FLASH", "HF", "HOOKFLASH"), FLASH),
}
"""What a sender may call a key: itself, or its event code of RFC 4733."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What was pressed."""

    digits: str = field(repr=False)
    duration_ms: int = DEFAULT_MS


def parse_keys(content_type: str | None, body: bytes) -> Keys:
    """Read either kind of body; any other kind is a 415."""
    if content_type not in (RELAY_TYPE, PLAIN_TYPE):
        raise SipError(415, "Unsupported Media Type")
    if len(body) > _MAX_BODY or not body.isascii():
        raise SipError(400, "Malformed DTMF")
    text = body.decode().upper()
    return _from_relay(text) if content_type == RELAY_TYPE else _from_plain(text)


def relay_body(digit: str, duration_ms: int) -> bytes:
    """The body of an INFO for one key."""
    if digit not in _SIGNALS or len(digit) != 1:
        raise LocalSipError("no such key")
    return f"Signal={digit}\r\nDuration={_bounded(duration_ms)}\r\n".encode()


def _from_relay(text: str) -> Keys:
    """Lines of `name=value`, blanks anywhere; what else devices write there means nothing to us."""
    pairs = [tuple(part.strip() for part in line.split("=", 1)) for line in text.splitlines() if line.strip()]
    signals = [pair[1] for pair in pairs if len(pair) == 2 and pair[0] == "SIGNAL"]
    durations = [pair[1] for pair in pairs if len(pair) == 2 and pair[0] == "DURATION"] or [str(DEFAULT_MS)]
    if len(signals) != 1 or signals[0] not in _SIGNALS or not _DURATION.fullmatch(durations[0]):
        raise SipError(400, "Malformed DTMF")
    return Keys(digits=_SIGNALS[signals[0]], duration_ms=_bounded(int(durations[0])))


def _from_plain(text: str) -> Keys:
    digits = text.strip()
    if digits != FLASH and not _DIGITS.fullmatch(digits):
        raise SipError(400, "Malformed DTMF")
    return Keys(digits=digits)


def _bounded(duration_ms: int) -> int:
    return max(MIN_MS, min(duration_ms, MAX_MS))
