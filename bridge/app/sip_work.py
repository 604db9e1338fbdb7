"""Carries out what a call wants of its SIP dialog. Every command takes effect at once."""

from typing import assert_never

from bridge.app.directory import Directory
from bridge.app.live_call import LiveCall
from bridge.calls import commands as cmd
from bridge.calls.ports import SipPort
from bridge.sip.events import OutgoingCall

SipCommand = cmd.PlaceSipCall | cmd.RingSip | cmd.AcceptSip | cmd.RejectSip | cmd.CancelSip | cmd.ByeSip


class SipWork:
    def __init__(self, sip: SipPort, directory: Directory) -> None:
        self._sip = sip
        self._directory = directory

    def carry_out(self, live: LiveCall, command: SipCommand) -> None:
        """Hand a command to the user agent; without a dialog there is nothing to tell."""
        if isinstance(command, cmd.PlaceSipCall):
            self._place(live, command)
            return
        dialog = live.call.dialog
        if dialog is None:
            return
        match command:
            case cmd.RingSip():
                self._sip.ring(dialog)
            case cmd.AcceptSip():
                self._sip.accept(dialog, command.sdp)
            case cmd.RejectSip():
                self._sip.reject(dialog, command.status, q850=command.q850)
            case cmd.CancelSip():
                self._sip.cancel(command.dialog or dialog)
            case cmd.ByeSip():
                self._sip.bye(dialog, q850=command.q850)
            case _:
                assert_never(command)

    def _place(self, live: LiveCall, command: cmd.PlaceSipCall) -> None:
        call = live.call
        outgoing = OutgoingCall(
            trunk=call.trunk,
            called=call.number,
            caller=call.caller,
            sdp=command.sdp,
        )
        call.dialog = self._sip.invite(outgoing)
        call.sip_call_id = self._sip.sip_call_id(call.dialog)
        self._directory.follow_dialog(live, call.dialog)
