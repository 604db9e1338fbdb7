"""What the admin API shows, as JSON has it. Amounts of money are text, exact to the millionth."""

from collections.abc import Iterable, Iterator
from typing import Any

from bridge.app.cash_book import Books
from bridge.config.additions import Additions, GrantedPermission
from bridge.config.model import OutboundPermission
from bridge.config.reached import InboundConfig
from bridge.numbers.accounts import Use
from bridge.numbers.limits import Cap, Limit, Span
from bridge.numbers.money import shown
from bridge.ops.admin.desk import Document
from bridge.ops.admin.trail import utc
from bridge.ops.console.desk import TrunkView
from bridge.store.people import StoredSettings
from bridge.store.traces.rows import TracedCall

FILE, API = "file", "api"


def of_number(number: str, entry: InboundConfig, added: Additions, *, rests: str = "") -> Document:
    """A called number and whom it reaches; `rests` is why it does not."""
    document: dict[str, Any] = {"number": number, "to": str(entry.to)}
    if entry.hours is not None:
        document["hours"] = str(entry.hours)
    if entry.otherwise is not None:
        document["otherwise"] = str(entry.otherwise)
    document["source"] = API if added.numbers.get(number) is entry else FILE
    return {**document, "rests": rests} if rests else document


def of_permission(entry: OutboundPermission, *, rests: str = "") -> Document:
    """Who may call what; those of the file have no name. `rests` is why nobody may by this one."""
    document = {
        "who": list(entry.who),
        "prefixes": list(entry.prefixes),
        "but_not": list(entry.but_not),
        "costly": entry.costly,
        "trunk": entry.trunk,
    }
    if not isinstance(entry, GrantedPermission):
        return {**document, "source": FILE}
    named = {"name": entry.name, **document, "source": API}
    return {**named, "rests": rests} if rests else named


def of_settings(settings: StoredSettings, blocked: Iterable[str]) -> Document:
    """What a user has set, in the form in which it can be set again."""
    return {
        "do_not_disturb": settings.do_not_disturb,
        "forward": settings.forward,
        "ring_when": settings.ring_when,
        "withheld": settings.withheld,
        "hours": settings.hours,
        "refuses_anonymous": settings.refuses_anonymous,
        "blocked": sorted(blocked),
    }


def of_use(use: Use) -> Document:
    """What is booked on an account over a day or a month."""
    return {"minutes": round(use.seconds / 60, 2), "cost": shown(use.cost)}


def of_books(books: Books) -> Document:
    """What is booked on an account."""
    return {"account": books.account, "day": of_use(books.day), "month": of_use(books.month)}


def of_limit(limit: Limit, books: Books) -> Document:
    """A limit, and what is used of it; spans without one are left out."""
    used = {Span.DAY: books.day, Span.MONTH: books.month}
    spans = {
        span.value: {**dict(_cap(cap)), **({"used": of_use(used[span])} if span in used else {})}
        for span, cap in limit.caps()
    }
    document = {"who": list(limit.who), "together": limit.together, **spans}
    if limit.calls_at_once is not None:
        document["calls_at_once"] = limit.calls_at_once
    if limit.attempts_per_minute is not None:
        document["attempts_per_minute"] = limit.attempts_per_minute
    return document


def _cap(cap: Cap) -> Iterator[tuple[str, Any]]:
    if cap.seconds is not None:
        yield "minutes", round(cap.seconds / 60, 2)
    if cap.cost is not None:
        yield "cost", shown(cap.cost)


def of_call(call: TracedCall) -> Document:
    """A call that is over, or goes on."""
    return {
        "call_id": call.call_id,
        "began_at": utc(call.began_at),
        "ended_at": None if call.ended_at is None else utc(call.ended_at),
        "direction": call.direction,
        "trunk": call.trunk,
        "user": call.user,
        "number": call.number,
        "result": call.result,
        "reason": call.reason,
        "sip_status": call.sip_status,
        "talk_s": round(call.talk_s, 3),
        "ended_by": call.ended_by,
        "cost": shown(call.cost),
    }


def of_trunk(view: TrunkView) -> Document:
    """A trunk and how it stands."""
    return {
        "name": view.name,
        "server": view.server,
        "up": view.up,
        "in_service": view.in_service,
        "calls": view.calls,
    }
