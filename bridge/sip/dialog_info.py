"""What a PBX tells of the calls of one of its phones: `application/dialog-info+xml` (RFC 4235 §4)."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from bridge.sip.errors import SipError

CONTENT_TYPE = "application/dialog-info+xml"
MAX_BODY = 64 * 1024
MAX_DIALOGS = 32
"""Of one phone; what is beyond them changes nothing."""

_NAMESPACE = "urn:ietf:params:xml:ns:dialog-info"
_RINGING = frozenset(("trying", "proceeding", "early"))


class PhoneState(enum.Enum):
    """What a phone is doing."""

    UNKNOWN = enum.auto()
    """The PBX does not tell, or not any more."""
    IDLE = enum.auto()
    RINGING = enum.auto()
    BUSY = enum.auto()
    """In a call that was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogInfo:
    """One document."""

    version: int
    full: bool
    """Whether dialogs that it does not name are over."""
    states: Mapping[str, str]
    """Of dialogs by their ids: `trying`, `proceeding`, `early`, `confirmed` or `terminated` (§3.7.1)."""


def phone_state(states: Iterable[str]) -> PhoneState:
    """What a phone with these dialogs is doing."""
    found = set(states)
    if "confirmed" in found:
        return PhoneState.BUSY
    return PhoneState.RINGING if found & _RINGING else PhoneState.IDLE


def read_dialog_info(body: bytes) -> DialogInfo:
    """Read a document. Raises :class:`SipError` for what is none.

    A document type is refused as a whole: what it could define is good for nothing but harm.
    """
    if len(body) > MAX_BODY:
        raise SipError(413, "Request Entity Too Large")
    reading = _Reading()
    # Whatever it declares: an encoding would be looked for among all that this machine knows.
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError):
        raise SipError(400, "Malformed Dialog Information") from None
    if reading.info is None:
        raise SipError(400, "No Dialog Information")
    return DialogInfo(version=reading.info[0], full=reading.info[1], states=reading.states)


def _refuse(*_: object) -> None:
    raise SipError(400, "Document Type Not Allowed")


@dataclass(slots=True, eq=False)
class _Reading:
    """Of all elements, `dialog-info/dialog/state` alone counts: by depth, so that nothing else can pass for one."""

    info: tuple[int, bool] | None = None
    states: dict[str, str] = field(default_factory=dict)
    depth: int = 0
    dialog: str | None = None
    state: str | None = None

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.depth += 1
        match self.depth, name:
            case 1, element if element == f"{_NAMESPACE} dialog-info":
                self.info = (_number(attributes.get("version", "")), attributes.get("state") != "partial")
            case 1, _:
                raise SipError(400, "No Dialog Information")
            case 2, element if element == f"{_NAMESPACE} dialog" and len(self.states) < MAX_DIALOGS:
                self.dialog = attributes.get("id", "")[:256]
            case 3, element if element == f"{_NAMESPACE} state" and self.dialog is not None:
                self.state = ""
            case _:
                pass

    def text(self, text: str) -> None:
        if self.state is not None and self.depth == 3:
            self.state = (self.state + text)[:32]

    def end(self, name: str) -> None:
        if self.depth == 3 and self.state is not None and self.dialog is not None:
            self.states[self.dialog] = self.state.strip().lower()
            self.state = None
        if self.depth == 2:
            self.dialog = None
        self.depth -= 1


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise SipError(400, "Malformed Dialog Information")
    return int(text)
