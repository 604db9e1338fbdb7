"""Who is connected with whom on a server: an offer of one party and the answer of the other make a link."""

from bridge.media.rtpengine.control import CallControl
from bridge.media.rtpengine.parties import Party
from bridge.media.sdp import Flow

Said = tuple[str, str]
"""A party's tag, and what the server was told of it."""


class Links:
    """The parties of one call on its server."""

    def __init__(self, control: CallControl) -> None:
        self.control = control
        self.plays_keys = False
        """Whether keys may be played from now on; the server learns of it with the next link."""
        self._offered: tuple[Said, str, bool] | None = None
        """An offer that waits for its answer, to whom, and whether with keys."""
        self._linked: tuple[frozenset[Said], bool] | None = None
        self._keyless: set[str] = set()
        self._blocked: set[str] = set()
        """Tags of those whose packets the server drops, for nobody may hear them."""

    async def offer(self, speaker: Party, listener: Party) -> None:
        """Open something for the listener, in the name of the speaker. Raises :class:`MediaError`."""
        told = self._told(speaker, listener)
        flags = listener.flags(keys=self.plays_keys)
        self._linked = None
        listener.opened = await self.control.offer(speaker.tag, listener.tag, told, flags)
        self._offered = (speaker.tag, told), listener.tag, self.plays_keys

    async def connect(self, first: Party, second: Party) -> None:
        """Let two parties hear each other, as far as each may; does nothing when the server knows it all.

        What `second` was opened can only be new if `first` has changed, and the other way round.
        """
        wanted = (first.tag, self._told(first, second)), (second.tag, self._told(second, first))
        if self._linked == (frozenset(wanted), self.plays_keys):
            return
        if self._offered != (wanted[0], second.tag, self.plays_keys):
            await self.offer(first, second)
        self._offered = None
        told = self._told(second, first)
        flags = first.flags(keys=self.plays_keys)
        first.opened = await self.control.answer(first.tag, second.tag, told, flags)
        self._linked = frozenset(((first.tag, wanted[0][1]), (second.tag, told))), self.plays_keys
        await self._block(first, not second.hears)
        await self._block(second, not first.hears)

    async def keep_keys_from_going_on(self, party: Party) -> None:
        """Drop the events of a party: they are told by signalling. They are reported all the same."""
        if party.tag not in self._keyless:
            await self.control.ask("block DTMF", {"from-tag": party.tag})
            self._keyless.add(party.tag)

    async def _block(self, party: Party, wanted: bool) -> None:
        """A direction in a description is a wish to the server; this is what keeps packets back."""
        if wanted != (party.tag in self._blocked):
            await self.control.ask("block media" if wanted else "unblock media", {"from-tag": party.tag})
            (self._blocked.add if wanted else self._blocked.discard)(party.tag)

    async def drop(self, party: Party | None) -> None:
        """Forget a party, and close what was opened for it."""
        if party is None or self.control.server is None:
            return
        if self._offered is not None and party.tag in (self._offered[0][0], self._offered[1]):
            self._offered = None
        if self._linked is not None and any(tag == party.tag for tag, _ in self._linked[0]):
            self._linked = None
        self._blocked.discard(party.tag)
        await self.control.ask("delete", {"from-tag": party.tag, "delete-delay": 0})

    def _told(self, party: Party, other: Party) -> str:
        flows = {
            (True, True): Flow.SENDRECV,
            (True, False): Flow.SENDONLY,
            (False, True): Flow.RECVONLY,
        }
        return party.describe(flows.get((other.hears, party.hears), Flow.INACTIVE))
