"""The pictures of ghosts: those of the address book, uploaded once, else the one that is set for all."""

from collections import OrderedDict
from collections.abc import Callable

from bridge.core.ids import UserId
from bridge.core.picture import Picture
from bridge.matrix.client import Client

PictureOf = Callable[[str], Picture | None]
"""The picture that an address book has for a number."""

_MAX_UPLOADED = 1_000


class Pictures:
    """Which picture a number has, and where the homeserver keeps it."""

    def __init__(self, *, client: Client, picture_of: PictureOf, default: str) -> None:
        self._client = client
        self._picture_of = picture_of
        self._default = default
        self._uploaded: OrderedDict[str, str] = OrderedDict()
        """Addresses by key, so that what several numbers share is uploaded once."""

    def key(self, number: str) -> str:
        """What tells a number's picture from any other; empty when it has none."""
        picture = self._picture_of(number)
        return self._default if picture is None else picture.key

    async def address(self, number: str, owner: UserId) -> str:
        """The `mxc:` URI of a number's picture, uploaded in the name of its ghost if it has to be; empty for none.

        Raises :class:`bridge.matrix.link.MatrixError`.
        """
        picture = self._picture_of(number)
        if picture is None:
            return self._default
        if picture.key not in self._uploaded:
            self._uploaded[picture.key] = await self._client.upload(picture.content, picture.kind, owner)
            if len(self._uploaded) > _MAX_UPLOADED:
                self._uploaded.popitem(last=False)
        return self._uploaded[picture.key]
