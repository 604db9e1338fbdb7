"""What a datagram of a WebRTC port seems to be, by its first octet (RFC 7983 §7)."""

STUN_OCTETS = range(4)
DTLS_OCTETS = range(20, 64)
SRTP_OCTETS = range(128, 192)
"""RTCP as well."""
