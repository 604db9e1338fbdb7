"""How many packets one source may send: decrypting and decoding them costs the calls of others."""

PACKETS_PER_S = 250
"""Two and a half times what a phone with 10 ms packets sends."""
BURST = 100
"""Two seconds of 20 ms packets, all at once after an outage."""


class PacketRate:
    """A token bucket."""

    def __init__(self, now: float) -> None:
        self._tokens = float(BURST)
        self._filled_at = now

    def admits(self, now: float) -> bool:
        """Whether one more packet is within the rate."""
        self._tokens = min(self._tokens + (now - self._filled_at) * PACKETS_PER_S, BURST)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
