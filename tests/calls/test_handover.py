"""A user leaves a phone to somebody else (MSC2747): by REFER, by joining two calls, by fetching another phone first."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import fetch, outcomes
from bridge.calls import handover_commands as hcmd
from bridge.calls import handover_events as hev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.calls.call import Call
from bridge.calls.state import MatrixLeg, SipLeg, State, Timer
from bridge.calls.way import Way
from bridge.core.ids import CallId, MatrixCallId, TrunkName
from bridge.core.verdict import MatrixReason
from tests.calls import scenes
from tests.calls.scenes import (
    ALICE,
    DIALOG,
    LAPTOP,
    MALLORY,
    OTHER_DIALOG,
    OUR_CALL,
    PHONE,
    THEIR_CALL,
    answer,
    kinds,
    only,
    ringing,
    run,
)
from tests.calls.test_transfer import PERMITTED as PHONE_WANTS_A_TRANSFER
from tests.calls.test_transfer import replacement, talking, transferring

OTHER = CallId("other-call")
BLIND = hev.HandoverPermitted(
    matrix_call_id=THEIR_CALL,
    user=ALICE,
    party=LAPTOP,
    replacement_id="replacement",
    ways=(Way(trunk=TrunkName("pbx"), number="+15550111", caller="+15550199"),),
    new_matrix_call_id=MatrixCallId("new"),
)
ATTENDED = replace(BLIND, other=OTHER)
BY_REFER = replace(BLIND, by_refer=True)
ATTENDED_BY_REFER = replace(ATTENDED, by_refer=True)
FORBIDDEN = hev.HandoverForbidden(
    matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP, replacement_id="replacement", verdict=outcomes.NO_NUMBER_THERE
)
AWAITED = hev.HandoverAwaited(matrix_call_id=THEIR_CALL, user=ALICE, party=LAPTOP)
LEAVING = [mxcmd.SendHangup(reason=MatrixReason.USER_HANGUP), hcmd.DropMatrixMedia()]
JOINED = hev.PartnersJoined()


def waiting(wish: hev.HandoverPermitted = BLIND) -> Call:
    """The phone waits for the other one."""
    call = talking()
    run(call, wish)
    return call


def claimed() -> Call:
    """The call of the other phone, which the user connects with the first."""
    call = talking()
    run(call, hev.PartnerClaimed(partner=OTHER))
    return call


def begun() -> Call:
    """The other phone's call, which is placed for the first one's."""
    call = talking()
    assert only(run(call, BLIND), hcmd.FetchPhone).call_id == call.partner
    assert call.handover is not None
    return fetch.begin(call, call.handover, now=2.0, wall=1_000_002.0)


def fetching() -> Call:
    """The other phone rings."""
    call = begun()
    run(call, hev.FetchPermitted(), medev.SipOfferReady(sdp="our offer"))
    call.dialog = OTHER_DIALOG
    run(call, sipev.SipProgress(status=180))
    return call


def fetched() -> Call:
    """The other phone talks with the first."""
    call = fetching()
    run(call, sipev.SipAnswered(sdp="other answer"), JOINED)
    return call


def joined() -> Call:
    """The first phone talks with the other one."""
    call = waiting()
    run(call, hev.PartnerHeard(answered=True))
    return call


def test_the_users_part_of_the_call_is_over_at_once() -> None:
    """matrix-js-sdk ends the call as it asks for this, and says nothing more; the user's other clients see an end."""
    call = talking()
    assert run(call, BLIND)[:2] == LEAVING
    assert (call.state, call.matrix_leg, call.sip_leg) == (State.HANDING_OVER, MatrixLeg.ENDED, SipLeg.ESTABLISHED)
    assert call.transfers == 1


@pytest.mark.parametrize("wish", [BLIND, FORBIDDEN, AWAITED])
@pytest.mark.parametrize("change", [{"user": MALLORY}, {"party": PHONE}, {"matrix_call_id": MatrixCallId("another")}])
def test_only_the_device_that_the_call_is_with_can_leave_it(wish: ev.Event, change: dict[str, str]) -> None:
    call = talking()
    assert run(call, replace(wish, **change)) == []  # type: ignore[arg-type]
    assert call.state is State.CONNECTED


def test_a_client_of_version_0_has_no_party() -> None:
    call = talking()
    call.matrix.version, call.matrix.peer_party = 0, None
    assert hcmd.FetchPhone in kinds(run(call, replace(BLIND, party=None)))


# --- the phone's side makes the call (REFER) ---


def test_a_phone_whose_side_can_is_asked_to_make_the_call_itself() -> None:
    call = talking()
    assert run(call, BY_REFER) == [*LEAVING, hcmd.ReferSip(number="+15550111")]
    assert run(call, hev.ReferralReported(status=100, refused=False)) == []
    commands = run(call, hev.ReferralReported(status=200, refused=False))
    assert kinds(commands) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]
    assert only(commands, cmd.FinishCall).verdict is outcomes.TRANSFERRED


def test_a_phone_that_leaves_when_it_has_been_asked_is_let_go() -> None:
    commands = run(waiting(BY_REFER), sipev.SipEnded())
    assert kinds(commands) == [medcmd.CloseMedia, cmd.FinishCall]


def test_where_the_phones_side_refuses_the_other_phone_is_fetched() -> None:
    call = waiting(BY_REFER)
    command = only(run(call, hev.ReferralReported(status=403, refused=True)), hcmd.FetchPhone)
    assert call.partner == command.call_id


def test_a_call_that_the_phones_side_could_not_make_ends_and_the_user_is_told() -> None:
    call = waiting(BY_REFER)
    commands = run(call, hev.ReferralReported(status=486, refused=False))
    assert sipcmd.ByeSip in kinds(commands)
    assert only(commands, mxcmd.SendNotice).text.endswith("The number you called is busy.")
    assert not any(isinstance(command, mxcmd.SendHangup) for command in commands)


def test_a_report_of_what_was_not_asked_means_nothing() -> None:
    call = waiting(ATTENDED_BY_REFER)
    assert run(call, hev.ReferralReported(status=486, refused=False)) == []
    assert call.state is State.HANDING_OVER


def test_a_report_that_never_comes_ends_the_call() -> None:
    commands = run(waiting(BY_REFER), ev.TimerFired(timer=Timer.TRANSFER))
    assert only(commands, cmd.FinishCall).verdict.reason == "transfer_failed"


def test_two_phones_of_one_pbx_are_connected_by_it() -> None:
    call = talking()
    assert run(call, ATTENDED_BY_REFER) == [
        *LEAVING,
        hcmd.TellPartner(partner=OTHER, event=hev.PartnerClaimed(partner=call.call_id)),
    ]
    assert run(call, hev.PartnerAgreed()) == [hcmd.ReferSip(number="+15550111", replaces=OTHER)]
    # The PBX calls the other phone in our place, which then hangs up on us; its report comes later.
    assert run(call, hev.PartnerLeft(verdict=outcomes.COMPLETED)) == []
    finish = only(run(call, hev.ReferralReported(status=200, refused=False)), cmd.FinishCall)
    assert finish.verdict is outcomes.TRANSFERRED


@pytest.mark.parametrize("refused", [True, False])
def test_where_the_pbx_cannot_connect_them_the_bridge_does(refused: bool) -> None:
    call = waiting(ATTENDED_BY_REFER)
    run(call, hev.PartnerAgreed())
    assert run(call, hev.ReferralReported(status=488, refused=refused)) == [hcmd.JoinMedia(partner=OTHER)]


def test_nobody_is_called_again_who_was_on_the_line_and_has_hung_up() -> None:
    call = waiting(ATTENDED_BY_REFER)
    run(call, hev.PartnerAgreed(), hev.PartnerLeft(verdict=outcomes.COMPLETED))
    commands = run(call, hev.ReferralReported(status=481, refused=True))
    assert only(commands, cmd.FinishCall).verdict.reason == "transfer_failed"


# --- both phones are on the line ---


def test_two_phones_on_the_line_are_joined_when_the_user_has_left_both() -> None:
    call = waiting(ATTENDED)
    assert run(call, hev.PartnerAgreed()) == [hcmd.JoinMedia(partner=OTHER)]
    assert run(call, JOINED) == [
        hcmd.TellPartner(partner=OTHER, event=hev.PartnerHeard(answered=True)),
        medcmd.WriteSipReoffer(),
    ]
    assert (call.state, call.deadlines) == (State.JOINED, {})


def test_the_claimed_call_lets_its_user_go_and_agrees() -> None:
    call = talking()
    commands = run(call, hev.PartnerClaimed(partner=OTHER))
    assert commands == [*LEAVING, hcmd.TellPartner(partner=OTHER, event=hev.PartnerAgreed())]
    assert call.parent == OTHER
    assert run(call, hev.PartnerHeard(answered=True)) == [medcmd.WriteSipReoffer()]
    assert call.state is State.JOINED


def test_a_call_that_was_told_to_wait_is_claimed_without_a_second_farewell() -> None:
    call = talking()
    assert run(call, AWAITED) == LEAVING
    assert run(call, hev.PartnerClaimed(partner=OTHER)) == [hcmd.TellPartner(partner=OTHER, event=hev.PartnerAgreed())]


def test_a_call_that_was_claimed_needs_not_be_told_to_wait() -> None:
    assert run(claimed(), AWAITED) == []


def test_a_call_that_was_told_to_wait_for_nobody_ends() -> None:
    call = talking()
    run(call, AWAITED)
    commands = run(call, ev.TimerFired(timer=Timer.TRANSFER))
    assert kinds(commands) == [sipcmd.ByeSip, mxcmd.SendNotice, medcmd.CloseMedia, cmd.FinishCall]


@pytest.mark.parametrize("begin", [claimed, waiting, joined, transferring])
def test_a_call_cannot_be_claimed_twice(begin: Callable[[], Call]) -> None:
    call = begin()
    assert run(call, hev.PartnerClaimed(partner=CallId("third"))) == [
        hcmd.TellPartner(partner=CallId("third"), event=hev.PartnerLeft(verdict=outcomes.transfer_failed()))
    ]


def test_a_claimed_phone_has_a_moment_to_hang_up_when_the_pbx_has_connected_it() -> None:
    call = claimed()
    assert run(call, hev.PartnerLeft(verdict=outcomes.TRANSFERRED)) == []
    assert Timer.FORMER in call.deadlines
    commands = run(call, ev.TimerFired(timer=Timer.FORMER))
    assert only(commands, cmd.FinishCall).verdict is outcomes.TRANSFERRED
    assert sipcmd.ByeSip in kinds(commands)


def test_a_call_whose_other_one_is_over_before_they_are_joined_ends() -> None:
    call = waiting(ATTENDED)
    commands = run(call, hev.PartnerLeft(verdict=outcomes.COMPLETED))
    assert only(commands, cmd.FinishCall).verdict.reason == "transfer_failed"
    assert not any(isinstance(command, hcmd.TellPartner) for command in commands)


# --- another phone is fetched ---


def test_another_phone_is_called_without_a_matrix_side() -> None:
    call = begun()
    assert (call.number, call.caller, call.matrix.user, call.matrix.room_id) == ("+15550111", "+15550199", ALICE, None)
    assert call.parent == talking().call_id
    assert run(call, hev.FetchPermitted()) == [medcmd.WriteSipOffer(matrix_sdp=None)]
    assert run(call, medev.SipOfferReady(sdp="our offer")) == [sipcmd.PlaceSipCall(sdp="our offer")]


def test_another_trunk_is_tried_when_the_first_cannot_carry_the_call() -> None:
    call = talking()
    backup = Way(trunk=TrunkName("backup"), number="+15550111", caller="+15550177")
    run(call, replace(BLIND, ways=(*BLIND.ways, backup)))
    assert call.handover is not None
    other = fetch.begin(call, call.handover, now=2.0, wall=1_000_002.0)
    run(other, hev.FetchPermitted(), medev.SipOfferReady(sdp="our offer"))
    commands = run(other, sipev.SipFailed(status=503))
    assert kinds(commands) == [cmd.NoteFailover, medcmd.CloseMedia, medcmd.WriteSipOffer]
    assert (other.trunk, other.caller, other.state) == ("backup", "+15550177", State.FETCHING)


def test_the_other_phone_is_joined_when_it_answers() -> None:
    call = fetching()
    assert call.partner is not None
    assert run(call, sipev.SipAnswered(sdp="other answer")) == [
        medcmd.TakeSipAnswer(sip_sdp="other answer"),
        hcmd.JoinMedia(partner=call.partner),
    ]
    assert run(call, JOINED) == [
        hcmd.TellPartner(partner=call.partner, event=hev.PartnerHeard(answered=True)),
        medcmd.WriteSipReoffer(),
    ]
    assert call.state is State.JOINED


def test_what_the_other_phones_network_plays_is_heard_by_the_one_who_waits() -> None:
    call = fetching()
    assert call.partner is not None
    assert run(call, sipev.SipProgress(status=183, sdp="announcement")) == [
        medcmd.TakeSipAnswer(sip_sdp="announcement", early=True),
        hcmd.JoinMedia(partner=call.partner),
    ]
    assert run(call, JOINED) == [hcmd.TellPartner(partner=call.partner, event=hev.PartnerHeard(answered=False))]
    assert run(call, sipev.SipProgress(status=183, sdp="announcement")) == []
    assert run(call, sipev.SipAnswered(sdp="announcement"))[0] == medcmd.TakeSipAnswer(sip_sdp=None)
    run(call, JOINED)
    assert call.state is State.JOINED


def test_the_phone_that_waits_goes_on_when_it_has_something_to_hear() -> None:
    call = waiting()
    states = []
    for answered in (False, True):
        assert run(call, hev.PartnerHeard(answered=answered)) == [medcmd.WriteSipReoffer()]
        states.append(call.state)
    assert states == [State.HANDING_OVER, State.JOINED]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (sipev.SipFailed(status=486), "The number you called is busy."),
        (sipev.SipFailed(status=404), "This number is not in service."),
        (ev.TimerFired(timer=Timer.TRANSFER), "Nobody answered."),
    ],
)
def test_a_phone_that_does_not_take_it_ends_both_and_the_user_reads_why(failure: ev.Event, said: str) -> None:
    first, other = waiting(), fetching()
    commands = run(other, failure)
    assert not any(isinstance(command, mxcmd.SendNotice) for command in commands)
    word = only(commands, hcmd.TellPartner)
    assert word.partner == first.call_id
    commands = run(first, word.event)
    assert only(commands, mxcmd.SendNotice).text == f"The call could not be transferred, and has ended. {said}"
    assert sipcmd.ByeSip in kinds(commands)


def test_a_phone_that_answers_and_hangs_up_at_once_is_no_failure_to_tell_of() -> None:
    first, other = waiting(), fetching()
    word = only(run(other, sipev.SipAnswered(sdp="other answer"), sipev.SipEnded()), hcmd.TellPartner)
    assert kinds(run(first, word.event)) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]


def test_a_phone_that_does_not_wait_cancels_the_other_ones_ringing() -> None:
    first, other = waiting(), fetching()
    word = only(run(first, sipev.SipEnded()), hcmd.TellPartner)
    commands = run(other, word.event)
    assert kinds(commands) == [sipcmd.CancelSip, medcmd.CloseMedia, cmd.FinishCall]


def test_a_phone_that_answers_without_a_description_is_hung_up_on() -> None:
    commands = run(fetching(), sipev.SipAnswered())
    assert sipcmd.ByeSip in kinds(commands)
    assert only(commands, hcmd.TellPartner).event == hev.PartnerLeft(verdict=outcomes.NO_DESCRIPTION)


# --- two phones talk ---


@pytest.mark.parametrize(("begin", "end"), [(joined, fetched), (fetched, joined)])
def test_when_one_hangs_up_so_is_the_other(begin: Callable[[], Call], end: Callable[[], Call]) -> None:
    word = only(run(begin(), sipev.SipEnded()), hcmd.TellPartner)
    commands = run(end(), word.event)
    assert kinds(commands) == [sipcmd.ByeSip, medcmd.CloseMedia, cmd.FinishCall]
    assert only(commands, cmd.FinishCall).verdict is outcomes.COMPLETED


@pytest.mark.parametrize("begin", [waiting, claimed, joined, fetched])
def test_each_phone_goes_on_as_in_any_call(begin: Callable[[], Call]) -> None:
    call = begin()
    assert run(call, sipev.SipReoffered(sdp="hold")) == [medcmd.AnswerReoffer(sip_sdp="hold")]
    assert run(call, medev.ReofferAnswered(sdp="held")) == [sipcmd.AcceptSip(sdp="held")]
    assert run(call, medev.SipReofferReady(sdp="go on")) == [sipcmd.ReofferSip(sdp="go on")]
    assert run(call, medev.ClientKeyPressed(digit="5", duration_ms=100)) == [
        sipcmd.PressSipKey(digit="5", duration_ms=100)
    ]
    assert run(call, sipev.PhoneKeysPressed(digits="5", duration_ms=100)) == [
        medcmd.PlayKeys(digits="5", duration_ms=100)
    ]


@pytest.mark.parametrize("begin", [waiting, claimed, fetching, joined, fetched])
def test_nothing_that_the_user_does_touches_the_two_phones(begin: Callable[[], Call]) -> None:
    call = begin()
    state = call.state
    for event in (
        scenes.hangup(call.matrix.call_id),
        mxev.MemberLeft(user=ALICE),
        mxev.MatrixReoffered(matrix_call_id=call.matrix.call_id, user=ALICE, party=LAPTOP, sdp="late"),
        scenes.candidates(LAPTOP, call.matrix.call_id),
        replace(BLIND, matrix_call_id=call.matrix.call_id),
        medev.MatrixReofferAnswered(sdp="late"),
    ):
        assert run(call, event) == []
    assert (call.state, call.illegal_events) == (state, 0)


@pytest.mark.parametrize("begin", [waiting, claimed, fetching, joined, fetched])
def test_a_phone_whose_user_has_left_is_not_moved_by_its_own_side(begin: Callable[[], Call]) -> None:
    call = begin()
    assert run(call, PHONE_WANTS_A_TRANSFER) == [sipcmd.RefuseReferral(status=403)]
    assert run(call, replacement()) == [sipcmd.RejectSip(status=403, dialog=OTHER_DIALOG)]


@pytest.mark.parametrize("begin", [joined, fetched])
def test_a_phone_that_is_not_heard_any_more_ends_both_and_nobody_is_told_in_a_room(begin: Callable[[], Call]) -> None:
    commands = run(begin(), medev.MediaLost(reason=MatrixReason.ICE_TIMEOUT))
    assert kinds(commands) == [sipcmd.ByeSip, hcmd.TellPartner, medcmd.CloseMedia, cmd.FinishCall]


def test_the_clients_audio_that_goes_away_is_no_loss() -> None:
    call = waiting()
    assert run(call, medev.MediaLost(reason=MatrixReason.ICE_TIMEOUT)) == []
    assert call.state is State.HANDING_OVER


# --- what cannot be ---


def test_a_wish_that_is_refused_ends_the_call_for_the_client_is_gone() -> None:
    commands = run(talking(), FORBIDDEN)
    assert kinds(commands) == [
        hcmd.RejectReplacement,
        sipcmd.ByeSip,
        mxcmd.SendHangup,
        mxcmd.SendNotice,
        medcmd.CloseMedia,
        cmd.FinishCall,
    ]


def test_a_call_that_its_phone_is_about_to_move_is_not_left_to_another() -> None:
    commands = run(transferring(), BLIND)
    assert commands[0] == hcmd.RejectReplacement(replacement_id="replacement")
    assert [command.dialog for command in commands if isinstance(command, sipcmd.CancelSip)] == [OTHER_DIALOG]
    assert only(commands, mxcmd.SendHangup).other is None


@pytest.mark.parametrize("wish", [BLIND, FORBIDDEN])
def test_a_phone_that_is_not_on_the_line_yet_is_not_left_to_another(
    wish: hev.HandoverPermitted | hev.HandoverForbidden,
) -> None:
    call = ringing()
    run(call, answer())
    assert call.state is State.ACCEPTING
    commands = run(call, replace(wish, matrix_call_id=OUR_CALL))
    assert commands[0] == hcmd.RejectReplacement(replacement_id="replacement")
    assert {sipcmd.RejectSip, mxcmd.SendHangup, cmd.FinishCall} <= set(kinds(commands))


def test_a_phone_that_was_replaced_is_let_go_when_the_user_leaves() -> None:
    call = talking()
    call.former = OTHER_DIALOG
    assert run(call, BLIND)[0] == sipcmd.ByeSip(dialog=OTHER_DIALOG)
    assert call.dialog == DIALOG


def test_an_old_referral_that_is_reported_late_means_nothing() -> None:
    assert run(joined(), hev.ReferralReported(status=486, refused=False), tev.FormerPhoneLeft()) == []
