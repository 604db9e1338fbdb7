"""The SIP user agent without its sockets: messages, commands and time in, actions out (RFC 3261 §8, §12 to §15)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from bridge.core.entropy import Entropy
from bridge.core.ids import DialogKey, SipCallId, TrunkName
from bridge.sip.actions import (
    Action,
    ConnectionClosed,
    Flow,
    Gauge,
    LocalAddress,
    NameFound,
    NetworkInput,
    Received,
    Send,
    SendFailed,
    TimeElapsed,
    TrunkResolved,
    Unreachable,
)
from bridge.sip.call_limits import CallLimits, LimitCalls, TurnTimer
from bridge.sip.context import Context
from bridge.sip.dialog_request import DialogRequestTimer
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.events import CallFailed, OutgoingCall
from bridge.sip.failover import Hunt, HuntTimer, hops_of
from bridge.sip.identity import Caller
from bridge.sip.inbound import Inbound
from bridge.sip.invite_usage import InviteUsage, UsageTimer
from bridge.sip.keepalive import KeepAliveTimer, Keeper
from bridge.sip.keypad import DigitAsked, Keypads
from bridge.sip.message import Request
from bridge.sip.outbound import new_invite
from bridge.sip.parser import parse_message
from bridge.sip.peers import Peers
from bridge.sip.phone_watches import PhoneWatches
from bridge.sip.probe import ProbeTimer, Watch
from bridge.sip.referral import ReferralTimer
from bridge.sip.referral_commands import (
    ReferAsked,
    ReferralAccepted,
    ReferralCommand,
    ReferralRefused,
    ReferralReported,
)
from bridge.sip.referring import ReferringTimer
from bridge.sip.registration import Registration
from bridge.sip.renewal import RenewalTimer
from bridge.sip.renewal_events import AddressFound, Started
from bridge.sip.revival import Revive, revive
from bridge.sip.saved import SavedLeg, saved_leg, whereabouts
from bridge.sip.settings import SipSettings, TrunkAuth
from bridge.sip.texts import AnswerText, SendText, Texts
from bridge.sip.timers import TimerHeap
from bridge.sip.transaction import Timing
from bridge.sip.transaction_layer import TransactionLayer
from bridge.sip.transaction_runner import TransactionTimer
from bridge.sip.transfers import Transfers
from bridge.sip.trunks import Directory
from bridge.sip.uri import SipUri
from bridge.sip.usage_events import HangUpAsked, SilenceLasted, UsageCommand, UsageState


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Register and watch the trunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Hang up, and take all registrations back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceCall:
    """Send an INVITE; events of the call carry `dialog`."""

    dialog: DialogKey
    call: OutgoingCall


DialogCommand = UsageCommand | ReferralCommand | DigitAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """A command for one call, or for what goes on in its dialog."""

    dialog: DialogKey
    command: DialogCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkStanding:
    """What is known of a trunk at the moment."""

    registered: bool = False
    answers: bool = False
    """Whether it answers OPTIONS; assumed until proven otherwise."""


Input = NetworkInput | Start | Stop | PlaceCall | Revive | Steer | SendText | AnswerText | LimitCalls


class UserAgent:
    """All calls, registrations and transactions of one process. Feed it, then do what it returns, in order."""

    def __init__(self, settings: SipSettings, *, entropy: Entropy, local_addresses: tuple[LocalAddress, ...]) -> None:
        timers: TimerHeap[object] = TimerHeap()
        actions: list[Action] = []
        peers = Peers(actions)
        layer = TransactionLayer(
            entropy=entropy,
            timing=Timing(t1_s=settings.timer_t1_s),
            local_addresses=local_addresses,
            timers=timers,
            actions=actions,
            peers=peers,
        )
        self._context = Context(
            settings=settings,
            entropy=entropy,
            timers=timers,
            actions=actions,
            layer=layer,
            trunks=Directory(settings.trunks, entropy),
            peers=peers,
        )
        self._transfers = Transfers(context=self._context)
        self._keypads = Keypads(context=self._context)
        self._phones = PhoneWatches(context=self._context)
        for state in self._context.trunks:
            self._context.limits[state.trunk.name] = CallLimits.of(state, self._context, self._place)
        self._texts = Texts(context=self._context)
        self._inbound = Inbound(
            context=self._context,
            transfers=self._transfers,
            keypads=self._keypads,
            phones=self._phones,
            texts=self._texts,
        )
        self._registrations = tuple(self._make_registrations())
        self._keepers = tuple(self._make_keepers())
        self._watches = tuple(self._make_watches())

    def handle(self, event: Input, now: float) -> list[Action]:
        """Take one input, and whatever became due by `now`; return what has to be done."""
        self._dispatch(event, now)
        self._run_due(now)
        actions = self._context.actions.copy()
        self._context.actions.clear()
        return actions

    def next_deadline(self) -> float | None:
        """When `handle` wants a `TimeElapsed` next."""
        return self._context.timers.next_deadline()

    def admits(self, host: str) -> bool:
        """Whether messages from this address are read at all (default-deny, before any parsing)."""
        return self._context.trunks.admits(host) or host in self._context.peers

    def is_next_hop(self, flow: Flow) -> bool:
        """Whether this is the way to a trunk, or the one that a registrar knows of: it has to stay open."""
        return any(state.leads_to(flow) for state in self._context.trunks) or any(
            registration.goes_by(flow) for registration in self._registrations
        )

    @property
    def open_dialogs(self) -> int:
        """Calls that have not ended."""
        return len(self._context.usages)

    @property
    def open_transactions(self) -> int:
        """Transactions that still wait or linger."""
        return len(self._context.layer)

    @property
    def settled(self) -> bool:
        """After `Stop`: nothing is left to wait for."""
        return not self._context.usages and all(item.settled for item in self._registrations)

    def sip_call_id(self, dialog: DialogKey) -> SipCallId | None:
        """The Call-ID header of a call."""
        usage = self._context.usages.get(dialog)
        if usage is None:
            return None
        request = usage.invite.request if usage.invite else usage.incoming and usage.incoming.request
        return SipCallId(request.call_id) if request else None

    def saved_leg(self, dialog: DialogKey) -> SavedLeg | None:
        """What another process needs to end a call."""
        usage = self._context.usages.get(dialog)
        return saved_leg(usage) if usage is not None else None

    def takes_refer(self, dialog: DialogKey) -> bool:
        """Whether the peer of a call says that it takes REFER."""
        usage = self._context.usages.get(dialog)
        return usage is not None and usage.dialog is not None and "REFER" in usage.dialog.allowed

    def trunk_up(self, trunk: TrunkName) -> bool:
        """Whether calls through this trunk have a chance."""
        state = self._context.trunks.get(trunk)
        return state is not None and state.up

    def trunk_standing(self, trunk: TrunkName) -> TrunkStanding:
        """What is known of a trunk."""
        state = self._context.trunks.get(trunk)
        return TrunkStanding() if state is None else TrunkStanding(registered=state.registered, answers=state.answers)

    def close(self) -> None:
        """Forget everything, without a word to anyone."""
        for usage in list(self._context.usages.values()):
            usage.state = UsageState.ENDED
        self._context.usages.clear()
        self._context.dialogs.clear()
        self._transfers.close()
        self._keypads.close()
        self._texts.close()
        self._context.layer.close()

    # Inputs.

    def _dispatch(self, event: Input, now: float) -> None:
        match event:
            case Received():
                self._receive(event, now)
            case Steer(dialog=dialog, command=command):
                self._steer(dialog, command, now)
            case PlaceCall(dialog=dialog, call=call):
                self._ask_for_call(dialog, call, now)
            case SendText(text=text, message=message):
                self._texts.send(text, message, now)
            case AnswerText(text=text, status=status):
                self._texts.answer(text, status, now)
            case LimitCalls():
                self._context.limits[event.trunk].change(event, now)
            case Revive():
                revive(event, self._context)
            case TimeElapsed():
                pass
            case SendFailed(transaction=key):
                self._context.layer.fail_client(key, now)
            case Unreachable(transport=transport, address=address):
                self._context.layer.fail_unreachable(transport, address.host, address.port, now)
            case ConnectionClosed(flow=flow):
                self._lose_connection(flow, now)
            case TrunkResolved():
                self._resolve(event, now)
            case NameFound(host=host, addresses=addresses):
                self._context.peers.find(host, addresses)
            case Start():
                self._start(now)
            case Stop():
                self._stop(now)
            case _ as unreachable:
                assert_never(unreachable)

    def _receive(self, event: Received, now: float) -> None:
        flow = event.flow
        if not self.admits(flow.host):
            self._context.count("sip_dropped_total", reason="acl")
            return
        try:
            message = parse_message(event.payload)
            if isinstance(message, Request):
                self._inbound.take_request(message, flow, now, refused=event.refused)
            else:
                self._inbound.take_response(message, flow, now)
        except SipError as error:
            self._refuse_malformed(error, flow)

    def _refuse_malformed(self, error: SipError, flow: Flow) -> None:
        """Answer where the RFC wants an answer; it goes to the source, for the Via may be what is broken."""
        self._context.count("sip_parse_errors_total", kind="message" if error.status else "dropped")
        if error.response is not None:
            self._context.actions.append(Send(payload=bytes(error.response), flow=flow))

    def _ask_for_call(self, dialog: DialogKey, call: OutgoingCall, now: float) -> None:
        limits = self._context.limits.get(call.trunk)
        if limits is None:
            self._place(dialog, call, now)
        else:
            limits.ask(dialog, call, now)

    def _place(self, dialog: DialogKey, call: OutgoingCall, now: float) -> None:
        context = self._context
        state = context.trunks.get(call.trunk)
        hops = hops_of(state, context.entropy, now) if state is not None else ()
        if state is None or not hops:
            context.emit(CallFailed(dialog=dialog, status=503, reason_phrase="No Address", local=True))
            return
        flow = hops[0].flow
        local = context.layer.local_address(flow)
        try:
            request = new_invite(call, state, local, entropy=context.entropy, user_agent=context.settings.user_agent)
        except LocalSipError:
            context.emit(CallFailed(dialog=dialog, status=484, reason_phrase="Address Incomplete", local=True))
            return
        usage = InviteUsage(
            key=dialog,
            trunk=state,
            context=context,
            flow=flow,
            state=UsageState.CALLING,
            local_tag=request.from_.tag or "",
            secure=isinstance(request.uri, SipUri) and request.uri.scheme == "sips",
            party=Caller(number=call.called),
        )
        context.usages[dialog] = usage
        on_silence = partial(usage.handle, SilenceLasted()) if call.has_alternative else None
        usage.hunt = Hunt.through(hops, context=context, trunk=state, user=usage, on_silence=on_silence)
        usage.invite = usage.hunt.start(request, now)
        usage.whereabouts = whereabouts(usage)

    def _steer(self, dialog: DialogKey, command: DialogCommand, now: float) -> None:
        match command:
            case DigitAsked():
                self._keypads.press(dialog, command, now)
            case ReferAsked() | ReferralAccepted() | ReferralRefused() | ReferralReported():
                self._transfers.steer(dialog, command, now)
            case _:
                self._steer_call(dialog, command, now)

    def _steer_call(self, dialog: DialogKey, command: UsageCommand, now: float) -> None:
        usage = self._context.usages.get(dialog)
        if usage is None and any(limits.give_up(dialog) for limits in self._context.limits.values()):
            return
        if usage is None:
            self._context.count("sip_late_commands_total", command=type(command).__name__)
        else:
            usage.handle(command, now)

    def _lose_connection(self, flow: Flow, now: float) -> None:
        self._context.layer.fail_connection(flow, now)
        for registration in self._registrations:
            if registration.goes_by(flow):
                registration.lose_flow(now)

    def _resolve(self, event: TrunkResolved, now: float) -> None:
        state = self._context.trunks.get(event.trunk)
        if state is None:
            return
        was_known = bool(state.addresses)
        state.resolve(event.servers, now)
        for watch in self._watches:
            if watch.trunk is state:
                watch.follow(now)
        found = bool(state.addresses) and not was_known
        for registration in self._registrations:
            if found and registration.trunk is state and not registration.settled:
                registration.handle(AddressFound(), now)
        if found:
            self._phones.found(state, now)

    def _start(self, now: float) -> None:
        for registration in self._registrations:
            registration.handle(Started(), now)
        self._phones.start(now)
        for keeper in self._keepers:
            keeper.start(now)
        for watch in self._watches:
            watch.start(now)
        for state in (state for state in self._context.trunks if not state.trunk.internal):
            gauge = Gauge(name="trunk_up", value=float(state.up), labels={"trunk": state.trunk.name})
            self._context.actions.append(gauge)

    def _stop(self, now: float) -> None:
        self._phones.stop(now)
        for keeper in self._keepers:
            keeper.stop()
        for watch in self._watches:
            watch.stop()
        for limits in self._context.limits.values():
            limits.stop()
        for usage in list(self._context.usages.values()):
            usage.handle(HangUpAsked(), now)
        for registration in self._registrations:
            registration.stop(now)

    # Time.

    def _run_due(self, now: float) -> None:
        while (payload := self._context.timers.due(now)) is not None:
            match payload:
                case TransactionTimer():
                    self._context.layer.fire(payload, now)
                case UsageTimer(usage=usage, event=event):
                    usage.fire(event, now)
                case DialogRequestTimer(request=request):
                    request.fire(now)
                case HuntTimer(hunt=hunt):
                    hunt.fire(payload, now)
                case RenewalTimer(renewal=renewal):
                    renewal.fire(now)
                case ReferralTimer(referral=referral):
                    referral.fire(now)
                case ReferringTimer(referring=referring):
                    referring.fire(now)
                case KeepAliveTimer(keeper=keeper):
                    keeper.fire(now)
                case TurnTimer(limits=limits):
                    limits.fire(now)
                case ProbeTimer(probe=probe):
                    probe.fire(now)
                case _:
                    raise TypeError(f"no one waits for {type(payload).__name__}")

    def _make_registrations(self) -> Iterable[Registration]:
        for state in self._context.trunks:
            if state.trunk.auth is TrunkAuth.REGISTER:
                call_id = self._context.entropy.token(24)
                expires_s = state.trunk.register_expires_s
                yield Registration(trunk=state, context=self._context, sip_call_id=call_id, expires_s=expires_s)

    def _make_keepers(self) -> Iterable[Keeper]:
        """For trunks without a registration, which has one of its own."""
        for state in self._context.trunks:
            if state.trunk.keep_alive_s > 0 and state.trunk.auth is not TrunkAuth.REGISTER:
                yield Keeper(trunk=state, context=self._context)

    def _make_watches(self) -> Iterable[Watch]:
        for state in self._context.trunks:
            if state.trunk.options_interval_s > 0:
                yield Watch(trunk=state, context=self._context)
