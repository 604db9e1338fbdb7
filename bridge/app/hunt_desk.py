"""Whom a call to a group rings: the plan of its hunt, and what each member wants at the moment of their ring."""

from collections.abc import Callable, Mapping
from typing import assert_never

from bridge.app.directory import Directory
from bridge.app.user_settings import Wishes
from bridge.calls import outcomes
from bridge.calls.call import Call
from bridge.calls.hunt_plan import BoxOf, HuntPlan, Member
from bridge.calls.menu import MenuPlan
from bridge.calls.message import MessageBox
from bridge.core.entropy import Entropy
from bridge.core.ids import GroupName, MatrixCallId, MenuName, UserId
from bridge.core.presence import RingWhen
from bridge.core.verdict import Verdict
from bridge.numbers.groups import Group, RingOrder
from bridge.numbers.reach import Target, ToGroup, ToMenu, ToMessageBox, ToUser

Menus = Callable[[], Mapping[MenuName, MenuPlan]]


class HuntDesk:
    """Forwarding and message boxes of members are left alone: a group's call is nobody's own."""

    def __init__(
        self,
        *,
        groups: Callable[[], Mapping[GroupName, Group]],
        wishes: Wishes,
        directory: Directory,
        ring_when: Callable[[UserId], RingWhen],
        message_box_of: Callable[[UserId], MessageBox | None],
        call_waiting: Callable[[], bool],
        ring_s: Callable[[MessageBox | None], float],
        menus: Menus,
        is_called_back: Callable[[UserId], bool],
        entropy: Entropy,
    ) -> None:
        """`ring_s` is how long a call rings to somebody with a message box, or without."""
        self._groups = groups
        self._wishes = wishes
        self._directory = directory
        self._ring_when = ring_when
        self._message_box_of = message_box_of
        self._call_waiting = call_waiting
        self._ring_s = ring_s
        self._menus = menus
        self._is_called_back = is_called_back
        self._entropy = entropy

    def plan_for(self, target: Target, caller: str) -> HuntPlan | BoxOf | None:
        """Whom a call to a target rings; the configuration has no circles of groups.

        A phone may be in a menu of an earlier configuration, which leads to a group that there is no more: to nobody.
        """
        match target:
            case ToUser(user=user):
                return self._person(user, caller)
            case ToGroup(group=name):
                return self.group_plan(name, caller) if name in self._groups() else None
            case ToMessageBox(user=user):
                box = self._box(user, caller)
                return None if box is None else BoxOf(user=user, box=box, always=True)
            case ToMenu():
                return None
            case _:
                assert_never(target)

    def _box(self, user: UserId, caller: str) -> MessageBox | None:
        """Whom a user has blocked leaves no message either."""
        return None if self._wishes.refuses(user, caller) is not None else self._message_box_of(user)

    def _person(self, user: UserId, caller: str) -> HuntPlan:
        box = self._box(user, caller)
        return HuntPlan(
            members=(self._member(user),),
            each_s=self._ring_s(box),
            otherwise=None if box is None else BoxOf(user=user, box=box),
        )

    def group_plan(self, name: GroupName, caller: str) -> HuntPlan:
        """Whom a call to a group rings. The configuration has it, or would not name it."""
        group = self._groups()[name]
        in_turn = group.ring is RingOrder.IN_TURN
        return HuntPlan(
            group=name,
            members=tuple(map(self._member, group.members)),
            in_turn=in_turn,
            each_s=group.each_s if in_turn or group.otherwise is not None else self._ring_s(None),
            otherwise=self._after(group.otherwise, caller),
        )

    def _after(self, target: Target | None, caller: str) -> HuntPlan | BoxOf | MenuPlan | None:
        """What becomes of a group's call that nobody takes."""
        if isinstance(target, ToMenu):
            return self._menus().get(target.menu)
        return None if target is None else self.plan_for(target, caller)

    def _member(self, user: UserId) -> Member:
        return Member(user=user, matrix_call_id=new_matrix_call_id(self._entropy))

    def judge(self, call: Call, user: UserId) -> Verdict | RingWhen:
        """Whether a member can be rung for a call now."""
        dialled = bool(call.number) and self._directory.dials(user, call.number)
        if self._is_called_back(user):
            return outcomes.BUSY if dialled else RingWhen.ALWAYS
        refusal = self._wishes.for_member(user, call.caller)
        if refusal is not None:
            return refusal
        engaged = self._directory.is_engaged(user, call_waiting=self._call_waiting())
        return outcomes.BUSY if dialled or engaged else self._ring_when(user)


def new_matrix_call_id(entropy: Entropy) -> MatrixCallId:
    """Ids that sort last lose every glare, so that giving way is always the rule."""
    return MatrixCallId("z" + entropy.token(24))
