"""A request on its way through the targets of its trunk, until one answers (RFC 3263 §4.3, RFC 3261 §8.1.3.1)."""

import enum
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from bridge.core.entropy import Entropy
from bridge.core.pii import Pii
from bridge.sip.actions import ClientKey, Flow
from bridge.sip.active_transaction import ActiveClient, ClientUser
from bridge.sip.context import Context
from bridge.sip.dialog_request import INDIFFERENT
from bridge.sip.fields import CSeq
from bridge.sip.message import Request, Response
from bridge.sip.requests import cancel_of, readdressed
from bridge.sip.settings import Transport
from bridge.sip.timers import Timer
from bridge.sip.trunks import TrunkState
from bridge.sip.uri import SipUri, join_host_port

PENALTY_S = 32.0
"""How long a target that failed is avoided: timer B, after which RFC 3263 §4.3 counts on nothing any more."""

MAX_PENALTY_S = 600.0
"""However long Retry-After is: a server may come back sooner than it said."""


LAST_TRUNK_SILENCES = 3
"""How often `failover_after_s` the last target may be silent of an urgent call that no other trunk takes: nothing is
gained by giving it up, but a caller who needs help has to know before long.
"""

MAX_HOPS = 8
"""Of one request: a caller would not wait for more."""

MAX_DATAGRAM = 1300
"""A longer request should go over a transport that knows congestion control (RFC 3261 §18.1.1)."""

_VIA_LENGTH = 120
"""Of the header that a request gets when it is sent."""


class FailureReason(enum.StrEnum):
    """Why a target was passed over."""

    SILENT = "silent"
    TRANSPORT = "transport"
    UNAVAILABLE = "unavailable"
    """503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One way to try."""

    flow: Flow
    uri: SipUri | None = None
    """Request-URI for this way; `None` keeps the one that the request has."""
    spare: bool = False
    """Known to be bad, and worth a try only when all others have failed."""


def hops_of(trunk: TrunkState, entropy: Entropy, now: float) -> list[Hop]:
    """The ways to a trunk for one request, best first."""
    targets = sorted(trunk.in_order(entropy), key=lambda target: trunk.is_bad(target, now))
    good = not all(trunk.is_bad(target, now) for target in targets)
    return [Hop(flow=trunk.flow_by(target), spare=good and trunk.is_bad(target, now)) for target in targets][:MAX_HOPS]


class Traveller(ClientUser, Protocol):
    """Whose request may move."""

    def moved(self, client: ActiveClient, now: float) -> None:
        """The request goes on at another target, as this transaction; nothing that the last one said counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HuntTimer:
    """A target has been silent for too long, or one that was given up will not be heard any more."""

    hunt: "Hunt"
    client: ActiveClient


@dataclass(slots=True, kw_only=True, eq=False)
class Hunt:
    """The user of the transactions that one request makes at its targets; its own user learns of the newest only.

    An INVITE that was given up lives on without retransmissions: a target that wakes up must not ring a phone.
    """

    context: Context
    trunk: TrunkState
    user: Traveller
    hops: deque[Hop]
    on_silence: Callable[[float], object] | None = None
    """Told when the last target worth a try has been silent for too long; `None` waits for timer B."""
    is_last: bool = False
    """Whether no other trunk takes an urgent call: bad targets are worth a try, and the last may be silent longer."""
    streamed: bool = False
    """Whether it was tried over TCP because of its length."""
    client: ActiveClient | None = None
    patience: "Timer[object] | None" = None
    abandoned: "dict[ClientKey, Timer[object]]" = field(default_factory=dict)
    cancelled: set[ClientKey] = field(default_factory=set)

    @classmethod
    def through(
        cls,
        hops: Iterable[Hop],
        *,
        context: Context,
        trunk: TrunkState,
        user: Traveller,
        on_silence: Callable[[float], object] | None = None,
        is_last: bool = False,
    ) -> "Hunt":
        """A request that may be tried at each of these."""
        ways = deque(hops)
        return cls(context=context, trunk=trunk, user=user, hops=ways, on_silence=on_silence, is_last=is_last)

    def start(self, request: Request, now: float) -> ActiveClient:
        """Try the first target."""
        return self._send(request, self.hops.popleft().flow, now)

    def repeat(self, request: Request, now: float) -> ActiveClient:
        """The same request once more at the same target, with credentials."""
        if self.client is None:
            raise LookupError("nothing was sent yet")
        return self._send(request, self.client.flow, now)

    def redirect(self, hops: Iterable[Hop], now: float) -> ActiveClient:
        """On to where a 3xx pointed, as another request of the same call (RFC 3261 §8.1.3.4)."""
        if self.client is None:
            raise LookupError("nothing was sent yet")
        last, self.hops = self.client, deque(hops)
        hop = self.hops.popleft()
        request = self._for(hop, last)
        request.headers.set("CSeq", str(CSeq(last.request.cseq.number + 1, request.method)))
        return self._send(request, hop.flow, now)

    def settle(self) -> None:
        """Try no other target, whatever happens."""
        self.hops.clear()
        self._stop_patience()

    # From the transactions.

    def response_received(self, client: ActiveClient, response: Response, now: float) -> None:
        """An answer; 503 is a reason to go on, and any answer above 100 one to stay."""
        if client is not self.client:
            self._take_late(client, response, now)
            return
        self._stop_patience()
        if response.status == 503:
            wait_s = min(float(response.retry_after or PENALTY_S), MAX_PENALTY_S)
            if self._fail(FailureReason.UNAVAILABLE, now, wait_s=wait_s):
                return
        elif response.status > 100:
            self.trunk.forgive(client.flow)
            self._stay(response)
        self.user.response_received(client, response, now)

    def request_failed(self, client: ActiveClient, status: int, now: float) -> None:
        """No answer, or no way to the target."""
        if client is not self.client:
            return
        self._stop_patience()
        reason = FailureReason.SILENT if status == 408 else FailureReason.TRANSPORT
        if not self._fail(reason, now):
            self.user.request_failed(client, status, now)

    def fire(self, timer: HuntTimer, now: float) -> None:
        """A limit has passed."""
        if timer.client is self.client:
            self.patience = None
            self._lose_patience(timer.client, now)
        elif self.abandoned.pop(timer.client.key, None) is not None:
            self.context.layer.abandon(timer.client)

    # Going on.

    @property
    def _has_better(self) -> bool:
        return any(self.is_last or not hop.spare for hop in self.hops)

    def _lose_patience(self, client: ActiveClient, now: float) -> None:
        """A target has been silent for too long: the next, or whoever knows another way than this trunk."""
        if self._has_better or self.on_silence is None:
            self._abandon(client, now)
            self._fail(FailureReason.SILENT, now)
            return
        self.trunk.avoid(client.flow, now + PENALTY_S)
        self.context.layer.fall_silent(client)
        self.on_silence(now)

    def _stay(self, response: Response) -> None:
        """Somebody is there; a challenge alone does not yet say that he can do anything for us."""
        if response.status not in (401, 407):
            self.hops.clear()

    def _fail(self, reason: FailureReason, now: float, *, wait_s: float = PENALTY_S) -> bool:
        """Avoid the target for a while, and go to the next; false when there is none."""
        if self.client is None:
            return False
        flow = self.client.flow
        self.trunk.avoid(flow, now + wait_s)
        if not self.hops:
            return False
        name = self.trunk.trunk.name
        self.context.count("sip_failovers_total", trunk=name, reason=reason.value)
        target = Pii(join_host_port(flow.host, flow.port))
        self.context.note("trunk_target_failed", warning=True, trunk=name, reason=reason.value, target=target)
        self._go_on(self.client, now)
        return True

    def _go_on(self, last: ActiveClient, now: float) -> None:
        hop = self.hops.popleft()
        self.user.moved(self._send(self._for(hop, last), hop.flow, now), now)

    def _for(self, hop: Hop, last: ActiveClient) -> Request:
        """The request for another target, which may reach us at another address of ours."""
        request = readdressed(last.request, hop.uri)
        before, after = (self.context.layer.local_address(flow) for flow in (last.flow, hop.flow))
        contact = request.headers.get("Contact")
        if contact is None:
            return request
        for secure in (False, True):
            old, new = (str(self.trunk.contact(address, secure=secure)) for address in (before, after))
            contact = contact.replace(old, new)
        request.headers.set("Contact", contact)
        return request

    def _send(self, request: Request, flow: Flow, now: float) -> ActiveClient:
        self._stop_patience()
        if self._is_too_long(request, flow):
            self.streamed = True
            self.hops.appendleft(Hop(flow=flow))
            flow = replace(flow, transport=Transport.TCP)
        self.client = client = self.context.layer.send_request(request, flow, self, now)
        if self._has_better or self.on_silence is not None:
            self.patience = self._timer(client, now + self._patience_s)
        return client

    @property
    def _patience_s(self) -> float:
        silences = LAST_TRUNK_SILENCES if self.is_last and not self._has_better else 1
        return silences * self.trunk.trunk.failover_after_s

    def _is_too_long(self, request: Request, flow: Flow) -> bool:
        """Whether TCP is tried first; a trunk that takes no connection gets the datagram all the same (§18.1.1)."""
        if not self.trunk.trunk.large_by_tcp or self.streamed or flow.transport is not Transport.UDP:
            return False
        return len(bytes(request)) + _VIA_LENGTH > MAX_DATAGRAM

    def _timer(self, client: ActiveClient, deadline: float) -> "Timer[object]":
        return self.context.timers.schedule(deadline, HuntTimer(hunt=self, client=client))

    def _stop_patience(self) -> None:
        if self.patience is not None:
            self.context.timers.cancel(self.patience)
            self.patience = None

    # Targets that were given up.

    def _abandon(self, client: ActiveClient, now: float) -> None:
        """Say no more to a silent target. An INVITE may have arrived all the same, and its answer must be heard."""
        if client.request.method != "INVITE":
            self.context.layer.abandon(client)
            return
        self.context.layer.fall_silent(client)
        self._listen(client, now)

    def _listen(self, client: ActiveClient, now: float) -> None:
        before = self.abandoned.pop(client.key, None)
        if before is not None:
            self.context.timers.cancel(before)
        self.abandoned[client.key] = self._timer(client, now + self.context.layer.timing.timeout_s)

    def _take_late(self, client: ActiveClient, response: Response, now: float) -> None:
        """A target that was given up wakes: CANCEL before it rings on; what it has answered is the user's to end.

        One that refuses is done, and there is nothing to cancel (RFC 3261 §9.1).
        """
        if client.key not in self.abandoned:
            return
        if response.status >= 200:
            self.context.timers.cancel(self.abandoned[client.key])
        if 200 <= response.status < 300:
            self.user.response_received(client, response, now)
        elif response.status < 200 and client.key not in self.cancelled:
            self.cancelled.add(client.key)
            self.context.layer.send_cancel(cancel_of(client.request), client, INDIFFERENT, now)
            self._listen(client, now)
