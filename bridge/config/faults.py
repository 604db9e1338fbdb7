"""What is wrong with a configuration, in words for the person who wrote it."""

from dataclasses import dataclass
from pathlib import Path

from bridge.core.errors import TrunklineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing to put right."""

    path: str
    """Where, as a dotted path in the file: `trunks.carrier.password`; empty is the file as a whole."""
    message: str
    line: int | None = None
    """Line in the file, from 1, when the setting is there to be pointed at."""
    absent_file: Path | None = None
    """The file of a secret that does not exist yet: the one fault that a command can put right itself."""

    @property
    def located(self) -> str:
        """The message with the setting's path in front."""
        return f"{self.path}: {self.message}" if self.path else self.message

    def __str__(self) -> str:
        return f"line {self.line}: {self.located}" if self.line is not None else self.located


class ConfigError(TrunklineError):
    """The configuration cannot be used; `faults` has every reason, in the order of the file."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults
