"""Symmetric RTP (RFC 4961): where a phone really sends from, and who else is kept out."""

from ipaddress import IPv4Network, IPv6Network, ip_address

LEARN_S = 3.0
"""How long after the first packet a phone may still turn out to send from elsewhere."""
Address = tuple[str, int]
Networks = tuple[IPv4Network | IPv6Network, ...]


class SourceLatch:
    """Accepts packets from the signalled host and from trusted networks, then from the first source alone.

    The announced address itself wins over another one that was first, when it speaks within `LEARN_S`: somebody beside
    the phone who is quicker than it must not keep its audio.

    A port that is learned for ever is an invitation to hear other people's calls: whoever sends to a media port would
    get the audio. After `LEARN_S` the source is locked, and only a new description opens the latch again.
    """

    def __init__(self, trusted: Networks = ()) -> None:
        self._trusted = trusted
        self._signalled: Address | None = None
        self._latched: Address | None = None
        self._since = 0.0

    def signal(self, address: Address | None) -> None:
        """Take the address of a description; an unchanged one leaves the latch as it is."""
        if address != self._signalled:
            self._signalled, self._latched = address, None

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
        if self._latched is None:
            accepted, self._since = self._may_send(source[0], self._signalled[0]), now
        else:
            accepted = source == self._signalled and now < self._since + LEARN_S
        if accepted:
            self._latched = source
        return accepted

    def is_settled(self, now: float) -> bool:
        """Whether nobody can take the place of the source that is known."""
        return self._latched is not None and (self._latched == self._signalled or now >= self._since + LEARN_S)

    def is_phone(self, source: Address) -> bool:
        """Whether a source is the one that is known, or announced."""
        return source in (self._latched, self._signalled)

    def follow(self, source: Address) -> None:
        """Take the source of a packet that only the phone can have written (SRTP): it may move as it likes."""
        self._latched = source

    def _may_send(self, host: str, signalled: str) -> bool:
        return host == signalled or any(ip_address(host) in network for network in self._trusted)
