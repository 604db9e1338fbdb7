"""Carries out what a call wants of its SIP dialog. Every command takes effect at once."""

from typing import assert_never

from bridge.app.directory import Directory
from bridge.app.live_call import LiveCall
from bridge.calls import handover_commands as hcmd
from bridge.calls import sip_commands as sipcmd
from bridge.calls.ports import SipPort
from bridge.core.ids import CallId, DialogKey
from bridge.sip.events import OutgoingCall
from bridge.sip.uri import SipUri

InDialog = (
    sipcmd.RingSip
    | sipcmd.AcceptSip
    | sipcmd.RejectSip
    | sipcmd.CancelSip
    | sipcmd.ByeSip
    | sipcmd.ReofferSip
    | sipcmd.AcceptReferral
    | sipcmd.RefuseReferral
    | sipcmd.NotifyReferral
    | sipcmd.PressSipKey
    | hcmd.ReferSip
)
SipCommand = sipcmd.PlaceSipCall | sipcmd.PlaceTransfer | InDialog


class SipWork:
    def __init__(self, sip: SipPort, directory: Directory) -> None:
        self._sip = sip
        self._directory = directory

    def carry_out(self, live: LiveCall, command: SipCommand) -> None:
        """Hand a command to the user agent; without a dialog there is nothing to tell."""
        if isinstance(command, sipcmd.PlaceSipCall):
            self._place(live, command)
        elif isinstance(command, sipcmd.PlaceTransfer):
            self._place_second(live, command)
        elif live.call.dialog is not None:
            self._steer(live.call.dialog, command)

    def _steer(self, dialog: DialogKey, command: InDialog) -> None:
        """Speak in the call's own dialog, or in the one that the command names."""
        match command:
            case sipcmd.RingSip():
                self._sip.ring(dialog)
            case sipcmd.AcceptSip():
                self._sip.accept(command.dialog or dialog, command.sdp)
            case sipcmd.RejectSip():
                where, forward_to = command.dialog or dialog, command.forward_to
                self._sip.reject(where, command.status, q850=command.q850, forward_to=forward_to)
            case sipcmd.CancelSip():
                self._sip.cancel(command.dialog or dialog)
            case sipcmd.ByeSip():
                self._sip.bye(command.dialog or dialog, q850=command.q850)
            case sipcmd.ReofferSip():
                self._sip.reoffer(dialog, command.sdp)
            case sipcmd.AcceptReferral():
                self._sip.accept_referral(dialog)
            case sipcmd.RefuseReferral():
                self._sip.refuse_referral(dialog, command.status)
            case sipcmd.NotifyReferral():
                self._sip.notify_referral(command.dialog, command.status)
            case hcmd.ReferSip():
                self._sip.refer(dialog, command.number, replaces=self._dialog_of(command.replaces))
            case sipcmd.PressSipKey():
                self._sip.send_digit(dialog, command.digit, command.duration_ms)
            case _:
                assert_never(command)

    def _dialog_of(self, call_id: CallId | None) -> DialogKey | None:
        """Of another call; one that has ended meanwhile fails at the peer, and needs no other way to."""
        live = self._directory.by_call_id(call_id) if call_id is not None else None
        return live.call.dialog if live is not None else None

    def _place(self, live: LiveCall, command: sipcmd.PlaceSipCall) -> None:
        call = live.call
        outgoing = OutgoingCall(
            trunk=call.trunk,
            called=call.number,
            caller=call.caller,
            caller_name=call.caller_name,
            withheld=call.withheld,
            sdp=command.sdp,
            impatient=bool(call.further),
            urgent=call.emergency,
        )
        call.dialog = self._sip.invite(outgoing)
        call.sip_call_id = self._sip.sip_call_id(call.dialog)
        self._directory.follow_dialog(live, call.dialog)

    def _place_second(self, live: LiveCall, command: sipcmd.PlaceTransfer) -> None:
        second = live.call.second
        if second is None:
            return
        outgoing = OutgoingCall(
            trunk=live.call.trunk,
            called=second.number,
            caller=second.caller,
            withheld=second.withheld,
            sdp=command.sdp,
            target=SipUri.parse(second.uri) if second.uri else None,
            replaces=second.replaces,
            referred_by=second.referred_by,
        )
        second.dialog = self._sip.invite(outgoing)
        second.sip_call_id = self._sip.sip_call_id(second.dialog)
        self._directory.follow_dialog(live, second.dialog)
