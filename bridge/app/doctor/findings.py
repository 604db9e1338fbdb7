"""What an examination finds: one line for each thing looked at, and what to do where it is not as it should be."""

import enum
from dataclasses import dataclass


class Grade(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Calls may work, and some will not, or not for long."""
    FAULT = "fault"
    """Calls cannot work like this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    grade: Grade
    subject: str
    """What: `homeserver`, `trunks.carrier`."""
    seen: str
    advice: str = ""
    """What to do; empty where nothing is to be done."""

    def __str__(self) -> str:
        advice = f" -> {self.advice}" if self.advice else ""
        return f"{self.grade.value:<7}  {self.subject}: {self.seen}{advice}"


def ok(subject: str, seen: str) -> Finding:
    """As it should be."""
    return Finding(grade=Grade.OK, subject=subject, seen=seen)


def warning(subject: str, seen: str, advice: str = "") -> Finding:
    """Perhaps not as it was meant."""
    return Finding(grade=Grade.WARNING, subject=subject, seen=seen, advice=advice)


def fault(subject: str, seen: str, advice: str) -> Finding:
    """Not as it has to be."""
    return Finding(grade=Grade.FAULT, subject=subject, seen=seen, advice=advice)
