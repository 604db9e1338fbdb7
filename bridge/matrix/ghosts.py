"""Ghosts: the users of ours that stand for telephone numbers, made in one place."""

import re
from collections import OrderedDict
from collections.abc import Callable

import phonenumbers
import structlog

from bridge.core.ids import UserId
from bridge.core.pii import Pii
from bridge.matrix.client import Client
from bridge.matrix.link import MatrixError
from bridge.matrix.locks import KeyedLocks
from bridge.matrix.pictures import Pictures
from bridge.matrix.settings import MatrixSettings
from bridge.store import Store
from bridge.store.rooms import StoredGhost

_log = structlog.get_logger()

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/+")
_ESCAPED = re.compile(r"=([0-9a-f]{2})")
_MAX_USER_ID = 255
_MAX_KNOWN = 10_000
_PAGE = 500

BOT_NAME = "Telephone"

NameOf = Callable[[str], str | None]
"""The name that an address book has for a number."""


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

    def __init__(self, *, names: GhostNames, store: Store, client: Client, name_of: NameOf, pictures: Pictures) -> None:
        self.names = names
        self._store = store
        self._client = client
        self._name_of = name_of
        self._pictures = pictures
        self._known: OrderedDict[UserId, StoredGhost] = OrderedDict()
        self._locks = KeyedLocks()

    async def ensure(self, user_id: UserId, *, caller_name: str = "", again: bool = False) -> None:
        """Register a ghost and name it, unless that has been done; `again` does not rely on our memory of it.

        `caller_name` came with a call and is remembered for the ghost's name. Raises
        :class:`bridge.matrix.link.MatrixError` when the homeserver does not cooperate.
        """
        known = self._known.get(user_id)
        if known is not None and not again and self._fits(known, caller_name):
            return
        async with self._locks.hold(user_id):
            self._known[user_id] = await self._ensure(user_id, caller_name, again)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    def _fits(self, known: StoredGhost, caller_name: str) -> bool:
        return caller_name in ("", known.caller_name) and self._is_current(known)

    def _is_current(self, ghost: StoredGhost) -> bool:
        """Whether a ghost looks as it should by now."""
        title, picture = self._title(ghost.user_id, ghost.caller_name), self._picture(ghost.user_id)
        return (ghost.display_name, ghost.avatar) == (title, picture)

    def _picture(self, user_id: UserId) -> str:
        return self._pictures.key(self.names.number(user_id) or "")

    async def _ensure(self, user_id: UserId, caller_name: str, again: bool) -> StoredGhost:
        stored = await self._store.ghosts.get(user_id)
        caller_name = caller_name or (stored.caller_name if stored else "")
        title = self._title(user_id, caller_name)
        if stored is None or again:
            await self._client.register(self.names.localpart(user_id))
            _log.info("ghost_registered", ghost=Pii(user_id))
        if title and (stored is None or stored.display_name != title or again):
            await self._client.set_display_name(user_id, title)
        picture = self._picture(user_id)
        if picture != (stored.avatar if stored else "") or (picture and again):
            await self._show_picture(user_id)
        ghost = StoredGhost(user_id=user_id, display_name=title, caller_name=caller_name, avatar=picture)
        if ghost != stored:
            await self._store.ghosts.put(ghost)
        return ghost

    async def _show_picture(self, user_id: UserId) -> None:
        """A picture that the homeserver will not have must not keep a telephone from calling: it goes without."""
        number = self.names.number(user_id) or ""
        try:
            await self._client.set_avatar(user_id, await self._pictures.address(number, user_id))
        except MatrixError as error:
            if error.temporary:
                raise
            _log.warning("picture_refused", ghost=Pii(user_id), reason=error.errcode, status=error.status)

    def _title(self, user_id: UserId, caller_name: str) -> str:
        """The bot's own name; the address book's; else what the network says, beside the number that it says it of."""
        if user_id == self.names.bot:
            return BOT_NAME
        number = self.names.number(user_id) or ""
        written = display_name(number)
        named = caller_name and caller_name not in (number, written)
        return self._name_of(number) or (f"{caller_name} ({written})" if named else written)

    async def rename_all(self) -> int:
        """Give every ghost the name and picture that it has by now, in all its rooms; how many had others.

        Raises :class:`bridge.matrix.link.MatrixError`; what has been renamed stays so.
        """
        renamed, last = 0, ""
        while page := await self._store.ghosts.after(last, limit=_PAGE):
            for ghost in page:
                if not self._is_current(ghost):
                    await self.ensure(ghost.user_id)
                    renamed += 1
            last = page[-1].user_id
        return renamed

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
