"""SRTP and SRTCP of a leg whose keys are in its descriptions (RFC 3711, RFC 4568)."""

import enum

import pylibsrtp

from bridge.media.rtp import MAX_DATAGRAM
from bridge.media.sdes import CryptoLine, Suite

_PROFILES = {
    Suite.AES_CM_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Suite.AES_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
}
_TRAILER = 32
"""Room for the longest tag and the index of SRTCP."""

MAX_STREAMS = 64
"""SSRCs of one key: a phone takes a new one when it moves or is put through, not with every packet."""


class Refusal(enum.StrEnum):
    """Why a datagram was not decrypted."""

    FORGED = "srtp"
    """Its tag is wrong: another key, a changed packet, or no SRTP at all."""
    REPLAYED = "replay"
    """It came before, or so late that nobody knows (RFC 3711 §3.3.2)."""
    TOO_MANY_STREAMS = "streams"


class Streams:
    """The SSRCs that came under one key.

    libsrtp remembers each for as long as the key lives, and looks through all of them for every packet: a peer that
    took a new one for each packet would slow down the audio of everybody.
    """

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def admits(self, ssrc: bytes) -> bool:
        """Whether a packet of this stream may be looked at."""
        return ssrc in self._known or len(self._known) < MAX_STREAMS

    def keep(self, ssrc: bytes) -> None:
        """A packet of it was genuine."""
        self._known.add(ssrc)


def ssrc_of(datagram: bytes, *, rtcp: bool) -> bytes:
    """Which stream a packet belongs to (RFC 3550 §5.1, §6.4)."""
    return datagram[4:8] if rtcp else datagram[8:12]


class SrtpContext:
    """The two keys of one leg, each with a rollover counter of its own.

    A direction begins anew, with the counter at 0, when its key changes and only then (RFC 4568 §6.4).
    """

    def __init__(self, *, ours: CryptoLine, theirs: CryptoLine) -> None:
        self.ours, self.theirs = ours, theirs
        self._outbound = _session(ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self._inbound = _session(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self._streams = Streams()

    def change(self, *, ours: CryptoLine, theirs: CryptoLine) -> None:
        """Take what a new negotiation says."""
        if not same_key(ours, self.ours):
            self._outbound = _session(ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        if not same_key(theirs, self.theirs):
            self._inbound, self._streams = _session(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND), Streams()
        self.ours, self.theirs = ours, theirs

    def protect(self, packet: bytes, *, rtcp: bool) -> bytes | None:
        """Encrypt; `None` when libsrtp refuses (a key that is used up)."""
        try:
            protected: bytes = self._outbound.protect_rtcp(packet) if rtcp else self._outbound.protect(packet)
        except pylibsrtp.Error:
            return None
        return protected

    def unprotect(self, datagram: bytes, *, rtcp: bool) -> bytes | Refusal:
        """Check and decrypt."""
        if len(datagram) > MAX_DATAGRAM + _TRAILER:
            return Refusal.FORGED
        ssrc = ssrc_of(datagram, rtcp=rtcp)
        if not self._streams.admits(ssrc):
            return Refusal.TOO_MANY_STREAMS
        try:
            plain: bytes = self._inbound.unprotect_rtcp(datagram) if rtcp else self._inbound.unprotect(datagram)
        except pylibsrtp.Error as error:
            return Refusal.REPLAYED if str(error).startswith("replay") else Refusal.FORGED
        self._streams.keep(ssrc)
        return plain


def same_key(one: CryptoLine, other: CryptoLine) -> bool:
    """Whether two lines stand for one SRTP key, whatever their tags."""
    return one.suite is other.suite and one.key == other.key


def _session(line: CryptoLine, direction: int) -> pylibsrtp.Session:
    return pylibsrtp.Session(
        policy=pylibsrtp.Policy(key=line.key, ssrc_type=direction, srtp_profile=_PROFILES[line.suite])
    )
