"""All REFERs of a user agent, received and sent: one of each at a time in a dialog (RFC 3515)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from bridge.core.ids import DialogKey
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.context import Context
from bridge.sip.dialog import Dialog, DialogId
from bridge.sip.errors import LocalSipError, SipError
from bridge.sip.events import CallReferred, ReferralProgress
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.number_forms import written_called
from bridge.sip.refer_to import refer_target, refer_to, referred_by
from bridge.sip.referral import DECISION_S, Referral
from bridge.sip.referral_commands import ReferAsked, ReferralCommand
from bridge.sip.referring import Referring
from bridge.sip.replaces import Replaces
from bridge.sip.trunks import TrunkState

MAX_REFERRALS = 500
"""Subscriptions outlive calls: a peer that refers and hangs up in a loop must not pile them up."""

EVENT_PACKAGE = "refer"

_NO_SUCH_CALL = 481
_PENDING = 491


@dataclass(slots=True, kw_only=True, eq=False)
class Transfers:
    """The usages of dialogs that REFERs make."""

    context: Context
    received: dict[DialogKey, Referral] = field(default_factory=dict)
    sent: dict[DialogId, Referring] = field(default_factory=dict)

    @property
    def trunks(self) -> Iterator[TrunkState]:
        """Those that reports of a transfer may yet come from, or go to."""
        usages = chain((one.usage for one in self.received.values()), (one.usage for one in self.sent.values()))
        return (usage.trunk for usage in usages)

    # What the peer asks.

    def take_refer(self, usage: InviteUsage, dialog: Dialog, server: ActiveServer, now: float) -> None:
        """A REFER inside a call: our user decides, where the trunk may transfer at all.

        403 where it may not: no credentials would help (RFC 3261 §21.4.4). 491 while the call is not answered, or
        another one runs: the same request may succeed later (§21.4.27).
        """
        request = server.request
        if not usage.trunk.trunk.accept_transfers:
            raise SipError(403, "Forbidden")
        if not usage.talking or usage.key in self.received:
            raise SipError(_PENDING, "Request Pending")
        if len(self.received) >= MAX_REFERRALS:
            raise SipError(503, "Service Unavailable")
        event = CallReferred(
            dialog=usage.key, target=refer_target(request, usage.trunk), referred_by=referred_by(request)
        )
        silent = (request.headers.get("Refer-Sub") or "").partition(";")[0].strip().lower() == "false"
        referral = Referral(
            key=usage.key, usage=usage, dialog=dialog, server=server, silent=silent, on_end=self._end_referral
        )
        self.received[usage.key] = referral
        referral.wait(DECISION_S, now)
        self.context.emit(event)

    def take_notify(self, name: DialogId, server: ActiveServer, now: float) -> None:
        """A report; the call may be over, and its dialog live on for this (RFC 5057 §4)."""
        request = server.request
        referring = self.sent.get(name)
        if referring is None or not referring.concerns(request):
            raise SipError(_NO_SUCH_CALL, "Subscription Does Not Exist")
        if not referring.dialog.takes(request):
            raise SipError(500, "Out of Order")
        referring.take_report(request, now)
        self.context.layer.respond(server, request.response(200), now)

    # What our user wants.

    def steer(self, key: DialogKey, command: ReferralCommand, now: float) -> None:
        """A command for a REFER."""
        if isinstance(command, ReferAsked):
            self._refer(key, command, now)
            return
        referral = self.received.get(key)
        if referral is None:
            self.context.count("sip_late_commands_total", command=type(command).__name__)
        else:
            referral.steer(command, now)

    def close(self) -> None:
        """Forget everything, without a word to anyone."""
        self.received.clear()
        self.sent.clear()

    def _refer(self, key: DialogKey, command: ReferAsked, now: float) -> None:
        usage = self.context.usages.get(key)
        if usage is None or usage.dialog is None or not usage.talking:
            self._fail(key, _NO_SUCH_CALL)
        elif usage.dialog.name in self.sent:
            self._fail(key, _PENDING)
        else:
            self._start(usage, usage.dialog, command, now)

    def _start(self, usage: InviteUsage, dialog: Dialog, command: ReferAsked, now: float) -> None:
        other = self.context.usages.get(command.replaces) if command.replaces is not None else None
        if command.replaces is not None and (other is None or other.dialog is None or not other.talking):
            self._fail(usage.key, _NO_SUCH_CALL)
            return
        replaces = Replaces.at_peer(other.dialog) if other is not None and other.dialog is not None else None
        try:
            target = refer_to(usage.trunk.uri(written_called(command.target_user, usage.trunk.trunk)), replaces)
        except LocalSipError:
            self._fail(usage.key, 484)
            return
        fields = (("Refer-To", target), ("Referred-By", f"<{dialog.local.uri}>"))
        referring = self.sent[dialog.name] = Referring(
            key=usage.key, usage=usage, dialog=dialog, on_end=self._end_referring
        )
        referring.start(fields, now)

    def _fail(self, key: DialogKey, status: int) -> None:
        self.context.emit(ReferralProgress(dialog=key, status=status, refused=True))

    def _end_referral(self, referral: Referral) -> None:
        self.received.pop(referral.key, None)

    def _end_referring(self, referring: Referring) -> None:
        self.sent.pop(referring.dialog.name, None)
