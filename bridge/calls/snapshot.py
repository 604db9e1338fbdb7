"""A call written down and read back, so that the next process knows what this one had begun."""

from pydantic import TypeAdapter, ValidationError

from bridge.calls.call import Call
from bridge.core.errors import TrunklineError

_ADAPTER = TypeAdapter(Call)


class SnapshotError(TrunklineError):
    """The text is not a call of this version."""


def dump(call: Call) -> str:
    """A call as JSON. Moments are on the monotonic clock of this process and mean nothing to another one."""
    return _ADAPTER.dump_json(call).decode()


def load(text: str) -> Call:
    """A call from JSON. Raises :class:`SnapshotError`."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise SnapshotError(f"not a call: {error.error_count()} faults") from error
