"""Ready-made settings of known trunks: one small file each, with its source, beside the example configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.config.document import Document, read_document
from bridge.config.faults import Fault
from bridge.config.values import shown

_INSTALLED = Path(__file__).parent / "trunks"
_IN_CHECKOUT = Path(__file__).parents[2] / "config" / "trunks"
"""The wheel has the same files inside the package: an installed Trunkline has no other place that it knows."""


def apply_profiles(document: Document) -> Iterator[Fault]:
    """Give each trunk the settings of its profile that it does not set itself; an unknown profile is a fault."""
    trunks = document.tree.get("trunks")
    for name, trunk in trunks.items() if isinstance(trunks, dict) else ():
        if isinstance(trunk, dict) and isinstance(trunk.get("profile"), str) and trunk["profile"]:
            yield from _apply(document, name, trunk)


def known_profiles() -> list[str]:
    """Names of all profiles."""
    return sorted(file.stem for file in _directory().glob("*.yaml"))


def profile_file(name: str) -> Path:
    """The file of a known profile."""
    return _directory() / f"{name}.yaml"


def _apply(document: Document, name: str, trunk: dict[str, Any]) -> Iterator[Fault]:
    profile = trunk["profile"]
    if profile not in known_profiles():
        message = f"no profile is called {shown(profile)}; there is {', '.join(known_profiles())}"
        yield document.fault(("trunks", name, "profile"), message)
        trunk.setdefault("server", "stand-in.invalid")  # it would have come from the profile
        return
    for key, value in read_document(profile_file(profile)).tree.items():
        trunk.setdefault(key, value)


def _directory() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _IN_CHECKOUT
