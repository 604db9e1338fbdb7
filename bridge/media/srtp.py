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


class Refusal(enum.StrEnum):
    """Why a datagram was not decrypted."""

    FORGED = "srtp"
    """Its tag is wrong: another key, a changed packet, or no SRTP at all."""
    REPLAYED = "replay"
    """It came before, or so late that nobody knows (RFC 3711 §3.3.2)."""


class SrtpContext:
    """The two keys of one leg, each with a rollover counter of its own.

    A direction begins anew, with the counter at 0, when its key changes and only then (RFC 4568 §6.4).
    """

    def __init__(self, *, ours: CryptoLine, theirs: CryptoLine) -> None:
        self.ours, self.theirs = ours, theirs
        self._outbound = _session(ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self._inbound = _session(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND)

    def change(self, *, ours: CryptoLine, theirs: CryptoLine) -> None:
        """Take what a new negotiation says."""
        if not same_key(ours, self.ours):
            self._outbound = _session(ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        if not same_key(theirs, self.theirs):
            self._inbound = _session(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND)
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
        try:
            plain: bytes = self._inbound.unprotect_rtcp(datagram) if rtcp else self._inbound.unprotect(datagram)
        except pylibsrtp.Error as error:
            return Refusal.REPLAYED if str(error).startswith("replay") else Refusal.FORGED
        return plain


def same_key(one: CryptoLine, other: CryptoLine) -> bool:
    """Whether two lines stand for one SRTP key, whatever their tags."""
    return one.suite is other.suite and one.key == other.key


def _session(line: CryptoLine, direction: int) -> pylibsrtp.Session:
    return pylibsrtp.Session(
        policy=pylibsrtp.Policy(key=line.key, ssrc_type=direction, srtp_profile=_PROFILES[line.suite])
    )
