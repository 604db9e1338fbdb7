"""The phone's leg: a pair of UDP sockets that speak with one host only."""

import math
import socket
from typing import NamedTuple

from bridge.core.telemetry import Telemetry
from bridge.media.latch import Address, Networks, SourceLatch
from bridge.media.packet_rate import PacketRate
from bridge.media.portable.sockets import MAX_READ, disconnect, read, send
from bridge.media.rtp import MAX_DATAGRAM
from bridge.media.srtp import Inbound, Key, Outbound, Refusal

_QUEUE_EMPTY_AFTER_S = 1.0


class _Keys(NamedTuple):
    """What the audio is encrypted with, in both directions (RFC 4568)."""

    ours: Key
    theirs: Key
    outbound: Outbound
    inbound: Inbound


class Phone:
    """RTP and RTCP towards one phone."""

    def __init__(
        self, rtp: socket.socket, rtcp: socket.socket, *, trusted: Networks, telemetry: Telemetry, now: float
    ) -> None:
        self.rtp, self.rtcp = rtp, rtcp
        self.unexpected: tuple[str, str] | None = None
        """Where RTP came from first that was not announced, and what was."""
        self._telemetry = telemetry
        self._latch, self._rtcp_latch = SourceLatch(trusted), SourceLatch()
        self._rtp_rate, self._rtcp_rate, self._stranger_rate = PacketRate(now), PacketRate(now), PacketRate(now)
        self._keys: _Keys | None = None
        self._rtcp_port = 0
        self._connected: Address | None = None
        """With whom alone the kernel lets us speak on RTP."""
        self._alone_from = math.inf
        """From when on nothing can wait in the socket that came before that."""

    def direct(self, rtp: Address, rtcp_port: int) -> bool:
        """Take the phone's address; `True` when it is a new one."""
        before = self._latch.target
        self._latch.signal(rtp)
        self._rtcp_port = rtcp_port
        if self._connected is not None and self._connected != self._latch.target:
            self._disconnect()
        return before is None or before != self._latch.target

    def secure(self, keys: tuple[Key, Key] | None) -> None:
        """Encrypt with these keys from now on, ours and theirs, and take nothing else; `None` is audio in the clear.

        A direction begins anew, with the counter at 0, when its key changes and only then (RFC 4568 §6.4).
        """
        before, self._keys = self._keys, None
        if keys is None:
            return
        ours, theirs = keys
        self._disconnect()
        outbound = before.outbound if before is not None and before.ours == ours else Outbound(ours)
        inbound = before.inbound if before is not None and before.theirs == theirs else Inbound(theirs)
        self._keys = _Keys(ours, theirs, outbound, inbound)

    def read_rtp(self, now: float) -> bytes | None:
        """One datagram of RTP that is the phone's, decrypted."""
        if now < self._alone_from:
            datagram, source = read(self.rtp)
            return None if datagram is None else self.take_rtp(datagram, source, now)
        try:
            datagram = self.rtp.recv(MAX_READ)
        except OSError:
            return None
        return self._within_limits(datagram, now)

    def take_rtp(self, datagram: bytes, source: Address, now: float) -> bytes | None:
        """Decide about a datagram on RTP, and decrypt it."""
        if self._keys is not None:
            return self._take_secure_rtp(self._keys, datagram, source, now)
        if not self._latch.accept(source, now):
            return self._refuse(source)
        if self._connected is None and self._latch.is_settled(now):
            self._connect(source, now)
        return self._within_limits(datagram, now)

    def _within_limits(self, datagram: bytes, now: float) -> bytes | None:
        if not self._rtp_rate.admits(now):
            return self._discarded("rate")
        if len(datagram) > MAX_DATAGRAM:
            return self._discarded("malformed")
        return datagram

    def _take_secure_rtp(self, keys: _Keys, datagram: bytes, source: Address, now: float) -> bytes | None:
        """The key proves who sends: a phone may move without a new description, and nobody can take its place."""
        if self._latch.announced is None:
            return self._discarded("source")
        rate = self._rtp_rate if self._latch.is_phone(source) else self._stranger_rate
        if not rate.admits(now):
            return self._discarded("rate")
        plain = keys.inbound.unprotect(datagram, rtcp=False)
        if isinstance(plain, Refusal):
            return self._discarded(plain)
        self._latch.follow(source)
        return plain

    def read_rtcp(self, now: float) -> bytes | None:
        """One datagram of RTCP that is the phone's, decrypted."""
        datagram, source = read(self.rtcp)
        return None if datagram is None else self.take_rtcp(datagram, source, now)

    def take_rtcp(self, datagram: bytes, source: Address, now: float) -> bytes | None:
        """Decide about a datagram on RTCP, and decrypt it."""
        target = self._latch.target
        if target is None or source[0] != target[0]:
            return self._discarded("source")
        latch = self._expecting_reports_of(target)
        if self._keys is None and not latch.accept(source, now):
            return self._discarded("source")
        if not self._rtcp_rate.admits(now):
            return self._discarded("rate")
        plain = datagram if self._keys is None else self._keys.inbound.unprotect(datagram, rtcp=True)
        if isinstance(plain, Refusal):
            return self._discarded(plain)
        latch.follow(source)
        return plain

    def _expecting_reports_of(self, target: Address) -> SourceLatch:
        """The latch of RTCP, which comes from the host that RTP comes from, and from a port of its own."""
        self._rtcp_latch.signal((target[0], self._rtcp_port))
        return self._rtcp_latch

    def _refuse(self, source: Address) -> bytes | None:
        """Count it, and remember where the sound of a silent phone may have gone."""
        announced = self._latch.announced
        if self.unexpected is None and announced is not None and announced[0] != source[0]:
            self.unexpected = source[0], announced[0]
        return self._discarded("source")

    def _discarded(self, reason: str) -> bytes | None:
        self._telemetry.count("rtp_discarded_total", reason=reason)
        return None

    def send_rtp(self, packet: bytes) -> None:
        """Encrypt and send RTP to where the phone sends from, or says that it listens."""
        target = self._latch.target
        if target is None:
            return
        protected = packet if self._keys is None else self._keys.outbound.protect(packet, rtcp=False)
        if protected is not None:
            send(self.rtp, protected, None if target == self._connected else target)

    def send_rtcp(self, packet: bytes) -> None:
        """Encrypt and send RTCP."""
        rtp = self._latch.target
        target = None if rtp is None else self._expecting_reports_of(rtp).target
        if target is None:
            return
        protected = packet if self._keys is None else self._keys.outbound.protect(packet, rtcp=True)
        if protected is not None:
            send(self.rtcp, protected, target)

    def _connect(self, address: Address, now: float) -> None:
        """Let the kernel drop everybody else's packets: sooner, and for less, than we could.

        Another address than the announced one gives way to that for a while, and is not held on to like this before.
        """
        try:
            self.rtp.connect(address)
        except OSError:
            return
        self._connected, self._alone_from = address, now + _QUEUE_EMPTY_AFTER_S

    def _disconnect(self) -> None:
        if self._connected is not None:
            self._connected, self._alone_from = None, math.inf
            disconnect(self.rtp)

    def close(self) -> None:
        """Close the sockets."""
        self.rtp.close()
        self.rtcp.close()
