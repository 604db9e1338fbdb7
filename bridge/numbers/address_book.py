"""Names for numbers, from what people export from their phones and spreadsheets (vCard: RFC 6350; CSV: RFC 4180)."""

import base64
import csv
import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bridge.core.ids import E164
from bridge.core.picture import MAX_PICTURE_BYTES, Picture, read_picture
from bridge.numbers.number import canonical

MAX_NAME = 100
"""Characters of a name; Matrix allows more, no client shows it."""

MAX_FAULTS = 20

_VCARD = re.compile(r"\s*BEGIN:VCARD", re.IGNORECASE)
_PROPERTY = re.compile(r"(?:[\w-]+\.)?(FN|TEL|PHOTO)((?:;[^:]*)?):(.*)", re.IGNORECASE)
_INLINE = re.compile(r"data:[\w/+.-]*;base64,", re.IGNORECASE)
_ENCODED = re.compile(r";(?:ENCODING=)?(?:B|BASE64)(?:;|\Z)", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([\\,;nN])")
_NUMBER_COLUMNS = frozenset(("number", "phone", "telephone", "tel", "mobile"))
_NAME_COLUMNS = frozenset(("name", "display name", "display_name", "full name", "fn"))

Entry = tuple[int, str, str, Picture | None]
"""Line, number as written, name, picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressBook:
    """Names by canonical number."""

    names: Mapping[E164, str] = field(default_factory=dict)
    pictures: Mapping[E164, Picture] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    """What could not be used, a sentence each; the rest can."""


def parse_address_book(text: str, region: str) -> AddressBook:
    """Read a vCard file or a CSV file; numbers without a country code are those of `region` (ISO 3166).

    A CSV file has a line for each number, `number,name`, or any columns under a heading that has these two words. Of
    two names for one number the first counts.
    """
    entries = _cards(text) if _VCARD.match(text) else _rows(text)
    names: dict[E164, str] = {}
    pictures: dict[E164, Picture] = {}
    faults: list[str] = []
    try:
        for line, written, name, picture in entries:
            number, title = canonical(_bare(written), region), readable_name(name)
            if number is None or not title:
                faults.append(f"line {line}: {'no number' if number is None else 'no name'}")
                continue
            if number not in names and picture is not None:
                pictures[number] = picture
            names.setdefault(number, title)
    except csv.Error as error:
        faults.insert(0, f"read in part: {error}")
    return AddressBook(names=names, pictures=pictures, faults=tuple(faults[:MAX_FAULTS]))


def _bare(written: str) -> str:
    """A `tel:` URI without its parameters (RFC 3966 §3)."""
    return written.strip().partition(";")[0]


def readable_name(name: str) -> str:
    """A name that is safe to show: printable, and not longer than anybody reads."""
    return "".join(c if c.isprintable() else " " for c in name).strip()[:MAX_NAME]


def _rows(text: str) -> Iterator[Entry]:
    reader = csv.reader(text.splitlines(), skipinitialspace=True, delimiter=_delimiter(text))
    number_at, name_at = 0, 1
    for count, row in enumerate(reader):
        if not any(cell.strip() for cell in row):
            continue
        heading = [cell.strip().lower() for cell in row]
        if count == 0 and (found := _columns(heading)) is not None:
            number_at, name_at = found
            continue
        cells = dict(enumerate(row))
        yield reader.line_num, cells.get(number_at, ""), cells.get(name_at, ""), None


def _delimiter(text: str) -> str:
    """Spreadsheets of half of Europe write `;` where others write `,`."""
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _columns(heading: list[str]) -> tuple[int, int] | None:
    number = next((at for at, title in enumerate(heading) if title in _NUMBER_COLUMNS), None)
    name = next((at for at, title in enumerate(heading) if title in _NAME_COLUMNS), None)
    return None if number is None or name is None else (number, name)


def _cards(text: str) -> Iterator[Entry]:
    """Each TEL of each card with the FN and the PHOTO of that card, which may come after it."""
    name, picture, numbers = "", None, list[tuple[int, str]]()
    for line, content in _unfolded(text):
        if content[:9].upper() == "END:VCARD":
            yield from ((at, number, name, picture) for at, number in numbers)
            name, picture, numbers = "", None, []
        elif found := _PROPERTY.fullmatch(content):
            match found[1].upper():
                case "FN":
                    name = _value(found[2], found[3])
                case "PHOTO":
                    picture = picture or _picture(found[2], found[3])
                case _:
                    numbers.append((line, _value(found[2], found[3])))


def _picture(parameters: str, value: str) -> Picture | None:
    """What the card itself holds (RFC 2426 §3.1.4, RFC 6350 §6.2.4): nothing is fetched from where a card points."""
    inline = _INLINE.match(value)
    if inline is None and not _ENCODED.search(parameters):
        return None
    encoded = value[inline.end() :] if inline else value
    if len(encoded) > 2 * MAX_PICTURE_BYTES:
        return None
    try:
        return read_picture(base64.b64decode(encoded))
    except ValueError:
        return None


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; what begins with a blank or follows a soft break (vCard 2.1) belongs to the last."""
    at, gathered = 0, ""
    for line, content in enumerate(text.splitlines(), start=1):
        if content[:1] in (" ", "\t") and gathered:
            gathered += content[1:]
        elif gathered.endswith("=") and "QUOTED-PRINTABLE" in gathered.upper():
            gathered = gathered[:-1] + content
        else:
            if gathered:
                yield at, gathered
            at, gathered = line, content
    if gathered:
        yield at, gathered


def _value(parameters: str, raw: str) -> str:
    if "QUOTED-PRINTABLE" in parameters.upper():
        return quopri.decodestring(raw.encode()).decode(errors="replace")
    return _ESCAPED.sub(lambda escaped: " " if escaped[1] in "nN" else escaped[1], raw)
