"""Judges what a user's client asks for when its user leaves a phone to somebody else (MSC2747, `m.call.replaces`).

That is always a number, be it of a Matrix user: so policy, REFER and ringing are those of any other call.
"""

from collections.abc import Callable, Mapping

import structlog

from bridge.app.directory import Directory
from bridge.app.live_call import LiveCall
from bridge.app.transfer_desk import TrunkSide
from bridge.calls import handover_events as hev
from bridge.calls import outcomes
from bridge.calls.call import Call
from bridge.calls.ports import MatrixPort, SipPort
from bridge.calls.state import USER_IS_FREE, State
from bridge.calls.way import Way
from bridge.core.ids import TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.matrix.events import CallReplaces
from bridge.numbers.policy import NumberPlan
from bridge.numbers.refusals import NO_EMERGENCY_CALLS

log = structlog.get_logger(__name__)

_CLAIMABLE = frozenset((State.CONNECTING, State.CONNECTED, State.HANDING_OVER))

WaysOf = Callable[[Call, str], tuple[Way, ...] | Verdict]
"""How a call that its user leaves would go on to a number, if it may."""
Wish = hev.HandoverPermitted | hev.HandoverForbidden | hev.HandoverAwaited


class HandoverDesk:
    """A phone is left only to a number that the user may call."""

    def __init__(
        self,
        *,
        plan: Callable[[], NumberPlan],
        sides: Callable[[], Mapping[TrunkName, TrunkSide]],
        ways: WaysOf,
        matrix: MatrixPort,
        sip: SipPort,
        directory: Directory,
    ) -> None:
        self._plan = plan
        self._sides = sides
        self._ways_of = ways
        self._matrix = matrix
        self._sip = sip
        self._directory = directory

    def judge(self, live: LiveCall, user: UserId, wish: CallReplaces) -> Wish | None:
        """What a wish comes to; nothing if it is not of the device that the call is with, or comes again.

        If the user has the other phone on the line, the two are connected. That is how clients mean it; which of their
        two words comes first nobody knows, for they are said in different rooms.
        """
        is_of_call = wish.call_id == live.call.matrix.call_id and live.call.is_peer(user, wish.party_id)
        if not is_of_call or live.call.state in USER_IS_FREE:
            return None
        if wish.create_call is None:
            return hev.HandoverAwaited(matrix_call_id=wish.call_id, user=user, party=wish.party_id)
        if live.call.state not in _CLAIMABLE:
            return self._forbidden(user, wish, outcomes.transfer_failed())
        call, dialled = live.call, self._number_of(wish.target) if wish.target else None
        if dialled is None:
            return self._forbidden(user, wish, outcomes.NO_NUMBER_THERE)
        other = self._on_the_line(call, user, self._plan().caller_number(dialled))
        ways = self._ways(call, dialled, other)
        if isinstance(ways, Verdict):
            return self._forbidden(user, wish, ways)
        return hev.HandoverPermitted(
            matrix_call_id=wish.call_id,
            user=user,
            party=wish.party_id,
            replacement_id=wish.replacement_id,
            ways=ways,
            new_matrix_call_id=wish.create_call,
            by_refer=any(way.trunk == call.trunk for way in ways) and self._can_refer(call),
            other=other.call_id if other is not None else None,
        )

    def _forbidden(self, user: UserId, wish: CallReplaces, verdict: Verdict) -> hev.HandoverForbidden:
        log.info("handover_refused", reason=verdict.reason)
        return hev.HandoverForbidden(
            matrix_call_id=wish.call_id,
            user=user,
            party=wish.party_id,
            replacement_id=wish.replacement_id,
            verdict=verdict,
        )

    def _number_of(self, target: UserId) -> str | None:
        """Of a ghost; or of a Matrix user who has one, under which the telephone network calls us for them."""
        return self._matrix.ghost_number(target) or self._plan().number_of(target)

    def _on_the_line(self, call: Call, user: UserId, number: str) -> Call | None:
        """The user's call with the other phone: one that its client has left already, or is about to leave."""
        calls = [live.call for live in (*self._directory.left_by(user), *self._directory.of_user(user))]
        return next((other for other in calls if other is not call and _is_free(other, number)), None)

    def _ways(self, call: Call, dialled: str, other: Call | None) -> tuple[Way, ...] | Verdict:
        """Two phones that are on the line cost no more than they do; any other costs what a call of the user's would.

        Never an emergency number, to which the phone would be a stranger.
        """
        if other is not None:
            return (Way(trunk=other.trunk, number=other.number, caller=other.caller, withheld=other.withheld),)
        if self._plan().is_emergency(dialled, call.matrix.user):
            return NO_EMERGENCY_CALLS
        return self._ways_of(call, dialled)

    def _can_refer(self, call: Call) -> bool:
        """Whether the trunk is one whose calls move by REFER, and the phone's side says that it can."""
        side = self._sides().get(call.trunk)
        return side is not None and side.refers and call.dialog is not None and self._sip.takes_refer(call.dialog)


def _is_free(call: Call, number: str) -> bool:
    """Whether a call is with that phone, and nobody else has been given it."""
    if call.number != number or call.partner is not None or call.handover is not None:
        return False
    return call.state in _CLAIMABLE
