"""Events of the SIP user agent: to the call they belong to, or the beginning of a call from a phone."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from bridge.app.hunt_desk import HuntDesk, Menus, new_matrix_call_id
from bridge.app.live_call import LiveCall
from bridge.app.menu_desk import MenuDesk
from bridge.app.meter import Meter
from bridge.app.sip_facts import InDialog, of_former_phone, of_phone, of_second_phone
from bridge.app.switchboard import Switchboard
from bridge.app.transfer_desk import TransferDesk, TrunkSide
from bridge.app.trunk_service import OUT_OF_SERVICE
from bridge.app.user_settings import OUT_OF_HOURS, Wishes
from bridge.calls import events as ev
from bridge.calls import inbound, outcomes
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.calls.call import Call
from bridge.calls.hunt import Hunt
from bridge.calls.menu import MenuPlan
from bridge.calls.message import MessageBox
from bridge.calls.state import Direction, SipLeg, State
from bridge.calls.times import CallTimes
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import CallId, DialogKey, GroupName, PartyId, TrunkName, UserId
from bridge.core.names import plain_name
from bridge.core.presence import RingWhen
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import Result, Verdict
from bridge.numbers.groups import Group
from bridge.numbers.policy import NumberPlan
from bridge.numbers.reach import Reach, Target, ToGroup, ToMenu, ToMessageBox, ToUser, person
from bridge.numbers.refusals import UNKNOWN_NUMBER
from bridge.sip import events as sip

TOO_MANY_CALLS = Verdict(result=Result.POLICY, reason="too_many_calls", sip_status=503, q850=42)

MAX_UNANSWERED_OF_A_TRUNK = 100
"""Each costs a ghost, a room and ports: a flood must not be able to take them all."""
LEAVE_A_MESSAGE = Verdict(result=Result.CLIENT, reason="message_box", sip_status=480, q850=19)
"""The called number is that of a message box, which rings nobody."""
NOTHING_TO_REPLACE = Verdict(result=Result.CLIENT, reason="nothing_to_replace", sip_status=481, q850=31)
"""The call whose place a phone wants to take is over (RFC 3891 §3)."""

_CROSSING = frozenset({State.PREPARING, State.DIALLING})


class SipIntake:
    """Decides what an INVITE from a trunk is: a call for somebody, one half of crossing calls, or refused."""

    def __init__(
        self,
        *,
        switchboard: Switchboard,
        plan: Callable[[], NumberPlan],
        sides: Callable[[], Mapping[TrunkName, TrunkSide]],
        meter: Meter,
        wishes: Wishes,
        hides_number: Callable[[UserId], bool | None],
        ring_when: Callable[[UserId], RingWhen] = lambda user: RingWhen.ALWAYS,
        message_box_of: Callable[[UserId], MessageBox | None] = lambda user: None,
        rings_s: Callable[[], float | None] = lambda: None,
        groups: Callable[[], Mapping[GroupName, Group]] = dict,
        menus: Menus = dict,
        telemetry: Telemetry,
        call_waiting: Callable[[], bool],
        times: Callable[[], CallTimes],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._switchboard = switchboard
        self._plan = plan
        self._transfers = TransferDesk(plan, sides, meter, hides_number)
        self._wishes = wishes
        self._ring_when = ring_when
        self._message_box_of = message_box_of
        self._call_waiting = call_waiting
        self._times = times
        self._rings_s = rings_s
        self._clock = clock
        self._entropy = entropy
        self._hunts = HuntDesk(
            groups=groups,
            wishes=wishes,
            directory=switchboard.directory,
            ring_when=ring_when,
            message_box_of=message_box_of,
            call_waiting=call_waiting,
            ring_s=lambda box: self._times_of(box).ring_s,
            menus=menus,
            is_called_back=self._is_called_back,
            entropy=entropy,
        )
        switchboard.ask_of_members(self._hunts.judge)
        self._menus = MenuDesk(menus=menus, plan=plan, wishes=wishes, hunts=self._hunts, telemetry=telemetry)
        switchboard.ask_of_choices(self._menus.find)

    def handle(self, event: sip.CallEvent) -> None:
        """Take one event of a call."""
        if isinstance(event, sip.IncomingCall):
            self._incoming(event)
            return
        if isinstance(event, sip.IncomingRefused):
            self._note_refused(event.call, outcomes.OF_TRUNK_LIMITS[event.limit])
            return
        live = self._switchboard.directory.by_dialog(event.dialog)
        if isinstance(event, sip.CallMoved):
            if live is not None:
                self._switchboard.remember(live)
        elif live is not None and (translated := self._read(live.call, event)) is not None:
            self._switchboard.feed(live, translated)

    def _read(self, call: Call, event: InDialog) -> ev.Event | None:
        """What an event means to the call, by whose dialog it is; nothing if it is of one that was given up."""
        if call.dialog == event.dialog:
            return self._translate(call, event)
        if call.second is not None and call.second.dialog == event.dialog:
            return of_second_phone(event)
        return of_former_phone(event) if call.former == event.dialog else None

    def _translate(self, call: Call, event: InDialog) -> ev.Event | None:
        """What needs to be judged, and what does not."""
        match event:
            case sip.CallReferred():
                return self._transfers.judge(call, event)
            case sip.CallIdentityChanged():
                number = self._plan().caller_number(event.number)
                known = call.number if call.connected_number is None else call.connected_number
                changed = number != known or event.name != call.connected_name
                return sipev.IdentityChanged(number=number, name=event.name) if changed else None
            case sip.DigitsReceived():
                return self._transfers.keys(call, event)
            case _:
                return of_phone(event)

    def _incoming(self, event: sip.IncomingCall) -> None:
        if event.replaces is not None:
            self._replace(event, event.replaces)
        else:
            self._ring(event)

    def _replace(self, event: sip.IncomingCall, replaced: DialogKey) -> None:
        """Another phone takes the place of one that we talk to, or takes up a call that we ring it with (pickup)."""
        live = self._switchboard.directory.by_dialog(replaced)
        if live is None or live.call.dialog != replaced or live.call.trunk != event.trunk:
            call = self._call(event, UserId(""), self._plan().caller_number(event.caller))
            self._switchboard.open(LiveCall(call=call), ev.CallRefused(verdict=NOTHING_TO_REPLACE))
        elif live.call.state in _CROSSING:
            self._cross(live, event)
        else:
            self._switchboard.feed(live, self._replacement(event))

    def _replacement(self, event: sip.IncomingCall) -> tev.ReplacementOffered:
        return tev.ReplacementOffered(
            dialog=event.dialog,
            sip_call_id=event.sip_call_id,
            number=self._plan().caller_number(event.caller),
            name=event.caller_name,
            sdp=event.sdp,
        )

    def _note_refused(self, event: sip.IncomingCall, verdict: Verdict) -> None:
        """A limit of its trunk has kept a call out: nobody is called, but it was an attempt like others."""
        call = self._call(event, UserId(""), self._plan().caller_number(event.caller))
        call.sip_leg = SipLeg.ENDED
        self._open(call, event, ev.CallRefused(verdict=verdict))

    def _ring(self, event: sip.IncomingCall) -> None:
        """Let the called number's target have the call, or nobody."""
        reach = self._plan().reach_of(event.called)
        target = self._target(reach) if reach is not None else None
        match self._overload(event, target), target:
            case Verdict() as refusal, _:
                self._refuse(event, refusal, person(target))
            case _, ToUser(user=user):
                self._ring_user(event, user)
            case _, ToMessageBox(user=user):
                self._take_message(event, user)
            case _, ToGroup(group=name):
                self._ring_group(event, name)
            case _, ToMenu(menu=name) if (menu := self._menus.menu(name)) is not None:
                self._answer_with(event, menu)
            case _:
                self._refuse(event, OUT_OF_HOURS if reach is not None and target is None else UNKNOWN_NUMBER, None)

    def _target(self, reach: Reach) -> Target | None:
        """Who is reached now; whoever is called back after a call for help, at all hours."""
        if isinstance(reach.to, ToUser) and self._is_called_back(reach.to.user):
            return reach.to
        return reach.at(self._wishes.local_time())

    def _is_called_back(self, user: UserId) -> bool:
        """Whether a call to this user may be from whoever helps: nothing that is set may keep it away."""
        return self._switchboard.directory.awaits_call_back(user, self._clock.monotonic())

    def _overload(self, event: sip.IncomingCall, target: Target | None) -> Verdict | None:
        """Why no call of this trunk is taken, whoever it is for."""
        if not self._switchboard.accepting:
            return outcomes.SHUTTING_DOWN
        if isinstance(target, ToUser) and self._is_called_back(target.user):
            return None
        if not self._switchboard.service.carries(event.trunk):
            return OUT_OF_SERVICE
        if self._switchboard.directory.unanswered_of_trunk(event.trunk) >= MAX_UNANSWERED_OF_A_TRUNK:
            return TOO_MANY_CALLS
        return None

    def _refuse(self, event: sip.IncomingCall, verdict: Verdict, user: UserId | None) -> None:
        call = self._call(event, user or UserId(""), self._plan().caller_number(event.caller))
        self._open(call, event, ev.CallRefused(verdict=verdict))

    def _open(self, call: Call, event: sip.IncomingCall, first: ev.Event) -> None:
        self._switchboard.open(LiveCall(call=call, verification=_verification(event.verification)), first)

    def _ring_user(self, event: sip.IncomingCall, user: UserId) -> None:
        number = self._plan().caller_number(event.caller)
        others = self._switchboard.directory.between(user, number) if number else []
        crossing = next((live for live in others if self._crosses(live, event)), None)
        if crossing is not None:
            self._cross(crossing, event)
            return
        call = self._call(event, user, number)
        dialled = bool(number) and self._switchboard.directory.dials(user, number)
        refusal, call.forward_to = self._refusal(event, user, dialled=dialled)
        self._open(call, event, ev.CallRefused(verdict=refusal) if refusal else ev.CallPermitted())

    def _ring_group(self, event: sip.IncomingCall, name: GroupName) -> None:
        """The call is nobody's until somebody takes it."""
        nobody = UserId("")
        call = self._call(event, nobody, self._plan().caller_number(event.caller))
        call.hunt = Hunt(plan=self._hunts.group_plan(name, event.caller), group=name)
        refusal = self._wishes.refuses(nobody, event.caller)
        self._open(call, event, ev.CallRefused(verdict=refusal) if refusal else ev.CallPermitted())

    def _take_message(self, event: sip.IncomingCall, user: UserId) -> None:
        """The number is that of a message box: what its user has set for calls holds for nothing but who may call."""
        call = self._call(event, user, self._plan().caller_number(event.caller))
        if call.message_box is not None:
            reasons = (*call.message_box.reasons, LEAVE_A_MESSAGE.reason)
            call.message_box = replace(call.message_box, reasons=reasons)
        refusal = self._wishes.refuses(user, event.caller)
        self._open(call, event, ev.CallRefused(verdict=refusal or LEAVE_A_MESSAGE))

    def _answer_with(self, event: sip.IncomingCall, menu: MenuPlan) -> None:
        """Whom the call is for is not known yet, so the configuration alone says who may not call."""
        call = self._call(event, UserId(""), self._plan().caller_number(event.caller), menu)
        refusal = self._wishes.blocks(event.caller)
        self._open(call, event, ev.CallRefused(verdict=refusal) if refusal else ev.CallPermitted())

    def _refusal(self, event: sip.IncomingCall, user: UserId, *, dialled: bool) -> tuple[Verdict | None, str]:
        """Why nothing rings, if so, and the number to call instead, if there is one.

        `dialled` is a phone that the user calls at this moment and that may not be joined to that call.
        """
        if self._is_called_back(user):
            return outcomes.BUSY if dialled else None, ""
        if (wish := self._wishes.for_call(user, event)) is not None:
            return wish.verdict, wish.forward_to
        engaged = self._switchboard.directory.is_engaged(user, call_waiting=self._call_waiting())
        return outcomes.BUSY if dialled or engaged else None, ""

    def _crosses(self, live: LiveCall, event: sip.IncomingCall) -> bool:
        """Whether the phone that the user dials is the one that calls, as far as its trunk can be believed."""
        call = live.call
        return (
            call.direction is Direction.OUTBOUND
            and call.state in _CROSSING
            and call.trunk == event.trunk
            and self._plan().joins_crossing_calls(event.trunk)
        )

    def _cross(self, live: LiveCall, event: sip.IncomingCall) -> None:
        crossing = sipev.CrossingSipCall(
            dialog=event.dialog, trunk=event.trunk, sip_call_id=event.sip_call_id, sdp=event.sdp
        )
        self._switchboard.feed(live, crossing)

    def _call(self, event: sip.IncomingCall, user: UserId, number: str, menu: MenuPlan | None = None) -> Call:
        box = self._message_box_of(user)
        return inbound.begin(
            call_id=CallId(self._entropy.token(20)),
            trunk=event.trunk,
            number=number,
            dialog=event.dialog,
            sdp=event.sdp,
            user=user,
            matrix_call_id=new_matrix_call_id(self._entropy),
            own_party=PartyId(self._entropy.token(12)),
            caller=event.caller,
            caller_name=plain_name(event.caller_name),
            called=event.called,
            ring_when=RingWhen.ALWAYS if self._is_called_back(user) else self._ring_when(user),
            message_box=box,
            menu=menu,
            sip_call_id=event.sip_call_id,
            times=self._times_of(box),
            now=self._clock.monotonic(),
            wall=self._clock.wall(),
        )

    def _times_of(self, box: MessageBox | None) -> CallTimes:
        """Where there is a message box, a phone waits for the user only so long."""
        times, rings_s = self._times(), self._rings_s()
        return times if box is None or rings_s is None else replace(times, ring_s=min(rings_s, times.ring_s))


def _verification(said: sip.Verification | None) -> str:
    """One of `ops.records.VERIFICATIONS`."""
    if said is None:
        return ""
    outcome = {True: "passed", False: "failed", None: "attested" if said.attestation else "unknown"}[said.passed]
    return f"{outcome}-{said.attestation}" if said.attestation else outcome
