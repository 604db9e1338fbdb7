"""Symmetric RTP (RFC 4961): where a phone really sends from, and who else is kept out."""

LEARNING_S = 3.0
Address = tuple[str, int]


class SourceLatch:
    """Accepts packets from the signalled host alone, follows its port for the first seconds, then locks.

    A port that is learned for ever is an invitation to hear other people's calls: whoever sends to a media port would
    get the audio. Only a new description opens the latch again.
    """

    def __init__(self) -> None:
        self._signalled: Address | None = None
        self._latched: Address | None = None
        self._first_at: float | None = None

    def signal(self, address: Address | None) -> None:
        """Take the address of a description; an unchanged one leaves the latch as it is."""
        if address != self._signalled:
            self._signalled, self._latched, self._first_at = address, None, None

    @property
    def target(self) -> Address | None:
        """Where to send."""
        return self._latched or self._signalled

    def accept(self, source: Address, now: float) -> bool:
        """Whether a packet comes from the phone."""
        signalled = self._signalled
        if signalled is None or source[0] != signalled[0]:
            return False
        if self._first_at is None:
            self._first_at, self._latched = now, source
        elif source == signalled and now - self._first_at <= LEARNING_S:
            self._latched = source
        return source == self._latched
