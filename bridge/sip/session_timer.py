"""Who confirms that a call goes on, and how often: the tables of RFC 4028, without anything that happens."""

import enum
import re
from dataclasses import dataclass, replace

from bridge.sip.errors import SipError
from bridge.sip.grammar import parse_params
from bridge.sip.message import Message, Request
from bridge.sip.requests import Fields
from bridge.sip.settings import SessionTimer, Trunk

OPTION = "timer"
END_BEFORE_S = 32.0
"""How long before its end a session that nobody confirmed is hung up, or a third of it if that is less (§10)."""

SHORTEST_S = 90
"""No interval may be shorter (§4)."""

MAX_LONGER = 3
"""Times that 422 is believed in one call: each proxy on the way may want more than the one before it."""

_INTERVAL = re.compile(r"([0-9]{1,10})[ \t]*")


class Refresher(enum.StrEnum):
    """Which end of the newest request that set the interval is to send the next (§4)."""

    UAC = "uac"
    UAS = "uas"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExpires:
    """The Session-Expires header (§4)."""

    interval_s: int
    refresher: Refresher | None = None

    @classmethod
    def parse(cls, text: str) -> "SessionExpires":
        """Parse the header; a refresher that is neither of the two counts as not given."""
        found = _INTERVAL.match(text)
        if found is None:
            raise SipError(400, "Malformed Session-Expires")
        named = (parse_params(text, found.end()).get("refresher") or "").lower()
        refresher = Refresher(named) if named in tuple(Refresher) else None
        return cls(interval_s=int(found[1]), refresher=refresher)

    def __str__(self) -> str:
        return str(self.interval_s) if self.refresher is None else f"{self.interval_s};refresher={self.refresher}"


def session_expires_of(message: Message) -> SessionExpires | None:
    """The header of a message; malformed, it refuses a request, and counts as absent in a response."""
    text = message.headers.get("Session-Expires")
    try:
        return None if text is None else SessionExpires.parse(text)
    except SipError:
        if isinstance(message, Request):
            raise
        return None


def min_se_of(message: Message) -> int:
    """The shortest interval that the peer, or a proxy on the way, takes (§5); 0 when it does not say."""
    found = _INTERVAL.match(message.headers.get("Min-SE") or "")
    return int(found[1]) if found is not None else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInterval:
    """What was agreed."""

    interval_s: int
    ours: bool
    """Whether we confirm; else the peer does."""

    @property
    def refresh_after_s(self) -> float:
        """Half of it (§7.2)."""
        return self.interval_s / 2

    @property
    def ends_after_s(self) -> float:
        """When to hang up if nobody has confirmed it (§10)."""
        return self.interval_s - min(END_BEFORE_S, self.interval_s / 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the peer's INVITE or UPDATE says about it."""

    wish: SessionExpires | None
    min_se_s: int
    """0 when it says nothing."""
    known: bool
    """Whether the peer itself knows session timers, or only a proxy on the way."""

    @classmethod
    def by(cls, request: Request) -> "Asked":
        """What a request asks."""
        return cls(wish=session_expires_of(request), min_se_s=min_se_of(request), known=OPTION in request.supported)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What we want of a call."""

    setting: SessionTimer
    interval_s: int
    min_se_s: int

    @classmethod
    def of(cls, trunk: Trunk) -> "Policy":
        """What the trunk is set to."""
        interval_s = max(trunk.session_expires_s, trunk.min_se_s)
        return cls(setting=trunk.session_timer, interval_s=interval_s, min_se_s=trunk.min_se_s)

    def at_least(self, min_se_s: int) -> "Policy":
        """After a 422: nothing shorter in this call (§7.3)."""
        if min_se_s <= self.min_se_s:
            return self
        return replace(self, interval_s=max(self.interval_s, min_se_s), min_se_s=min_se_s)

    # As the one who asks (§7.1, §7.4).

    def request_fields(self, agreed: SessionInterval | None = None) -> Fields:
        """For an INVITE or UPDATE; once there is an agreement, whoever confirms goes on doing so."""
        if self.setting is SessionTimer.OFF:
            return ()
        wish = SessionExpires(interval_s=self.interval_s)
        if agreed is not None:
            refresher = Refresher.UAC if agreed.ours else Refresher.UAS
            wish = SessionExpires(interval_s=max(agreed.interval_s, self.min_se_s), refresher=refresher)
        return (("Session-Expires", str(wish)), ("Min-SE", str(self.min_se_s)))

    def accepted(self, answer: SessionExpires | None) -> SessionInterval | None:
        """What a 2xx agreed to (§7.2): nothing if it does not say, and never to ask more often than we like."""
        if self.setting is SessionTimer.OFF or answer is None:
            return None
        interval_s = max(answer.interval_s, self.min_se_s)
        return SessionInterval(interval_s=interval_s, ours=answer.refresher is not Refresher.UAS)

    # As the one who is asked (§9).

    def is_too_short(self, asked: Asked) -> bool:
        """Whether 422 is due; only a peer that knows session timers would understand it (§9)."""
        if self.setting is SessionTimer.OFF or asked.wish is None or not asked.known:
            return False
        return asked.wish.interval_s < self.min_se_s

    def answer(self, asked: Asked) -> SessionInterval | None:
        """What our 2xx agrees to (§9 and its table 2)."""
        if self.setting is SessionTimer.OFF:
            return None
        if asked.wish is None:
            if not asked.known and self.setting is not SessionTimer.REQUIRED:
                return None
            return SessionInterval(interval_s=max(self.interval_s, asked.min_se_s), ours=True)
        shortest = max(self.interval_s, asked.min_se_s)
        ours = not asked.known or asked.wish.refresher is not Refresher.UAC
        interval_s = max(min(asked.wish.interval_s, shortest), min(self.min_se_s, SHORTEST_S))
        return SessionInterval(interval_s=interval_s, ours=ours)


def answer_fields(agreed: SessionInterval | None) -> Fields:
    """For a 2xx; a peer that has to confirm must know how (§9)."""
    if agreed is None:
        return ()
    refresher = Refresher.UAS if agreed.ours else Refresher.UAC
    wish = SessionExpires(interval_s=agreed.interval_s, refresher=refresher)
    require = () if agreed.ours else (("Require", OPTION),)
    return (("Session-Expires", str(wish)), *require)
