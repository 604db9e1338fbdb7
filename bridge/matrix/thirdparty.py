"""Third-party lookups: what makes a client's dial pad appear and work (specification, "Third-party networks")."""

import asyncio
from collections.abc import Callable

from bridge.core.ids import UserId
from bridge.matrix.events import Json
from bridge.matrix.ghosts import Ghosts

PROTOCOLS = ("m.protocol.pstn", "im.vector.protocol.pstn")
"""Element Web asks for the first, Element for iOS looks numbers up by the second alone."""

ReadNumber = Callable[[str], str | None]
"""What a person typed, as a canonical number; `None` when it is none."""

_BUDGET_S = 2.0
"""A client shows an error when a lookup takes long; a ghost that could not be made in time is no result."""


def protocol(name: str) -> Json | None:
    """The description of a protocol; `None` when it is not ours. Synapse discards one without `instances`."""
    if name not in PROTOCOLS:
        return None
    return {
        "user_fields": ["m.id.phone"],
        "location_fields": [],
        "icon": "",
        "field_types": {"m.id.phone": {"regexp": r"\+?[0-9*#]{2,32}", "placeholder": "+15551234"}},
        "instances": [{"network_id": "pstn", "desc": "Telephone network", "fields": {}}],
    }


class ThirdParty:
    """Numbers to ghosts, and back."""

    def __init__(self, *, ghosts: Ghosts, read_number: ReadNumber) -> None:
        self._ghosts = ghosts
        self._read_number = read_number

    async def users(self, name: str, phone: str) -> list[Json]:
        """The ghost of a typed number, registered and named; nothing for other protocols.

        An answer to `sip_native` or `sip_virtual` would redirect ordinary calls between people.
        """
        number = self._read_number(phone) if name in PROTOCOLS else None
        if number is None:
            return []
        ghost = self._ghosts.names.ghost_id(number)
        return [_user(ghost, name, {})] if await self.make_known(ghost) else []

    def reverse(self, user_id: str) -> list[Json]:
        """What a ghost stands for."""
        number = self._ghosts.names.number(user_id)
        return [] if number is None else [_user(UserId(user_id), PROTOCOLS[0], {"m.id.phone": number})]

    async def make_known(self, ghost: UserId) -> bool:
        """Register a ghost within the time that a person waits for."""
        try:
            async with asyncio.timeout(_BUDGET_S):
                return await self._ghosts.ensure_quietly(ghost)
        except TimeoutError:
            return False


def _user(user_id: UserId, name: str, fields: Json) -> Json:
    return {"userid": user_id, "protocol": name, "fields": fields}
