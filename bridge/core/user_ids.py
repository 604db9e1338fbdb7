"""Names of users and servers, as the Matrix specification has them (appendices, "Identifier grammar")."""

import re

_SERVER_NAME = re.compile(r"(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_USER_ID = re.compile(r"@([\x21-\x39\x3b-\x7e]{1,254}):(.+)\Z")
_MAX_USER_ID = 255


def is_server_name(word: str) -> bool:
    """Whether this is the part after the colon of user ids ("Server name")."""
    return "://" not in word and _SERVER_NAME.match(word) is not None


def is_user_id(word: str) -> bool:
    """Whether this is `@localpart:server_name`, at most 255 characters ("User identifiers")."""
    match = _USER_ID.match(word)
    return match is not None and len(word) <= _MAX_USER_ID and is_server_name(match[2])
