"""Who takes part in a call on a server: what the server is told of each, and what each is told of the server. Pure."""

from dataclasses import replace
from typing import Protocol

from bridge.core.entropy import Entropy
from bridge.media import sdp_matrix, sdp_sip
from bridge.media.formats import AudioFormat, DigitFormat, LegFormats, choose_digits
from bridge.media.policy import SipMediaPolicy, SrtpUse
from bridge.media.rtpengine import commands
from bridge.media.rtpengine.commands import Flags
from bridge.media.rtpengine.descriptions import NOWHERE, Address, Opened, plain_party, webrtc_party
from bridge.media.sdes import CryptoLine
from bridge.media.sdp import Flow
from bridge.media.sdp_matrix import LocalStream, RemoteMatrix, Setup
from bridge.media.sdp_sip import LocalSip, RemoteSip
from bridge.media.verdicts import not_encrypted, unavailable

_CLOCK = 8000
"""Of events towards phones: their codecs have no other."""


class Party(Protocol):
    """One end of a call on a server."""

    tag: str
    """The server's name for it."""
    opened: Opened | None
    """What the server opened for it."""

    @property
    def hears(self) -> bool:
        """Whether anything may be sent to it; of one that has not spoken yet, whether it might."""
        ...

    def flags(self, *, keys: bool) -> Flags:
        """How a description for it is to be made; `keys` when some are to be played."""
        ...

    def describe(self, flow: Flow) -> str:
        """What the server is told of it."""
        ...


class StandIn:
    """In the place of somebody who has not spoken yet, or is on another server: plain RTP."""

    def __init__(self, tag: str, policy: SipMediaPolicy) -> None:
        self.tag = tag
        self.opened: Opened | None = None
        self.address = NOWHERE
        self.audio: tuple[AudioFormat, ...] = _in_order(sdp_sip.our_audio(policy), policy)
        self.digits: tuple[DigitFormat, ...] = sdp_sip.our_digits(SipMediaPolicy())

    @property
    def hears(self) -> bool:
        return self.address is not NOWHERE

    def flags(self, *, keys: bool) -> Flags:
        return commands.to_phone(SipMediaPolicy(), sdp_sip.PLAIN, keys=keys)

    def describe(self, flow: Flow) -> str:
        return plain_party(self.address, self.audio, self.digits, flow=flow, protocol=sdp_sip.PLAIN)

    def aim(self, other: "StandIn") -> None:
        """Send to what was opened for another stand-in; both speak the same afterwards."""
        if self.opened is None or other.opened is None:
            raise unavailable("nothing was opened for the other call")
        self.address = Address(host=other.opened.host, port=other.opened.port)


class ClientSide:
    """The Matrix client's half."""

    def __init__(self, tag: str, stream: LocalStream) -> None:
        self.tag = tag
        self.opened: Opened | None = None
        self.remote: RemoteMatrix | None = None
        self.formats: LegFormats | None = None
        self.stream = stream
        self.restarts = False
        """Whether its newest description has other ICE credentials than the one before (RFC 8839 §4.4.1.1.1)."""
        self._setup: Setup | None = None
        """Who the client is in DTLS."""

    @property
    def hears(self) -> bool:
        return self.remote is None or self.remote.flow.receives

    def take(self, remote: RemoteMatrix) -> None:
        """Its offer or answer. The role in DTLS stays with the association; where we may choose, the client begins."""
        same = self.remote is not None and self.remote.fingerprints == remote.fingerprints
        if remote.setup is not Setup.ACTPASS:
            self._setup = remote.setup
        elif self._setup is None or not same:
            self._setup = Setup.ACTIVE
        self.restarts = self.remote is not None and self.remote.ufrag != remote.ufrag
        self.remote = remote

    def flags(self, *, keys: bool) -> Flags:
        return commands.to_webrtc(keys=keys)

    def describe(self, flow: Flow) -> str:
        if self.remote is None:
            raise unavailable("nothing is known of the client")
        audio, digits = self.remote.audio, self.remote.digits
        if self.formats is not None:
            chosen = self.formats.send_digits
            audio, digits = (self.formats.send,), (chosen,) if chosen is not None else ()
        return webrtc_party(self.remote, audio, digits, flow=flow, setup=self._setup or Setup.ACTIVE)

    def write_offer(self) -> str:
        """Offer everything that the server can convert: the phone's own codecs come first."""
        opened = self._opened()
        if opened.transport is None:
            raise unavailable("the server opened no WebRTC transport")
        self._count_version()
        return sdp_matrix.write_offer(opened.transport, self.stream, opened.audio, digits=opened.digits)

    def take_answer(self, remote: RemoteMatrix) -> None:
        """The answer to it: its first codec is spoken."""
        self.take(remote)
        self.formats = _spoken(remote.audio, remote.digits)

    def write_answer(self) -> str:
        """Answer with the codec that the server chose; during a call it stays."""
        opened, remote = self._opened(), self.remote
        if opened.transport is None or remote is None or not opened.audio:
            raise unavailable("the server opened no WebRTC transport")
        self.formats = self.formats or _spoken(opened.audio, opened.digits)
        self._count_version()
        ours = Setup.ACTIVE if self._setup is Setup.PASSIVE else Setup.PASSIVE
        return sdp_matrix.write_answer(remote, opened.transport, self.stream, self.formats, ours)

    def _opened(self) -> Opened:
        if self.opened is None:
            raise unavailable("nothing was opened for the client")
        return self.opened

    def _count_version(self) -> None:
        self.stream = replace(self.stream, version=self.stream.version + 1)


class PhoneSide:
    """A phone's half."""

    def __init__(self, tag: str, policy: SipMediaPolicy, entropy: Entropy) -> None:
        self.tag = tag
        self.opened: Opened | None = None
        self.remote: RemoteSip | None = None
        """What was agreed."""
        self.flow = Flow.SENDRECV
        """What the user's client lets us do: less while it holds."""
        self.said = Flow.SENDRECV
        """What the phone was told last of it."""
        self.rings = False
        self.policy = policy
        self._session, self._version = entropy.integer(1 << 32, 1 << 61), 0
        self._asked: RemoteSip | None = None
        """Its offer until it is answered: one that is refused or cancelled changes nothing."""

    @property
    def known(self) -> RemoteSip | None:
        """What there is to go by: what was agreed, or else an offer that waits for its answer."""
        return self.remote or self._asked

    @property
    def hears(self) -> bool:
        remote = self.known
        return self.flow.sends and (remote is None or (remote.host is not None and remote.flow.receives))

    def flags(self, *, keys: bool) -> Flags:
        return commands.to_phone(self.policy, self._protocol(), keys=keys)

    def _protocol(self) -> str:
        """For the server, which need not know that keys may be offered inside `RTP/AVP`."""
        secure = self.policy.srtp is not SrtpUse.OFF if self.known is None else bool(self.known.crypto)
        return sdp_sip.SECURE if secure else sdp_sip.PLAIN

    def describe(self, flow: Flow) -> str:
        remote = self.known
        if remote is None:
            raise unavailable("nothing is known of the phone")
        place = NOWHERE
        if remote.host is not None:
            place = Address(host=remote.host, port=remote.port, rtcp_port=remote.rtcp_port)
        return plain_party(
            place,
            _in_order(remote.audio, self.policy) if remote is self._asked else remote.audio,
            self._numbered(remote.digits),
            flow=flow,
            protocol=self._protocol(),
            crypto=[self._as_offered(line) for line in remote.crypto[:1]],
        )

    def _numbered(self, digits: tuple[DigitFormat, ...]) -> tuple[DigitFormat, ...]:
        """Events under the payload type that both parties of a server must have for them.

        A phone that has another one of its own sends with the one that it was told (RFC 3264 §5.1).
        """
        events = () if self.opened is None else _at_the_clock_of_phones(self.opened.digits)
        if not self.policy.digits_in_rtp:
            return events
        return events if digits and events else digits

    def _as_offered(self, theirs: CryptoLine) -> CryptoLine:
        """The phone's key under the tag that the server has for its suite: whose offer it was is no matter there."""
        ours = self._key(theirs)
        return theirs if ours is None else replace(theirs, tag=ours.tag)

    def _key(self, theirs: CryptoLine) -> CryptoLine | None:
        lines = self.opened.crypto if self.opened is not None else ()
        return next((line for line in lines if line.suite is theirs.suite), None)

    def write_offer(self) -> str:
        """Describe the server's side; during a call what is in use."""
        opened, self.said = self._opened(), self.flow
        remote, key = self.remote, next(iter(opened.crypto), None)
        if remote is not None:
            protocol, key = remote.protocol, self._key(remote.crypto[0]) if remote.crypto else None
        else:
            protocol = sdp_sip.SECURE if self.policy.srtp is SrtpUse.REQUIRED else sdp_sip.PLAIN
        return sdp_sip.write_offer(
            self._local(opened),
            self.flow,
            _in_order(opened.audio, self.policy),
            digits=_at_the_clock_of_phones(opened.digits),
            crypto=key,
            protocol=protocol,
        )

    def write_reoffer(self) -> str | None:
        """What the phone has yet to be told of hold and resume."""
        return None if self.remote is None or self.said is self.flow else self.write_offer()

    def take_answer(self, remote: RemoteSip) -> None:
        """Raises :class:`bridge.media.engine.MediaError` when encryption was demanded and is not there."""
        theirs = next(iter(remote.crypto), None)
        offered = self.opened.crypto if self.opened is not None else ()
        if theirs is None:
            if self.policy.srtp is SrtpUse.REQUIRED or remote.is_secure:
                raise not_encrypted("the answer has no usable key")
        elif not any((line.tag, line.suite) == (theirs.tag, theirs.suite) for line in offered):
            raise not_encrypted("the answer's key is not for our offer")
        self.remote, self._asked = remote, None

    def take_offer(self, remote: RemoteSip) -> None:
        """It counts once it is answered."""
        self._asked = remote

    def accept(self) -> None:
        """From here on the offer counts."""
        if self._asked is None:
            raise unavailable("no offer to answer")
        self.remote = self._asked

    def write_answer(self) -> str:
        """Answer the offer, with no more than the user's client lets us do."""
        opened, remote = self._opened(), self._asked
        if remote is None:
            raise unavailable("no offer to answer")
        theirs = next(iter(remote.crypto), None)
        key = self._key(theirs) if theirs is not None else None
        if theirs is not None and key is None:
            raise unavailable("the server gave no key")
        formats = _spoken(opened.audio, opened.digits if self.policy.digits_in_rtp else ())
        self.said = self.flow
        # Told again, it is what was agreed: nothing else is to be spoken from now on.
        self.remote = replace(remote, audio=tuple(e for e in remote.audio if e.codec is formats.send.codec))
        self._asked = None
        return sdp_sip.write_answer(
            remote,
            self._local(opened),
            formats,
            flow=self.flow,
            crypto=replace(key, tag=theirs.tag) if key is not None and theirs is not None else None,
        )

    def _opened(self) -> Opened:
        if self.opened is None:
            raise unavailable("nothing was opened for the phone")
        return self.opened

    def _local(self, opened: Opened) -> LocalSip:
        self._version += 1
        return LocalSip(
            host=opened.host, port=opened.port, session=self._session, version=self._version, policy=self.policy
        )


def _at_the_clock_of_phones(digits: tuple[DigitFormat, ...]) -> tuple[DigitFormat, ...]:
    return tuple(entry for entry in digits if entry.clock_rate == _CLOCK)[:1]


def _in_order(audio: tuple[AudioFormat, ...], policy: SipMediaPolicy) -> tuple[AudioFormat, ...]:
    """As the trunk wants it, if it does."""
    rank = {codec: position for position, codec in enumerate(policy.codecs)}
    return tuple(sorted(audio, key=lambda entry: rank.get(entry.codec, len(rank))))


def _spoken(audio: tuple[AudioFormat, ...], digits: tuple[DigitFormat, ...]) -> LegFormats:
    """The first codec, and the events on its clock."""
    if not audio:
        raise unavailable("the server left no codec")
    chosen = choose_digits(digits, audio[0].codec)
    return LegFormats(
        receive=audio, receive_digits=(chosen,) if chosen is not None else (), send=audio[0], send_digits=chosen
    )
