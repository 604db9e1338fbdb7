"""TLS over bytes, without a socket: limits apply before the first handshake message, and its faults have names."""

import ssl
from collections.abc import Mapping

from bridge.core.errors import TrunklineError

_READ = 65_536

_VERIFICATION: Mapping[int, str] = {9: "expired", 10: "expired", 62: "name", 64: "name"}
"""X509_V_ERR_* of OpenSSL that are about the certificate itself; all others say that nobody vouches for it."""

REMEDIES: Mapping[str, str] = {
    "untrusted": "no authority that is known here vouches for its certificate: name the authority in ca_file",
    "name": "its certificate has another name: write server as it is there, or give tls.server_name",
    "expired": "its certificate is not valid today: it has to be renewed, or the clock of this machine is wrong",
    "no_certificate": "it shows no certificate, and require_client_certificate wants one",
    "refused": "it does not accept what we offer: often our certificate, which it has to know; see sip.tls.certificate",
    "version": "it speaks no version of TLS from 1.2 on",
    "timeout": "it was too slow, or does not speak TLS on this port",
    "closed": "it closed the connection: perhaps it does not speak TLS on this port",
    "handshake": "what it sent is not TLS, or no algorithm is known to both",
}
"""Why a connection was not secured, and what to do about it."""


class TlsError(TrunklineError):
    """The peer cannot be spoken to; `reason` is one of `REMEDIES`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TlsSession:
    """One end of a connection: ciphertext in, plaintext out, and what is to be sent in `take`."""

    def __init__(self, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """The client's end has the name that the server's certificate must bear."""
        self._received = ssl.MemoryBIO()
        self._unsent = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._received, self._unsent, server_side=server_name is None, server_hostname=server_name
        )
        self.established = False
        self.ended = False
        """The peer has said that nothing more comes."""

    def feed(self, ciphertext: bytes) -> bytes:
        """Take in what came, and give out what it says; raises `TlsError`, after which the connection is of no use."""
        self._received.write(ciphertext)
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise TlsError(reason_of(error)) from error

    def write(self, plaintext: bytes) -> None:
        """Have something sent; only once established. Raises `TlsError` as `feed` does."""
        try:
            self._tls.write(plaintext)
        except ssl.SSLError as error:
            raise TlsError(reason_of(error)) from error

    def take(self) -> bytes:
        """What the peer is to be sent now."""
        return self._unsent.read()

    def close(self) -> None:
        """Say that nothing more comes."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            return  # The peer's own goodbye is not waited for.

    def _read(self) -> bytes:
        pieces = []
        try:
            while piece := self._tls.read(_READ):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(pieces)


def reason_of(error: ssl.SSLError) -> str:
    """One of `REMEDIES`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFICATION.get(error.verify_code, "untrusted")
    reason = error.reason or ""
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "no_certificate"
    if "PROTOCOL_VERSION" in reason or reason in ("UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"):
        return "version"
    return "refused" if "_ALERT_" in reason else "handshake"
