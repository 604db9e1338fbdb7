"""Bencode, the encoding of rtpengine's control protocol: whole numbers, octet strings, lists and dictionaries."""

from collections.abc import Mapping, Sequence

Value = int | str | bytes | Sequence["Value"] | Mapping[str, "Value"]
"""What can be encoded."""
Decoded = int | bytes | list["Decoded"] | dict[str, "Decoded"]
"""What comes out; octet strings stay octets, for nothing says what characters they are."""
_MAX_DEPTH = 32
_MAX_DIGITS = 20


class BencodeError(ValueError):
    """Octets that are no bencoded value."""


def encode(value: Value) -> bytes:
    """The octets of a value; keys of dictionaries keep their order, which rtpengine does not mind."""
    match value:
        case int():
            return b"i%de" % value
        case str():
            return encode(value.encode())
        case bytes():
            return b"%d:%b" % (len(value), value)
        case Mapping():
            return b"d" + b"".join(encode(key) + encode(entry) for key, entry in value.items()) + b"e"
        case _:
            return b"l" + b"".join(map(encode, value)) + b"e"


def decode(data: bytes) -> Decoded:
    """The value of some octets. Raises :class:`BencodeError` for anything that is not exactly one."""
    value, end = _value(data, 0, _MAX_DEPTH)
    if end != len(data):
        raise BencodeError("more than one value")
    return value


def _value(data: bytes, at: int, depth: int) -> tuple[Decoded, int]:
    """The value that begins at a position, and where it ends."""
    if depth == 0:
        raise BencodeError("nested too deeply")
    match data[at : at + 1]:
        case b"i":
            return _number(data, at + 1, b"e")
        case b"l":
            return _entries(data, at + 1, depth - 1)
        case b"d":
            return _dictionary(data, at + 1, depth - 1)
        case _:
            return _octets(data, at)


def _number(data: bytes, at: int, ending: bytes) -> tuple[int, int]:
    end = data.find(ending, at, at + _MAX_DIGITS + 2)
    digits = data[at:end].removeprefix(b"-")
    if end < 0 or not digits.isdigit():
        raise BencodeError("no number")
    return int(data[at:end]), end + 1


def _octets(data: bytes, at: int) -> tuple[bytes, int]:
    length, start = _number(data, at, b":")
    if not 0 <= length <= len(data) - start:
        raise BencodeError("a string is longer than what is there")
    return data[start : start + length], start + length


def _entries(data: bytes, at: int, depth: int) -> tuple[list[Decoded], int]:
    entries: list[Decoded] = []
    while data[at : at + 1] != b"e":
        entry, at = _value(data, at, depth)
        entries.append(entry)
    return entries, at + 1


def _dictionary(data: bytes, at: int, depth: int) -> tuple[dict[str, Decoded], int]:
    found: dict[str, Decoded] = {}
    while data[at : at + 1] != b"e":
        key, at = _octets(data, at)
        found[key.decode(errors="replace")], at = _value(data, at, depth)
    return found, at + 1
