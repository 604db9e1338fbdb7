"""Third-party lookups: what makes a client's dial pad appear and work (specification, "Third-party networks")."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from bridge.core.ids import UserId
from bridge.matrix.events import Json
from bridge.matrix.ghosts import Ghosts

PROTOCOLS = ("m.protocol.pstn", "im.vector.protocol.pstn")
"""Element Web asks for the first, Element for iOS looks numbers up by the second alone."""

SIP_VIRTUAL, SIP_NATIVE = "im.vector.protocol.sip_virtual", "im.vector.protocol.sip_native"
"""From a person to the ghost of their extension, and back: the mobile Element Classic clients ask for each call."""

ReadNumber = Callable[[str], str | None]
"""What a person typed, as a canonical number; `None` when it is none."""

_BUDGET_S = 2.0
"""A client shows an error when a lookup takes long; a ghost that could not be made in time is no result."""


def protocol(name: str, *, sip_lookups: bool) -> Json | None:
    """The description of a protocol; `None` when it is not ours. Synapse discards one without `instances`."""
    if sip_lookups and name in (SIP_VIRTUAL, SIP_NATIVE):
        return {"user_fields": [], "location_fields": [], "icon": "", "field_types": {}, "instances": []}
    if name not in PROTOCOLS:
        return None
    return {
        "user_fields": ["m.id.phone"],
        "location_fields": [],
        "icon": "",
        "field_types": {"m.id.phone": {"regexp": r"\+?[0-9*#]{2,32}", "placeholder": "+15551234"}},
        "instances": [{"network_id": "pstn", "desc": "Telephone network", "fields": {}}],
    }


class NumberDirectory(Protocol):
    """Which person has which number."""

    def number_of(self, user: UserId) -> str | None: ...

    def user_of(self, number: str) -> UserId | None: ...


class NoDirectory:
    """Nobody has a number, so that calls between people stay calls between people."""

    def number_of(self, user: UserId) -> str | None:
        return None

    def user_of(self, number: str) -> UserId | None:
        return None


class ThirdParty:
    """Numbers to ghosts, and back; with a directory, people to the ghosts of their extensions as well."""

    def __init__(self, *, ghosts: Ghosts, read_number: ReadNumber, directory: NumberDirectory) -> None:
        self._ghosts = ghosts
        self._read_number = read_number
        self._directory = directory

    async def users(self, name: str, fields: Callable[[str], str]) -> list[Json]:
        """Who is meant by the fields of a lookup, each empty when it was not given; nobody for other protocols."""
        if name in PROTOCOLS:
            return await self._of_number(name, fields("m.id.phone"))
        if name == SIP_VIRTUAL:
            return await self._virtual(UserId(fields("native_mxid")))
        if name == SIP_NATIVE:
            return self._native(UserId(fields("virtual_mxid")))
        return []

    async def _of_number(self, name: str, phone: str) -> list[Json]:
        """The ghost of a typed number, registered and named."""
        number = self._read_number(phone)
        if number is None:
            return []
        ghost = self._ghosts.names.ghost_id(number)
        return [_user(ghost, name, {})] if await self.make_known(ghost) else []

    async def _virtual(self, person: UserId) -> list[Json]:
        """The ghost through which the PBX rings a person; without one, calls to them must stay as they are."""
        number = self._directory.number_of(person)
        ghost = self._ghosts.names.ghost_id(number) if number else None
        if ghost is None or not await self.make_known(ghost):
            return []
        return [_user(ghost, SIP_VIRTUAL, {"lookup_success": True, "virtual_mxid": ghost, "is_virtual": True})]

    def _native(self, ghost: UserId) -> list[Json]:
        """The person behind the ghost of an extension. Element for iOS takes any user id in an answer for a success."""
        person = self._directory.user_of(self._ghosts.names.number(ghost) or "")
        if person is None:
            return []
        return [_user(person, SIP_NATIVE, {"lookup_success": True, "native_mxid": person, "is_virtual": True})]

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
