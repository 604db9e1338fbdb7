"""A transaction with its surroundings: its machine, its timers, its ways, and who has to be told (RFC 3261 §17)."""

from dataclasses import dataclass, field
from typing import Protocol

from bridge.sip.actions import ClientKey, Flow
from bridge.sip.client_transaction import ClientTransaction
from bridge.sip.dialog import DialogId
from bridge.sip.matching import MergeKey, ServerKey
from bridge.sip.message import Request, Response
from bridge.sip.server_transaction import ServerTransaction
from bridge.sip.timers import Timer
from bridge.sip.transaction import State, TimerName


class ClientUser(Protocol):
    """Whoever sent a request."""

    def response_received(self, client: "ActiveClient", response: Response, now: float) -> None:
        """A response that is not a retransmission; for INVITE also each repeated or further 2xx."""
        ...

    def request_failed(self, client: "ActiveClient", status: int, now: float) -> None:
        """No final response will come: 408 after a timeout, 503 after a transport failure (RFC 3261 §8.1.3.1)."""
        ...


class ServerUser(Protocol):
    """Whoever answers an INVITE."""

    def acknowledged(self, request: Request, now: float) -> None:
        """The ACK for a 2xx that came with the branch of its INVITE, as RFC 2543 peers send it."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class ActiveClient:
    """A client transaction with its surroundings."""

    key: ClientKey
    machine: ClientTransaction
    flow: Flow
    user: ClientUser
    heard_from: str = ""
    """The address that the newest response came from: it may be another than the one that was asked."""
    timers: "dict[TimerName, Timer[object]]" = field(default_factory=dict)

    @property
    def request(self) -> Request:
        """The request as it was sent."""
        return self.machine.request


@dataclass(slots=True, kw_only=True, eq=False)
class ActiveServer:
    """A server transaction with its surroundings."""

    key: ServerKey
    machine: ServerTransaction
    source: Flow
    """Where the request came from."""
    flow: Flow
    """Where responses go."""
    merge_key: MergeKey | None
    inside: DialogId | None = None
    """The dialog of a request that came inside one."""
    user: ServerUser | None = None
    timers: "dict[TimerName, Timer[object]]" = field(default_factory=dict)

    @property
    def request(self) -> Request:
        """The request that made it."""
        return self.machine.request

    @property
    def answered(self) -> bool:
        """Whether a final response was sent."""
        return self.machine.state not in (State.TRYING, State.PROCEEDING)


Active = ActiveClient | ActiveServer
