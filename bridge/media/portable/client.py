"""The Matrix leg after ICE has nominated a pair and DTLS has made keys: SRTP here, everything else for the engine."""

import enum
from collections.abc import Callable

from bridge.core.telemetry import Telemetry
from bridge.media.first_octet import DTLS_OCTETS, SRTP_OCTETS, STUN_OCTETS
from bridge.media.latch import Address
from bridge.media.packet_rate import PacketRate
from bridge.media.portable.path import Path
from bridge.media.relay import NOBODY
from bridge.media.rtp import is_rtcp
from bridge.media.srtp import Inbound, Key, Outbound, Refusal


class Sorted(enum.Enum):
    """What a datagram is."""

    AUDIO = enum.auto()
    SIGNALLING = enum.auto()
    """A connectivity check or DTLS: ICE and DTLS are the engine's."""
    NOTHING = enum.auto()
    """Of no use to anybody."""


class Client:
    """One DTLS association: its keys, and the sockets of the paths over which it may be reached."""

    def __init__(
        self, ours: Key, theirs: Key, *, telemetry: Telemetry, on_off_path: Callable[[], object], now: float
    ) -> None:
        self.paths: dict[int, Path] = {}
        self.validated: frozenset[Address] = frozenset()
        """Addresses that proved themselves with a connectivity check."""
        self.heard = False
        self._nominated: tuple[Path, Address] | None = None
        self._outbound, self._inbound = Outbound(ours), Inbound(theirs)
        self._rate, self._stranger_rate = PacketRate(now), PacketRate(now)
        self._telemetry = telemetry
        self._on_off_path = on_off_path

    def nominate(self, nominated: tuple[int, Address] | None) -> None:
        """Where to send: a local socket and a remote address."""
        path = None if nominated is None else self.paths.get(nominated[0])
        self._nominated = None if nominated is None or path is None else (path, nominated[1])

    def remove(self, number: int) -> Path | None:
        """Forget one of the paths."""
        removed = self.paths.pop(number, None)
        if self._nominated is not None and self._nominated[0] is removed:
            self._nominated = None
        return removed

    def sort(self, path: Path, datagram: bytes, source: Address, now: float) -> Sorted:
        """What a datagram is, by its first byte (RFC 7983) and by whether its source is known."""
        first = datagram[0]
        if source == NOBODY:
            return Sorted.SIGNALLING
        known = source in self.validated
        if first in STUN_OCTETS:
            return self._sort_stun(path, datagram, known, now)
        if not known:
            self._on_off_path()
        elif first in SRTP_OCTETS:
            return Sorted.AUDIO
        elif first in DTLS_OCTETS:
            return Sorted.SIGNALLING
        return Sorted.NOTHING

    def _sort_stun(self, path: Path, datagram: bytes, known: bool, now: float) -> Sorted:
        """Checks of anybody who names us, and answers to ours; of strangers not so many that the engine is busy."""
        if path.wants(datagram) and (known or self._stranger_rate.admits(now)):
            return Sorted.SIGNALLING
        if not known:
            self._on_off_path()
        return Sorted.NOTHING

    def take(self, datagram: bytes, now: float) -> bytes | None:
        """RTP or RTCP of the client, decrypted."""
        if not self._rate.admits(now):
            return self._discarded("rate")
        plain = self._inbound.unprotect(datagram, rtcp=is_rtcp(datagram))
        return self._discarded(Refusal.FORGED) if isinstance(plain, Refusal) else plain

    def _discarded(self, reason: str) -> bytes | None:
        self._telemetry.count("rtp_discarded_total", reason=reason)
        return None

    def send(self, packet: bytes) -> None:
        """Encrypt and send RTP or RTCP on the nominated pair."""
        if self._nominated is None:
            return
        protected = self._outbound.protect(packet, rtcp=is_rtcp(packet))
        if protected is not None:
            self._nominated[0].send(protected, self._nominated[1])

    def close(self) -> None:
        """Close the sockets."""
        while self.paths:
            self.paths.popitem()[1].socket.close()
