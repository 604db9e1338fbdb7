"""Who takes part in a call, and who stands in for whom. Pure."""

from bridge.core.entropy import Entropy
from bridge.media.policy import SipMediaPolicy
from bridge.media.rtpengine.parties import ClientSide, Party, PhoneSide, StandIn
from bridge.media.sdp import Flow
from bridge.media.sdp_matrix import LocalStream
from bridge.media.verdicts import unavailable


class Roster:
    """The parties of one call, as far as they are there."""

    def __init__(self, policy: SipMediaPolicy, entropy: Entropy) -> None:
        self._policy, self._entropy = policy, entropy
        self._tags = 0
        self.client: ClientSide | None = None
        self.phone: PhoneSide | None = None
        self.phone_leads = False
        """Whether the phone spoke first, before any client did: the one who did has numbered the formats of both."""
        self.another: PhoneSide | None = None
        """A phone that is to take over."""
        self.stand_in: StandIn | None = None
        """In the place of the client, or of the phone, while there is none; the phone of a joined call at last."""
        self.beside: StandIn | None = None
        """In whose name something was opened for the phone that is to take over."""

    def across(self) -> Party:
        """Whom the client talks to."""
        return self.phone if self.phone is not None and self.phone.known is not None else self.the_stand_in()

    def beyond(self) -> Party:
        """Whom the phone talks to."""
        return self.client if self.client is not None and self.client.remote is not None else self.the_stand_in()

    def the_stand_in(self) -> StandIn:
        """The one, made when it is needed first."""
        if self.stand_in is None:
            self.stand_in = StandIn(self.tag("x"), self._policy)
        return self.stand_in

    def the_client(self) -> ClientSide:
        """The client. Raises :class:`bridge.media.engine.MediaError` when there is none."""
        if self.client is None:
            raise unavailable("no description of the client")
        return self.client

    def the_phone(self) -> PhoneSide:
        """The phone. Raises :class:`bridge.media.engine.MediaError` when there is none."""
        if self.phone is None:
            raise unavailable("no description of the phone")
        return self.phone

    def new_client(self) -> ClientSide:
        """One with a tag of its own; its stream has the numbers of whoever speaks to it."""
        stream = LocalStream(
            session=self._entropy.integer(1 << 32, 1 << 61),
            version=0,
            stream=self._entropy.token(24),
            track=self._entropy.token(24),
            ssrc=None,
            cname=self._entropy.token(16),
        )
        return ClientSide(self.tag("m"), stream)

    def new_phone(self) -> PhoneSide:
        """One with a tag of its own."""
        return PhoneSide(self.tag("p"), self._policy, self._entropy)

    def tag(self, kind: str) -> str:
        """A name that no party of this call has had."""
        self._tags += 1
        return f"{kind}{self._tags}"

    @property
    def codecs(self) -> tuple[str, str]:
        """What the client and the phone speak; empty before it is known."""
        client, phone = self.client, self.phone
        spoken = client.formats.send.codec if client is not None and client.formats is not None else ""
        remote = phone.remote if phone is not None else None
        return str(spoken), str(remote.audio[0].codec) if remote is not None else ""

    @property
    def phone_may_be_silent(self) -> bool:
        """Whether the phone owes us nothing."""
        phone = self.phone
        if phone is None or phone.remote is None or self.another is not None:
            return True
        return phone.remote.on_hold or phone.rings or not phone.flow.receives

    @property
    def both_talk(self) -> bool:
        """Whether something is owed by either side."""
        return self.phone is not None and self.phone.flow is Flow.SENDRECV and not self.phone_may_be_silent
