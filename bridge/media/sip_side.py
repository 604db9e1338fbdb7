"""What is agreed with the phone, and what is being agreed: descriptions in and out, without any socket (RFC 3264)."""

from bridge.core.entropy import Entropy
from bridge.media import sdp_sip
from bridge.media.formats import LegFormats
from bridge.media.negotiation import passed_on_opus, sip_answer_formats, sip_offer_audio, sip_offered_formats
from bridge.media.policy import SipMediaPolicy, SrtpUse
from bridge.media.sdes import KeyPair
from bridge.media.sdp import Flow
from bridge.media.sdp_matrix import RemoteMatrix
from bridge.media.sdp_sip import LocalSip, RemoteSip
from bridge.media.sip_keys import SipKeys
from bridge.media.verdicts import unavailable


class SipSide:
    """The phone's half of a call's negotiation."""

    def __init__(self, policy: SipMediaPolicy, entropy: Entropy, *, host: str, session: int) -> None:
        self.policy = policy
        self.port = 0
        self.remote: RemoteSip | None = None
        self.formats: LegFormats | None = None
        self.flow = Flow.SENDRECV
        """What the user's client lets us do: less while it holds."""
        self.awaits_another = False
        """Whether another phone is to take over: that the first one falls silent is to be expected."""
        self.rings = False
        """Whether the phone is not answered yet: it may be silent for as long as it likes."""
        self._host, self._session, self._version = host, session, 0
        self._keys = SipKeys(policy.srtp, entropy)
        self._offer: RemoteSip | None = None
        """The phone's offer until it is answered: a re-INVITE that is refused or cancelled changes nothing."""
        self._offered = False
        self._said = self._said_to_another = Flow.SENDRECV
        """What was told last of `flow`, to the phone and to the one that is to take over."""

    @property
    def keys(self) -> KeyPair | None:
        """What the audio is encrypted with; `None` is the clear."""
        return self._keys.pair

    @property
    def phone(self) -> RemoteSip | None:
        """What is known of the phone while codecs are chosen: what was agreed, else what it offers."""
        return self.remote or self._offer

    def offer(self, matrix: LegFormats | None, remote: RemoteMatrix | None, *, to_another: bool) -> str:
        """Describe our side first; to another phone as if there were none yet."""
        self._offered, self.awaits_another = True, to_another
        if to_another:
            self._said_to_another = self.flow
        else:
            self._said = self.flow
        before = None if to_another else self.formats
        return sdp_sip.write_offer(
            self._local(),
            self.flow,
            sip_offer_audio(before, matrix, remote, self.policy),
            crypto=self._keys.offer(to_another=to_another),
            protocol=self._protocol(to_another=to_another),
            opus=passed_on_opus(matrix),
        )

    def reoffer(self, matrix: LegFormats | None, remote: RemoteMatrix | None) -> str | None:
        """What the phone has yet to be told of hold and resume."""
        self.awaits_another = False
        if self.remote is None or self._said is self.flow:
            return None
        return self.offer(matrix, remote, to_another=False)

    def _protocol(self, *, to_another: bool) -> str:
        """What is in use, for an RTP profile does not change in the middle of a call."""
        if self.remote is not None and not to_another:
            return self.remote.protocol
        return sdp_sip.SECURE if self.policy.srtp is SrtpUse.REQUIRED else sdp_sip.PLAIN

    def take_answer(self, remote: RemoteSip, *, from_another: bool) -> None:
        """Take an answer, early or final. Raises :class:`bridge.media.engine.MediaError`.

        One that says what is agreed already changes no keys: since our offer an UPDATE may have brought others.
        """
        if not self._offered:
            raise unavailable("no offer that this could answer")
        if from_another or remote != self.remote:
            self._keys.take_answer(remote, from_another=from_another)
        self.formats = sip_offered_formats(remote, self.policy)
        self.remote, self._offer = remote, None
        if from_another:
            self.awaits_another, self._said = False, self._said_to_another

    def take_offer(self, remote: RemoteSip) -> None:
        """Take an offer; it counts once it is answered."""
        self._offer = remote

    def answer(self, matrix: LegFormats | None) -> str:
        """Answer the offer, with no more than the user's client lets us do."""
        remote = self._offer
        if remote is None:
            raise unavailable("no offer to answer")
        crypto, self._said = self._keys.answer(remote), self.flow
        self.formats = sip_answer_formats(remote, matrix, self.formats, self.policy)
        self.remote, self._offer = remote, None
        return sdp_sip.write_answer(
            remote, self._local(), self.formats, flow=self.flow, crypto=crypto, opus=passed_on_opus(matrix)
        )

    @property
    def takes_events(self) -> bool:
        """Whether keys are events of the audio here; on a trunk that has tones as well, only where the phone agreed."""
        has_events = self.formats is not None and self.formats.send_digits is not None
        return self.policy.digits_in_rtp and (has_events or not self.policy.digits_as_tones)

    @property
    def listens(self) -> bool:
        """Whether the phone wants to hear us, and the user's client is willing to be heard."""
        remote = self.remote
        return remote is not None and remote.host is not None and remote.flow.receives and self.flow.sends

    @property
    def may_be_silent(self) -> bool:
        """Whether nothing is owed to us, whatever the phone answered to hold: some answer as if they were not held."""
        return self.awaits_another or self.rings or not self.flow.receives

    def _local(self) -> LocalSip:
        self._version += 1
        return LocalSip(
            host=self._host, port=self.port, session=self._session, version=self._version, policy=self.policy
        )
