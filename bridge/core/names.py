"""Names of people, as strangers write them."""

import unicodedata

MAX_NAME = 80
"""Characters: more than a phone or a room list shows."""

_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
"""Categories that print as nothing, or change how what follows is printed."""


def plain_name(text: str) -> str:
    """A name that can be shown anywhere: one line, not too long, without what is unseen or turns text around."""
    spaced = " ".join(text[: 8 * MAX_NAME].split())
    seen = "".join(character for character in spaced if unicodedata.category(character) not in _UNSEEN)
    return " ".join(seen.split())[:MAX_NAME].rstrip()
