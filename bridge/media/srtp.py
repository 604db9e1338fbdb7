"""SRTP and SRTCP (RFC 3711, RFC 7714) by libsrtp, one direction at a time."""

import enum

import pylibsrtp

from bridge.media.rtp import MAX_DATAGRAM

_PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
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


Key = tuple[str, bytes]
"""The registered name of a crypto suite, with master key and salt."""


class Outbound:
    """Our direction: everything that one master key protects."""

    def __init__(self, key: Key) -> None:
        self._session = _session(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)

    def protect(self, packet: bytes, *, rtcp: bool) -> bytes | None:
        """Encrypt; `None` when libsrtp refuses (a key that is used up)."""
        try:
            protected: bytes = self._session.protect_rtcp(packet) if rtcp else self._session.protect(packet)
        except pylibsrtp.Error:
            return None
        return protected


class Inbound:
    """Their direction, with a rollover counter of its own."""

    def __init__(self, key: Key) -> None:
        self._session = _session(key, pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self._streams = Streams()

    def unprotect(self, datagram: bytes, *, rtcp: bool) -> bytes | Refusal:
        """Check and decrypt."""
        if len(datagram) > MAX_DATAGRAM + _TRAILER:
            return Refusal.FORGED
        ssrc = ssrc_of(datagram, rtcp=rtcp)
        if not self._streams.admits(ssrc):
            return Refusal.TOO_MANY_STREAMS
        try:
            plain: bytes = self._session.unprotect_rtcp(datagram) if rtcp else self._session.unprotect(datagram)
        except pylibsrtp.Error as error:
            return Refusal.REPLAYED if str(error).startswith("replay") else Refusal.FORGED
        self._streams.keep(ssrc)
        return plain


def _session(key: Key, direction: int) -> pylibsrtp.Session:
    suite, key_and_salt = key
    return pylibsrtp.Session(
        policy=pylibsrtp.Policy(key=key_and_salt, ssrc_type=direction, srtp_profile=_PROFILES[suite])
    )
