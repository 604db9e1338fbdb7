"""Traces as they may be shown: people as the keyed hashes of the logs, unless somebody who may asks for them."""

import re
from dataclasses import dataclass

from bridge.core.pii import Pii
from bridge.ops.scrubbing import without_host, without_number, without_people
from bridge.ops.traces.items import Kind
from bridge.ops.traces.names import without_names
from bridge.store.traces.rows import TraceEntry

WITHHELD = "withheld"
_GROUP = "group:"
_CALL_ID = re.compile(r"(?im)^((?:call-id|i)[ \t]*:[ \t]*)(\S+)")
_OF_DESCRIPTION = re.compile(r"(?m)^(o=|s=|i=|u=|e=|p=)[^\r\n]*")
_CODEC = re.compile(r"(?m)^a=rtpmap:\d+ ([A-Za-z0-9-]+)/")
_STATIC = {"0": "PCMU", "8": "PCMA", "9": "G722", "18": "G729"}
"""Formats that need no line of their own (RFC 3551 §6)."""
_AUDIO = re.compile(r"(?m)^m=audio (\d+) \S+ ([^\r\n]*)")
_WAY = re.compile(r"(?m)^a=(sendrecv|sendonly|recvonly|inactive)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How much is shown."""

    numbers: bool = False
    """Whether people's numbers, ids, names and addresses are shown as they are."""

    def person(self, who: str) -> str:
        """A number or a user id, or a group, which is nobody."""
        if not who:
            return WITHHELD
        return who if self.numbers or who.startswith(_GROUP) else str(Pii(who))

    def text(self, text: str) -> str:
        """Any other words of strangers."""
        return text if self.numbers else without_people(text)

    def name(self, name: str) -> str:
        """Another name of a call."""
        return name if self.numbers else without_host(without_number(name))

    def detail(self, entry: TraceEntry) -> str:
        """The message of an entry."""
        return self._message(entry.detail) if entry.kind == Kind.SIP and not self.numbers else self.text(entry.detail)

    def _message(self, text: str) -> str:
        text = _CALL_ID.sub(lambda match: f"{match[1]}{without_host(match[2])}", without_names(text))
        return without_people(_OF_DESCRIPTION.sub(r"\1(removed)", text))


def description_of(text: str) -> str:
    """What a session description in a message offers, in a few words; empty without one."""
    audio = _AUDIO.search(text)
    if audio is None:
        return ""
    if audio[1] == "0":
        return "no audio"
    mapped = [name.upper() for name in _CODEC.findall(text)]
    static = [_STATIC[number] for number in audio[2].split() if number in _STATIC]
    codecs = [name for name in dict.fromkeys((*mapped, *static)) if name not in ("TELEPHONE-EVENT", "CN")]
    way = _WAY.search(text)
    return f"{' '.join(codecs[:6])}, {way[1] if way else 'sendrecv'}"


def summary_of(entry: TraceEntry) -> str:
    """A few words beside the title of an entry."""
    match entry.kind:
        case Kind.SIP:
            return description_of(entry.detail)
        case Kind.AUDIO | Kind.VERDICT:
            return ""
        case _:
            return entry.detail
