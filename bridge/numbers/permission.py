"""Who may call what: entries of the configuration, which others cannot write as they can the state of a room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.core.ids import E164, RoomId, TrunkName, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Users, all users of a server, or whoever calls from a room, that may call numbers with certain prefixes."""

    who: tuple[str, ...]
    """Matrix ids (`@user:server`), room ids (`!room:server`) and server names."""
    prefixes: tuple[str, ...]
    """E.164 prefixes (`+49`), or whole short codes."""
    but_not: tuple[str, ...] = ()
    """Prefixes that are left out; of this list and the other, the longest one that fits decides."""
    costly: bool = False
    """Whether that includes what costs far more than a call (see `costly`)."""
    trunk: TrunkName | None = None
    """The trunk for these calls; `None` leaves it to the dial plan."""
    name: str = ""
    """By which the admin API knows it; empty for an entry of the file."""

    def covers(self, number: E164) -> bool:
        """Whether the number may be called, as far as this entry goes."""
        return bool(self.permitting(number))

    def permitting(self, number: E164) -> str:
        """The prefix by which a number may be called; empty when it may not."""
        allowed, denied = longest(self.prefixes, number), longest(self.but_not, number)
        return allowed if len(allowed) > len(denied) else ""

    def covers_user(self, user: UserId, room: RoomId | None = None) -> bool:
        """Whether this entry speaks of the user, or of the room that the user calls from."""
        return belongs(user, self.who) or (room is not None and room in self.who)


def belongs(user: UserId, who: Sequence[str]) -> bool:
    """Whether a user, or the user's server, is one of those named."""
    return user in who or user.partition(":")[2] in who


def of_user(settings: Mapping[str, str], user: UserId) -> str:
    """What is set for a user, or else for the user's server; nothing if neither."""
    return settings.get(user) or settings.get(user.partition(":")[2], "")


def longest(prefixes: Sequence[str], number: str) -> str:
    """The longest prefix that fits a number, if any; a short code fits as a whole only."""
    return max((prefix for prefix in prefixes if prefix_matches(prefix, number)), key=len, default="")


def prefix_matches(prefix: str, number: str) -> bool:
    """Whether a number begins so, or is the short code itself."""
    return number.startswith(prefix) if prefix.startswith("+") else number == prefix
