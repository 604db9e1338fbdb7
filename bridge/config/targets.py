"""What is wrong with the targets that the file names: people who are none, and names of nothing."""

from collections.abc import Iterator
from typing import assert_never

from bridge.config.document import Location
from bridge.config.model import Config
from bridge.core.ids import UserId
from bridge.numbers.permission import belongs
from bridge.numbers.reach import Target, ToGroup, ToMenu, ToMessageBox, ToUser

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


def _targets(config: Config) -> Iterator[tuple[Location, Target]]:
    """Every target, with its place."""
    for number, entry in config.numbers.inbound.items():
        yield ("numbers", "inbound", number), entry.to
        if entry.otherwise is not None:
            yield ("numbers", "inbound", number, "otherwise"), entry.otherwise


def _fault(config: Config, target: Target) -> str:
    match target:
        case ToUser(user=user):
            return not_a_person(config, user)
        case ToMessageBox(user=user):
            takes_messages = belongs(user, config.voicemail.users)
            return not_a_person(config, user) or ("" if takes_messages else f"{user} is not one of voicemail.users")
        case ToGroup(group=name):
            return f"no group is called '{name}'; there is none"
        case ToMenu(menu=name):
            return f"no menu is called '{name}'; there is none"
        case _:
            assert_never(target)


def not_a_person(config: Config, user: UserId) -> str:
    """Words for a user whom no call can reach."""
    localpart, _, domain = user.removeprefix("@").partition(":")
    appservice = config.appservice
    ours = localpart == appservice.bot_localpart or localpart.startswith(appservice.ghost_prefix)
    if domain == config.homeserver.server_name and ours:
        return f"{user} is one of the bridge's own users, not a person"
    return ""
