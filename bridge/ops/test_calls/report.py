"""A test call as it is asked for, and as it is told: as JSON for scripts, as lines for people."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bridge.ops.test_calls.judging import Outcome

SHORTEST_S, LONGEST_S = 1.0, 60.0
"""Of the audio that is measured."""
LONGEST_RING_S = 120.0
AUDIO_S, RING_S = 8.0, 45.0
"""Where nothing else is asked for: phones report what they hear every five seconds."""
MAX_NUMBER = 64


class WishError(ValueError):
    """What is asked for is no test call; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestWish:
    """One call."""

    __test__ = False

    number: str
    """As people type it."""
    trunk: str = ""
    """Over this one and no other; empty leaves it to the dial plan."""
    seconds: float = AUDIO_S
    """For how long audio is measured."""
    ring_s: float = RING_S
    """For how long it may ring."""

    @classmethod
    def parse(cls, document: object) -> "TestWish":
        """Read what a program asks for. Raises :class:`WishError`."""
        if not isinstance(document, Mapping) or not isinstance(document.get("number"), str):
            raise WishError("number: a string is needed")
        if set(document) - {"number", "trunk", "seconds", "ring_s"} or not isinstance(document.get("trunk", ""), str):
            raise WishError("only number, trunk, seconds and ring_s can be said, and trunk is a string")
        return cls(
            number=document["number"][:MAX_NUMBER],
            trunk=document.get("trunk", ""),
            seconds=_between(document, "seconds", SHORTEST_S, LONGEST_S, AUDIO_S),
            ring_s=_between(document, "ring_s", SHORTEST_S, LONGEST_RING_S, RING_S),
        )


def _between(document: Mapping[str, Any], name: str, low: float, high: float, otherwise: float) -> float:
    value = document.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise WishError(f"{name}: a number from {low:.0f} to {high:.0f} is needed")
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that happened."""

    at_s: float
    """Since the test began."""
    what: str
    """`-> INVITE`, `<- 180 Ringing (INVITE)`, `answered`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The audio of one direction."""

    codec: str = ""
    """On the phone's side."""
    packets: int = 0
    """That came from the phone, or were sent to it."""
    lost: int | None = None
    """Of those that should have come; to the phone, by its own reports, `None` where it sent none."""
    jitter_ms: float | None = None
    level_dbfs: float | None = None
    """Of what was audible, against the loudest sine; `None` of silence. To the phone it is what the client said."""
    mos: float | None = None
    """Estimated by the E-model (ITU-T G.107), 1 to 4.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """What became of one test call."""

    __test__ = False

    outcome: Outcome
    words: str
    """The outcome in a sentence."""
    call_id: str
    """Under which `trunkline trace`, the log and the call records know it."""
    trunk: str = ""
    tried: tuple[str, ...] = ()
    """Trunks that failed before."""
    result: str = ""
    reason: str = ""
    sip_status: int = 0
    """Of the last final response to the INVITE."""
    dialled_s: float | None = None
    ringing_s: float | None = None
    answered_s: float | None = None
    connected_s: float | None = None
    """All since the test began."""
    talk_s: float = 0.0
    transport: str = ""
    """Of the signalling: udp, tcp, tls."""
    srtp: bool = False
    """Whether the phone's audio was encrypted."""
    client_codec: str = ""
    from_phone: Way = field(default_factory=Way)
    to_phone: Way = field(default_factory=Way)
    echo_ms: float | None = None
    """From our tone to its return; `None` where none came back."""
    steps: tuple[Step, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "exit_code": self.outcome.exit_code}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "TestReport":
        """The other way round. Raises `ValueError`, `TypeError` or `KeyError` for what no bridge has written."""
        members = {name: value for name, value in document.items() if name != "exit_code"}
        return cls(
            **{
                **members,
                "outcome": Outcome(members["outcome"]),
                "tried": tuple(members["tried"]),
                "from_phone": Way(**members["from_phone"]),
                "to_phone": Way(**members["to_phone"]),
                "steps": tuple(Step(**step) for step in members["steps"]),
            }
        )

    def to_json(self) -> str:
        """One line."""
        return json.dumps(self.to_document(), ensure_ascii=False)

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        for step in self.steps:
            yield f"{step.at_s:7.2f} s  {step.what}"
        yield ""
        yield f"call         {self.call_id}"
        if self.trunk:
            before = f" (after {', '.join(self.tried)})" if self.tried else ""
            yield f"trunk        {self.trunk}{before}, signalling over {self.transport or 'nothing'}"
        if self.answered_s is not None:
            yield f"encryption   {'SRTP' if self.srtp else 'none'} towards the phone, DTLS-SRTP towards the client"
            yield f"from phone   {_way_words(self.from_phone)}"
            yield f"to phone     {_way_words(self.to_phone)}"
        if self.echo_ms is not None:
            yield f"echo         our tone came back after {self.echo_ms:.0f} ms"
        yield f"outcome      {self.outcome}: {self.words}"


def _way_words(way: Way) -> str:
    lost = "loss not told" if way.lost is None else f"{way.lost} lost"
    words = [way.codec or "no codec", f"{way.packets} packets", lost]
    words += [f"jitter {way.jitter_ms:.1f} ms"] if way.jitter_ms is not None else []
    words += [f"level {way.level_dbfs:.1f} dBFS"] if way.level_dbfs is not None else ["silence"]
    words += [f"MOS {way.mos:.2f}"] if way.mos is not None else []
    return ", ".join(words)
