"""What a new configuration has otherwise than the one in force."""

from collections.abc import Collection

from pydantic import BaseModel

from bridge.config.model import Config


def changed_settings(before: Config, after: Config, *, except_for: Collection[str] = ()) -> list[str]:
    """Dotted paths of the settings that differ (`media.ports`, `trunks`), in the order of the file."""
    return [path for path in _changed(before, after, "") if path not in except_for]


def _changed(before: BaseModel, after: BaseModel, prefix: str) -> list[str]:
    """Sections are looked into; what an admin names freely, as trunks, counts as a whole."""
    found = []
    for name in type(before).model_fields:
        old, new, path = getattr(before, name), getattr(after, name), f"{prefix}{name}"
        if type(old) is type(new) and isinstance(old, BaseModel):
            found += _changed(old, new, f"{path}.")
        elif old != new:
            found.append(path)
    return found
