"""Reason headers: why a request or response was sent (RFC 3326)."""

import re

from bridge.sip.message import Message

_REASON = re.compile(r"([A-Za-z0-9.\-]+)[ \t]*;[^,]*?cause[ \t]*=[ \t]*([0-9]{1,3})(?![0-9])", re.IGNORECASE)
_MAX_LENGTH = 1024


def cause(message: Message, protocol: str) -> int | None:
    """The cause for one protocol, `Q.850` or `SIP`, if the peer gave one."""
    for value in message.headers.get_all("Reason"):
        for found in _REASON.finditer(value[:_MAX_LENGTH]):
            if found[1].lower() == protocol.lower():
                return int(found[2])
    return None


def q850_cause(message: Message) -> int | None:
    """The ITU-T Q.850 cause value, 1 to 127."""
    value = cause(message, "Q.850")
    return value if value is not None and 1 <= value <= 127 else None
