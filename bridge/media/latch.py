"""Symmetric RTP (RFC 4961): where a phone really sends from, and who else is kept out."""

from ipaddress import IPv4Network, IPv6Network, ip_address

LEARNING_S = 3.0
Address = tuple[str, int]
Networks = tuple[IPv4Network | IPv6Network, ...]


class SourceLatch:
    """Accepts packets from the signalled host and from trusted networks, then from the first source alone.

    For the first seconds the announced address still wins over another one that was first.

    A port that is learned for ever is an invitation to hear other people's calls: whoever sends to a media port would
    get the audio. Only a new description opens the latch again.
    """

    def __init__(self, trusted: Networks = ()) -> None:
        self._trusted = trusted
        self._signalled: Address | None = None
        self._latched: Address | None = None
        self._first_at: float | None = None

    def signal(self, address: Address | None) -> None:
        """Take the address of a description; an unchanged one leaves the latch as it is."""
        if address != self._signalled:
            self._signalled, self._latched, self._first_at = address, None, None

    @property
    def announced(self) -> Address | None:
        """What the description said."""
        return self._signalled

    @property
    def target(self) -> Address | None:
        """Where to send."""
        return self._latched or self._signalled

    def accept(self, source: Address, now: float) -> bool:
        """Whether a packet comes from the phone."""
        if self._signalled is None or source == self._latched:
            return source == self._latched
        if self._first_at is None:
            if self._may_send(source[0], self._signalled[0]):
                self._first_at, self._latched = now, source
        elif source == self._signalled and now - self._first_at <= LEARNING_S:
            self._latched = source
        return source == self._latched

    def _may_send(self, host: str, signalled: str) -> bool:
        return host == signalled or any(ip_address(host) in network for network in self._trusted)
