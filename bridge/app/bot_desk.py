"""Does what users ask of the bot, and says what came of it."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Protocol, assert_never

from bridge.app.directory import Directory
from bridge.app.meter import Meter
from bridge.app.people import People
from bridge.app.user_settings import forwarding
from bridge.bot import commands as said
from bridge.bot import replies
from bridge.calls.ports import Portal
from bridge.calls.state import Direction
from bridge.core.ids import E164, GroupName, TrunkName, UserId
from bridge.core.presence import RingWhen
from bridge.core.verdict import Verdict
from bridge.matrix.ghosts import display_name
from bridge.numbers.address_book import readable_name
from bridge.numbers.groups import Group
from bridge.numbers.hours import parse_hours
from bridge.numbers.policy import NumberPlan
from bridge.numbers.reach import RANGE_MARK
from bridge.numbers.refusals import NO_NUMBER

HISTORY_LENGTH = 10
MAX_NAMES = 1_000
"""Numbers that one user may name."""


class NumberRooms(Protocol):
    """Portals; failures are `bridge.core.errors.TrunklineError`."""

    async def portal(self, *, user: UserId, number: E164) -> Portal: ...

    async def show_own_name(self, *, user: UserId, number: E164) -> None:
        """Show a number in the user's portal as the user, or else everybody, calls it."""
        ...


class BotDesk:
    """One method for each command; each returns the answer."""

    def __init__(
        self,
        *,
        plan: Callable[[], NumberPlan],
        trunk_up: Callable[[TrunkName], bool],
        rooms: NumberRooms,
        directory: Directory,
        people: People,
        meter: Meter,
        admins: Callable[[], Container[UserId]] = tuple,
        knows_presence: Callable[[], bool] = lambda: False,
        groups: Callable[[], Mapping[GroupName, Group]] = dict,
        message_reasons: Callable[[UserId], Sequence[str] | None] = lambda user: None,
    ) -> None:
        """`message_reasons` are those of calls that are over for which a user takes a message, if they take any."""
        self._plan = plan
        self._trunk_up = trunk_up
        self._rooms = rooms
        self._directory = directory
        self._meter = meter
        self._admins = admins
        self._settings = people.settings
        self._history = people.history
        self._own_names = people.own_names
        self._name_of = people.name_of
        self._knows_presence = knows_presence
        self._groups = groups
        self._message_reasons = message_reasons

    async def do(self, user: UserId, command: said.Command) -> str:
        """Raises `bridge.core.errors.TrunklineError` when the homeserver or the store does not cooperate."""
        match command:
            case said.Help():
                return replies.HELP
            case said.Unknown():
                return replies.UNKNOWN
            case said.Misused():
                return replies.misused(command.usage)
            case said.Status():
                return await self._status(user)
            case said.ShowHistory():
                return await self._past_calls(user)
            case said.CallNumber():
                return await self._call(user, command.number)
            case said.Voicemail():
                return await self._voicemail(user)
            case said.DoNotDisturb():
                return replies.do_not_disturb(await self._settings.change(user, do_not_disturb=command.on))
            case said.Forward():
                return await self._forward(user, command.number)
            case said.Anonymous():
                await self._settings.change(user, withheld=command.on)
                return replies.anonymous(on=command.on)
            case said.Block():
                return await self._block(user, command)
            case said.AnonymousCallers():
                await self._settings.change(user, refuses_anonymous=not command.accepted)
                return replies.anonymous_callers(accepted=command.accepted)
            case said.SetHours():
                return await self._hours(user, command.hours)
            case said.Ring():
                return await self._ring(user, command.when)
            case said.Resume():
                return await self._resume(user, command)
            case said.NameNumber():
                return await self._name(user, command)
            case _:
                assert_never(command)

    async def _call(self, user: UserId, typed: str) -> str:
        """A room in which the client's own button calls; whether the user may, is said before one is made."""
        route = self._plan().route(user, typed, self._trunk_up)
        if isinstance(route, Verdict):
            return route.user_text or replies.FAILED
        number = self._plan().read_marked(user, typed) or route.number
        portal = await self._rooms.portal(user=user, number=number)
        shown = await self._shown(user)
        return replies.call_from(shown(number), portal.room_id, joined=portal.user_joined)

    async def _voicemail(self, user: UserId) -> str:
        """A message box of our own, that of a PBX, or both; there is no word of one that the user may not call."""
        reasons, plan = self._message_reasons(user), self._plan()
        boxes = [] if reasons is None else [replies.message_box(reasons)]
        number = next((trunk.voicemail for trunk in plan.trunks if trunk.voicemail), "")
        if number and not (boxes and isinstance(plan.route(user, number, self._trunk_up), Verdict)):
            boxes.append(await self._call(user, number))
        return "\n".join(boxes) or replies.NO_VOICEMAIL

    async def _forward(self, user: UserId, typed: str) -> str:
        if not typed:
            await self._settings.change(user, forward="")
            return replies.not_forwarded()
        if not self._plan().is_called(user):
            return replies.NOTHING_TO_FORWARD
        judged = forwarding(self._plan(), user, typed, may_forward=self._meter.may_forward(user))
        if isinstance(judged, Verdict):
            return judged.user_text or replies.FAILED
        await self._settings.change(user, forward=judged.number)
        shown = await self._shown(user)
        in_groups = bool(self._groups_of(user))
        return replies.forwarded(shown(judged.number), not_over=judged.not_over, in_groups=in_groups)

    async def _ring(self, user: UserId, when: RingWhen) -> str:
        if not self._knows_presence():
            return replies.NO_PRESENCE
        await self._settings.change(user, ring_when=when)
        return replies.RINGING[when]

    async def _hours(self, user: UserId, text: str) -> str:
        try:
            if text:
                parse_hours(text)
        except ValueError:
            return replies.misused(said.HOURS_USAGE)
        await self._settings.change(user, hours=text)
        return replies.hours(text)

    async def _block(self, user: UserId, command: said.Block) -> str:
        shown = await self._shown(user)
        if not command.number:
            return replies.blocked([shown(number) for number in sorted(self._settings.blocked(user))])
        number = self._plan().read(user, command.number)
        if number is None:
            return NO_NUMBER.user_text or replies.FAILED
        if not command.on:
            known = await self._settings.unblock(user, number)
            return replies.now_unblocked(shown(number)) if known else replies.NOT_BLOCKED
        if not await self._settings.block(user, number):
            return replies.TOO_MANY_BLOCKED
        return replies.now_blocked(shown(number))

    async def _resume(self, user: UserId, command: said.Resume) -> str:
        if user not in self._admins():
            return replies.NO_ADMIN
        if not await self._meter.resume(UserId(command.user)):
            return replies.NOT_SUSPENDED
        return replies.resumed(command.user)

    async def _name(self, user: UserId, command: said.NameNumber) -> str:
        number, name = self._plan().read(user, command.number), readable_name(command.name)
        if number is None:
            return NO_NUMBER.user_text or replies.FAILED
        if command.name and not name:
            return replies.NO_NAME
        if not await self._own_names.put(user, number, name, limit=MAX_NAMES):
            return replies.TOO_MANY_NAMES
        await self._rooms.show_own_name(user=user, number=number)
        return replies.named(display_name(number), name)

    async def _past_calls(self, user: UserId) -> str:
        if not self._history.kept:
            return replies.HISTORY_IS_OFF
        return replies.history(await self._history.last(user, limit=HISTORY_LENGTH), await self._shown(user))

    async def _status(self, user: UserId) -> str:
        calls = [live.call for live in self._directory.of_user(user)]
        state = replies.State(
            own_numbers=self._plan().numbers_of(user),
            own_blocks=[block.removesuffix(RANGE_MARK) for block in self._plan().blocks_of(user)],
            groups=self._groups_of(user),
            prefixes=self._plan().prefixes_of(user),
            trunks={trunk.name: self._trunk_up(trunk.name) for trunk in self._plan().trunks},
            settings=self._settings.of(user),
            calls=[
                replies.CallNow(
                    number=call.number,
                    outbound=call.direction is Direction.OUTBOUND,
                    answered=call.at.answered is not None,
                )
                for call in calls
            ],
        )
        return replies.status(state, await self._shown(user))

    def _groups_of(self, user: UserId) -> list[GroupName]:
        return [name for name, group in self._groups().items() if user in group.members]

    async def _shown(self, user: UserId) -> replies.Shown:
        """Numbers by the name that the user has for them, else by everybody's."""
        own = await self._own_names.of(user)

        def shown(number: str) -> str:
            name = own.get(number) or self._name_of(number)
            return f"{name} ({display_name(number)})" if name else display_name(number)

        return shown
