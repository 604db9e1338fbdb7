"""What holds for every call, whatever happens to it in whatever order."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import handover_commands as hcmd
from bridge.calls import handover_events as hev
from bridge.calls import machine, outcomes, snapshot
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import media_events as medev
from bridge.calls import menu_events as nev
from bridge.calls import message_events as mev
from bridge.calls import sip_commands as sipcmd
from bridge.calls import sip_events as sipev
from bridge.calls import transfer_events as tev
from bridge.calls.announcement_events import AnnouncementReady
from bridge.calls.call import Call
from bridge.calls.state import Direction, State, Timer
from bridge.core.ids import DialogKey, MatrixCallId, PartyId
from bridge.core.presence import PresenceState
from bridge.core.verdict import MatrixReason
from bridge.numbers.limits import LIMIT_REACHED
from tests.calls import hunts, menus, scenes
from tests.calls.test_announcement import refusing, spoken_to, stopped, telling
from tests.calls.test_early_media import dialling as early_media
from tests.calls.test_handover import (
    ATTENDED,
    ATTENDED_BY_REFER,
    AWAITED,
    BLIND,
    BY_REFER,
    FORBIDDEN,
    OTHER,
    claimed,
    fetched,
    fetching,
    joined,
    waiting,
)
from tests.calls.test_message_box import attending, boxed, greeted, recording
from tests.calls.test_transfer import PERMITTED, replacement, replacing, talking, transferring

USERS = st.sampled_from([scenes.ALICE, scenes.MALLORY])
PARTIES = st.sampled_from([scenes.LAPTOP, scenes.PHONE, None])
MEMBERS = st.sampled_from(hunts.MEMBERS)
CALL_IDS = st.sampled_from([scenes.OUR_CALL, scenes.THEIR_CALL, MatrixCallId("~last")])
REASONS = st.sampled_from([None, "user_hangup", "user_busy", "replaced", "ice_failed", "nonsense"])
SDP = st.sampled_from([None, "sdp"])
LOST = [MatrixReason.ICE_FAILED, MatrixReason.ICE_TIMEOUT, MatrixReason.USER_HANGUP]

EVENTS: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(ev.CallPermitted, hold_s=st.sampled_from([0.0, 1.0])),
    st.just(ev.CallRefused(verdict=outcomes.NO_ANSWER)),
    st.builds(ev.TimerFired, timer=st.sampled_from(Timer)),
    st.builds(
        mxev.CandidatesReceived,
        matrix_call_id=CALL_IDS,
        user=USERS,
        party=PARTIES,
        candidates=st.just((scenes.CANDIDATE,)),
    ),
    st.builds(
        mxev.AnswerReceived,
        matrix_call_id=CALL_IDS,
        user=USERS,
        party=PARTIES,
        version=st.sampled_from([0, 1]),
        sdp=st.just("sdp"),
    ),
    st.builds(mxev.AnswerSelected, matrix_call_id=CALL_IDS, user=USERS, party=PARTIES, selected_party=PARTIES),
    st.builds(mxev.RejectReceived, matrix_call_id=CALL_IDS, user=USERS, party=PARTIES, reason=REASONS),
    st.builds(mxev.HangupReceived, matrix_call_id=CALL_IDS, user=USERS, party=PARTIES, reason=REASONS),
    st.builds(mxev.MatrixReoffered, matrix_call_id=CALL_IDS, user=USERS, party=PARTIES, sdp=st.just("sdp")),
    st.just(medev.MatrixReofferAnswered(sdp="sdp")),
    st.builds(mxev.MemberLeft, user=USERS),
    st.builds(mxev.MemberJoined, user=USERS),
    st.builds(scenes.crossing, CALL_IDS, user=USERS),
    st.builds(mxev.PresenceKnown, state=st.sampled_from([*PresenceState, None])),
    st.builds(mxev.PortalReady, room_id=st.just(scenes.ROOM), ghost=st.just(scenes.GHOST), user_joined=st.booleans()),
    st.just(mxev.InviteDelivered()),
    st.builds(sipev.SipProgress, status=st.sampled_from([180, 183]), sdp=SDP),
    st.builds(sipev.SipAnswered, sdp=SDP),
    st.builds(sipev.SipFailed, status=st.integers(300, 699), local=st.booleans()),
    st.builds(sipev.SipCancelled, answered_elsewhere=st.booleans()),
    st.builds(sipev.SipEnded, by_peer=st.booleans()),
    st.builds(sipev.SipConfirmed, sdp=SDP),
    st.builds(sipev.SipReoffered, sdp=SDP),
    st.builds(scenes.sip_crossing, SDP),
    st.just(medev.SipOfferReady(sdp="sdp")),
    st.just(medev.MatrixOfferReady(sdp="sdp")),
    st.just(medev.MatrixAnswerReady(sdp="sdp")),
    st.just(medev.SipAnswerReady(sdp="sdp")),
    st.just(medev.BothAnswersReady(matrix_sdp="sdp", sip_sdp="sdp")),
    st.just(medev.MediaRefused(verdict=outcomes.NO_COMMON_CODEC)),
    st.just(medev.SipReofferReady(sdp="sdp")),
    st.just(sipev.SipReofferAnswered(sdp="sdp")),
    st.just(sipev.SipReofferRefused()),
    st.just(sipev.IdentityChanged(number="+15550111")),
    st.just(medev.ClientKeyPressed(digit="5", duration_ms=100)),
    st.just(sipev.PhoneKeysPressed(digits="5", duration_ms=100)),
    st.just(PERMITTED),
    st.just(tev.TransferForbidden(status=403)),
    st.just(tev.TransferOfferReady(sdp="sdp")),
    st.builds(tev.TransferProgress, status=st.sampled_from([100, 180, 183])),
    st.builds(tev.TransferAnswered, sdp=SDP),
    st.builds(tev.TransferFailed, status=st.integers(300, 699)),
    st.just(tev.TransferMediaReady()),
    st.just(tev.TransferMediaRefused(status=488)),
    st.builds(replacement, SDP),
    st.just(tev.ReplacementReady(sdp="sdp")),
    st.just(tev.ReplacementCancelled()),
    st.just(tev.FormerPhoneLeft()),
    st.builds(
        replace, st.sampled_from([BLIND, ATTENDED, BY_REFER, ATTENDED_BY_REFER]), matrix_call_id=CALL_IDS, party=PARTIES
    ),
    st.builds(replace, st.just(FORBIDDEN), matrix_call_id=CALL_IDS, user=USERS),
    st.builds(replace, st.just(AWAITED), matrix_call_id=CALL_IDS, user=USERS),
    st.builds(hev.ReferralReported, status=st.integers(100, 699), refused=st.booleans()),
    st.just(hev.FetchPermitted()),
    st.just(hev.PartnersJoined()),
    st.just(hev.PartnerClaimed(partner=OTHER)),
    st.just(hev.PartnerAgreed()),
    st.builds(hev.PartnerHeard, answered=st.booleans()),
    st.just(hev.PartnerLeft(verdict=outcomes.BUSY)),
    st.just(mev.OwnAnswerReady(sdp="sdp")),
    st.just(mev.SoundPlayed()),
    st.just(AnnouncementReady(sdp="sdp")),
    st.just(ev.Aborted(verdict=LIMIT_REACHED)),
    st.builds(mev.PhoneKeyPressed, digit=st.sampled_from("125*#")),
    st.builds(nev.MenuFound, menu=st.sampled_from([menus.MAIN, menus.SALES, menus.DIALLED])),
    st.sampled_from([menus.FOUND, menus.BOXED, menus.GROUP, menus.BOX_ALONE]),
    st.just(nev.NothingFound()),
    st.builds(mev.MessageRecorded, heard=st.booleans()),
    st.builds(hunts.judged, MEMBERS),
    st.builds(hunts.room_ready, MEMBERS, joined=st.booleans()),
    st.builds(hunts.rings, MEMBERS),
    st.builds(hunts.answer, MEMBERS),
    st.builds(hunts.decline, MEMBERS),
    st.just(medev.MediaConnected()),
    st.builds(medev.MediaLost, reason=st.sampled_from(LOST)),
)
CALLS = st.sampled_from(
    [
        *(scenes.outgoing, early_media, scenes.incoming, talking, transferring, replacing),
        *(waiting, claimed, fetching, joined, fetched),
        *(lambda: boxed(scenes.ringing()), attending, greeted, recording),
        *(refusing, telling, stopped, lambda: spoken_to(scenes.talking())),
        *(hunts.all_ring, hunts.first_rings, hunts.for_group),
        *(menus.follows_a_group, menus.follows_a_group_of_a_menu),
        *(menus.dialled, menus.listening, menus.choosing, menus.seeking, menus.ringing),
    ]
)


class Phones:
    """The dialogs that a call has begun or been given, and those whose end was told: what its commands add up to."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.farewells: Counter[DialogKey | None] = Counter()
        self.placed = self.offered = 0

    def run(self, event: ev.Event) -> list[cmd.Command]:
        own = self.call.dialog
        if isinstance(event, tev.ReplacementOffered):
            # No two calls have the same dialog.
            self.offered += 1
            event = replace(event, dialog=DialogKey(f"offered-{self.offered}"))
        commands = scenes.run(self.call, event)
        for command in commands:
            if isinstance(command, sipcmd.PlaceTransfer) and self.call.second is not None:
                self.placed += 1
                self.call.second.dialog = DialogKey(f"placed-{self.placed}")
            if isinstance(command, sipcmd.ByeSip | sipcmd.CancelSip) and (command.dialog or own) is not None:
                self.farewells[command.dialog or own] += 1
        return commands


def final(commands: list[cmd.Command], call_id: MatrixCallId) -> int:
    """How many times the Matrix call was ended by us."""
    ends = [command for command in commands if isinstance(command, mxcmd.SendReject | mxcmd.SendHangup)]
    return sum(command.other is None or command.other.call_id == call_id for command in ends)


OLDEST = {"call_id", "direction", "trunk", "number", "matrix", "times", "at", "began_wall"}
"""What every version has written of a call; whatever a later one added has to have a default."""


def test_a_call_that_an_earlier_version_wrote_down_is_read() -> None:
    written = json.loads(snapshot.dump(scenes.talking()))
    call = snapshot.load(json.dumps({name: value for name, value in written.items() if name in OLDEST}))
    assert call.matrix == scenes.talking().matrix
    later = {**written, "of_a_later_version": 1}
    assert snapshot.load(json.dumps(later)) == scenes.talking()


@given(begin=CALLS, history=st.lists(EVENTS, max_size=30))
def test_every_call_ends_exactly_once_and_each_side_is_told_once(
    begin: Callable[[], Call], history: list[ev.Event]
) -> None:
    call = begin()
    commands = scenes.run(call, *history)
    commands += scenes.run(call, ev.Aborted(verdict=outcomes.SHUTTING_DOWN))
    assert call.ended
    assert [type(command) for command in commands].count(cmd.FinishCall) == 1
    assert [type(command) for command in commands].count(medcmd.CloseMedia) == 1
    assert final(commands, call.matrix.call_id) <= 1
    assert not call.deadlines


@given(begin=CALLS, history=st.lists(EVENTS, max_size=30))
def test_no_phone_is_hung_up_on_twice_and_none_that_was_called_for_a_transfer_is_forgotten(
    begin: Callable[[], Call], history: list[ev.Event]
) -> None:
    phones = Phones(begin())
    gone = set()
    for event in history:
        second = phones.call.second.dialog if phones.call.second is not None else None
        if isinstance(event, tev.TransferFailed) and second is not None:
            gone.add(second)
        if isinstance(event, sipev.SipEnded | sipev.SipFailed | sipev.SipCancelled) and phones.call.dialog is not None:
            gone.add(phones.call.dialog)
        if isinstance(event, tev.FormerPhoneLeft) and phones.call.former is not None:
            gone.add(phones.call.former)
        phones.run(event)
    phones.run(ev.Aborted(verdict=outcomes.SHUTTING_DOWN))
    assert all(count == 1 for dialog, count in phones.farewells.items())
    placed = {DialogKey(f"placed-{number}") for number in range(1, phones.placed + 1)}
    assert placed <= phones.farewells.keys() | gone


@given(begin=CALLS, history=st.lists(EVENTS, max_size=30))
def test_every_partner_learns_of_the_end_and_once(begin: Callable[[], Call], history: list[ev.Event]) -> None:
    call = begin()
    for event in [*history, ev.Aborted(verdict=outcomes.SHUTTING_DOWN)]:
        partner, has_left = call.partner, isinstance(event, hev.PartnerLeft)
        commands = scenes.run(call, event)
        words = [command for command in commands if isinstance(command, hcmd.TellPartner)]
        leaves = [word for word in words if word.partner == partner and isinstance(word.event, hev.PartnerLeft)]
        if cmd.FinishCall in {type(command) for command in commands} and partner is not None:
            assert len(leaves) == (0 if has_left else 1)


@given(begin=CALLS, history=st.lists(EVENTS, max_size=30))
def test_nothing_is_asked_for_after_the_end(begin: Callable[[], Call], history: list[ev.Event]) -> None:
    call = begin()
    for event in history:
        ended = call.ended
        commands = scenes.run(call, event)
        assert not (ended and commands)


@given(begin=CALLS, history=st.lists(EVENTS, max_size=20))
def test_a_call_can_be_written_down_and_read_back_at_any_moment(
    begin: Callable[[], Call], history: list[ev.Event]
) -> None:
    call = begin()
    scenes.run(call, *history)
    assert snapshot.load(snapshot.dump(call)) == call


@given(begin=CALLS, history=st.lists(EVENTS, max_size=30))
def test_the_tables_say_where_an_event_can_lead(begin: Callable[[], Call], history: list[ev.Event]) -> None:
    call = begin()
    for event in history:
        before = call.state
        scenes.run(call, event)
        if call.state is not before:
            row = machine.TABLES[call.direction][before, type(event)]
            assert call.state in row.to


@given(history=st.lists(EVENTS, max_size=30))
def test_a_caller_is_refused_before_our_answer_and_hung_up_on_after_it(history: list[ev.Event]) -> None:
    call, answered = early_media(), False
    for event in [*history, ev.Aborted(verdict=outcomes.SHUTTING_DOWN)]:
        for command in scenes.run(call, event):
            assert not isinstance(command, mxcmd.SendReject if answered else mxcmd.SendHangup)
            answered |= isinstance(command, mxcmd.SendAnswer)


PATIENT = {State.NEW, State.CONNECTED, State.JOINED, State.ENDED}
"""States that may last: nobody waits for anything, or who does is given an answer by the media session in any case."""


ANSWERED_SOON = {State.ANSWERING, State.ACCEPTING, State.ADOPTING, State.ATTENDING, State.REPLACING, State.FETCHING}


@given(begin=CALLS, history=st.lists(EVENTS, max_size=30))
def test_what_waits_has_an_end(begin: Callable[[], Call], history: list[ev.Event]) -> None:
    """Timers fire as they would: the earliest, at its time."""
    call, now = begin(), 0.0
    for event in history:
        if isinstance(event, ev.TimerFired):
            deadline = call.next_deadline()
            if deadline is None:
                continue
            now = max(now, deadline)
            event = ev.TimerFired(timer=call.due(now)[0])
        machine.handle(call, event, now)
        assert call.state in PATIENT or call.deadlines, (call.state, event)
        assert call.state in ANSWERED_SOON or Timer.ANSWER not in call.deadlines, (call.state, event)


def test_an_answer_that_nobody_writes_ends_the_call_on_both_sides() -> None:
    adopting = scenes.ringing()
    scenes.run(adopting, scenes.crossing(scenes.THEIR_CALL))
    accepting = scenes.ringing()
    scenes.run(accepting, scenes.answer())
    for call, state in ((adopting, State.ADOPTING), (accepting, State.ACCEPTING)):
        assert (call.state, set(call.deadlines)) == (state, {Timer.ANSWER})
        commands = scenes.run(call, ev.TimerFired(timer=Timer.ANSWER))
        assert scenes.only(commands, sipcmd.RejectSip).status == 500
        assert call.verdict == outcomes.MEDIA_FAILED
        assert final(commands, call.matrix.call_id) == 1


def test_an_answer_to_a_phone_that_nobody_writes_leaves_it_with_what_it_would_have_heard() -> None:
    call = attending()
    assert set(call.deadlines) == {Timer.ANSWER}
    commands = scenes.run(call, ev.TimerFired(timer=Timer.ANSWER))
    assert scenes.only(commands, sipcmd.RejectSip).status == outcomes.NO_ANSWER.sip_status
    assert call.verdict == outcomes.NO_ANSWER


def test_every_state_can_be_left_by_an_abort() -> None:
    for direction, table in machine.TABLES.items():
        reachable = {target for row in table.values() for target in row.to} | {State.NEW}
        for state in reachable - {State.ENDED}:
            assert (state, ev.Aborted) in table, (direction, state)


def test_an_event_that_has_no_row_is_counted_and_changes_nothing() -> None:
    call = scenes.outgoing()
    before = replace(call)
    assert scenes.run(call, medev.SipAnswerReady(sdp="sdp")) == []
    assert call.illegal_events == 1
    assert call.state is before.state


def test_our_call_ids_lose_every_glare_against_real_clients() -> None:
    for theirs in ("1795341941987Gwfu7AJGBoKJiL9Z", "0d4a3f1e-uuid", "0D4A3F1E-UUID", "c1795341941987", PartyId("x")):
        assert min("zAnything", theirs) == theirs


def test_directions_have_tables_of_their_own() -> None:
    assert set(machine.TABLES) == set(Direction)
