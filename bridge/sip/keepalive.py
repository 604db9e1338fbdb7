"""Keeping a way open that the peer did not open: through NAT, and through servers that end what is silent.

Line ends, on streams and in datagrams alike (RFC 5626 §4.4.1); STUN (§4.4.2) is left to those who bind to a port of
their own: whoever answers STUN on a SIP port takes line ends as well.
"""

from dataclasses import dataclass
from typing import NamedTuple

from bridge.sip.actions import Flow, Ping
from bridge.sip.context import Context
from bridge.sip.errors import SipError
from bridge.sip.fields import DELTA_SECONDS
from bridge.sip.message import Response
from bridge.sip.settings import TrunkAuth
from bridge.sip.timers import Timer
from bridge.sip.trunks import TrunkState

MIN_INTERVAL_S = 10.0
MAX_INTERVAL_S = 3600.0
"""What a registrar asks for is kept within these."""

DEFAULT_INTERVAL_S = 30.0
"""For a registrar that wants to be pinged and does not say how often: what NAT is known to bear (RFC 5626 §4.4.2)."""

SHARE = (0.8, 1.0)
"""Of the interval: not all at once, and never too late (RFC 5626 §4.4.1)."""


class Agreement(NamedTuple):
    """How often a peer is pinged; whether it has promised to answer."""

    interval_s: float
    answered: bool


_NONE = Agreement(0.0, answered=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeepAliveTimer:
    """The next ping is due."""

    keeper: "Keeper"


@dataclass(slots=True, kw_only=True, eq=False)
class Keeper:
    """The pings to one trunk."""

    trunk: TrunkState
    context: Context
    flow: Flow | None = None
    """The way that a registration has made; without one, the trunk's."""
    agreement: Agreement = _NONE
    timer: "Timer[object] | None" = None

    def start(self, now: float) -> None:
        """As the settings say."""
        self._agree(Agreement(self.trunk.trunk.keep_alive_s, answered=False), now)

    def follow(self, flow: Flow, response: Response, now: float) -> None:
        """As the registrar wants it (RFC 6223 §4.3, RFC 5626 §4.4), or more often where the settings say so."""
        self.flow = flow
        asked = agreed_in(response)
        own_s = self.trunk.trunk.keep_alive_s
        if asked is None:
            self.start(now)
        else:
            interval_s = min(asked.interval_s, own_s) if own_s else asked.interval_s
            self._agree(asked._replace(interval_s=interval_s), now)

    def stop(self) -> None:
        """No more of it."""
        if self.timer is not None:
            self.context.timers.cancel(self.timer)
            self.timer = None

    def fire(self, now: float) -> None:
        """Ping, while somebody is thought to be there."""
        flow = self.flow or self.trunk.flow()
        if flow is not None and (self.trunk.registered or self.trunk.trunk.auth is not TrunkAuth.REGISTER):
            self.context.actions.append(Ping(flow=flow, answered=self.agreement.answered))
        self._plan(now)

    def _agree(self, agreement: Agreement, now: float) -> None:
        if agreement == self.agreement and self.timer is not None:
            return  # A refreshed registration does not put the next ping off.
        self.agreement = agreement
        self.stop()
        if agreement.interval_s:
            self._plan(now)

    def _plan(self, now: float) -> None:
        interval_s = self.agreement.interval_s * self.context.entropy.uniform(*SHARE)
        self.timer = self.context.timers.schedule(now + interval_s, KeepAliveTimer(keeper=self))


def agreed_in(response: Response) -> Agreement | None:
    """What the answer to our offer says: `keep` in our Via (RFC 6223 §4.3), or Flow-Timer (RFC 5626 §5.4)."""
    try:
        keep = response.via.params.get("keep")
    except SipError:
        keep = None
    value = keep or (response.headers.get("Flow-Timer") or "").strip()
    if not DELTA_SECONDS.fullmatch(value):
        return None
    interval_s = float(value) or DEFAULT_INTERVAL_S
    return Agreement(max(MIN_INTERVAL_S, min(interval_s, MAX_INTERVAL_S)), answered=True)
