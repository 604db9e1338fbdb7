"""Text of the configuration file as users, servers, numbers and names."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

from bridge.config.values import shown, text
from bridge.core.ids import TrunkName
from bridge.core.user_ids import is_server_name, is_user_id
from bridge.numbers.money import parse_price
from bridge.numbers.number import canonical, is_beginning
from bridge.numbers.policy import WITHHELD
from bridge.numbers.reach import RANGE_MARK

_ROOM_ID = re.compile(r"![\x21-\x7e]{1,254}\Z")
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_EXTENSION = re.compile(r"(?!\+)[A-Za-z0-9_.!~*'+-]{1,64}\Z")
"""The user part of a SIP URI (RFC 3261 §25.1, `user`) that a PBX may send as a called number."""
_PREFIX_SEPARATORS = str.maketrans("", "", " -.()/")
_TRUNK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_MAX_PATTERN = 200
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{1,8}){0,3}\Z")
_NUMBER_PREFIX = re.compile(r"[0-9*#+]{0,16}\Z")
_PREFIX = re.compile(r"(?:\+(?:[1-9][0-9]{0,14})?|[0-9*#]{1,15})\Z")


def parse_server_name(value: object) -> str:
    """The part after the colon of user ids (Matrix specification, appendices, "Server name")."""
    word = text(value)
    if not is_server_name(word):
        raise ValueError(f"expected a server name such as example.org, found '{word}'")
    return word


def parse_user_id(value: object) -> str:
    """`@localpart:server_name`, at most 255 characters (Matrix specification, appendices, "User identifiers")."""
    word = text(value)
    if not is_user_id(word):
        raise ValueError(f"expected a user id such as @alice:example.org, found '{word}'")
    return word


def parse_who(value: object) -> str:
    """A user id, or a server name that stands for all of its users."""
    word = text(value)
    if word.startswith("@*:"):
        raise ValueError(f"write {shown(word[3:])} for all users of that server, found {shown(word)}")
    return parse_user_id(word) if word.startswith("@") else parse_server_name(word)


def parse_callers(value: object) -> str:
    """A user id, a server name, or the id of a room from which is called (appendices, "Room IDs")."""
    word = text(value)
    if not word.startswith("!"):
        return parse_who(word)
    if not _ROOM_ID.match(word):
        raise ValueError(f"expected a room id such as !abcdef:example.org, found '{word}'")
    return word


def parse_optional_mxc(value: object) -> str:
    """Where a picture is: `mxc://server_name/media_id`, or nothing (Matrix specification, "Content repository")."""
    word = text(value)
    server, _, media_id = word.removeprefix("mxc://").partition("/")
    if word and not (word.startswith("mxc://") and is_server_name(server) and _MEDIA_ID.match(media_id)):
        raise ValueError(f"expected an address such as mxc://example.org/abcdef, found '{word}'")
    return word


def parse_number(value: object, region: str) -> str:
    """A number as calls have it: E.164 with its `+`, a short code, or the name of an extension.

    It is read just as the numbers of calls are, national forms of `region` included: a number that is written in one
    way here and sent in another by the trunk is still the same number. What has a letter in it is a name, whatever
    digits follow.
    """
    word = text(value)
    is_name = any(character.isalpha() for character in word.removeprefix("tel:"))
    number = None if is_name else canonical(word, region)
    if number is None and not _EXTENSION.match(word):
        raise ValueError(_no_number(word, region))
    return number or word


def parse_called(value: object, region: str) -> str:
    """A number that is called, or the beginning of a block of them: `+4930123456*`."""
    word = text(value)
    if not word.endswith(RANGE_MARK) or len(word) < 2:
        return parse_number(word, region)
    return parse_prefix(word.removesuffix(RANGE_MARK), region) + RANGE_MARK


def _no_number(word: str, region: str) -> str:
    if word.startswith("+"):
        return f"expected + and a country code, and the number as it is dialled from abroad, found {shown(word)}"
    return (
        f"expected a number such as '+15550100', a national one of {region}, or the name of an extension, "
        f"found {shown(word)}"
    )


def parse_optional_number(value: object, region: str) -> str:
    """A number, or nothing."""
    word = text(value)
    return parse_number(word, region) if word else ""


def parse_short_code(value: object) -> str:
    """An emergency number: 2 to 6 digits."""
    word = text(value)
    if not (word.isascii() and word.isdigit() and 2 <= len(word) <= 6):
        raise ValueError(f"expected 2 to 6 digits, found '{word}'")
    return word


def parse_prefix(value: object, region: str) -> str:
    """The beginning of the numbers that may be called (`+44`; `+` is the whole world), or a short code (`*97`)."""
    word = text(value).translate(_PREFIX_SEPARATORS)
    if not _PREFIX.match(word):
        raise ValueError(f"expected the beginning of a number, such as '+44', found '{value}'")
    number = canonical(word, region)
    if number is not None and number.startswith("+") and not word.startswith("+"):
        raise ValueError(f"would never match, because calls have this number as {number}: write it so")
    if len(word) > 1 and word.startswith("+") and not is_beginning(word):
        raise ValueError(f"would never match: no number that is dialled from abroad begins with {shown(word)}")
    return word


def parse_rate(value: object) -> int:
    """A minute's price, in quotes: YAML would make it a number that is only nearly the same."""
    return parse_price(text(value))


def parse_optional_price(value: object) -> str:
    """An amount in quotes, or nothing."""
    word = text(value)
    if word:
        parse_price(word)
    return word


def parse_caller_id(value: object, region: str) -> str:
    """What phones are shown: a number, or `withheld`."""
    word = text(value)
    if word == WITHHELD:
        return word
    number = canonical(word, region)
    if number is None or not number.startswith("+"):
        raise ValueError(f"expected a number such as '+15550100', or {WITHHELD}, found '{word}'")
    return number


def parse_pattern(value: object) -> str:
    """A regular expression for whole numbers."""
    word = text(value)
    try:
        re.compile(word)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if len(word) > _MAX_PATTERN:
        raise ValueError(f"must have at most {_MAX_PATTERN} characters")
    return word


def parse_region(value: object) -> str:
    """An ISO 3166 region that has a numbering plan."""
    word = text(value).upper()
    if word not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"expected a country code such as US or DE, found '{value}'")
    return word


def parse_optional_region(value: object) -> str:
    """A region, or nothing."""
    return parse_region(value) if text(value) else ""


def parse_language(value: object) -> str:
    """A voice of the speech program, such as `en` or `de`."""
    word = text(value)
    if not _LANGUAGE.match(word):
        raise ValueError(f"expected a language such as 'en' or 'en-gb', found '{word}'")
    return word


def parse_time_zone(value: object) -> str:
    """A name of the IANA time zone database, or nothing."""
    word = text(value)
    try:
        if word:
            ZoneInfo(word)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"expected a time zone such as 'Europe/Berlin', found '{word}'") from None
    return word


def parse_number_prefix(value: object) -> str:
    """What a trunk wants before every called number, such as `12345678*`, or nothing."""
    word = text(value)
    if not _NUMBER_PREFIX.match(word):
        raise ValueError(f"expected at most 16 digits, '*', '#' and '+', found '{word}'")
    return word


def parse_trunk_name(value: object) -> TrunkName:
    """A name that can be a metrics label and a part of an environment variable."""
    word = text(value)
    if not _TRUNK_NAME.match(word):
        raise ValueError(f"expected a name of a-z, 0-9, '_' and '-', at most 32 characters, found '{word}'")
    return TrunkName(word)
