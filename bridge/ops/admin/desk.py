"""What the admin API needs of a running bridge: documents in, documents out. The application has it."""

from collections.abc import Mapping
from typing import Any, Protocol

Document = Mapping[str, Any]
"""An object of JSON."""


class AdminDesk(Protocol):
    """What cannot be done raises :class:`bridge.ops.admin.problems.Problem`; the disk's troubles are `StoreError`."""

    def numbers(self, *, after: str, limit: int) -> Document:
        """Called numbers and whom they reach, by number, from behind `after`."""
        ...

    def number(self, number: str) -> Document:
        """One of them."""
        ...

    async def set_number(self, number: str, body: Document) -> tuple[bool, Document]:
        """Assign a number; gives whether it is new, and what it is now."""
        ...

    async def drop_number(self, number: str) -> None: ...

    def settable_number(self, number: str) -> None:
        """Raise what keeps a number from being assigned, to whomever; so do the others of its kind."""
        ...

    def droppable_number(self, number: str) -> None: ...

    def permissions(self) -> Document:
        """Who may call what, those of the file first."""
        ...

    def permission(self, name: str) -> Document:
        """One that has a name."""
        ...

    async def set_permission(self, name: str, body: Document) -> tuple[bool, Document]: ...

    async def drop_permission(self, name: str) -> None: ...

    def settable_permission(self, name: str) -> None: ...

    def user(self, user: str) -> Document:
        """All that concerns a user's calls."""
        ...

    def settings_of(self, user: str) -> Document:
        """What a user has set, in the form in which it can be set again."""
        ...

    async def set_settings(self, user: str, body: Document) -> Document:
        """What the user may also tell the bot; what is left out is as if nothing had ever been set."""
        ...

    async def end_suspension(self, user: str) -> None: ...

    def suspended(self, user: str) -> None: ...

    def usage(self) -> Document:
        """What is used of limits, by account."""
        ...

    def explain(self, user: str, number: str, room: str) -> Document:
        """What would become of a call, without calling."""
        ...

    def explain_called(self, number: str) -> Document:
        """Whom a number reaches that a phone calls at this hour."""
        ...

    async def calls(self, filters: Mapping[str, str], *, before: str, limit: int) -> Document:
        """Calls by the time of their beginning, the newest first."""
        ...

    def end_call(self, call_id: str) -> None: ...

    def live_call(self, call_id: str) -> None: ...

    def trunks(self) -> Document: ...

    def service(self, trunk: str) -> Document:
        """Whether a trunk carries new calls."""
        ...

    async def set_service(self, trunk: str, body: Document) -> Document:
        """Let a trunk carry new calls, or not."""
        ...
