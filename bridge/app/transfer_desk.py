"""Judges what a phone asks for in the middle of a call: a transfer, or keys by signalling."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from bridge.app.meter import Meter
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.calls.call import Call
from bridge.calls.state import USER_HAS_LEFT, State
from bridge.core.addresses import address_of
from bridge.core.ids import TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.numbers.policy import NumberPlan
from bridge.sip import events as sip
from bridge.sip.settings import Network

log = structlog.get_logger(__name__)

FORBIDDEN = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSide:
    """What belongs to a trunk, and how it sends keys."""

    hosts: frozenset[str]
    networks: tuple[Network, ...] = ()
    keys_by_signalling: bool = False
    refers: bool = False
    """Whether its calls are moved by REFER, ours too."""

    def has(self, host: str) -> bool:
        """Whether an address is one of the trunk's."""
        if host.lower() in self.hosts:
            return True
        address = address_of(host)
        return address is not None and any(address in network for network in self.networks)


class TransferDesk:
    """The configuration's word on each wish."""

    def __init__(
        self,
        plan: Callable[[], NumberPlan],
        sides: Callable[[], Mapping[TrunkName, TrunkSide]],
        meter: Meter,
        hides_number: Callable[[UserId], bool | None],
    ) -> None:
        self._plan = plan
        self._hides_number = hides_number
        self._meter = meter
        self._sides = sides

    def judge(self, call: Call, event: sip.CallReferred) -> tev.TransferPermitted | tev.TransferForbidden:
        """A transfer costs what a call of the user's own would, so the user must be allowed to make that call.

        With Replaces the phone has somebody on the line: the trunk itself connects the two, and nobody else is called.
        Before and after the user talks with the phone there is nothing to be judged, and no money to be held.
        """
        if call.state in USER_HAS_LEFT:
            return _forbidden(call, "no_user", FORBIDDEN)
        if call.state is not State.CONNECTED:
            return tev.TransferForbidden(status=FORBIDDEN)
        if event.target.replaces is not None:
            return self._attended(call, event)
        route = self._plan().route_over(call.matrix.user, event.target.user, call.trunk, room=call.matrix.room_id)
        judged = route if isinstance(route, Verdict) else self._meter.admit_transfer(call, route)
        if isinstance(judged, Verdict):
            return _forbidden(call, judged.reason, judged.sip_status)
        is_emergency = self._plan().is_emergency(judged.number)
        return tev.TransferPermitted(
            number=judged.number,
            caller=judged.caller,
            withheld=judged.withheld or (self._is_withheld(call) and not is_emergency),
            referred_by=event.referred_by,
        )

    def _attended(self, call: Call, event: sip.CallReferred) -> tev.TransferPermitted | tev.TransferForbidden:
        target, side = event.target, self._sides().get(call.trunk)
        if side is None or not side.has(target.uri.host):
            return _forbidden(call, "foreign_host", FORBIDDEN)
        return tev.TransferPermitted(
            number=self._plan().caller_number(target.user),
            caller=self._plan().caller_of(call.matrix.user, call.trunk),
            withheld=self._is_withheld(call),
            uri=str(target.uri),
            replaces=target.replaces,
            referred_by=event.referred_by,
        )

    def _is_withheld(self, call: Call) -> bool:
        """Whether the user shows no number in this call, or in any. What the phone asks for cannot change that."""
        user = call.matrix.user
        return call.withheld or self._plan().hides(user, self._hides_number(user))

    def keys(self, call: Call, event: sip.DigitsReceived) -> sipev.PhoneKeysPressed | None:
        """Keys count once: where they come with the audio, those that signalling repeats are left out."""
        side = self._sides().get(call.trunk)
        if side is None or not side.keys_by_signalling:
            return None
        return sipev.PhoneKeysPressed(digits=event.digits, duration_ms=event.duration_ms)


def _forbidden(call: Call, reason: str, status: int) -> tev.TransferForbidden:
    log.info("transfer_refused", reason=reason, trunk=call.trunk)
    return tev.TransferForbidden(status=status)
