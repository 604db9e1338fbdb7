"""The presence of Matrix users, as the homeserver pushes it, and as it tells when asked."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from bridge.core.clock import Clock
from bridge.core.ids import UserId
from bridge.core.presence import Presence, PresenceState
from bridge.matrix.client import Client
from bridge.matrix.ghosts import GhostNames
from bridge.matrix.link import MatrixError
from bridge.store import Store, StoreError

MAX_KNOWN = 10_000
FRESH_S = 300.0
"""A homeserver drops the presence that it could not deliver, so what it said long ago is asked for again."""
LOOK_UP_LIMIT_S = 0.5

_KEYS = ("ephemeral", "de.sorunome.msc2409.ephemeral")
_MAX_ENTRIES = 1000
"""Of one transaction."""
_STATES: Mapping[str, PresenceState] = {
    "online": PresenceState.ONLINE,
    # Both went out of the specification with its version 0.
    "free_for_chat": PresenceState.ONLINE,
    "hidden": PresenceState.OFFLINE,
    "unavailable": PresenceState.UNAVAILABLE,
    "offline": PresenceState.OFFLINE,
}


class PresenceBook:
    """What is known of each user, bounded, and of nobody for longer than it can be believed."""

    def __init__(self, *, names: GhostNames, store: Store, client: Client, clock: Clock) -> None:
        self._names = names
        self._store = store
        self._client = client
        self._clock = clock
        self._known: OrderedDict[UserId, tuple[Presence, float]] = OrderedDict()

    def take(self, transaction: object) -> None:
        """Note all `m.presence` of a transaction (Application Service API, `ephemeral`; MSC2409)."""
        if not isinstance(transaction, Mapping):
            return
        for key in _KEYS:
            entries = transaction.get(key)
            for entry in entries[:_MAX_ENTRIES] if isinstance(entries, list) else ():
                self._note(entry)

    def _note(self, entry: object) -> None:
        if not isinstance(entry, Mapping) or entry.get("type") != "m.presence":
            return
        sender, content = entry.get("sender"), entry.get("content")
        presence = read_presence(content, self._clock.monotonic())
        if isinstance(sender, str) and 0 < len(sender) <= 255 and presence is not None:
            self._keep(UserId(sender), presence)

    def _keep(self, user: UserId, presence: Presence) -> None:
        self._known[user] = (presence, self._clock.monotonic() + FRESH_S)
        self._known.move_to_end(user)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    async def state(self, user: UserId) -> PresenceState | None:
        """How a user is now; `None` when nobody can tell in time."""
        known, fresh_until = self._known.get(user, (None, 0.0))
        if known is None or self._clock.monotonic() >= fresh_until:
            known = await self._ask(user)
        return None if known is None else known.state_at(self._clock.monotonic())

    async def _ask(self, user: UserId) -> Presence | None:
        """A homeserver tells only those who share a room with the user, so a ghost that has called them asks."""
        try:
            ghost = await self._store.portals.any_ghost(user)
            told = await self._client.presence(user, ghost or self._names.bot, give_up_after_s=LOOK_UP_LIMIT_S)
        except (MatrixError, StoreError):
            return None
        presence = read_presence(told, self._clock.monotonic())
        if presence is None or _says_nothing(presence):
            return None
        self._keep(user, presence)
        return presence


def _says_nothing(told: Presence) -> bool:
    """A homeserver that keeps no presence calls everybody offline, and so are those who never did anything."""
    return told.state is PresenceState.OFFLINE and told.active_at is None


def read_presence(content: Any, now: float) -> Presence | None:
    """The content of an `m.presence`; `None` when it says nothing that is known."""
    if not isinstance(content, Mapping) or not isinstance(word := content.get("presence"), str):
        return None
    state = _STATES.get(word)
    if state is None:
        return None
    ago_ms = content.get("last_active_ago")
    if content.get("currently_active") is True or isinstance(ago_ms, bool) or not isinstance(ago_ms, int | float):
        return Presence(state=state)
    # Written so that what is no number at all (NaN) says nothing either.
    return Presence(state=state, active_at=now - min(ago_ms, 1e12) / 1000 if ago_ms >= 0 else None)
