"""Which call an event belongs to, and which calls have been."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import TypeVar

from bridge.app.live_call import LiveCall
from bridge.calls.call import Call
from bridge.calls.state import USER_IS_FREE, Direction
from bridge.core.ids import CallId, DialogKey, MatrixCallId, RoomId, TrunkName, UserId
from bridge.sip.call_backs import CALL_BACK_S, MAX_CALL_BACKS

MAX_UNANSWERED_OF_A_USER = 4
"""More than that nobody can answer: the next caller hears busy."""
MAX_ATTENDED_OF_A_TRUNK = 100
"""Calls that menus and message boxes hold: each costs ports and packets, and nobody of ours notices them."""
MAX_TOMBSTONES = 10_000
TOMBSTONE_S = 600.0
"""How long an ended Matrix call is remembered, so that late or repeated events of it do not begin it again."""

MAX_UNANSWERED_CALL_BACKS = 20
"""Of one user: whoever helps comes through among a crowd, and a flood, which costs rooms and ports, has an end."""

K = TypeVar("K")
MatrixCallKey = tuple[RoomId, MatrixCallId]


class Directory:
    """All live calls by each of their names, and the names of Matrix calls that are over."""

    def __init__(self) -> None:
        self._calls: dict[CallId, LiveCall] = {}
        self._by_dialog: dict[DialogKey, LiveCall] = {}
        self._by_matrix_call: dict[MatrixCallKey, LiveCall] = {}
        self._by_room: dict[RoomId, dict[CallId, LiveCall]] = {}
        self._by_user: dict[UserId, dict[CallId, LiveCall]] = {}
        self._unanswered: Counter[TrunkName | UserId] = Counter()
        """Calls from phones that nobody has answered, by trunk and by called user."""
        self._attended: dict[TrunkName, dict[CallId, LiveCall]] = {}
        """Calls from phones that menus and message boxes have."""
        self._counts = dict.fromkeys(Direction, 0)
        self._tombstones: OrderedDict[MatrixCallKey, float] = OrderedDict()
        self._called_for_help: OrderedDict[UserId, float] = OrderedDict()
        """When each user's last emergency call was over; the next process does not know."""

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(list(self._calls.values()))

    def add(self, live: LiveCall) -> None:
        """Take up a new call under the names it has so far."""
        call = live.call
        self._calls[call.call_id] = live
        if call.dialog is not None:
            self.follow_dialog(live, call.dialog)
        self._counts[call.direction] += not call.test
        for room_id, matrix_call_id in call.matrix_calls:
            self.follow_matrix_call(live, room_id, matrix_call_id)
        self.follow(live)

    def follow(self, live: LiveCall) -> None:
        """Note whose call it is now, in which rooms, and whether a phone still waits for an answer."""
        call = live.call
        if call.call_id not in self._calls:
            return
        self._index(self._by_room, live, live.rooms, {room_id for room_id, _ in call.matrix_calls})
        self._index(self._by_user, live, live.users, call.users)
        self._index(self._attended, live, live.attended, {call.trunk} if call.has_attendant else set())
        waits = call.direction is Direction.INBOUND and call.at.answered is None and not call.ended
        # One that we have answered ourselves is patient, as far as its trunk goes.
        trunk = () if call.is_attended else (call.trunk,)
        self._count_waiting(live, frozenset((*trunk, *call.users)) if waits else frozenset())

    def _index(self, index: dict[K, dict[CallId, LiveCall]], live: LiveCall, known: set[K], now: set[K]) -> None:
        """Keep a call under the names that it has now; `known` are those that it had."""
        if known == now:
            return
        for key in known - now:
            _discard(index, key, live.call.call_id)
        for key in now - known:
            index.setdefault(key, {})[live.call.call_id] = live
        known.clear()
        known.update(now)

    def follow_dialog(self, live: LiveCall, dialog: DialogKey) -> None:
        live.dialogs.add(dialog)
        self._by_dialog[dialog] = live

    def follow_matrix_call(self, live: LiveCall, room_id: RoomId, matrix_call_id: MatrixCallId) -> None:
        live.matrix_calls.add((room_id, matrix_call_id))
        self._by_matrix_call[room_id, matrix_call_id] = live

    def _count_waiting(self, live: LiveCall, keys: frozenset[TrunkName | UserId]) -> None:
        """Keep count of the calls from phones that wait for an answer."""
        self._unanswered.update(keys - live.waits_for)
        for key in live.waits_for - keys:
            self._unanswered[key] -= 1
            if not self._unanswered[key]:
                del self._unanswered[key]
        live.waits_for = keys

    def unanswered_of_trunk(self, trunk: TrunkName) -> int:
        return self._unanswered[trunk]

    def attended_of_trunk(self, trunk: TrunkName) -> int:
        """How many of its calls talk to nobody but the bridge."""
        return len(self._attended.get(trunk, ()))

    def unanswered_of_user(self, user: UserId) -> int:
        return self._unanswered[user]

    def is_engaged(self, user: UserId, *, call_waiting: bool) -> bool:
        """Whether one call more cannot be offered: too many ring, or the user's calls do not wait for each other."""
        if self.unanswered_of_user(user) >= MAX_UNANSWERED_OF_A_USER:
            return True
        return not call_waiting and bool(self.of_user(user))

    def dials(self, user: UserId, number: str) -> bool:
        """Whether a user calls a number at this moment, which has not answered."""
        calls = (live.call for live in self.between(user, number))
        return any(call.direction is Direction.OUTBOUND and not call.answered for call in calls)

    def remove(self, live: LiveCall, now: float) -> None:
        """Forget a call that is over, and remember its Matrix calls as ended."""
        call = live.call
        if self._calls.pop(call.call_id, None) is None:
            return
        self._note_call_for_help(call, now)
        self._counts[call.direction] -= not call.test
        self._index(self._by_room, live, live.rooms, set())
        self._index(self._by_user, live, live.users, set())
        self._index(self._attended, live, live.attended, set())
        self._count_waiting(live, frozenset())
        for dialog in live.dialogs:
            self._by_dialog.pop(dialog, None)
        for room_id, matrix_call_id in live.matrix_calls:
            self._by_matrix_call.pop((room_id, matrix_call_id), None)
            self.bury(room_id, matrix_call_id, now)

    def _note_call_for_help(self, call: Call, now: float) -> None:
        if not _calls_for_help(call):
            return
        self._called_for_help[call.matrix.user] = now
        self._called_for_help.move_to_end(call.matrix.user)
        if len(self._called_for_help) > MAX_CALL_BACKS:
            self._called_for_help.popitem(last=False)

    def awaits_call_back(self, user: UserId, now: float) -> bool:
        """Whether a user calls for help, or has lately: whoever helps must be able to call back, though no flood."""
        if self.unanswered_of_user(user) >= MAX_UNANSWERED_CALL_BACKS:
            return False
        if any(_calls_for_help(live.call) for live in self._of_user(user)):
            return True
        called = self._called_for_help.get(user)
        return called is not None and now - called <= CALL_BACK_S

    def bury(self, room_id: RoomId, matrix_call_id: MatrixCallId, now: float) -> None:
        """Remember that a Matrix call is over, whether or not it was ever ours."""
        self._tombstones[room_id, matrix_call_id] = now + TOMBSTONE_S
        self._tombstones.move_to_end((room_id, matrix_call_id))
        while len(self._tombstones) > MAX_TOMBSTONES or next(iter(self._tombstones.values())) <= now:
            self._tombstones.popitem(last=False)

    def knows(self, room_id: RoomId, matrix_call_id: MatrixCallId) -> bool:
        """Whether a Matrix call is live or over: its invite is a repetition."""
        key = (room_id, matrix_call_id)
        return key in self._by_matrix_call or key in self._tombstones

    def by_call_id(self, call_id: CallId) -> LiveCall | None:
        return self._calls.get(call_id)

    def by_dialog(self, dialog: DialogKey) -> LiveCall | None:
        return self._by_dialog.get(dialog)

    def by_matrix_call(self, room_id: RoomId, matrix_call_id: MatrixCallId) -> LiveCall | None:
        return self._by_matrix_call.get((room_id, matrix_call_id))

    def in_room(self, room_id: RoomId) -> list[LiveCall]:
        return list(self._by_room.get(room_id, {}).values())

    def of_user(self, user: UserId) -> list[LiveCall]:
        """The live calls that a user is in, in all rooms and in either direction."""
        return [live for live in self._of_user(user) if live.call.state not in USER_IS_FREE]

    def left_by(self, user: UserId) -> list[LiveCall]:
        """The live calls that a user has left to others."""
        return [live for live in self._of_user(user) if live.call.state in USER_IS_FREE]

    def _of_user(self, user: UserId) -> list[LiveCall]:
        return list(self._by_user.get(user, {}).values())

    def between(self, user: UserId, number: str) -> list[LiveCall]:
        """Those of them that are with one number."""
        return [live for live in self.of_user(user) if live.call.number == number]

    def count(self, direction: Direction) -> int:
        """How many live calls of users there are."""
        return self._counts[direction]


def _calls_for_help(call: Call) -> bool:
    """Whether anybody who helps can have heard of it."""
    return call.emergency and call.at.dialled is not None


def _discard(index: dict[K, dict[CallId, LiveCall]], key: K, call_id: CallId) -> None:
    calls = index.get(key)
    if calls is not None:
        calls.pop(call_id, None)
        if not calls:
            del index[key]
