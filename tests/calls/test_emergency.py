"""A call for help: every trunk is tried, and whoever cannot be brought to anybody hears so at once."""

import pytest

from bridge.calls import announcement_commands as acmd
from bridge.calls import commands as cmd
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import message_events as mev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls.announcement import NO_HELP
from bridge.calls.announcement_events import AnnouncementReady
from bridge.calls.call import Call
from bridge.calls.outcomes import of_emergency
from bridge.calls.state import State
from bridge.calls.way import Way
from bridge.core.ids import TrunkName
from bridge.core.verdict import MatrixReason
from bridge.numbers.refusals import NO_EMERGENCY_CALLS
from tests.calls import scenes
from tests.calls.scenes import CANDIDATE, LAPTOP, THEIR_CALL, kinds, only, run

ANNOUNCED = sipev.SipProgress(status=183, sdp="announcement")
FAILED = sipev.SipFailed(status=503)
PLAYED = mev.SoundPlayed()


def calling(*, further: int = 0, spoken: bool = True) -> Call:
    """Alice calls for help, over a trunk that plays before it answers; so many more could carry the call."""
    call = scenes.dialling()
    call.emergency = call.answers_early = True
    call.spoken = frozenset({NO_HELP} if spoken else ())
    way = Way(trunk=TrunkName("backup"), number="112", caller="", answers_early=True)
    call.further = (way,) * further
    return call


def test_the_sentence_is_the_one_for_who_cannot_call_for_help() -> None:
    assert NO_EMERGENCY_CALLS.reason == NO_HELP


@pytest.mark.parametrize("status", [403, 486, 503])
def test_a_trunk_that_plays_something_and_fails_is_followed_by_the_next(status: int) -> None:
    call = calling(further=1)
    run(call, ANNOUNCED)
    commands = run(call, sipev.SipFailed(status=status))
    assert kinds(commands) == [cmd.NoteFailover, medcmd.CloseMedia, medcmd.WriteSipOffer]
    commands = run(call, medev.SipOfferReady(sdp="another offer"))
    assert kinds(commands) == [sipcmd.PlaceSipCall]
    assert call.trunk == "backup"


def test_what_the_last_trunk_plays_is_heard() -> None:
    call = calling(further=1)
    run(call, FAILED, medev.SipOfferReady(sdp="another offer"))
    assert only(run(call, ANNOUNCED), medcmd.WriteMatrixAnswer).early


def test_who_reaches_no_help_reads_and_hears_so() -> None:
    call = calling()
    run(call, scenes.candidates(LAPTOP, THEIR_CALL))
    commands = run(call, FAILED)
    assert kinds(commands) == [
        mxcmd.SendNotice,
        medcmd.CloseMedia,
        acmd.WriteAnnouncementAnswer,
        medcmd.AddCandidates,
    ]
    assert only(commands, mxcmd.SendNotice).urgent
    assert only(commands, acmd.WriteAnnouncementAnswer).matrix_sdp == "alice offer"
    assert only(commands, medcmd.AddCandidates).candidates == (CANDIDATE,)
    assert run(call, AnnouncementReady(sdp="our answer")) == [
        mxcmd.SendAnswer(sdp="our answer"),
        acmd.Announce(reason=NO_HELP),
    ]
    commands = run(call, PLAYED)
    assert kinds(commands) == [mxcmd.SendHangup, medcmd.CloseMedia, cmd.FinishCall]
    assert only(commands, mxcmd.SendHangup).reason is MatrixReason.UNKNOWN_ERROR
    assert call.verdict is not None
    assert (call.verdict.reason, call.peer_status, call.illegal_events) == ("trunk_failure", 503, 0)
    assert call.verdict == of_emergency(call.verdict)


def test_it_is_heard_after_the_last_of_several_trunks_alone() -> None:
    call = calling(further=2)
    for _ in range(2):
        assert kinds(run(call, FAILED))[-1] is medcmd.WriteSipOffer
        run(call, medev.SipOfferReady(sdp="another offer"))
    assert only(run(call, sipev.SipFailed(status=408, local=True)), acmd.WriteAnnouncementAnswer)


def test_a_caller_who_hears_the_last_trunk_hears_that_it_has_failed() -> None:
    call = calling()
    run(call, ANNOUNCED, medev.MatrixAnswerReady(sdp="our answer"))
    commands = run(call, FAILED)
    assert kinds(commands) == [mxcmd.SendNotice, acmd.DropSipMedia, acmd.Announce]
    assert only(commands, acmd.Announce).reason == NO_HELP
    assert kinds(run(call, PLAYED)) == [mxcmd.SendHangup, medcmd.CloseMedia, cmd.FinishCall]


def test_an_answer_to_what_has_failed_meanwhile_is_not_sent() -> None:
    call = calling()
    run(call, ANNOUNCED)
    assert only(run(call, FAILED), acmd.WriteAnnouncementAnswer)
    assert run(call, medev.MatrixAnswerReady(sdp="too late")) == []
    run(call, AnnouncementReady(sdp="our answer"))
    assert (call.state, call.illegal_events) == (State.TELLING, 0)


def test_where_nothing_can_be_spoken_it_is_written_and_rejected() -> None:
    call = calling(spoken=False)
    assert kinds(run(call, FAILED)) == [mxcmd.SendReject, mxcmd.SendNotice, medcmd.CloseMedia, cmd.FinishCall]


def test_any_other_call_that_fails_is_written_and_rejected() -> None:
    call = calling()
    call.emergency = False
    assert kinds(run(call, FAILED)) == [mxcmd.SendReject, mxcmd.SendNotice, medcmd.CloseMedia, cmd.FinishCall]
