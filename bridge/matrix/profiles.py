"""What Matrix users call themselves, for the display of a phone."""

from collections import OrderedDict

from bridge.core.clock import Clock
from bridge.core.ids import UserId
from bridge.core.names import plain_name
from bridge.matrix.client import Client
from bridge.matrix.ghosts import GhostNames
from bridge.matrix.link import MatrixError
from bridge.store import Store, StoreError

LOOK_UP_LIMIT_S = 0.3
"""A call waits for it: a name is worth no more than that."""
FRESH_S = 300.0
FAILED_S = 30.0
"""How long a homeserver that was too slow is not asked for the same user again."""
MAX_KNOWN = 10_000


class Profiles:
    """Display names, asked for when a call begins and remembered for a few minutes."""

    def __init__(self, *, names: GhostNames, store: Store, client: Client, clock: Clock) -> None:
        self._names = names
        self._store = store
        self._client = client
        self._clock = clock
        self._known: OrderedDict[UserId, tuple[str, float]] = OrderedDict()
        """Names, and until when they are fresh; the one asked for last comes last."""

    async def display_name(self, user: UserId) -> str:
        """Never fails: an older name, or none, is what there is when the homeserver does not tell in time."""
        name, fresh_until = self._known.get(user, ("", 0.0))
        if self._clock.monotonic() < fresh_until:
            return name
        fresh_s = FRESH_S
        try:
            # Some homeservers tell only those who share a room with the user.
            observer = await self._store.portals.any_ghost(user) or self._names.bot
            told = await self._client.display_name(user, observer, give_up_after_s=LOOK_UP_LIMIT_S)
            name = plain_name(told)
        except MatrixError as error:
            # Somebody without a profile has no name (404); anything else says nothing about it.
            name = "" if error.status == 404 else name
            fresh_s = FAILED_S
        except StoreError:
            fresh_s = FAILED_S
        self._known[user] = (name, self._clock.monotonic() + fresh_s)
        self._known.move_to_end(user)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return name
