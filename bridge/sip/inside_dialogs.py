"""Requests of the peer inside dialogs: to the call, or to what goes on beside it (RFC 3261 §12.2.2, RFC 5057)."""

from dataclasses import dataclass

from bridge.sip import phone_watch, transfers
from bridge.sip.active_transaction import ActiveServer
from bridge.sip.bodies import session_description
from bridge.sip.capabilities import ALLOW, capabilities
from bridge.sip.connected import note_party
from bridge.sip.context import Context
from bridge.sip.dialog import Dialog, DialogId, contact_uri
from bridge.sip.errors import SipError
from bridge.sip.invite_usage import InviteUsage
from bridge.sip.keypad import Keypads
from bridge.sip.matching import dialog_id
from bridge.sip.phone_watches import PhoneWatches
from bridge.sip.referring import event_package
from bridge.sip.session_effects import agree, refuses_interval
from bridge.sip.transfers import Transfers
from bridge.sip.usage_events import ByeReceived, PrackReceived, ReinviteReceived, UpdateReceived


@dataclass(slots=True, kw_only=True, eq=False)
class InsideDialogs:
    """Who takes which request inside a dialog."""

    context: Context
    transfers: Transfers
    keypads: Keypads
    phones: PhoneWatches

    def __contains__(self, name: DialogId) -> bool:
        """Whether a dialog is ours."""
        return name in self.context.dialogs or name in self.transfers.sent or name in self.phones

    def take(self, server: ActiveServer, now: float) -> None:
        """A request with a tag in To; 481 where nothing is known of its dialog."""
        request = server.request
        if request.method == "NOTIFY":
            self._take_notify(server, now)
            return
        usage = self.context.dialogs.get(dialog_id(request))
        dialog = usage.dialog_of(request) if usage is not None else None
        if usage is None or dialog is None:
            self.context.answer(server, 481, now)
        elif not dialog.takes(request):
            self.context.answer(server, 500, now)
        else:
            self._take_ordered(usage, dialog, server, now)

    def _take_notify(self, server: ActiveServer, now: float) -> None:
        match event_package(server.request):
            case transfers.EVENT_PACKAGE:
                self.transfers.take_notify(dialog_id(server.request), server, now)
            case phone_watch.EVENT_PACKAGE:
                self.phones.take_notify(dialog_id(server.request), server, now)
            case _:
                raise SipError(489, "Bad Event")

    def _take_ordered(self, usage: InviteUsage, dialog: Dialog, server: ActiveServer, now: float) -> None:
        request = server.request
        match request.method:
            case "BYE":
                usage.handle(ByeReceived(server=server), now)
            case "INVITE":
                self._take_reinvite(usage, server, now)
            case "UPDATE":
                self._take_update(usage, dialog, server, now)
            case "PRACK":
                self._take_prack(usage, server, now)
            case "OPTIONS":
                self.context.answer(server, 200, now, capabilities(usage.trunk.trunk))
            case "INFO":
                self.keypads.take(usage, server, now)
            case "REFER":
                self.transfers.take_refer(usage, dialog, server, now)
            case _:
                self.context.answer(server, 405, now, (("Allow", ALLOW),))

    def _take_reinvite(self, usage: InviteUsage, server: ActiveServer, now: float) -> None:
        request = server.request
        if refuses_interval(self.context, usage.policy, server, now):
            return
        contact_uri(request.contacts)  # A malformed one is refused now: once it is needed, it is too late.
        self.context.layer.respond(server, request.response(100), now)
        usage.handle(ReinviteReceived(server=server, sdp=session_description(request)), now)

    def _take_prack(self, usage: InviteUsage, server: ActiveServer, now: float) -> None:
        """481 for one that acknowledges nothing of ours (RFC 3262 §3)."""
        request = server.request
        if usage.provisionals is None or not usage.provisionals.acknowledged_by(request):
            self.context.answer(server, 481, now)
        else:
            usage.handle(PrackReceived(server=server, sdp=session_description(request)), now)

    def _take_update(self, usage: InviteUsage, dialog: Dialog, server: ActiveServer, now: float) -> None:
        """Without an offer it only moves the peer, or keeps the dialog alive (RFC 3311 §5.1, RFC 4028 §7.4)."""
        request = server.request
        contact_uri(request.contacts)
        if refuses_interval(self.context, usage.policy, server, now):
            return
        sdp = session_description(request)
        if sdp is not None:
            usage.handle(UpdateReceived(server=server, sdp=sdp), now)
            return
        timer = agree(usage, request, now) if usage.talking else ()
        self.context.answer(server, 200, now, (usage.contact(server.flow), *capabilities(usage.trunk.trunk), *timer))
        usage.follow(dialog, request)
        note_party(usage, request)
