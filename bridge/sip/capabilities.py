"""What we tell a peer that we can do (RFC 3261 §20.1, §20.5, §20.37). It depends on what its trunk may ask for."""

from bridge.sip.requests import SDP_TYPE, Fields
from bridge.sip.settings import Trunk

METHODS_OF_ALL = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "INFO", "NOTIFY")
ALLOWED_METHODS = (*METHODS_OF_ALL, "REFER")
"""What is not refused with 405 before anybody asks from which trunk it came."""

ALLOW = ", ".join(METHODS_OF_ALL)

SUPPORTED_EXTENSIONS = frozenset(("norefersub", "replaces"))
"""Option tags that a peer may require of us (RFC 3261 §19.2)."""


def allow(trunk: Trunk) -> str:
    """The Allow header: REFER only where it has a chance, for a PBX that sees it there sends it."""
    return f"{ALLOW}, REFER" if trunk.accept_transfers else ALLOW


def supported(trunk: Trunk) -> str:
    """The Supported header; empty says that there is nothing."""
    return "norefersub, replaces" if trunk.accept_transfers else ""


def capabilities(trunk: Trunk) -> Fields:
    """All of it, as the answer to OPTIONS has it (RFC 3261 §11.2)."""
    return (("Allow", allow(trunk)), ("Accept", SDP_TYPE), ("Supported", supported(trunk)))
