"""The YAML file as a tree of plain values that remembers its line numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bridge.config.faults import ConfigError, Fault
from bridge.config.syntax import syntax_fault

Location = tuple[str | int, ...]
"""Keys and list indices that lead to a setting."""

_MAX_BYTES = 1 << 20
_MAX_REPEATED = 100_000
"""Values that a file may say again by aliases: a few lines, each of which names the one before, can be gigabytes."""


@dataclass(slots=True, kw_only=True)
class Document:
    """One file: its settings, where they stand, and what was wrong with the file itself."""

    tree: dict[str, Any] = field(default_factory=dict)
    lines: dict[Location, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, location: Location) -> int | None:
        """The line of a setting, or of the closest group around it that stands in the file."""
        for length in range(len(location), 0, -1):
            if (found := self.lines.get(location[:length])) is not None:
                return found
        return None

    def fault(self, location: Location, message: str, *, absent_file: Path | None = None) -> Fault:
        """A fault with its line filled in."""
        line = self.line(location)
        return Fault(path=dotted(location), message=printable(message), line=line, absent_file=absent_file)


def dotted(location: Location) -> str:
    """`("trunks", "carrier", "sources", 0)` as `trunks.carrier.sources[0]`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return printable(path)


def printable(words: str) -> str:
    """`words` on one line, whatever somebody wrote between quotes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def read_document(path: Path) -> Document:
    """Read a file; what cannot be read at all is a :class:`ConfigError` at once."""
    document = Document()
    try:
        tree = _parse(_read(path), document)
    except yaml.YAMLError as error:
        raise ConfigError([syntax_fault(error)]) from None
    except (RecursionError, ValueError) as error:
        # Nested without end, an anchor within itself, a date or a number that cannot be.
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError([Fault(path="", message=f"this file cannot be read: {printable(what)}")]) from None
    if not isinstance(tree, dict):
        raise ConfigError([Fault(path="", message="expected settings such as 'homeserver:', found something else")])
    document.tree = without_nothing(tree)
    return document


def _parse(content: str, document: Document) -> Any:
    """The file's values; notes lines and doubled keys on the way."""
    loader = yaml.SafeLoader(content)
    try:
        root = loader.get_single_node()
        if root is None:
            return {}
        if _expanded(root, {}) - _written(root) > _MAX_REPEATED:
            raise ValueError("its aliases ('*name') repeat more than a configuration can have")
        document.lines.update(_walk(loader, root, (), document.faults))
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    match node:
        case yaml.MappingNode():
            for key, value in node.value:
                yield key
                yield value
        case yaml.SequenceNode():
            yield from node.value


def _written(root: yaml.Node) -> int:
    """How many values stand in the file: aliases lead to nodes that are there already."""
    seen, ahead = {id(root)}, [root]
    while ahead:
        for child in _children(ahead.pop()):
            if id(child) not in seen:
                seen.add(id(child))
                ahead.append(child)
    return len(seen)


def _expanded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values there are when aliases are followed, without following one twice; 0 on the way to itself."""
    if id(node) not in sizes:
        sizes[id(node)] = 0
        sizes[id(node)] = 1 + sum(_expanded(child, sizes) for child in _children(node))
    return sizes[id(node)]


def without_nothing(tree: dict[str, Any]) -> dict[str, Any]:
    """`tree` without the settings that have nothing after the colon: they take their defaults.

    A section whose settings are all commented out is such a one. A trunk with nothing in it stays, and so does a number
    that leads to nobody: those are mistakes.
    """
    sections = {section: _set_ones(group) for section, group in _set_ones(tree).items()}
    if isinstance(trunks := tree.get("trunks"), dict):
        sections["trunks"] = {name: {} if trunk is None else _set_ones(trunk) for name, trunk in trunks.items()}
    return sections


def _set_ones(group: Any) -> Any:
    if not isinstance(group, dict):
        return group
    return {key: _set_ones(item) if key == "tls" else item for key, item in group.items() if item is not None}


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()[: _MAX_BYTES + 1]
        if len(content) > _MAX_BYTES:
            raise ConfigError([Fault(path="", message="is larger than a configuration can be (1 MiB)")])
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Fault(path="", message=f"cannot read it: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Fault(path="", message="is not UTF-8 text: save it as UTF-8")]) from None


def _walk(
    loader: yaml.SafeLoader, node: yaml.Node, location: Location, faults: list[Fault]
) -> Iterator[tuple[Location, int]]:
    """Every setting with its line; keys given twice become faults, because YAML would keep the last one silently."""
    match node:
        case yaml.MappingNode():
            yield from _walk_mapping(loader, node, location, faults)
        case yaml.SequenceNode():
            for index, item in enumerate(node.value):
                yield (*location, index), item.start_mark.line + 1
                yield from _walk(loader, item, (*location, index), faults)


def _walk_mapping(
    loader: yaml.SafeLoader, node: yaml.MappingNode, location: Location, faults: list[Fault]
) -> Iterator[tuple[Location, int]]:
    seen: dict[object, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = loader.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        here = (*location, key if isinstance(key, str | int) else str(key))
        if key in seen:
            message = f"given twice, first on line {seen[key]}"
            faults.append(Fault(path=dotted(here), message=message, line=line))
        seen.setdefault(key, line)
        yield here, line
        yield from _walk(loader, value_node, here, faults)
