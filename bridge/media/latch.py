"""Symmetric RTP (RFC 4961): where a phone really sends from, and who else is kept out."""

from ipaddress import IPv4Network, IPv6Network, ip_address

Address = tuple[str, int]
Networks = tuple[IPv4Network | IPv6Network, ...]


class SourceLatch:
    """Accepts packets from the signalled host and from trusted networks, then from the first source alone.

    The announced address itself wins over another one that was first, whenever it speaks: somebody beside the phone who
    is quicker than it must not keep its audio.

    A port that is learned for ever is an invitation to hear other people's calls: whoever sends to a media port would
    get the audio. Only a new description opens the latch again.
    """

    def __init__(self, trusted: Networks = ()) -> None:
        self._trusted = trusted
        self._signalled: Address | None = None
        self._latched: Address | None = None

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

    def accept(self, source: Address) -> bool:
        """Whether a packet comes from the phone."""
        if self._signalled is None or source == self._latched:
            return source == self._latched
        newcomer = self._latched is None and self._may_send(source[0], self._signalled[0])
        if newcomer or source == self._signalled:
            self._latched = source
        return source == self._latched

    def is_phone(self, source: Address) -> bool:
        """Whether a source is the one that is known, or announced."""
        return source in (self._latched, self._signalled)

    def follow(self, source: Address) -> None:
        """Take the source of a packet that only the phone can have written (SRTP): it may move as it likes."""
        self._latched = source

    def _may_send(self, host: str, signalled: str) -> bool:
        return host == signalled or any(ip_address(host) in network for network in self._trusted)
