"""Who takes the place of the Matrix side in a call that has none: a test call of the bridge's own."""

from typing import Protocol

from bridge.calls.call import Call
from bridge.core.verdict import Verdict


class StandIn(Protocol):
    """Told what a client and its room would be told. Never raises, and is quick."""

    def take(self, command: object) -> None:
        """What would be sent to the room."""
        ...

    def followed(self, call: Call) -> None:
        """The call has taken an event."""
        ...

    def finished(self, verdict: Verdict) -> None:
        """The call is over, and its media session closed."""
        ...
