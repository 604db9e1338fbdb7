"""From a file to a :class:`Config`, or to the list of everything that is wrong with it."""

import copy
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bridge.config.check import contradictions, doubled_numbers
from bridge.config.document import Document, Location, read_document
from bridge.config.faults import ConfigError, Fault
from bridge.config.identities import parse_region
from bridge.config.kinds import DEFAULT_REGION
from bridge.config.menus import SENTENCES
from bridge.config.model import Config, StoreConfig, TlsFilesConfig
from bridge.config.operations import OpsConfig
from bridge.config.profiles import apply_profiles
from bridge.config.secrets import fill_secrets
from bridge.config.sentences import names_file
from bridge.config.wording import follows, location_of, worded

_DEFAULT_PATHS: Mapping[tuple[str, str], Path | None] = {
    ("appservice", "as_token_file"): None,
    ("appservice", "hs_token_file"): None,
    ("homeserver", "puppet_token_file"): None,
    ("homeserver", "admin_token_file"): None,
    ("numbers", "address_book"): None,
    ("media", "hold_music"): None,
    ("voicemail", "greeting"): None,
    ("store", "path"): StoreConfig().path,
    ("ops", "call_records"): OpsConfig().call_records,
}
_STAND_INS: Mapping[str, Any] = {
    "homeserver": {"url": "http://stand-in.invalid", "server_name": "stand-in.invalid"},
    "url": "http://stand-in.invalid",
    "server_name": "stand-in.invalid",
    "server": "stand-in.invalid",
    "who": ["stand-in.invalid"],
    "members": ["@stand-in:stand-in.invalid"],
    "prefixes": ["+999"],
    "pattern": "999",
    "prompt": "Stand-in.",
    "to": "@stand-in:stand-in.invalid",
}
"""Values for required settings that are missing or wrong, so that the others can still be compared."""


def load_config(path: Path | str, environ: Mapping[str, str] | None = None) -> Config:
    """Read, complete and check a configuration file.

    Every fault is found in one run (:class:`ConfigError`), because an admin who has to start the program eight times to
    learn of eight mistakes gives up after three.
    """
    path = Path(path)
    document = read_document(path)
    unknown_profiles = list(apply_profiles(document))
    _make_paths_absolute(document.tree, path.absolute().parent)
    faults = [*document.faults, *unknown_profiles, *fill_secrets(document, os.environ if environ is None else environ)]
    config, errors = _validate(document)
    faults += [document.fault(location_of(error), worded(location_of(error), error)) for error in errors]
    faults += doubled_numbers(document, _region(document))
    candidate = config or _mended(document, errors)
    if candidate is not None:
        faults += contradictions(document, candidate)
    if config is None or faults:
        raise ConfigError(sorted(_distinct(faults), key=_file_order))
    return config


def _validate(document: Document) -> tuple[Config | None, list[ErrorDetails]]:
    try:
        return Config.model_validate(document.tree, context=_region(document)), []
    except ValidationError as error:
        return None, [detail for detail in error.errors(include_url=False) if not follows(detail)]


def _region(document: Document) -> str:
    """Whose national numbers the file may contain. The model reports one that does not exist."""
    numbers = document.tree.get("numbers")
    try:
        return parse_region(numbers.get("default_region") if isinstance(numbers, dict) else None)
    except ValueError:
        return DEFAULT_REGION


def _make_paths_absolute(tree: dict[str, Any], base: Path) -> None:
    """A relative path is relative to the file it stands in, wherever the process was started; defaults as well."""
    for (section, key), default in _DEFAULT_PATHS.items():
        group = tree.setdefault(section, {}) if default is not None else tree.get(section)
        if isinstance(group, dict) and default is not None:
            group.setdefault(key, str(default))
        _make_absolute(group, key, base)
    _make_tls_absolute(tree.get("sip"), base)
    media = tree.get("media")
    if isinstance(media, dict):
        _make_absolute(media.get("turn"), "password_file", base)
        _make_absolute(media.get("turn"), "shared_secret_file", base)
    announcements = tree.get("announcements")
    recordings = announcements.get("recordings") if isinstance(announcements, dict) else None
    for key in recordings if isinstance(recordings, dict) else ():
        _make_absolute(recordings, key, base)
    voicemail = tree.get("voicemail")
    greetings = voicemail.get("greetings") if isinstance(voicemail, dict) else None
    _make_recordings_absolute(greetings, greetings or (), base)
    menus = tree.get("menus")
    for menu in menus.values() if isinstance(menus, dict) else ():
        _make_recordings_absolute(menu, SENTENCES, base)
    ops = tree.get("ops")
    if isinstance(ops, dict):
        _make_absolute(ops.get("console"), "token_file", base)
        admin = ops.get("admin")
        tokens = admin.get("tokens") if isinstance(admin, dict) else None
        for name in tokens if isinstance(tokens, dict) else ():
            _make_absolute(tokens, name, base)
        _make_absolute(ops.get("hep"), "password_file", base)
    trunks = tree.get("trunks")
    for trunk in trunks.values() if isinstance(trunks, dict) else ():
        _make_absolute(trunk, "password_file", base)
        _make_absolute(trunk, "headers_file", base)
        _make_tls_absolute(trunk, base)


def _make_tls_absolute(group: Any, base: Path) -> None:
    if isinstance(group, dict):
        for key in TlsFilesConfig.model_fields:
            _make_absolute(group.get("tls"), key, base)


def _make_recordings_absolute(group: Any, settings: Iterable[str], base: Path) -> None:
    """Of settings that are each a text or a file; what then begins as a path does is never taken for a text."""
    for setting in settings if isinstance(group, dict) else ():
        if isinstance(sentence := group.get(setting), str) and names_file(sentence, base):
            _make_absolute(group, setting, base)


def _make_absolute(group: Any, key: str, base: Path) -> None:
    if isinstance(group, dict) and isinstance(group.get(key), str) and group[key]:
        group[key] = str(base / group[key])


def _mended(document: Document, errors: Iterable[ErrorDetails]) -> Config | None:
    """The configuration without its bad settings, or `None` when that is not one either."""
    mended = Document(tree=copy.deepcopy(document.tree))
    for location in sorted({location_of(error) for error in errors}, key=_deepest_and_last_first):
        _mend(mended.tree, location)
    return _validate(mended)[0]


def _deepest_and_last_first(location: Location) -> tuple[int, int]:
    """List entries are removed from the end, so that the indices of the others stay right."""
    return -len(location), -max((part for part in location if isinstance(part, int)), default=0)


def _mend(tree: Any, location: Location) -> None:
    *way, last = location
    for part in way:
        tree = tree[part] if _has(tree, part) else None
    if isinstance(tree, dict) and last in _STAND_INS:
        tree[last] = copy.deepcopy(_STAND_INS[str(last)])
    elif _has(tree, last):
        del tree[last]


def _has(group: Any, part: str | int) -> bool:
    if isinstance(group, list):
        return isinstance(part, int) and part < len(group)
    return isinstance(group, dict) and part in group


def _distinct(faults: Iterable[Fault]) -> Iterator[Fault]:
    """One fault for one place: what follows from another fault would only confuse."""
    seen: set[str] = set()
    for fault in faults:
        if fault.path and (fault.path in seen or f"{fault.path}_file" in seen):
            continue
        seen.add(fault.path)
        yield fault


def _file_order(fault: Fault) -> tuple[int, str]:
    return fault.line or 0, fault.path
