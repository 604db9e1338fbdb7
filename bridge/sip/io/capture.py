"""Who looks over the endpoint's shoulder: every message that is sent, and every one that is read."""

from typing import NamedTuple, Protocol

from bridge.sip.actions import Address
from bridge.sip.settings import Transport


class Captured(NamedTuple):
    """One message on its way. A tuple: there is one for each message of the busiest bridge."""

    outgoing: bool
    payload: bytes
    transport: Transport
    local: Address
    """Of the listener; a connection that we opened has another port."""
    remote: Address


class Capture(Protocol):
    """Told of a message while it passes, so it must be quick, and it must not raise."""

    def __call__(self, message: Captured) -> None: ...


def nobody(message: Captured) -> None:
    """Nobody looks."""
