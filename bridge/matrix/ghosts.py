"""Ghosts: the users of ours that stand for telephone numbers, made in one place."""

import re
from collections import OrderedDict

import phonenumbers
import structlog

from bridge.core.ids import UserId
from bridge.core.pii import Pii
from bridge.matrix.client import Client
from bridge.matrix.link import MatrixError
from bridge.matrix.locks import KeyedLocks
from bridge.matrix.settings import MatrixSettings
from bridge.store import Store

_log = structlog.get_logger()

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/+")
_ESCAPED = re.compile(r"=([0-9a-f]{2})")
_MAX_USER_ID = 255
_MAX_KNOWN = 10_000


class GhostNames:
    """Which user id stands for which number, and back; pure."""

    def __init__(self, settings: MatrixSettings) -> None:
        self._prefix = settings.ghost_prefix
        self._bot_localpart = settings.bot_localpart
        self._server = settings.server_name
        self.bot = UserId(f"@{settings.bot_localpart}:{settings.server_name}")

    def ghost_id(self, number: str) -> UserId:
        """The ghost of a number or other SIP user.

        What a localpart may not contain is written as `=xx` (specification, "Mapping from other character sets"). A
        user whose ghost would be the bot itself has its first character escaped.
        """
        localpart = self._prefix + "".join(map(_escape, number))
        if localpart == self._bot_localpart:
            localpart = self._prefix + _hex(number[:1]) + "".join(map(_escape, number[1:]))
        return UserId(f"@{localpart}:{self._server}")

    def number(self, user_id: str) -> str | None:
        """The number or SIP user that a ghost stands for; `None` for everybody else."""
        if user_id == self.bot or len(user_id) > _MAX_USER_ID or not self.is_ours(user_id):
            return None
        localpart = user_id[1 : -len(self._server) - 1].removeprefix(self._prefix)
        try:
            number = _unescape(localpart)
        except UnicodeDecodeError:
            return None
        # Two spellings of one number would be two people.
        return number if number and self.ghost_id(number) == user_id else None

    def is_ours(self, user_id: str) -> bool:
        """Whether a user id lies in our namespace, the bot included."""
        return user_id == self.bot or (user_id.startswith(f"@{self._prefix}") and user_id.endswith(f":{self._server}"))

    def is_local(self, user_id: str) -> bool:
        """Whether a user has an account on our homeserver."""
        return user_id.partition(":")[2] == self._server

    def localpart(self, user_id: UserId) -> str:
        return user_id[1 : -len(self._server) - 1]


class Ghosts:
    """Makes ghosts known to the homeserver before anybody can meet them.

    Clients ask for the profile of whom they invite, so a ghost has its display name before a lookup returns it.
    """

    def __init__(self, *, names: GhostNames, store: Store, client: Client) -> None:
        self.names = names
        self._store = store
        self._client = client
        self._known: OrderedDict[UserId, None] = OrderedDict()
        self._locks = KeyedLocks()

    async def ensure(self, user_id: UserId, *, again: bool = False) -> None:
        """Register a ghost and name it, unless that has been done; `again` does not rely on our memory of it.

        Raises :class:`bridge.matrix.link.MatrixError` when the homeserver does not cooperate.
        """
        if not again and user_id in self._known:
            return
        async with self._locks.hold(user_id):
            await self._ensure(user_id, again)
        self._known[user_id] = None
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    async def _ensure(self, user_id: UserId, again: bool) -> None:
        name = display_name(self.names.number(user_id) or "")
        stored = await self._store.ghosts.display_name(user_id)
        if stored is None or again:
            await self._client.register(self.names.localpart(user_id))
            _log.info("ghost_registered", ghost=Pii(user_id))
        if name and (stored != name or again):
            await self._client.set_display_name(user_id, name)
        await self._store.ghosts.put(user_id, name)

    async def ensure_quietly(self, user_id: UserId) -> bool:
        """As `ensure`, telling by the result whether it worked."""
        try:
            await self.ensure(user_id)
        except MatrixError as error:
            _log.warning("ghost_not_registered", ghost=Pii(user_id), reason=error.errcode, status=error.status)
            return False
        return True


def display_name(number: str) -> str:
    """How people read a number: in international form where it is a real one, else as it is."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    if not phonenumbers.is_possible_number(parsed):
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _escape(character: str) -> str:
    return character if character in _PLAIN else _hex(character)


def _hex(text: str) -> str:
    return "".join(f"={octet:02x}" for octet in text.encode(errors="replace"))


def _unescape(localpart: str) -> str:
    octets = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), localpart)
    return octets.encode("latin-1", errors="replace").decode()
