"""The SIP user agent without its sockets: messages, commands and time in, actions out (RFC 3261 §8, §12 to §15)."""

from dataclasses import dataclass
from typing import assert_never

from bridge.core.entropy import Entropy
from bridge.core.ids import DialogKey, SipCallId, TrunkName
from bridge.sip.actions import (
    Action,
    ConnectionClosed,
    Flow,
    LocalAddress,
    NameFound,
    Received,
    Send,
    SendFailed,
    SentBy,
    TimeElapsed,
    TrunkResolved,
    Unreachable,
)
from bridge.sip.call_limits import TurnTimer
from bridge.sip.context import Context
from bridge.sip.dialog_request import DialogRequestTimer
from bridge.sip.errors import SipError
from bridge.sip.failover import HuntTimer
from bridge.sip.inbound import Inbound
from bridge.sip.inputs import DialogCommand, Input, PlaceCall, Start, Steer, Stop
from bridge.sip.inside_dialogs import InsideDialogs
from bridge.sip.invite_usage import UsageTimer
from bridge.sip.keepalive import KeepAliveTimer
from bridge.sip.keypad import DigitAsked, Keypads
from bridge.sip.message import Request
from bridge.sip.outbound import Outbound
from bridge.sip.parser import parse_message
from bridge.sip.peers import Peers
from bridge.sip.probe import ProbeTimer
from bridge.sip.referral import ReferralTimer
from bridge.sip.referral_commands import (
    ReferAsked,
    ReferralAccepted,
    ReferralRefused,
    ReferralReported,
)
from bridge.sip.referring import ReferringTimer
from bridge.sip.renewal import RenewalTimer
from bridge.sip.revival import Revive, revive
from bridge.sip.saved import SavedLeg, saved_leg
from bridge.sip.settings import SipSettings, Trunk
from bridge.sip.texts import AnswerText, SendText, Texts
from bridge.sip.timers import TimerHeap
from bridge.sip.transaction import Timing
from bridge.sip.transaction_layer import TransactionLayer
from bridge.sip.transaction_runner import TransactionTimer
from bridge.sip.transfers import Transfers
from bridge.sip.trunk_care import LeavingTimer, TrunkCare
from bridge.sip.trunk_changes import ChangeTrunks
from bridge.sip.trunks import Directory
from bridge.sip.usage_commands import HangUpAsked, UsageCommand
from bridge.sip.usage_states import UsageState


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkStanding:
    """What is known of a trunk at the moment."""

    registered: bool = False
    answers: bool = False
    """Whether it answers OPTIONS; assumed until proven otherwise."""


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
        self._trunks = TrunkCare(self._context, self._transfers)
        self._outbound = Outbound(context=self._context)
        self._texts = Texts(context=self._context)
        inside = InsideDialogs(
            context=self._context, transfers=self._transfers, keypads=self._keypads, phones=self._trunks.phones
        )
        self._inbound = Inbound(context=self._context, inside=inside, texts=self._texts)

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
        return self._trunks.leads_to(flow)

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
        return not self._context.usages and self._trunks.settled

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

    @property
    def left_trunks(self) -> tuple[Trunk, ...]:
        """Those that are gone, or are others now, and whose last calls or registration may not be over yet."""
        return self._trunks.left

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
                self._outbound.ask(dialog, call, now)
            case SendText(text=text, message=message):
                self._texts.send(text, message, now)
            case AnswerText(text=text, status=status):
                self._texts.answer(text, status, now)
            case ChangeTrunks():
                self._trunks.change(event, now)
                self._outbound.follow(now)
            case Revive():
                revive(event, self._context)
            case TimeElapsed():
                pass
            case SentBy(transaction=key, connection=connection):
                self._context.layer.note_connection(key, connection)
            case SendFailed(transaction=key):
                self._context.layer.fail_client(key, now)
            case Unreachable(transport=transport, address=address):
                self._context.layer.fail_unreachable(transport, address.host, address.port, now)
            case ConnectionClosed(flow=flow):
                self._lose_connection(flow, now)
            case TrunkResolved():
                self._trunks.resolve(event, now)
            case NameFound(host=host, addresses=addresses):
                self._context.peers.find(host, addresses)
            case Start(trunk=trunk):
                self._trunks.start(now, only=trunk)
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
        self._trunks.lose_connection(flow, now)

    def _stop(self, now: float) -> None:
        for limits in self._context.limits.values():
            limits.stop()
        for usage in list(self._context.usages.values()):
            usage.handle(HangUpAsked(), now)
        self._trunks.stop(now)

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
                case LeavingTimer(care=care):
                    care.fire(now)
                case _:
                    raise TypeError(f"no one waits for {type(payload).__name__}")
