"""aiortc's DTLS-SRTP transport, made fit: ciphers for every client, packets before any parser of aiortc.

See `ice` for the rule about private names.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pylibsrtp
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import (
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
    State,
    certificate_digest,
)
from OpenSSL import SSL

from bridge.media.ice import IceAgent
from bridge.media.rtp import MAX_DATAGRAM, is_rtcp
from bridge.media.sdp_matrix import Fingerprint
from bridge.media.srtp import Streams, ssrc_of

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
)
"""Nheko's certificate is RSA: with ECDSA suites alone its calls die in the handshake while signalling looks perfect."""
_LARGEST_SRTP = MAX_DATAGRAM + 16
"""With the longest authentication tag (RFC 7714)."""


class Certificate(RTCCertificate):
    """A self-signed P-256 certificate, offered together with suites for peers that have an RSA one."""

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS.encode())
        return context

    @property
    def fingerprint(self) -> str:
        """SHA-256, as descriptions write it."""
        return certificate_digest(self._cert, "sha-256")


class IcePipe:
    """What `RTCDtlsTransport` needs of an ICE transport: datagrams in and out."""

    def __init__(self, agent: IceAgent) -> None:
        self._agent = agent
        self._recv = agent.recv
        self._send = agent.send

    @property
    def role(self) -> str:
        """The ICE role; the DTLS role is set explicitly, never derived from it."""
        return "controlling" if self._agent.ice_controlling else "controlled"


class DtlsSession:
    """One DTLS association and the SRTP contexts that it keys (RFC 5764)."""

    def __init__(self, agent: IceAgent, certificate: Certificate, *, server: bool) -> None:
        self._transport = RTCDtlsTransport(_as_ice_transport(IcePipe(agent)), [certificate])
        self._transport._set_role("server" if server else "client")
        self._streams = Streams()
        self.closed = asyncio.Event()
        self._transport.on("statechange", self._changed)

    @property
    def connected(self) -> bool:
        """Whether keys are there and the association is alive."""
        return self._transport._state is State.CONNECTED

    async def handshake(self, fingerprints: Sequence[Fingerprint]) -> bool:
        """Run the handshake to its end; `True` when the peer proved to own the announced certificate."""
        announced = [RTCDtlsFingerprint(algorithm=entry.algorithm, value=entry.value) for entry in fingerprints]
        await self._transport.start(RTCDtlsParameters(fingerprints=announced))
        return self.connected

    def protect(self, packet: bytes) -> bytes | None:
        """Encrypt RTP or RTCP; `None` when libsrtp refuses (a key that is used up)."""
        session = self._transport._tx_srtp
        try:
            protected: bytes = session.protect_rtcp(packet) if is_rtcp(packet) else session.protect(packet)
        except pylibsrtp.Error:
            return None
        return protected

    def unprotect(self, datagram: bytes) -> bytes | None:
        """Check and decrypt RTP or RTCP; `None` for what is forged, replayed, too large or of one stream too many."""
        session = self._transport._rx_srtp
        if session is None or not self.connected or not 12 <= len(datagram) <= _LARGEST_SRTP:
            return None
        rtcp = is_rtcp(datagram)
        ssrc = ssrc_of(datagram, rtcp=rtcp)
        if not self._streams.admits(ssrc):
            return None
        try:
            plain: bytes = session.unprotect_rtcp(datagram) if rtcp else session.unprotect(datagram)
        except pylibsrtp.Error:
            return None
        self._streams.keep(ssrc)
        return plain

    async def close(self) -> None:
        """Say goodbye and wait until aiortc's receive task is gone."""
        pump = self._transport._task
        try:
            await self._transport.stop()
        finally:
            self._transport.remove_all_listeners()
        if pump is not None:
            await asyncio.gather(pump, return_exceptions=True)

    def _changed(self) -> None:
        if self._transport._state in (State.CLOSED, State.FAILED):
            self.closed.set()


def _as_ice_transport(pipe: Any) -> Any:
    """`RTCDtlsTransport` is typed for the whole `RTCIceTransport`, of which it uses what `IcePipe` has."""
    return pipe
