"""The WebRTC stacks of clients, as far as DTLS tells them apart: whose code, which certificate, which suites."""

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import webrtc
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import SRTPProtectionProfile, generate_certificate
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from tests.media.browser import Browser
from tests.patience import PATIENCE_S

_RATE = 48_000
DTLS_1_2 = 0xFEFD
_BOTH = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
_OPUS = b"\xf8\xff\xfe"
"""20 ms of silence."""
webrtc.allow_loopback()


class Stack(Protocol):
    """A client's peer connection."""

    async def offer(self) -> str:
        """A client that calls."""
        ...

    async def take_answer(self, sdp: str) -> None:
        """The callee answered."""
        ...

    async def answer(self, offer: str) -> str:
        """A client that is called."""
        ...

    async def connected(self) -> None:
        """Wait until ICE and DTLS are up."""
        ...

    async def speak(self) -> None:
        """Send 20 ms of sound."""
        ...

    async def hears(self) -> bool:
        """Whether it could decrypt anything."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class Libwebrtc:
    """Chrome's own code, which is in most clients."""

    def __init__(self, certificate: webrtc.RTCCertificate) -> None:
        self._connection = webrtc.RTCPeerConnection(webrtc.RTCConfiguration(certificates=[certificate]))
        voice = webrtc.MediaStreamTrackGenerator("audio")
        self._microphone = voice.writable.get_writer()
        self._connection.add_track(voice)
        self._changed = asyncio.Condition()
        self._connection.on("icegatheringstatechange", self._look)
        self._connection.on("connectionstatechange", self._look)

    async def offer(self) -> str:
        await self._connection.set_local_description(await self._connection.create_offer())
        return await self._described()

    async def offer_on_another_network(self) -> str:
        """An ICE restart within the call, with the new candidates."""
        self._connection.restart_ice()
        await self.offer()
        await self._until(lambda: "a=candidate:" in self._sdp)
        return await self._described()

    @property
    def _sdp(self) -> str:
        description = self._connection.local_description
        return "" if description is None else description.sdp

    async def take_answer(self, sdp: str) -> None:
        await self._connection.set_remote_description(webrtc.RTCSessionDescriptionInit("answer", sdp))

    async def answer(self, offer: str) -> str:
        await self._connection.set_remote_description(webrtc.RTCSessionDescriptionInit("offer", offer))
        await self._connection.set_local_description(await self._connection.create_answer())
        return await self._described()

    async def connected(self) -> None:
        await self._until(lambda: self._connection.connection_state == "connected")

    async def speak(self) -> None:
        frames = _RATE // 50
        await self._microphone.write(
            webrtc.AudioData(webrtc.AudioDataInit("s16", _RATE, frames, 1, 0, bytes(2 * frames)))
        )

    async def hears(self) -> bool:
        report = await self._connection.get_stats()
        return any(
            isinstance(entry, webrtc.RTCInboundRtpStreamStats) and entry.packets_received for entry in report.values()
        )

    async def close(self) -> None:
        self._connection.close()

    async def _described(self) -> str:
        await self._until(lambda: self._connection.ice_gathering_state == "complete")
        return self._sdp

    async def _look(self, _: object) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(true)


class OpensslCertificate(RTCCertificate):
    """A certificate of any kind, shown by an OpenSSL that is held to certain suites: GStreamer's, so Nheko's."""

    suites = _BOTH
    srtp = ""
    newest = 0

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(self.suites.encode())
        context.set_max_proto_version(self.newest)
        if self.srtp:
            context.set_tlsext_use_srtp(self.srtp.encode())
        return context


class Openssl(Browser):
    """aiortc, or whatever else drives OpenSSL."""

    def __init__(self, certificate: RTCCertificate) -> None:
        super().__init__("opus")
        self.connection._RTCPeerConnection__certificates[:] = [certificate]  # type: ignore[attr-defined]

    async def speak(self) -> None:
        described = re.search(r"a=rtpmap:(\d+) opus/48000", self.connection.localDescription.sdp)
        assert described is not None
        await self.send(_OPUS, int(described[1]), step=_RATE // 50)

    async def hears(self) -> bool:
        return bool(self.received.items)


def openssl_certificate(key: Any, *, suites: str = _BOTH, srtp: str = "", newest: int = 0) -> OpensslCertificate:
    """A self-signed one."""
    certificate = OpensslCertificate(key=key, cert=generate_certificate(key))
    certificate.suites, certificate.srtp, certificate.newest = suites, srtp, newest
    return certificate


@functools.cache
def rsa_key() -> Any:
    """Made once: it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _rsa(bits: int) -> Any:
    return webrtc.RsaHashedKeyGenParams(
        "RSASSA-PKCS1-v1_5", modulus_length=bits, public_exponent=b"\x01\x00\x01", hash="SHA-256"
    )


_ALGORITHMS: dict[str, Any] = {"ECDSA": "ECDSA", "RSA": _rsa(2048), "long RSA": _rsa(4096)}
_certificates: dict[str, webrtc.RTCCertificate] = {}


async def libwebrtc(algorithm: str) -> Libwebrtc:
    """With a certificate of that kind."""
    if algorithm not in _certificates:
        _certificates[algorithm] = await webrtc.RTCPeerConnection.generate_certificate(_ALGORITHMS[algorithm])
    return Libwebrtc(_certificates[algorithm])


async def _openssl(certificate: RTCCertificate) -> Stack:
    return Openssl(certificate)


STACKS: Mapping[str, Callable[[], Awaitable[Stack]]] = {
    "libwebrtc with ECDSA": lambda: libwebrtc("ECDSA"),
    "libwebrtc with RSA": lambda: libwebrtc("RSA"),
    "libwebrtc with a long RSA key": lambda: libwebrtc("long RSA"),
    "aiortc, whose suites are for ECDSA alone": lambda: _openssl(RTCCertificate.generateCertificate()),
    "OpenSSL with RSA, like Nheko": lambda: _openssl(openssl_certificate(rsa_key(), newest=DTLS_1_2)),
    "OpenSSL with P-384 and one way to encrypt": lambda: _openssl(
        openssl_certificate(
            ec.generate_private_key(ec.SECP384R1()),
            suites="ECDHE-ECDSA-AES128-SHA",
            srtp="SRTP_AES128_CM_SHA1_80",
            newest=DTLS_1_2,
        )
    ),
}
"""Makers of fresh ones."""
