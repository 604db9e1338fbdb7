"""The state diagrams of `bridge/README.md`, drawn from the tables that the code runs on.

`python -m tests.diagrams` writes them into the file; a test fails when the file and the tables differ.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bridge.calls import machine
from bridge.calls.state import ATTENDANT, SPOKEN_TO, USER_HAS_LEFT, Direction, State
from bridge.sip import client_transaction, phone_watch, referral, referring, server_transaction
from bridge.sip.talking_table import EARLY, OFFERING, SESSION, TALKING
from bridge.sip.usage_table import CALLEE, CALLER

README = Path(__file__).parent.parent / "bridge" / "README.md"
SECOND_PHONE = {State.TRANSFERRING, State.REPLACING}
OTHER_DIAGRAMS = SECOND_PHONE | USER_HAS_LEFT | SPOKEN_TO
Edge = tuple[str, str, str]
"""From, to, event."""


def call_edges(direction: Direction) -> list[Edge]:
    """What moves a call from one state to another, without what can end it at any time."""
    everywhere = {"Aborted", "MemberLeft", "MediaRefused", "CallRefused"}
    return [
        (state.value, target.value, event.__name__)
        for (state, event), row in machine.TABLES[direction].items()
        for target in row.to
        if {state, target}.isdisjoint(OTHER_DIAGRAMS) and not (target is State.ENDED and event.__name__ in everywhere)
    ]


def transfer_edges() -> list[Edge]:
    """The same for another phone that takes over, in a call of either direction."""
    return [
        (state.value, target.value, event.__name__)
        for (state, event), row in machine.TABLES[Direction.OUTBOUND].items()
        for target in row.to
        if target is not state and not {state, target}.isdisjoint(SECOND_PHONE) and target is not State.ENDED
    ]


def handover_edges() -> list[Edge]:
    """The same for a user who leaves a phone to another one."""
    return [
        (state.value, target.value, event.__name__)
        for (state, event), row in machine.TABLES[Direction.OUTBOUND].items()
        for target in row.to
        if target is not state
        and not {state, target}.isdisjoint(USER_HAS_LEFT)
        and event.__name__ not in {"Aborted", "MediaRefused"}
    ]


def message_edges() -> list[Edge]:
    """The same for a phone that leaves a message."""
    return [
        (state.value, target.value, event.__name__)
        for (state, event), row in machine.TABLES[Direction.INBOUND].items()
        for target in row.to
        if target is not state and not {state, target}.isdisjoint(ATTENDANT) and event.__name__ != "Aborted"
    ]


def announcement_edges() -> list[Edge]:
    """The same for a user who is told why there is no call."""
    return [
        (state.value, target.value, event.__name__)
        for (state, event), row in machine.TABLES[Direction.OUTBOUND].items()
        for target in row.to
        if target is not state and not {state, target}.isdisjoint(SPOKEN_TO)
    ]


def menu_edges() -> list[Edge]:
    """The same for a phone that walks through a menu."""
    return [
        (state.value, target.value, event.__name__)
        for (state, event), row in machine.TABLES[Direction.INBOUND].items()
        for target in row.to
        if target is not state
        and State.IN_MENU in {state, target}
        and not (target is State.ENDED and event.__name__ in {"Aborted", "MediaRefused"})
    ]


def table_edges(table: Mapping[tuple[Any, type[Any]], tuple[Any, Any]]) -> list[Edge]:
    return [
        (state.name.lower(), target.name.lower(), event.__name__)
        for (state, event), (target, _) in table.items()
        if state is not target
    ]


def mermaid(edges: Iterable[Edge]) -> str:
    """A state diagram; events that lead the same way share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for origin, target, event in edges:
        arrows.setdefault((origin, target), []).append(event)
    lines = [f"    {origin} --> {target}: {', '.join(sorted(events))}" for (origin, target), events in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *sorted(lines), "```"])


def diagrams() -> dict[str, str]:
    """Every diagram of the file by the name in its marker."""
    return {
        "outbound": mermaid(call_edges(Direction.OUTBOUND)),
        "inbound": mermaid(call_edges(Direction.INBOUND)),
        "transfer": mermaid(transfer_edges()),
        "handover": mermaid(handover_edges()),
        "message": mermaid(message_edges()),
        "announcement": mermaid(announcement_edges()),
        "menu": mermaid(menu_edges()),
        "invite-client": mermaid(table_edges(client_transaction.INVITE_CLIENT)),
        "non-invite-client": mermaid(table_edges(client_transaction.NON_INVITE_CLIENT)),
        "invite-server": mermaid(table_edges(server_transaction.INVITE_SERVER)),
        "non-invite-server": mermaid(table_edges(server_transaction.NON_INVITE_SERVER)),
        "call-placed": mermaid(table_edges(CALLER)),
        "call-received": mermaid(table_edges(CALLEE)),
        "call-answered": mermaid(table_edges({**TALKING, **OFFERING, **EARLY, **SESSION})),
        "referral": mermaid(table_edges(referral.TRANSITIONS)),
        "phone-watch": mermaid(table_edges(phone_watch.TRANSITIONS)),
        "referring": mermaid(table_edges(referring.TRANSITIONS)),
    }


def with_diagrams(text: str) -> str:
    """The file with every marked diagram drawn anew."""
    for name, drawing in diagrams().items():
        marker = re.compile(rf"(<!-- diagram: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = marker.subn(rf"\g<1>{drawing}\n\g<2>", text)
        if found != 1:
            raise LookupError(f"{README} has no diagram named {name}")
    return text


if __name__ == "__main__":
    README.write_text(with_diagrams(README.read_text()))
