"""Secrets from the file itself, from files of their own, or from the environment; two sources at once are a fault."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.config.document import Document, Location
from bridge.config.faults import Fault

_MAX_BYTES = 4096
_TRUNK_VARIABLE = re.compile(r"TRUNKLINE_TRUNKS_(.*)_(?:PASSWORD|HEADERS)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """One secret: where its value goes, and the environment variable that may hold it."""

    group: Location
    key: str
    variable: str
    required: bool = False
    generated: bool = False
    """Whether `generate-registration` makes the file of one that has none yet."""

    @property
    def location(self) -> Location:
        return (*self.group, self.key)


def fill_secrets(document: Document, environ: Mapping[str, str]) -> Iterator[Fault]:
    """Put every secret into the tree; what cannot be had is a fault and gets a stand-in, so that checking can go on."""
    places = list(_places(document.tree))
    yield from _strangers(places, environ)
    for place in places:
        yield from _fill(document, place, environ)


def _places(tree: dict[str, Any]) -> Iterator[SecretPlace]:
    for key in ("as_token", "hs_token"):
        variable = f"TRUNKLINE_{key.upper()}"
        yield SecretPlace(group=("appservice",), key=key, variable=variable, required=True, generated=True)
    yield SecretPlace(group=("homeserver",), key="puppet_token", variable="TRUNKLINE_PUPPET_TOKEN", generated=True)
    yield SecretPlace(group=("homeserver",), key="admin_token", variable="TRUNKLINE_ADMIN_TOKEN")
    yield SecretPlace(group=("media", "turn"), key="password", variable="TRUNKLINE_TURN_PASSWORD")
    yield SecretPlace(group=("media", "turn"), key="shared_secret", variable="TRUNKLINE_TURN_SHARED_SECRET")
    yield SecretPlace(group=("ops", "console"), key="token", variable="TRUNKLINE_CONSOLE_TOKEN", generated=True)
    yield SecretPlace(group=("ops", "hep"), key="password", variable="TRUNKLINE_HEP_PASSWORD")
    trunks = tree.get("trunks")
    for name, trunk in trunks.items() if isinstance(trunks, dict) else ():
        if isinstance(name, str) and isinstance(trunk, dict):
            prefix = f"TRUNKLINE_TRUNKS_{name.upper().replace('-', '_')}"
            for key in ("password", "headers"):
                variable = f"{prefix}_{key.upper()}"
                yield SecretPlace(group=("trunks", name), key=key, variable=variable)


def _strangers(places: list[SecretPlace], environ: Mapping[str, str]) -> Iterator[Fault]:
    """Variables that look like a trunk's secret but belong to none, or to two."""
    variables = [place.variable for place in places]
    for variable in sorted(filter(_TRUNK_VARIABLE.match, environ)):
        if variable not in variables:
            yield Fault(path="", message=f"the environment variable {variable} names no trunk of this file")
        elif variables.count(variable) > 1:
            yield Fault(path="trunks", message=f"the environment variable {variable} names more than one trunk")


def _fill(document: Document, place: SecretPlace, environ: Mapping[str, str]) -> Iterator[Fault]:
    group = _group(document.tree, place.group)
    if group is None:
        return
    sources = _sources(group, place, environ)
    if len(sources) > 1:
        yield document.fault(place.location, f"comes from {' and from '.join(sources)}: keep one of them")
    if not sources and place.required:
        message = f"is required: set it here, in {place.key}_file, or in the environment variable {place.variable}"
        yield document.fault(place.location, message)
    fault = _take(document, group, place, environ)
    if fault is not None:
        yield fault
    if place.key not in group and (place.required or sources):
        group[place.key] = f"stand-in of {place.variable}".replace(" ", "-")


def _group(tree: dict[str, Any], location: Location) -> dict[str, Any] | None:
    """The settings around a secret, made if they are not there; `None` when something else stands in their place."""
    group: Any = tree
    for part in location:
        group = group.setdefault(part, {})
        if not isinstance(group, dict):
            return None
    return group if isinstance(group, dict) else None


def _sources(group: dict[str, Any], place: SecretPlace, environ: Mapping[str, str]) -> list[str]:
    named = [name for name in (place.key, f"{place.key}_file") if group.get(name) not in (None, "")]
    return [*named, *([f"the environment variable {place.variable}"] if environ.get(place.variable) else [])]


def _take(document: Document, group: dict[str, Any], place: SecretPlace, environ: Mapping[str, str]) -> Fault | None:
    """Put the value into the group, from the first source that has one."""
    if group.get(place.key) == "":
        del group[place.key]
    if place.key in group:
        return None
    file = group.get(f"{place.key}_file")
    if isinstance(file, str) and file:
        return _take_from_file(document, group, place, Path(file))
    if value := environ.get(place.variable):
        group[place.key] = value
    return None


def _take_from_file(document: Document, group: dict[str, Any], place: SecretPlace, file: Path) -> Fault | None:
    location = (*place.group, f"{place.key}_file")
    try:
        group[place.key] = read_secret(file)
    except ValueError as error:
        if place.generated and isinstance(error.__cause__, FileNotFoundError):
            return document.fault(location, f"{error}; generate-registration makes it", absent_file=file)
        return document.fault(location, str(error))
    return None


def read_secret(file: Path) -> str:
    """What a secret's file holds. Raises `ValueError` with words for whoever has named the file."""
    if "\0" in str(file):
        raise ValueError("is not a path of a file")
    try:
        if file.exists() and not file.is_file():
            raise ValueError(f"{file} is not a regular file")
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ValueError(f"{file} does not exist") from error
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from error
    try:
        value = content.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text") from error
    if not value or len(content) > _MAX_BYTES:
        raise ValueError(f"{file} {'is empty' if not value else 'is too large for a secret'}")
    return value
