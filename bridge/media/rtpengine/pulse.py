"""Whether a call lives: read from counters that are looked at now and then. Pure."""

from dataclasses import dataclass

from bridge.media.engine import MediaFailure
from bridge.media.rtpengine.figures import NOTHING, PartyFigures

_CLIENT_SILENT_S = 30.0
"""A client sends reports every few seconds even while it is muted or held (RFC 3550 §6.2). Its app has as long to come
back over another network (matrix-js-sdk)."""
_CONNECTING_EVERY_S, _CONNECTED_EVERY_S = 0.25, 5.0


@dataclass(slots=True)
class Heard:
    """When a party was heard last, told by a counter that grew."""

    figures: PartyFigures = NOTHING
    at: float | None = None

    def take(self, figures: PartyFigures, now: float) -> None:
        """New figures; counters that fell belong to another party, or to streams that were made anew."""
        if figures.heard > self.figures.heard:
            self.at = now
        self.figures = figures


class Pulse:
    """Time limits of one call."""

    def __init__(self, *, connect_timeout_s: float, rtp_timeout_s: float) -> None:
        self.connected = False
        self.client, self.phone = Heard(), Heard()
        self._connect_timeout_s, self._rtp_timeout_s = connect_timeout_s, rtp_timeout_s
        self._connecting_since: float | None = None
        self._phone_owes_since: float | None = None
        """Since when the phone has had something to say: silence is measured from there, or from what it sent last."""

    @property
    def looks_every_s(self) -> float:
        """How often to look: a caller waits for the first word."""
        waits = self._connecting_since is not None and not self.connected
        return _CONNECTING_EVERY_S if waits else _CONNECTED_EVERY_S

    def client_described(self, now: float) -> None:
        """Both descriptions are known: ICE and DTLS can begin."""
        self._connecting_since = now if self._connecting_since is None else self._connecting_since
        if self.client.at is not None:
            self.client.at = now

    def client_gone(self) -> None:
        """There is no client any more."""
        self.connected, self._connecting_since, self.client = False, None, Heard()

    def phone_described(self, now: float) -> None:
        """Something new was agreed with the phone."""
        self._phone_owes_since = now

    def look(self, now: float) -> bool:
        """Whether the client has just been connected."""
        first = not self.connected and self.client.figures.secured
        if first:
            self.connected = True
            self.client.at = now
            self._phone_owes_since = now if self._phone_owes_since is None else self._phone_owes_since
        return first

    def failure(self, now: float, *, phone_may_be_silent: bool, joined: bool) -> MediaFailure | None:
        """What time limit has passed, if any."""
        since = self._connecting_since
        if since is not None and not self.connected and now - since > self._connect_timeout_s:
            return MediaFailure.ICE_FAILED
        if self.connected and self.client.at is not None and now - self.client.at > _CLIENT_SILENT_S:
            return MediaFailure.ICE_TIMEOUT
        return self._phone_failure(now, may_be_silent=phone_may_be_silent, carries=self.connected or joined)

    def _phone_failure(self, now: float, *, may_be_silent: bool, carries: bool) -> MediaFailure | None:
        since = self._phone_owes_since
        if self._rtp_timeout_s <= 0 or not carries or since is None:
            return None
        if may_be_silent:
            self._phone_owes_since = now
        elif now - max(since, self.phone.at or since) > self._rtp_timeout_s:
            return MediaFailure.RTP_TIMEOUT
        return None
