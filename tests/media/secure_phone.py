"""A phone that speaks SRTP, with keys in its descriptions (RFC 4568); its libsrtp is not driven by our own code."""

import base64
import os
from typing import Any

import pylibsrtp

from bridge.media.rtp import RtpPacket
from tests.media.phone import Phone

SUITE = "AES_CM_128_HMAC_SHA1_80"
PROFILES = {
    SUITE: (30, pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80),
    "AES_CM_128_HMAC_SHA1_32": (30, pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32),
    "AEAD_AES_128_GCM": (28, pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM),
}


class SecurePhone(Phone):
    """Decrypts what it hears with the key of our description; counts what it cannot decrypt."""

    def __init__(self) -> None:
        super().__init__()
        self.undecipherable = 0
        self.sent: list[bytes] = []
        self._hears: pylibsrtp.Session | None = None
        self.renew()

    def renew(self, suite: str = SUITE) -> None:
        """Take a new key, and with it a new counter."""
        self.suite = suite
        size, profile = PROFILES[suite]
        self.key = os.urandom(size)
        policy = pylibsrtp.Policy(key=self.key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        self._speaks = pylibsrtp.Session(policy=policy)

    async def moved(self) -> "SecurePhone":
        """The same phone, which sends from another port from now on."""
        elsewhere = await SecurePhone.open()
        assert isinstance(elsewhere, SecurePhone)
        elsewhere._speaks, elsewhere._hears = self._speaks, self._hears
        elsewhere.sequence, elsewhere.timestamp, elsewhere.target = self.sequence, self.timestamp, self.target
        return elsewhere

    def secure_sdp(self, *, tag: int = 1, protocol: str = "RTP/SAVP", before: str = "", **changes: Any) -> str:
        """A description with our key; `before` are crypto lines that come first."""
        crypto = f"{before}a=crypto:{tag} {self.suite} inline:{base64.b64encode(self.key).decode()}\r\n"
        return self.sdp(**changes).replace("RTP/AVP", protocol) + crypto

    def learn(self, sdp: str) -> None:
        """Take the address and the key of a description of the bridge's."""
        self.aim(sdp)
        ((_, suite, key),) = crypto_of(sdp)
        profile = PROFILES[suite][1]
        policy = pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        self._hears = pylibsrtp.Session(policy=policy)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._hears is None:
            return  # the path is opened with silence, maybe sooner than the description is read
        try:
            plain = self._hears.unprotect(data)
        except pylibsrtp.Error:
            plain = None
        if plain is None:
            self.undecipherable += 1
        else:
            self.received.add(RtpPacket.parse(plain))

    def say(self, payload: bytes) -> None:
        """One encrypted packet of PCMU."""
        packet = RtpPacket(
            payload_type=0,
            sequence=self.sequence & 0xFFFF,
            timestamp=self.timestamp & 0xFFFFFFFF,
            ssrc=self.ssrc,
            payload=payload,
        )
        self.sent.append(self._speaks.protect(bytes(packet)))
        self.transport.sendto(self.sent[-1], self.target)
        self.sequence += 1
        self.timestamp += 160


def crypto_of(sdp: str) -> list[tuple[int, str, bytes]]:
    """Tag, suite and key of every line."""
    lines = [line.removeprefix("a=crypto:").split() for line in sdp.splitlines() if line.startswith("a=crypto:")]
    return [(int(tag), suite, base64.b64decode(key.removeprefix("inline:"))) for tag, suite, key in lines]
