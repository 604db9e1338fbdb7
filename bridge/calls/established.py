"""From the answer to the end, the same for both directions."""

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import message_events as mev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.inbound import cancelled, peer_candidates
from bridge.calls.state import EndedBy, MatrixLeg, SipLeg, State
from bridge.calls.steps import Row, Table, abort, ignore, matrix_reoffered, media_lost, member_left, refuse
from bridge.core.verdict import Verdict


def media_connected(call: Call, event: medev.MediaConnected, now: float) -> list[cmd.Command]:
    call.at.connected = now
    call.connect(now)
    return []


def never_connected(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    """The media session said nothing in time."""
    return call.end(outcomes.ICE_FAILED, EndedBy.BRIDGE, now)


def hung_up(call: Call, event: mxev.HangupReceived, now: float) -> list[cmd.Command]:
    """Only the device that the call is with can end it."""
    if not call.is_peer(event.user, event.party):
        return []
    call.matrix_leg = MatrixLeg.ENDED
    verdict = outcomes.of_matrix_hangup(event.reason, answered=call.answered)
    if verdict is outcomes.COMPLETED:
        verdict = outcomes.hung_up(unheard_s=call.unheard_s(now))
    return call.end(verdict, EndedBy.MATRIX, now)


def answer_selected(call: Call, event: mxev.AnswerSelected, now: float) -> list[cmd.Command]:
    """Another party's answer was taken: hang up the phone and say nothing (specification, VoIP, `select_answer`).

    Only the device that called selects. Where we called, a device may repeat what we selected: that says nothing.
    """
    matrix = call.matrix
    if not call.is_peer(event.user, event.party):
        return []
    if event.selected_party in (None, matrix.own_party, matrix.peer_party):
        return []
    call.matrix_leg = MatrixLeg.ENDED
    return call.end(outcomes.ANOTHER_ANSWER_SELECTED, EndedBy.MATRIX, now)


def sip_ended(call: Call, event: sipev.SipEnded, now: float) -> list[cmd.Command]:
    call.sip_leg = SipLeg.ENDED
    call.peer_q850 = event.q850
    return call.end(_of_sip_end(call, event, now), EndedBy.SIP, now)


def _of_sip_end(call: Call, event: sipev.SipEnded, now: float) -> Verdict:
    if event.expired:
        return outcomes.SESSION_EXPIRED
    return outcomes.hung_up(unheard_s=call.unheard_s(now)) if event.by_peer else outcomes.NEVER_ACKNOWLEDGED


def sip_confirmed(call: Call, event: sipev.SipConfirmed, now: float) -> list[cmd.Command]:
    """The ACK came; for a late offer it must bring the answer (RFC 3264 §5, RFC 6337 §2.2)."""
    if not call.late_offer:
        return []
    from_another, call.late_offer, call.late_to_another = call.late_to_another, False, False
    if event.sdp is None:
        return call.end(outcomes.NO_DESCRIPTION, EndedBy.BRIDGE, now)
    return [medcmd.TakeSipAnswer(sip_sdp=event.sdp, from_another=from_another)]


def sip_reoffered(call: Call, event: sipev.SipReoffered, now: float) -> list[cmd.Command]:
    """Hold, resume or a new address: taken up by the media session, the Matrix side hears the difference."""
    call.late_offer = event.sdp is None
    return [medcmd.AnswerReoffer(sip_sdp=event.sdp)]


def reoffer_answered(call: Call, event: medev.ReofferAnswered, now: float) -> list[cmd.Command]:
    return [sipcmd.AcceptSip(sdp=event.sdp)]


def reoffer_refused(call: Call, event: medev.ReofferRefused, now: float) -> list[cmd.Command]:
    call.late_offer = False
    return [sipcmd.RejectSip(status=event.verdict.sip_status)]


def matrix_reoffer_answered(call: Call, event: medev.MatrixReofferAnswered, now: float) -> list[cmd.Command]:
    """The client gets its answer at once, whatever the phone will say to the change.

    While another phone is called, its description is under way; the phone that stays is told afterwards.
    """
    tell = [medcmd.WriteSipReoffer()] if call.second is None else []
    return [mxcmd.SendNegotiateAnswer(sdp=event.sdp), *tell]


def sip_reoffer_ready(call: Call, event: medev.SipReofferReady, now: float) -> list[cmd.Command]:
    return [sipcmd.ReofferSip(sdp=event.sdp)] if call.second is None else []


def sip_reoffer_answered(call: Call, event: sipev.SipReofferAnswered, now: float) -> list[cmd.Command]:
    return [medcmd.TakeSipAnswer(sip_sdp=event.sdp)]


def identity_changed(call: Call, event: sipev.IdentityChanged, now: float) -> list[cmd.Command]:
    call.connected_number, call.connected_name = event.number, event.name
    return [mxcmd.SendIdentity(number=event.number, name=event.name)]


def client_key_pressed(call: Call, event: medev.ClientKeyPressed, now: float) -> list[cmd.Command]:
    return [sipcmd.PressSipKey(digit=event.digit, duration_ms=event.duration_ms)]


def phone_keys_pressed(call: Call, event: sipev.PhoneKeysPressed, now: float) -> list[cmd.Command]:
    return [medcmd.PlayKeys(digits=event.digits, duration_ms=event.duration_ms)]


OF_THE_PHONE: dict[type[object], Row] = {
    sipev.SipEnded: Row(sip_ended, (State.ENDED,)),
    sipev.SipCancelled: Row(cancelled, (State.ENDED,)),
    sipev.SipConfirmed: Row(sip_confirmed, (State.ENDED,)),
    sipev.SipReoffered: Row(sip_reoffered, ()),
    medev.SipReofferReady: Row(sip_reoffer_ready, ()),
    sipev.SipReofferAnswered: Row(sip_reoffer_answered, ()),
    sipev.SipReofferRefused: Row(ignore, ()),
    medev.ReofferAnswered: Row(reoffer_answered, ()),
    medev.ReofferRefused: Row(reoffer_refused, ()),
    medev.ClientKeyPressed: Row(client_key_pressed, ()),
    sipev.PhoneKeysPressed: Row(phone_keys_pressed, ()),
    # Of what we played, and listened to, before somebody took the call.
    mev.SoundPlayed: Row(ignore, ()),
    mev.PhoneKeyPressed: Row(ignore, ()),
}
"""The phone's side of an answered call, whoever is at the other end."""
ANY_TIME: dict[type[object], Row] = {
    medev.MediaLost: Row(media_lost, (State.ENDED,)),
    medev.MediaRefused: Row(refuse, (State.ENDED,)),
    mxev.HangupReceived: Row(hung_up, (State.ENDED,)),
    mxev.AnswerSelected: Row(answer_selected, (State.ENDED,)),
    mxev.CandidatesReceived: Row(peer_candidates, ()),
    **OF_THE_PHONE,
    sipev.IdentityChanged: Row(identity_changed, ()),
    mxev.MatrixReoffered: Row(matrix_reoffered, ()),
    medev.MatrixReofferAnswered: Row(matrix_reoffer_answered, ()),
    medev.MatrixReofferRefused: Row(ignore, ()),
    mev.SoundPlayed: Row(ignore, ()),  # The user was warned of a limit.
    mxev.MemberLeft: Row(member_left, (State.ENDED,)),
    ev.Aborted: Row(abort, (State.ENDED,)),
    # Expected and without meaning: another device answers or rejects too late, a slow homeserver reports our invite.
    mxev.AnswerReceived: Row(ignore, ()),
    mxev.RejectReceived: Row(ignore, ()),
    mxev.MemberJoined: Row(ignore, ()),
    mxev.InviteDelivered: Row(ignore, ()),
    mxev.PresenceKnown: Row(ignore, ()),
    mxev.PortalReady: Row(ignore, ()),
    ev.CallRefused: Row(ignore, ()),
}

TABLE: Table = {
    (State.CONNECTING, medev.MediaConnected): Row(media_connected, (State.CONNECTED,)),
    (State.CONNECTING, ev.TimerFired): Row(never_connected, (State.ENDED,)),
    (State.CONNECTED, medev.MediaConnected): Row(ignore, ()),
    **{(state, event): row for state in (State.CONNECTING, State.CONNECTED) for event, row in ANY_TIME.items()},
}
