"""What can be wrong with a message: the peer's fault (`SipError`) or ours (`LocalSipError`)."""

from typing import TYPE_CHECKING

from bridge.core.errors import TrunklineError

if TYPE_CHECKING:
    from bridge.sip.message import Response


class SipError(TrunklineError):
    """A message from the network is not acceptable."""

    def __init__(self, status: int | None, reason: str, *, response: "Response | None" = None) -> None:
        super().__init__(f"{status or 'dropped'}: {reason}")
        self.status = status
        """What a server answers, or `None`: drop silently (a response, an ACK, or no SIP at all)."""
        self.reason = reason
        self.response = response
        """The stateless answer (RFC 3261 §8.2.7) where enough of the request could be read to build one.

        It goes to where the message came from: the Via may be the very part that is malformed.
        """


class LocalSipError(TrunklineError, ValueError):
    """We were about to send what is no SIP, or what would smuggle a line into the message."""
