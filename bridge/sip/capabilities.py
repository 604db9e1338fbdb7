"""What we tell a peer that we can do (RFC 3261 §20.1, §20.5, §20.37). It depends on what its trunk may ask for."""

from bridge.sip.message import Request
from bridge.sip.requests import SDP_TYPE, TEXT_TYPE, Fields
from bridge.sip.settings import Reliable, SessionTimer, Texting, Trunk

METHODS_OF_ALL = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "PRACK", "INFO", "NOTIFY")
ALLOWED_METHODS = (*METHODS_OF_ALL, "REFER", "MESSAGE")
"""What is not refused with 405 before anybody asks from which trunk it came."""

METHODS = frozenset(
    (
        *("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "UPDATE", "INFO", "PRACK"),
        *("REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH"),
    )
)
"""The methods of the IANA registry: what is none of them is not implemented (501), and no label of a metric."""

ALLOW = ", ".join(METHODS_OF_ALL)

SUPPORTED_EXTENSIONS = frozenset(("100rel", "from-change", "norefersub", "replaces", "timer"))
"""Option tags that a peer may require of us (RFC 3261 §19.2)."""


def allow(trunk: Trunk) -> str:
    """The Allow header: REFER and MESSAGE only where they have a chance, for a PBX that sees them there sends them."""
    more = [*(["REFER"] if trunk.accept_transfers else []), *(["MESSAGE"] if trunk.texts is not Texting.NONE else [])]
    return ", ".join((ALLOW, *more))


def supported(trunk: Trunk, *, inside: bool = False) -> str:
    """The Supported header.

    Inside a dialog there is nothing to ring for: a re-INVITE invites no reliable provisional responses.
    """
    tags = [
        *(["100rel"] if trunk.reliable is not Reliable.OFF and not inside else []),
        "from-change",
        *(["norefersub", "replaces"] if trunk.accept_transfers else []),
        *(["timer"] if trunk.session_timer is not SessionTimer.OFF else []),
    ]
    return ", ".join(tags)


def required(trunk: Trunk) -> Fields:
    """The Require header of an INVITE that begins a call (§20.32): nothing, unless the admin insists."""
    tags = [
        *(["100rel"] if trunk.reliable is Reliable.REQUIRED else []),
        *(["timer"] if trunk.session_timer is SessionTimer.REQUIRED else []),
    ]
    return [("Require", ", ".join(tags))] if tags else []


def switched_off(request: Request, trunk: Trunk) -> list[str]:
    """What a request requires that its trunk is set not to use."""
    known = supported(trunk)
    return [tag for tag in request.require if tag in ("100rel", "timer") and tag not in known]


def capabilities(trunk: Trunk, *, inside: bool = False) -> Fields:
    """All of it, as the answer to OPTIONS has it (RFC 3261 §11.2)."""
    accept = SDP_TYPE if trunk.texts is Texting.NONE else f"{SDP_TYPE}, {TEXT_TYPE}"
    return (("Allow", allow(trunk)), ("Accept", accept), ("Supported", supported(trunk, inside=inside)))
