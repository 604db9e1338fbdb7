"""Every path of the admin API with what is done there; `openapi.yaml` describes the same, and a test compares them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bridge.ops.admin.desk import AdminDesk, Document
from bridge.ops.admin.problems import Problem
from bridge.ops.admin.requests import whole_number
from bridge.ops.admin.trail import Trail

_PAGE, _MOST = 100, 1_000
_FILTERS = ("text", "direction", "trunk", "result", "reason")
_MAX_TEXT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of somebody who may ask."""

    name: str = ""
    """What stands in the path: a number, a user, a name."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A success. Without a document it is 204."""

    document: Document | None = None
    created: bool = False
    tag: str = ""
    """The entity tag of the document, where it is one that can be changed."""
    known: bool = False
    """Whether whoever asks has the document already."""

    @property
    def status(self) -> int:
        """By RFC 9110."""
        if self.known:
            return 304
        return 204 if self.document is None else 201 if self.created else 200


Action = Callable[[Asked], Awaitable[Reply]]
Target = Callable[[str], object]
"""Raises the problem that a change meets whatever it says, if there is one; gives nothing that matters."""


class Routes:
    """`table` has an action for each path and method, `targets` what is to be so before it for each that changes."""

    def __init__(self, desk: AdminDesk, trail: Trail, description: Document) -> None:
        self._desk = desk
        self._trail = trail
        self._description = description
        self.table: Mapping[str, Mapping[str, Action]] = {
            "/openapi.json": {"GET": self._openapi},
            "/numbers": {"GET": self._numbers},
            "/numbers/{number}": {"GET": self._number, "PUT": self._set_number, "DELETE": self._drop_number},
            "/permissions": {"GET": self._permissions},
            "/permissions/{name}": {
                "GET": self._permission,
                "PUT": self._set_permission,
                "DELETE": self._drop_permission,
            },
            "/users/{user}": {"GET": self._user},
            "/users/{user}/settings": {"GET": self._settings, "PUT": self._set_settings},
            "/users/{user}/suspension": {"DELETE": self._end_suspension},
            "/usage": {"GET": self._usage},
            "/explain": {"GET": self._explain},
            "/calls": {"GET": self._calls},
            "/calls/{call_id}": {"DELETE": self._end_call},
            "/trunks": {"GET": self._trunks},
            "/trunks/{trunk}/service": {"GET": self._service, "PUT": self._set_service},
            "/changes": {"GET": self._changes},
        }
        self.targets: Mapping[str, Mapping[str, Target]] = {
            "/numbers/{number}": {"PUT": desk.settable_number, "DELETE": desk.droppable_number},
            "/permissions/{name}": {"PUT": desk.settable_permission, "DELETE": desk.permission},
            "/users/{user}/settings": {"PUT": desk.settings_of},
            "/users/{user}/suspension": {"DELETE": desk.suspended},
            "/calls/{call_id}": {"DELETE": desk.live_call},
            "/trunks/{trunk}/service": {"PUT": desk.service},
        }

    async def _openapi(self, asked: Asked) -> Reply:
        return Reply(document=self._description)

    async def _numbers(self, asked: Asked) -> Reply:
        limit = whole_number(asked.query, "limit", otherwise=_PAGE, most=_MOST)
        return Reply(document=self._desk.numbers(after=asked.query.get("after", ""), limit=limit))

    async def _number(self, asked: Asked) -> Reply:
        return Reply(document=self._desk.number(asked.name))

    async def _set_number(self, asked: Asked) -> Reply:
        created, document = await self._desk.set_number(asked.name, asked.body)
        return Reply(document=document, created=created)

    async def _drop_number(self, asked: Asked) -> Reply:
        await self._desk.drop_number(asked.name)
        return Reply()

    async def _permissions(self, asked: Asked) -> Reply:
        return Reply(document=self._desk.permissions())

    async def _permission(self, asked: Asked) -> Reply:
        return Reply(document=self._desk.permission(asked.name))

    async def _set_permission(self, asked: Asked) -> Reply:
        created, document = await self._desk.set_permission(asked.name, asked.body)
        return Reply(document=document, created=created)

    async def _drop_permission(self, asked: Asked) -> Reply:
        await self._desk.drop_permission(asked.name)
        return Reply()

    async def _user(self, asked: Asked) -> Reply:
        return Reply(document=self._desk.user(asked.name))

    async def _settings(self, asked: Asked) -> Reply:
        return Reply(document=self._desk.settings_of(asked.name))

    async def _set_settings(self, asked: Asked) -> Reply:
        return Reply(document=await self._desk.set_settings(asked.name, asked.body))

    async def _end_suspension(self, asked: Asked) -> Reply:
        await self._desk.end_suspension(asked.name)
        return Reply()

    async def _usage(self, asked: Asked) -> Reply:
        return Reply(document=self._desk.usage())

    async def _explain(self, asked: Asked) -> Reply:
        user, number, called = (asked.query.get(name, "")[:_MAX_TEXT] for name in ("user", "number", "called"))
        if bool(called) is bool(user and number):
            raise Problem(400, "user and number are required, or called alone")
        if called:
            return Reply(document=self._desk.explain_called(called))
        return Reply(document=self._desk.explain(user, number, asked.query.get("room", "")))

    async def _calls(self, asked: Asked) -> Reply:
        limit = whole_number(asked.query, "limit", otherwise=_PAGE, most=_MOST)
        filters = {name: asked.query.get(name, "")[:_MAX_TEXT] for name in _FILTERS}
        before = asked.query.get("before", "")[:_MAX_TEXT]
        return Reply(document=await self._desk.calls(filters, before=before, limit=limit))

    async def _end_call(self, asked: Asked) -> Reply:
        self._desk.end_call(asked.name)
        return Reply()

    async def _trunks(self, asked: Asked) -> Reply:
        return Reply(document=self._desk.trunks())

    async def _service(self, asked: Asked) -> Reply:
        return Reply(document=self._desk.service(asked.name))

    async def _set_service(self, asked: Asked) -> Reply:
        return Reply(document=await self._desk.set_service(asked.name, asked.body))

    async def _changes(self, asked: Asked) -> Reply:
        limit = whole_number(asked.query, "limit", otherwise=_PAGE, most=_MOST)
        before = whole_number(asked.query, "before", otherwise=0, most=999_999_999)
        return Reply(document=await self._trail.last(before=before or None, limit=limit))
