"""A phone is fetched for another one, whose user has left it (see `handover`): a call without a Matrix side."""

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import handover_commands as hcmd
from bridge.calls import handover_events as hev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.call import Call
from bridge.calls.established import reoffer_answered, reoffer_refused, sip_ended
from bridge.calls.failover import can_go_on, next_trunk
from bridge.calls.handover import WITHOUT_USER, partner_id, settle, tell
from bridge.calls.outbound import note_failure, reoffered_while_ringing
from bridge.calls.parties import Handover, MatrixParty
from bridge.calls.state import Direction, EndedBy, MatrixLeg, SipLeg, State, Timer
from bridge.calls.steps import Row, Table, ignore, media_lost, never_answered
from bridge.calls.times import Milestones


def begin(call: Call, handover: Handover, *, now: float, wall: float) -> Call:
    """The call of the other phone; give it `FetchPermitted` next. The user pays for it and is never in it."""
    way, *further = handover.ways
    matrix_call_id = handover.new_matrix_call_id
    return Call(
        call_id=partner_id(call),
        direction=Direction.OUTBOUND,
        trunk=way.trunk,
        number=way.number,
        matrix=MatrixParty(call_id=matrix_call_id, user=call.matrix.user, own_party=call.matrix.own_party),
        times=call.times,
        at=Milestones(invited=now),
        began_wall=wall,
        caller=way.caller,
        called=way.number,
        withheld=way.withheld,
        further=tuple(further),
        matrix_leg=MatrixLeg.ENDED,
        partner=call.call_id,
        parent=call.call_id,
    )


def fetch(call: Call, event: hev.FetchPermitted, now: float) -> list[cmd.Command]:
    call.state = State.FETCHING
    call.deadlines[Timer.TRANSFER] = now + call.times.ring_s
    return [medcmd.WriteSipOffer(matrix_sdp=None)]


def sip_offer_ready(call: Call, event: medev.SipOfferReady, now: float) -> list[cmd.Command]:
    call.sip_leg = SipLeg.DIALLING
    return [sipcmd.PlaceSipCall(sdp=event.sdp)]


def rings(call: Call, event: sipev.SipProgress, now: float) -> list[cmd.Command]:
    """What the other phone's network plays is for the one who waits."""
    if call.at.ringing is None:
        call.at.ringing = now
    if event.sdp is None or call.partner is None or (sdp := call.take_sip_sdp(event.sdp)) is None:
        return []
    return [medcmd.TakeSipAnswer(sip_sdp=sdp, early=True), hcmd.JoinMedia(partner=call.partner)]


def answered(call: Call, event: sipev.SipAnswered, now: float) -> list[cmd.Command]:
    call.sip_leg = SipLeg.ESTABLISHED
    call.at.answered = now
    call.answer_soon(now)
    if event.sdp is None or call.partner is None:
        return call.end(outcomes.NO_DESCRIPTION, EndedBy.BRIDGE, now)
    return [medcmd.TakeSipAnswer(sip_sdp=call.take_sip_sdp(event.sdp)), hcmd.JoinMedia(partner=call.partner)]


def failed(call: Call, event: sipev.SipFailed, now: float) -> list[cmd.Command]:
    """Over the next trunk, if there is one; the one who waits need not know."""
    verdict = note_failure(call, event)
    if not can_go_on(call, verdict):
        return call.end(verdict, EndedBy.SIP, now)
    return [*next_trunk(call, verdict), medcmd.WriteSipOffer(matrix_sdp=None)]


def partners_joined(call: Call, event: hev.PartnersJoined, now: float) -> list[cmd.Command]:
    """The two hear each other; perhaps so far only one of them what the other's network plays."""
    is_answered = call.sip_leg is SipLeg.ESTABLISHED
    heard = tell(call, hev.PartnerHeard(answered=is_answered))
    return [*heard, *settle(call, now)] if is_answered else heard


def nobody_waits(call: Call, event: hev.PartnerLeft, now: float) -> list[cmd.Command]:
    """The phone that it was called for has hung up."""
    call.partner = None
    return call.end(outcomes.CANCELLED, EndedBy.SIP, now)


def rang_long_enough(call: Call, event: ev.TimerFired, now: float) -> list[cmd.Command]:
    """Or it was answered, and the two were not brought together."""
    if event.timer is Timer.TRANSFER:
        return call.end(outcomes.NO_ANSWER, EndedBy.BRIDGE, now)
    return never_answered(call, event, now)


_FETCHING: dict[type[object], Row] = {
    **WITHOUT_USER,
    medev.MediaLost: Row(media_lost, (State.ENDED,)),
    ev.TimerFired: Row(rang_long_enough, (State.ENDED,)),
    medev.SipOfferReady: Row(sip_offer_ready, ()),
    sipev.SipProgress: Row(rings, ()),
    sipev.SipAnswered: Row(answered, (State.ENDED,)),
    sipev.SipFailed: Row(failed, (State.ENDED,)),
    sipev.SipEnded: Row(sip_ended, (State.ENDED,)),
    sipev.SipReoffered: Row(reoffered_while_ringing, ()),
    medev.ReofferAnswered: Row(reoffer_answered, ()),
    medev.ReofferRefused: Row(reoffer_refused, ()),
    sipev.PhoneKeysPressed: Row(ignore, ()),
    medev.ClientKeyPressed: Row(ignore, ()),
    hev.PartnersJoined: Row(partners_joined, (State.JOINED,)),
    hev.PartnerLeft: Row(nobody_waits, (State.ENDED,)),
}

TABLE: Table = {
    (State.NEW, hev.FetchPermitted): Row(fetch, (State.FETCHING,)),
    **{(State.FETCHING, event): row for event, row in _FETCHING.items()},
}
