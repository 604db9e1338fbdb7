"""Long texts in pieces that a trunk takes (RFC 3428 §8, 3GPP TS 23.038 §6.1, TS 23.040 §9.2.3.24)."""

import unicodedata
from collections.abc import Callable, Iterator

from bridge.sip.settings import Texting

MAX_PARTS = 10
"""More is a document, and each part may cost money."""

_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet: a septet each."""
_GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
"""Two septets each."""

_SEPTETS, _SEPTETS_OF_SEVERAL = 160, 153
_UNITS, _UNITS_OF_SEVERAL = 70, 67
"""UTF-16 code units, as soon as one character is not in the alphabet."""
_PAGE_BYTES = 1_000
"""A request may be 1300 octets long (RFC 3428 §8), its headers included."""

_JOINERS = frozenset("\u200d\ufe0f\ufe0e")


def parts_of(text: str, texting: Texting) -> tuple[str, ...]:
    """The text whole, or in numbered parts, split between words where that can be; empty when it is too long."""
    size, whole, each = _measure(text, texting)
    if size(text) <= whole:
        return (text,)
    label_size = size(_label(MAX_PARTS, MAX_PARTS))
    bare = []
    for part in _split(text, each - label_size, size):
        bare.append(part)
        if len(bare) > MAX_PARTS:
            return ()
    return tuple(_label(number, len(bare)) + part for number, part in enumerate(bare, 1))


def _measure(text: str, texting: Texting) -> tuple[Callable[[str], int], int, int]:
    """How to count, how much one message holds, and how much each of several."""
    if texting is not Texting.SMS:
        return (lambda part: len(part.encode(errors="replace"))), _PAGE_BYTES, _PAGE_BYTES
    if set(text) <= _GSM | _GSM_EXTENSION:
        return (lambda part: sum(1 + (char in _GSM_EXTENSION) for char in part)), _SEPTETS, _SEPTETS_OF_SEVERAL
    return (lambda part: len(part.encode("utf-16-le", "replace")) // 2), _UNITS, _UNITS_OF_SEVERAL


def _label(number: int, total: int) -> str:
    return f"({number}/{total}) "


def _split(text: str, room: int, size: Callable[[str], int]) -> Iterator[str]:
    while text:
        cut = _longest(text, room, size)
        if cut < len(text):
            blank = max(text.rfind(" ", 0, cut + 1), text.rfind("\n", 0, cut + 1))
            cut = blank if blank > cut // 2 else cut
        part, text = text[:cut].rstrip(), text[cut:].lstrip()
        if part:
            yield part


def _longest(text: str, room: int, size: Callable[[str], int]) -> int:
    """How many characters fit, without taking apart what is seen as one."""
    cut = used = 0
    while cut < len(text) and (used := used + size(text[cut])) <= room:
        cut += 1
    whole = cut
    while 0 < whole < len(text) and (_continues(text[whole]) or text[whole - 1] == "\u200d"):
        whole -= 1
    return whole or max(cut, 1)


def _continues(char: str) -> bool:
    """Whether a character belongs to the one before it: accents, variation selectors, skin tones."""
    return unicodedata.combining(char) != 0 or char in _JOINERS or 0x1F3FB <= ord(char) <= 0x1F3FF
