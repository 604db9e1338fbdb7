"""What the admin API sees of the bridge and does to it: with the parts that the bot, the console and `explain` use."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from pydantic import ValidationError

from bridge.app import admin_documents as documents
from bridge.app.added_entries import AddedEntries, InFileError, TooManyEntriesError
from bridge.app.call_pages import joined, live_page
from bridge.app.console_desk import ConsoleDesk
from bridge.app.live_plan import LivePlan
from bridge.app.meter import Meter
from bridge.app.plan import limits, menu_choices
from bridge.app.settings_body import SettingsBody
from bridge.app.user_settings import Forwarding, UserSettings, forwarding
from bridge.config import ConfigError, Fault
from bridge.config.additions import NUMBER, PERMISSION, called_number, faults_in
from bridge.core.ids import CallId, RoomId, TrunkName, UserId
from bridge.core.user_ids import is_user_id
from bridge.numbers.explain import Explanation, Question, explain
from bridge.numbers.explain_called import explain_called
from bridge.numbers.reach import is_name
from bridge.ops.admin.desk import Document
from bridge.ops.admin.problems import Mistake, Problem
from bridge.ops.admin.trail import utc
from bridge.store.traces.reader import TraceReader
from bridge.store.traces.rows import CallFilter, Place, TracedCall

MAX_ACCOUNTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeAdminDesk:
    """Implements `bridge.ops.admin.desk.AdminDesk`."""

    live: LivePlan
    entries: AddedEntries
    settings: UserSettings
    meter: Meter
    console: ConsoleDesk
    traces: TraceReader | None
    """`None` where none are kept."""

    # Numbers and permissions.

    def numbers(self, *, after: str, limit: int) -> Document:
        added, left_out = self.live.additions(), self.live.left_out()
        known = {**added.numbers, **self.live.config().numbers.inbound}
        page = list(islice((number for number in sorted(known) if number > after), limit))
        found = [documents.of_number(n, known[n], added, rests=left_out.get((NUMBER, n), "")) for n in page]
        return {"numbers": found, **({"next": page[-1]} if len(page) == limit else {})}

    def number(self, number: str) -> Document:
        added, key = self.live.additions(), self._key(number)
        entry = self.live.config().numbers.inbound.get(key) or added.numbers.get(key)
        if entry is None:
            raise Problem(404, "Nobody has that number.")
        return documents.of_number(key, entry, added, rests=self.live.left_out().get((NUMBER, key), ""))

    def _key(self, number: str) -> str:
        try:
            return called_number(self.live.file(), number)
        except ValueError:
            return ""

    async def set_number(self, number: str, body: Document) -> tuple[bool, Document]:
        with _as_problems():
            key, new = await self.entries.set_number(number, body)
        added = self.live.additions()
        return new, documents.of_number(key, added.numbers[key], added)

    def settable_number(self, number: str) -> None:
        if self._key(number) in self.live.file().numbers.inbound:
            raise _in_file()

    def droppable_number(self, number: str) -> None:
        self.settable_number(number)
        self.number(number)

    async def drop_number(self, number: str) -> None:
        with _as_problems():
            known = await self.entries.drop_number(number)
        _require(known, "Nobody has that number.")

    def permissions(self) -> Document:
        left_out, added = self.live.left_out(), self.live.additions().permissions.values()
        of_file = map(documents.of_permission, self.live.file().permissions.outbound)
        of_api = (documents.of_permission(e, rests=left_out.get((PERMISSION, e.name), "")) for e in added)
        return {"permissions": [*of_file, *of_api]}

    def permission(self, name: str) -> Document:
        entry = self.live.additions().permissions.get(name)
        if entry is None:
            raise Problem(404, "There is no permission of that name.")
        return documents.of_permission(entry, rests=self.live.left_out().get((PERMISSION, name), ""))

    async def set_permission(self, name: str, body: Document) -> tuple[bool, Document]:
        self.settable_permission(name)
        with _as_problems():
            new = await self.entries.set_permission(name, body)
        return new, documents.of_permission(self.live.additions().permissions[name])

    def settable_permission(self, name: str) -> None:
        _require(is_name(name), "Names have a-z, 0-9, '_' and '-', at most 32 characters.")

    async def drop_permission(self, name: str) -> None:
        _require(await self.entries.drop_permission(name), "There is no permission of that name.")

    # People.

    def user(self, user: str) -> Document:
        who, plan = _user(user), self.live.numbers()
        until = dict(self.meter.suspended()).get(who)
        mine = zip(plan.permissions, self.live.config().permissions.outbound, strict=True)
        return {
            "user": who,
            "numbers": [*plan.numbers_of(who), *plan.blocks_of(who)],
            "shown": {trunk.name: plan.caller_of(who, trunk.name) for trunk in plan.trunks},
            "permissions": [documents.of_permission(entry) for rule, entry in mine if rule.covers_user(who)],
            "settings": documents.of_settings(self.settings.of(who), self.settings.blocked(who)),
            "limits": [
                documents.of_limit(limit, self.meter.cash_book.of(limit.account(who)))
                for limit in limits(self.live.config())
                if limit.covers(who)
            ],
            "suspended_until": None if until is None else utc(until),
        }

    def settings_of(self, user: str) -> Document:
        who = _user(user)
        return documents.of_settings(self.settings.of(who), self.settings.blocked(who))

    async def set_settings(self, user: str, body: Document) -> Document:
        who, plan = _user(user), self.live.numbers()
        try:
            read = SettingsBody.model_validate(body, context=plan.region_of(who))
        except ValidationError as error:
            raise _mistakes(list(faults_in(error))) from error
        forward = ""
        if read.forward:
            judged = forwarding(plan, who, read.forward, may_forward=self.meter.may_forward(who))
            if not isinstance(judged, Forwarding):
                raise _mistakes([Fault(path="forward", message=judged.user_text or judged.reason)])
            forward = judged.number
        if read.ring_when is not None and not self.live.knows_presence():
            raise _mistakes([Fault(path="ring_when", message="nobody's presence is known: calls.ring_when is empty")])
        await self.settings.set_all(who, read.blocked, **read.changes(forward))
        return self.settings_of(who)

    def suspended(self, user: str) -> None:
        _require(_user(user) in dict(self.meter.suspended()), "Calls of that user are not suspended.")

    async def end_suspension(self, user: str) -> None:
        self.suspended(user)
        await self.meter.resume(_user(user))

    # Money.

    def usage(self) -> Document:
        accounts = [documents.of_books(books) for books in self.meter.cash_book.books(limit=MAX_ACCOUNTS)]
        return {"currency": self.live.config().permissions.currency, "accounts": accounts}

    def explain(self, user: str, number: str, room: str) -> Document:
        who, up = _user(user), {view.name for view in self.console.trunks() if view.up}
        question = Question(user=who, dialled=number, room=RoomId(room) if room else None)
        standing = replace(
            self.meter.standing(who),
            withheld=self.settings.of(who).withheld,
            is_up=lambda trunk: trunk in up,
            narrow=self.console.switchboard.service.narrow,
        )
        currency = self.live.config().permissions.currency
        return _said(explain(self.live.numbers(), question, standing, currency=currency))

    def explain_called(self, number: str) -> Document:
        now = datetime.fromtimestamp(self.console.clock.wall(), self.live.time_zone())
        menus = menu_choices(self.live.config())
        return _said(explain_called(self.live.numbers(), self.live.groups(), number, now, menus=menus))

    # Calls and trunks.

    async def calls(self, filters: Mapping[str, str], *, before: str, limit: int) -> Document:
        wanted = CallFilter(**filters, before=_place(before), limit=limit)
        # First those that go on: one that ends meanwhile is written then.
        live = live_page(self.console.switchboard.directory, wanted, self.console.clock.monotonic())
        page = joined(live, await self._traced(wanted), limit)
        more = {"next": str(page[-1].place)} if len(page) == limit else {}
        return {"calls": list(map(documents.of_call, page)), **more}

    async def _traced(self, wanted: CallFilter) -> list[TracedCall]:
        return [] if self.traces is None else await asyncio.to_thread(self.traces.calls, wanted)

    def live_call(self, call_id: str) -> None:
        found = self.console.switchboard.directory.by_call_id(CallId(call_id))
        _require(found is not None, "There is no such call, or it is over.")

    def end_call(self, call_id: str) -> None:
        self.live_call(call_id)
        self.console.end_call(CallId(call_id))

    def trunks(self) -> Document:
        return {"trunks": [documents.of_trunk(view) for view in self.console.trunks()]}

    def service(self, trunk: str) -> Document:
        found = next((view for view in self.console.trunks() if view.name == trunk), None)
        if found is None:
            raise Problem(404, "There is no such trunk.")
        return {"in_service": found.in_service}

    async def set_service(self, trunk: str, body: Document) -> Document:
        on = body.get("in_service")
        if not isinstance(on, bool) or len(body) > 1:
            raise _mistakes([Fault(path="in_service", message="is all there is to say: true or false")])
        _require(await self.console.set_in_service(TrunkName(trunk), on=on), "There is no such trunk.")
        return documents.of_trunk(next(view for view in self.console.trunks() if view.name == trunk))


def _said(answer: Explanation) -> Document:
    return {"permitted": answer.permitted, "lines": list(answer.lines)}


def _place(word: str) -> Place | None:
    try:
        return Place.parse(word) if word else None
    except ValueError as error:
        raise Problem(400, "`before` is `next` of the page before.") from error


def _user(word: str) -> UserId:
    _require(is_user_id(word), "That is no user id, such as @alice:example.org.")
    return UserId(word)


def _require(found: bool, otherwise: str) -> None:
    if not found:
        raise Problem(404, otherwise)


def _mistakes(faults: list[Fault]) -> Problem:
    mistakes = [Mistake(pointer=_pointer(fault.path), detail=fault.message) for fault in faults]
    return Problem(422, "The body says what cannot be.", mistakes)


def _pointer(path: str) -> str:
    """`prefixes[0]` as RFC 6901 has it."""
    return "/" + path.replace("[", "/").replace("]", "").replace(".", "/") if path else ""


def _in_file() -> Problem:
    return Problem(409, "This stands in the configuration file: change it there.")


@contextmanager
def _as_problems() -> Iterator[None]:
    """What keeps an entry from being set, as an answer."""
    try:
        yield
    except ConfigError as error:
        raise _mistakes(error.faults) from error
    except InFileError as error:
        raise _in_file() from error
    except TooManyEntriesError as error:
        raise Problem(409, "There are as many of them as can be.") from error
