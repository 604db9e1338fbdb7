"""Paths of the application-service API, taken apart by hand.

A framework's router decodes, normalises and turns `+` into a space in its own ways; ids must arrive as they were sent,
decoded exactly once.
"""

import enum
from dataclasses import dataclass
from urllib.parse import unquote


class Endpoint(enum.Enum):
    """What can be asked of an application service (Application Service API v1)."""

    TRANSACTION = enum.auto()
    PING = enum.auto()
    USER = enum.auto()
    ROOM_ALIAS = enum.auto()
    PROTOCOL = enum.auto()
    THIRD_PARTY_USERS = enum.auto()
    THIRD_PARTY_USER_REVERSE = enum.auto()
    LOCATIONS = enum.auto()
    LOCATION_REVERSE = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An endpoint, its method and the variable part of its path, empty when it has none."""

    endpoint: Endpoint
    method: str
    argument: str = ""


_V1 = ("_matrix", "app", "v1")
_UNSTABLE = ("_matrix", "app", "unstable")

# Fixed segments -> endpoint, method, whether one more segment follows.
_ROUTES: dict[tuple[str, ...], tuple[Endpoint, str, bool]] = {
    (*_V1, "ping"): (Endpoint.PING, "POST", False),
}
for _prefix in (_V1, ()):
    _ROUTES[*_prefix, "transactions"] = (Endpoint.TRANSACTION, "PUT", True)
    _ROUTES[*_prefix, "users"] = (Endpoint.USER, "GET", True)
    _ROUTES[*_prefix, "rooms"] = (Endpoint.ROOM_ALIAS, "GET", True)
for _prefix in (_V1, _UNSTABLE):
    _ROUTES[*_prefix, "thirdparty", "protocol"] = (Endpoint.PROTOCOL, "GET", True)

_THIRD_PARTY: dict[str, tuple[Endpoint, Endpoint]] = {
    "user": (Endpoint.THIRD_PARTY_USER_REVERSE, Endpoint.THIRD_PARTY_USERS),
    "location": (Endpoint.LOCATION_REVERSE, Endpoint.LOCATIONS),
}


def find_route(raw_path: str) -> Route | None:
    """The route of a percent-encoded path; `None` when there is none."""
    segments = tuple(unquote(segment, errors="replace") for segment in raw_path.lstrip("/").split("/"))
    if segments in _ROUTES:
        endpoint, method, more = _ROUTES[segments]
        return None if more else Route(endpoint=endpoint, method=method)
    if segments[:-1] in _ROUTES and segments[-1]:
        endpoint, method, more = _ROUTES[segments[:-1]]
        return Route(endpoint=endpoint, method=method, argument=segments[-1]) if more else None
    return _third_party(segments)


def _third_party(segments: tuple[str, ...]) -> Route | None:
    if segments[:3] not in {_V1, _UNSTABLE} or segments[3:4] != ("thirdparty",) or len(segments) not in {5, 6}:
        return None
    pair = _THIRD_PARTY.get(segments[4])
    if pair is None:
        return None
    if len(segments) == 5:
        return Route(endpoint=pair[0], method="GET")
    return Route(endpoint=pair[1], method="GET", argument=segments[5]) if segments[5] else None


def query_values(raw_query: str, name: str) -> list[str]:
    """All values of a query parameter, `+` being a space as in a form."""
    values = []
    for pair in raw_query.split("&"):
        key, _, value = pair.partition("=")
        if unquote(key.replace("+", " "), errors="replace") == name:
            values.append(unquote(value.replace("+", " "), errors="replace"))
    return values
