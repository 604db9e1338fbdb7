"""Who is linked to whom in a call, and what a server has to be told for it."""

from bridge.media.policy import SipMediaPolicy
from bridge.media.rtpengine.links import Links
from bridge.media.rtpengine.parties import ClientSide, Party, PhoneSide, StandIn
from bridge.media.rtpengine.roster import Roster


class Wiring:
    """The links between the parties of one call."""

    def __init__(self, policy: SipMediaPolicy, links: Links, who: Roster) -> None:
        self._policy = policy
        self._links = links
        self._who = who

    async def connect_client(self, client: ClientSide) -> None:
        """Answer the client's offer by whoever it talks to."""
        across = self._who.across()
        if not self._who.phone_leads or across is not self._who.phone:
            await self.connect(client, across)
            return
        if client.restarts:
            # New credentials of the server come out of an answer to the client's own offer alone.
            await self.connect(client, across)
            await self._links.offer(across, client)
        await self.connect(across, client)

    async def connect(self, first: Party, second: Party) -> None:
        """Link two parties; whoever stood in for one of them is not needed any more."""
        await self._links.connect(first, second)
        if not self._policy.digits_in_rtp and self._who.client in (first, second):
            await self._links.keep_keys_from_going_on(self._who.the_client())
        if self._who.stand_in is not None and self._who.stand_in not in (first, second):
            stand_in, self._who.stand_in = self._who.stand_in, None
            await self._links.drop(stand_in)

    async def connect_phone(self, phone: PhoneSide) -> None:
        """As the one who spoke first numbered the formats."""
        beyond = self._who.beyond()
        await (self.connect(phone, beyond) if self._who.phone_leads else self.connect(beyond, phone))

    async def keep(self, phone: PhoneSide) -> None:
        """A server forgets a party with the last one that it was connected to: so it is given another one first."""
        if phone.known is not None:
            await self.connect_phone(phone)
        else:
            await self._links.offer(self._who.the_stand_in(), phone)

    async def offer_to_another(self) -> str:
        """Ports and keys of its own, while the call goes on with the phone that it has."""
        await self.forget_another()
        self._who.another, self._who.beside = self._who.new_phone(), StandIn(self._who.tag("x"), self._policy)
        if self._who.phone is not None and self._who.phone.opened is not None:
            self._who.beside.digits = self._who.phone.opened.digits
        await self._links.offer(self._who.beside, self._who.another)
        if self._who.phone is not None:
            self._who.another.flow = self._who.phone.flow
        return self._who.another.write_offer()

    async def forget_another(self) -> None:
        """The phone that was to take over has done so, or never will."""
        another, beside, self._who.another, self._who.beside = self._who.another, self._who.beside, None, None
        await self._links.drop(another)
        await self._links.drop(beside)
