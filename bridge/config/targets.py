"""What is wrong with the targets that the file names: people who are none, and names of nothing."""

from collections.abc import Collection, Iterator
from typing import assert_never

from bridge.config.document import Location
from bridge.config.model import Config
from bridge.core.ids import UserId
from bridge.numbers.groups import RingOrder
from bridge.numbers.permission import belongs
from bridge.numbers.reach import Target, ToGroup, ToMenu, ToMessageBox, ToUser

TIMER_C_S = 180.0

Finding = tuple[Location, str]


def target_contradictions(config: Config) -> Iterator[Finding]:
    """Everything that the targets of the file say, held against what they are the names of."""
    for location, target in _targets(config):
        message = _fault(config, target)
        if message:
            yield location, message
    for number, entry in config.numbers.inbound.items():
        if entry.otherwise is not None and entry.hours is None:
            yield ("numbers", "inbound", number, "otherwise"), "is never used without hours"
    yield from _groups(config)


def _groups(config: Config) -> Iterator[Finding]:
    """Members who are none or stand there twice, and groups that lead back to themselves."""
    for name, group in config.groups.items():
        for index, user in enumerate(group.members):
            message = "is listed twice" if user in group.members[:index] else not_a_person(config, UserId(user))
            if message:
                yield ("groups", name, "members", index), message
        if name in _led_to(config, name):
            yield ("groups", name, "otherwise"), "leads back to this group"


def long_hunts(config: Config) -> Iterator[str]:
    """Groups that ring in turn for longer than callers are let wait (RFC 3261 §16.6, Timer C)."""
    for name, group in config.groups.items():
        whole_s = group.each_s * len(group.members)
        if group.ring is RingOrder.IN_TURN and whole_s > TIMER_C_S:
            yield f"groups.{name}: may ring for {whole_s:g} s, and many trunks give up after {TIMER_C_S:g} s"


def _led_to(config: Config, name: str) -> list[str]:
    """The groups that `otherwise` leads to from one, the first again at the end if it leads in a circle."""
    way: list[str] = []
    while isinstance(target := config.groups[name].otherwise, ToGroup) and target.group in config.groups:
        if target.group in way:
            break
        name = target.group
        way.append(name)
    return way


def _targets(config: Config) -> Iterator[tuple[Location, Target]]:
    """Every target, with its place."""
    for name, menu in config.menus.items():
        for key, target in menu.digits.items():
            yield ("menus", name, "digits", key), target
        if menu.otherwise is not None:
            yield ("menus", name, "otherwise"), menu.otherwise
    for number, entry in config.numbers.inbound.items():
        yield ("numbers", "inbound", number), entry.to
        if entry.otherwise is not None:
            yield ("numbers", "inbound", number, "otherwise"), entry.otherwise
    for name, group in config.groups.items():
        if group.otherwise is not None:
            yield ("groups", name, "otherwise"), group.otherwise


def people(config: Config) -> Iterator[tuple[Location, UserId]]:
    """Every user whom a number, a menu or a group leads to, with its place."""
    for location, target in _targets(config):
        if isinstance(target, ToUser | ToMessageBox):
            yield location, target.user
    for name, group in config.groups.items():
        yield from ((("groups", name, "members", index), UserId(user)) for index, user in enumerate(group.members))


def _fault(config: Config, target: Target) -> str:
    match target:
        case ToUser(user=user):
            return not_a_person(config, user)
        case ToMessageBox(user=user):
            takes_messages = belongs(user, config.voicemail.users)
            return not_a_person(config, user) or ("" if takes_messages else f"{user} is not one of voicemail.users")
        case ToGroup(group=name):
            return "" if name in config.groups else f"no group is called '{name}'; {_known(config.groups)}"
        case ToMenu(menu=name):
            return "" if name in config.menus else f"no menu is called '{name}'; {_known(config.menus)}"
        case _:
            assert_never(target)


def _known(names: Collection[str]) -> str:
    return f"there is {', '.join(names)}" if names else "there is none"


def not_a_person(config: Config, user: UserId) -> str:
    """Words for a user whom no call can reach."""
    localpart, _, domain = user.removeprefix("@").partition(":")
    appservice = config.appservice
    ours = localpart == appservice.bot_localpart or localpart.startswith(appservice.ghost_prefix)
    if domain == config.homeserver.server_name and ours:
        return f"{user} is one of the bridge's own users, not a person"
    return ""
