"""Text of the configuration file as users, servers, numbers and names."""

import re

import phonenumbers

from bridge.config.values import text
from bridge.core.ids import TrunkName

_SERVER_NAME = re.compile(r"(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_USER_ID = re.compile(r"@([\x21-\x39\x3b-\x7e]{1,254}):(.+)\Z")
_SEPARATORS = str.maketrans("", "", " -.()/")
_E164 = re.compile(r"\+[1-9][0-9]{1,14}\Z")
_SIP_USER = re.compile(r"[A-Za-z0-9_.!~*'+-]{1,64}\Z")
_TRUNK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_PREFIX = re.compile(r"(?:\+(?:[1-9][0-9]{0,14})?|[0-9*#]{1,15})\Z")


def parse_server_name(value: object) -> str:
    """The part after the colon of user ids (Matrix specification, appendices, "Server name")."""
    word = text(value)
    if "://" in word or not _SERVER_NAME.match(word):
        raise ValueError(f"expected a server name such as example.org, found '{word}'")
    return word


def parse_user_id(value: object) -> str:
    """`@localpart:server_name`, at most 255 characters (Matrix specification, appendices, "User identifiers")."""
    word = text(value)
    match = _USER_ID.match(word)
    if match is None or len(word) > 255 or not _SERVER_NAME.match(match[2]):
        raise ValueError(f"expected a user id such as @alice:example.org, found '{word}'")
    return word


def parse_who(value: object) -> str:
    """A user id, or a server name that stands for all of its users."""
    word = text(value)
    return parse_user_id(word) if word.startswith("@") else parse_server_name(word)


def parse_number(value: object) -> str:
    """A number as it comes from or goes to a trunk: E.164 with its `+`, a short code, or the name of an extension."""
    word = text(value)
    bare = word.translate(_SEPARATORS) if word.startswith("+") or word[:1].isdigit() else word
    if bare.startswith("+") and not _E164.match(bare):
        raise ValueError(f"expected + and 2 to 15 digits, found '{word}'")
    if not _SIP_USER.match(bare):
        raise ValueError(f"expected a number such as '+15550100' or the name of an extension, found '{word}'")
    return bare


def parse_optional_number(value: object) -> str:
    """A number, or nothing."""
    word = text(value)
    return parse_number(word) if word else ""


def parse_short_code(value: object) -> str:
    """An emergency number: 2 to 6 digits."""
    word = text(value)
    if not (word.isascii() and word.isdigit() and 2 <= len(word) <= 6):
        raise ValueError(f"expected 2 to 6 digits, found '{word}'")
    return word


def parse_prefix(value: object) -> str:
    """The beginning of the numbers that may be called (`+44`; `+` is the whole world), or a short code (`*97`)."""
    word = text(value).translate(_SEPARATORS)
    if not _PREFIX.match(word):
        raise ValueError(f"expected the beginning of a number, such as '+44', found '{value}'")
    return word


def parse_region(value: object) -> str:
    """An ISO 3166 region that has a numbering plan."""
    word = text(value).upper()
    if word not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"expected a country code such as US or DE, found '{value}'")
    return word


def parse_trunk_name(value: object) -> TrunkName:
    """A name that can be a metrics label and a part of an environment variable."""
    word = text(value)
    if not _TRUNK_NAME.match(word):
        raise ValueError(f"expected a name of a-z, 0-9, '_' and '-', at most 32 characters, found '{word}'")
    return TrunkName(word)
