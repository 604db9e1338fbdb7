"""Status lines in the body of a NOTIFY: what came of a REFER (RFC 3420, RFC 3515 §2.4.5)."""

import re

from bridge.sip.errors import SipError
from bridge.sip.message import Request
from bridge.sip.status import reason_phrase

SIPFRAG_TYPE = "message/sipfrag"
CONTENT_TYPE = f"{SIPFRAG_TYPE};version=2.0"

_STATUS_LINE = re.compile(rb"SIP/2\.0[ \t]+([1-6][0-9]{2})(?![0-9])", re.IGNORECASE)


def sipfrag(status: int) -> bytes:
    """The body for one status."""
    return f"SIP/2.0 {status} {reason_phrase(status)}\r\n".encode()


def status_of(request: Request) -> int | None:
    """The status that a NOTIFY tells, `None` without a body; headers after the status line are nobody's business."""
    if not request.body:
        return None
    if request.content_type != SIPFRAG_TYPE:
        raise SipError(415, "Unsupported Media Type")
    found = _STATUS_LINE.match(request.body)
    if found is None:
        raise SipError(400, "Malformed Sipfrag")
    return int(found[1])
