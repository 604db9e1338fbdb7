"""What the SIP user agent tells about a dialog, in the language of calls: by the part that its phone plays there."""

from bridge.calls import events as ev
from bridge.calls import handover_events as hev
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.sip import events as sip

Plain = (
    sip.CallProgress
    | sip.CallAnswered
    | sip.CallFailed
    | sip.CallCancelled
    | sip.CallEnded
    | sip.CallConfirmed
    | sip.CallReoffered
    | sip.CallReofferAnswered
    | sip.CallReofferRefused
    | sip.ReferralProgress
)
"""Facts that mean the same whatever the configuration says."""
InDialog = Plain | sip.CallReferred | sip.CallIdentityChanged | sip.DigitsReceived


def of_phone(event: Plain) -> ev.Event:
    """Of the phone that the call is with."""
    match event:
        case sip.CallProgress():
            return sipev.SipProgress(status=event.status, sdp=event.sdp)
        case sip.CallAnswered():
            return sipev.SipAnswered(sdp=event.sdp)
        case sip.CallFailed():
            return sipev.SipFailed(
                status=event.status, q850=event.q850, redirected_to=event.redirected_to, local=event.local
            )
        case sip.CallCancelled():
            return sipev.SipCancelled(answered_elsewhere=event.answered_elsewhere)
        case sip.CallEnded():
            return sipev.SipEnded(q850=event.q850, by_peer=event.by_peer, expired=event.expired)
        case sip.CallConfirmed():
            return sipev.SipConfirmed(sdp=event.sdp)
        case sip.CallReoffered():
            return sipev.SipReoffered(sdp=event.sdp)
        case sip.CallReofferAnswered(sdp=str() as sdp):
            return sipev.SipReofferAnswered(sdp=sdp)
        case sip.CallReofferAnswered() | sip.CallReofferRefused():
            return sipev.SipReofferRefused()
        case sip.ReferralProgress():
            return hev.ReferralReported(status=event.status, refused=event.refused)


def of_second_phone(event: InDialog) -> ev.Event | None:
    """Of the phone that is to take over."""
    match event:
        case sip.CallProgress():
            return tev.TransferProgress(status=event.status)
        case sip.CallAnswered():
            return tev.TransferAnswered(sdp=event.sdp)
        case sip.CallFailed():
            return tev.TransferFailed(status=event.status)
        case sip.CallCancelled():
            return tev.ReplacementCancelled()
        case sip.CallEnded():
            return tev.TransferFailed(status=480)
        case sip.CallReoffered():
            return tev.ReofferedByAnother(dialog=event.dialog)
        case _:
            return None


def of_former_phone(event: InDialog) -> ev.Event | None:
    """Of the phone that was replaced; all that counts is that it goes."""
    match event:
        case sip.CallEnded():
            return tev.FormerPhoneLeft()
        case sip.CallReoffered():
            return tev.ReofferedByAnother(dialog=event.dialog)
        case _:
            return None
