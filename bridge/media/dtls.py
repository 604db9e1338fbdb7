"""aiortc's DTLS-SRTP transport, made fit: ciphers for every client, packets before any parser of aiortc.

See `ice` for the rule about private names.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

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
from bridge.media.sdp_matrix import Fingerprint

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
)
"""Nheko's certificate is RSA: with ECDSA suites alone its calls die in the handshake while signalling looks perfect."""
REPEAT_AFTER_S = 0.15
MOST_REPEATS = 6
"""Then the timer of OpenSSL takes over."""
_RENEW_AFTER_S = 86400.0
"""A certificate is valid for thirty days."""
SrtpKey = tuple[str, bytes]
"""The registered name of a crypto suite, with master key and salt."""
_SUITES = {
    b"SRTP_AES128_CM_SHA1_80": "AES_CM_128_HMAC_SHA1_80",
    b"SRTP_AEAD_AES_128_GCM": "AEAD_AES_128_GCM",
    b"SRTP_AEAD_AES_256_GCM": "AEAD_AES_256_GCM",
}


class Certificate(RTCCertificate):
    """A self-signed P-256 certificate, offered together with suites for peers that have an RSA one."""

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        """One for all associations, for it takes more memory than they do; each proves itself anew, none is resumed."""
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
            self._context.set_cipher_list(CIPHERS.encode())
            self._context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        return self._context

    @property
    def fingerprint(self) -> str:
        """SHA-256, as descriptions write it."""
        return certificate_digest(self._cert, "sha-256")


class Certificates:
    """The certificate of an engine: all its calls have the same, as they have the same owner, and it is renewed."""

    def __init__(self) -> None:
        self._current: Certificate | None = None
        self._made_at = 0.0

    def current(self, now: float) -> Certificate:
        """What a new call is to use; `now` is on a clock that never jumps."""
        if self._current is None or now > self._made_at + _RENEW_AFTER_S:
            self._current, self._made_at = Certificate.generateCertificate(), now
        return self._current


class IcePipe:
    """What `RTCDtlsTransport` needs of an ICE transport: datagrams in and out, over one agent after another.

    A flight that nothing comes back for goes out again soon, as browsers do it; OpenSSL waits for a second first. To
    the peer it is a datagram that the network has doubled.
    """

    def __init__(self, agent: IceAgent) -> None:
        self._agent = agent
        self._trial: asyncio.Future[None] | None = None
        self._unanswered = b""
        self._repeats = 0

    def begin_trial(self) -> None:
        """Another agent is being tried: until that is decided, the end of this one is not the end."""
        self.end_trial()
        self._trial = asyncio.get_running_loop().create_future()

    def end_trial(self, winner: IceAgent | None = None) -> None:
        """Go on with the agent that was tried, or without."""
        self._agent = winner or self._agent
        if self._trial is not None and not self._trial.done():
            self._trial.set_result(None)

    def settle(self) -> None:
        """The peer has all that it needs."""
        self._unanswered = b""

    async def _send(self, datagram: bytes) -> None:
        self._unanswered, self._repeats = datagram, 0
        await self._agent.send(datagram)

    async def _recv(self) -> bytes:
        while self._unanswered and self._repeats < MOST_REPEATS:
            try:
                async with asyncio.timeout(REPEAT_AFTER_S):
                    return await self._arrival()
            except TimeoutError:
                await self._repeat()
        return await self._arrival()

    async def _arrival(self) -> bytes:
        while True:
            agent = self._agent
            try:
                return await agent.recv()
            except ConnectionError:
                if self._trial is not None:
                    await asyncio.shield(self._trial)
                if agent is self._agent:
                    raise

    async def _repeat(self) -> None:
        self._repeats += 1
        if self._unanswered:
            await self._agent.send(self._unanswered)

    @property
    def role(self) -> str:
        """The ICE role; the DTLS role is set explicitly, never derived from it."""
        return "controlling" if self._agent.ice_controlling else "controlled"


class DtlsTransport(RTCDtlsTransport):
    """aiortc's, which can be stopped at any moment: while packets are lost it waits for each with `asyncio.wait_for`.

    That function of Python 3.11 forgets a cancellation that comes together with its result: whoever hung up in that
    moment, or had no more time, would wait for the end of a handshake or of the association.
    """

    def _setup_srtp(self) -> None:
        """The packet path encrypts, and has the keys: no sessions of libsrtp are made here."""
        chosen = self._ssl.get_selected_srtp_profile() if self._ssl is not None else b""
        if all(profile.openssl_profile != chosen for profile in self._srtp_profiles):
            self._set_state(State.FAILED)

    async def _recv_next(self) -> None:
        await super()._recv_next()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError


class DtlsSession:
    """One DTLS association and the SRTP contexts that it keys (RFC 5764)."""

    def __init__(self, agent: IceAgent, certificate: Certificate, *, server: bool) -> None:
        self.pipe = IcePipe(agent)
        self._transport = DtlsTransport(_as_ice_transport(self.pipe), [certificate])
        self._transport._set_role("server" if server else "client")
        self._is_server = server
        self.closed = asyncio.Event()
        self._transport.on("statechange", self._changed)

    @property
    def connected(self) -> bool:
        """Whether keys are there and the association is alive."""
        return self._transport._state is State.CONNECTED

    @property
    def missing(self) -> str:
        """What kept an association from coming up: the way there, an answer in time, or a handshake that failed."""
        return {State.NEW: "ice", State.CONNECTING: "dtls"}.get(self._transport._state, "dtls_refused")

    async def handshake(self, fingerprints: Sequence[Fingerprint]) -> bool:
        """Run the handshake to its end; `True` when the peer proved to own the announced certificate."""
        announced = [RTCDtlsFingerprint(algorithm=entry.algorithm, value=entry.value) for entry in fingerprints]
        await self._transport.start(RTCDtlsParameters(fingerprints=announced))
        if not self._is_server:
            self.pipe.settle()  # what we sent last has been answered; a server's last flight is until audio comes
        return self.connected

    def keys(self) -> tuple[SrtpKey, SrtpKey]:
        """Ours and theirs, for whoever encrypts in the place of this session (RFC 5764 §4.2)."""
        transport = self._transport
        if transport._ssl is None or not self.connected:
            raise RuntimeError("no keys before the handshake is over")
        chosen = transport._ssl.get_selected_srtp_profile()
        profile = next(known for known in transport._srtp_profiles if known.openssl_profile == chosen)
        size = 2 * (profile.key_length + profile.salt_length)
        material = transport._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", size)
        client, server = (profile.get_key_and_salt(material, index) for index in (0, 1))
        ours, theirs = (server, client) if transport._role == "server" else (client, server)
        name = _SUITES[chosen]
        return (name, ours), (name, theirs)

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
