"""Keys for SRTP in descriptions (RFC 4568): `a=crypto` lines, read strictly and never shown.

A line that is not wholly understood is skipped, never guessed at: encryption that differs in one parameter is silence.
"""

import base64
import binascii
import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.core.entropy import Entropy

_TAG = re.compile(r"[0-9]{1,9}")
_LIFETIME = re.compile(r"2\^([1-9][0-9]?)|[1-9][0-9]{0,14}")
_HARMLESS = re.compile(r"WSH=[0-9]{1,5}|KDR=0|-\S+")
"""Session parameters that change nothing for us: a window's hint, and what may be ignored (RFC 4568 §6.3)."""
_LONGEST_LIFETIME_BITS = 48
_MAX_LINES = 16


class Suite(enum.StrEnum):
    """The crypto suites that we speak (RFC 4568 §6.2, RFC 7714 §14.2), under their registered names."""

    AES_CM_80 = "AES_CM_128_HMAC_SHA1_80"
    AES_CM_32 = "AES_CM_128_HMAC_SHA1_32"
    AES_GCM = "AEAD_AES_128_GCM"

    @property
    def key_size(self) -> int:
        """Octets of master key and salt together."""
        return 28 if self is Suite.AES_GCM else 30


OFFERED_SUITE = Suite.AES_CM_80
"""The one that every SRTP implementation must have (RFC 3711 §8.2)."""
_SUITES = {suite.value: suite for suite in Suite}


@dataclass(frozen=True, slots=True, kw_only=True)
class CryptoLine:
    """One `a=crypto` attribute: the key with which its writer encrypts what it sends."""

    tag: int
    suite: Suite
    key: bytes = field(repr=False)
    """Master key and salt."""

    def line(self) -> str:
        """The attribute, as it is written."""
        return f"a=crypto:{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """The two keys of one leg."""

    ours: CryptoLine
    theirs: CryptoLine


def same_key(one: CryptoLine, other: CryptoLine) -> bool:
    """Whether two lines stand for one SRTP key, whatever their tags."""
    return one.suite is other.suite and one.key == other.key


def new_line(entropy: Entropy, *, tag: int, suite: Suite) -> CryptoLine:
    """A key that was never used before (RFC 4568 §6.1: unique, and of good randomness)."""
    key = entropy.integer(0, (1 << 8 * suite.key_size) - 1).to_bytes(suite.key_size, "big")
    return CryptoLine(tag=tag, suite=suite, key=key)


def read_lines(values: Iterable[str]) -> tuple[CryptoLine, ...]:
    """The lines that can be used, in their order; of two with one tag the first."""
    found: dict[int, CryptoLine] = {}
    for _, value in zip(range(_MAX_LINES), values, strict=False):
        line = _read(value)
        if line is not None:
            found.setdefault(line.tag, line)
    return tuple(found.values())


def _read(value: str) -> CryptoLine | None:
    """`tag suite key-params [session-params]` (RFC 4568 §9.2)."""
    words = value.split()
    if len(words) < 3:
        return None
    tag, suite_name, key_params, *session_params = words
    suite = _SUITES.get(suite_name.upper())
    if suite is None or _TAG.fullmatch(tag) is None or not all(map(_HARMLESS.fullmatch, session_params)):
        return None
    key = _key(key_params, suite)
    return CryptoLine(tag=int(tag), suite=suite, key=key) if key is not None else None


def _key(params: str, suite: Suite) -> bytes | None:
    """`inline:key[|lifetime]`. Several keys, or an MKI to tell them apart, are not spoken here."""
    method, _, rest = params.partition(":")
    text, *limits = rest.split("|")
    if method.lower() != "inline" or len(limits) > 1 or not all(map(_is_lifetime, limits)):
        return None
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == suite.key_size else None


def _is_lifetime(text: str) -> bool:
    """How many packets the key may protect: no call comes near the default, and a peer renews its own key in time."""
    found = _LIFETIME.fullmatch(text)
    return found is not None and int(found.group(1) or 1) <= _LONGEST_LIFETIME_BITS
