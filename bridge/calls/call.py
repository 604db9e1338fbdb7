"""One call as plain values, so that it can be written down at any moment.

Its two legs have states of their own, from which `end` derives what each side must still be told; no handler has to
think of the other side's farewell. How a call takes an event is in `machine`.
"""

import hashlib
from dataclasses import dataclass, field

from bridge.calls import commands as cmd
from bridge.calls import handover_commands as hcmd
from bridge.calls import handover_events as hev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import media_commands as medcmd
from bridge.calls import outcomes
from bridge.calls import sip_commands as sipcmd
from bridge.calls.hunt import Hunt
from bridge.calls.menu import MenuPlan, Walk
from bridge.calls.message import Message, MessageBox
from bridge.calls.parties import Handover, MatrixParty, Rival, SecondLeg
from bridge.calls.state import ATTENDANT, Direction, EndedBy, MatrixLeg, SipLeg, State, Timer
from bridge.calls.times import CallTimes, Milestones
from bridge.calls.way import Way
from bridge.core.ids import CallId, DialogKey, MatrixCallId, PartyId, RoomId, SipCallId, TrunkName, UserId
from bridge.core.presence import RingWhen
from bridge.core.verdict import MatrixReason, Verdict
from bridge.sip.saved import SavedLeg

MAX_BUFFERED_CANDIDATES = 100
"""Of all parties together, before one of them is selected."""


@dataclass(slots=True, kw_only=True)
class Call:
    """A call between a Matrix user and a phone. Made by `outbound.begin` and `inbound.begin`."""

    call_id: CallId
    direction: Direction
    trunk: TrunkName
    number: str
    """The phone's number, canonical; empty when the caller withheld it."""
    matrix: MatrixParty
    times: CallTimes
    at: Milestones
    began_wall: float
    """Seconds since 1970 at `at.invited`: with it, any milestone is a moment of the calendar."""
    caller: str = ""
    """The calling number: what the phone is shown, or what it said it was."""
    caller_name: str = ""
    """What the caller is called: by the user's profile, or by the telephone network."""
    called: str = ""
    """The called number, as it was dialled."""
    emergency: bool = False
    """Whether somebody calls for help: any trunk that can is tried, and a failure is said however often it was said."""
    test: bool = False
    """Whether the bridge has placed it itself, to try things out: nobody is at its Matrix end, and it is no user's."""
    withheld: bool = False
    """Whether the phone is shown no number of ours, although its trunk knows it."""
    further: tuple[Way, ...] = ()
    """Where the call goes if its trunk fails, the next first."""
    tried: tuple[TrunkName, ...] = ()
    """The trunks that have failed."""
    ring_when: RingWhen = RingWhen.ALWAYS
    """What the called user's presence has to be."""
    forward_to: str = ""
    """The number that the called user wants this call to go to instead."""
    spoken: frozenset[str] = frozenset()
    """Why there is no call, or none any more, as `Verdict.reason`, in the cases in which the bridge can say so."""
    told: Verdict | None = None
    """What the user is being told, and the call ends with."""
    message_box: MessageBox | None = None
    """Whether, and when, the phone may leave a message for the called user."""
    message: Message | None = None
    """The one that is being left."""
    hunt: Hunt | None = None
    """Who is rung, or was, where that are several users; until one takes the call, `matrix` is nobody."""
    attendable: bool = True
    """Whether the bridge may answer the phone itself: menus and message boxes have but a share of a trunk's calls."""
    walk: Walk | None = None
    """Of a phone that called a spoken menu: how far it has come, or came before it reached somebody."""
    our_offer: str | None = None
    """What the media session offers to Matrix, which may be sent to one user after the other."""
    sip_call_id: SipCallId | None = None
    delivered: bool = False
    """Whether the homeserver has our invite."""
    state: State = State.NEW
    matrix_leg: MatrixLeg = MatrixLeg.NONE
    sip_leg: SipLeg = SipLeg.NONE
    dialog: DialogKey | None = None
    sip_sdp: str | None = None
    """The phone's offer, or the answer that came before its 2xx."""
    sip_sdp_taken: str = ""
    """A digest of the newest one that the media session has: the keys in it are kept nowhere else."""
    answers_early: bool = False
    """Whether a description that comes before the phone's answer is answered to the caller (early media)."""
    matrix_sdp: str | None = None
    """The Matrix caller's offer."""
    late_offer: bool = False
    """The phone's INVITE had no offer and ours, in the 2xx, is not answered yet."""
    late_to_another: bool = False
    """And that offer was made to a phone that has just taken over."""
    second: SecondLeg | None = None
    former: DialogKey | None = None
    """The phone that was replaced, until it has hung up."""
    transfers: int = 0
    """How often another phone was called or called in to take over, or was given the phone by the user."""
    handover: Handover | None = None
    partner: CallId | None = None
    """The call whose phone this one's talks to, or will: the user has left both."""
    parent: CallId | None = None
    """The call that this one was placed for, or joined to, by the user who left both; it stays when that is over."""
    connected_number: str | None = None
    """Whom the call is with, when that is not who was called or calls; empty when withheld."""
    connected_name: str = ""
    rival: Rival | None = None
    buffered: dict[str, list[mxev.Candidate]] = field(default_factory=dict)
    """Candidates by Matrix call and party, until the call is answered."""
    deadlines: dict[Timer, float] = field(default_factory=dict)
    sip_legs: dict[DialogKey, SavedLeg] = field(default_factory=dict)
    """How each dialog can be ended by another process, as of when the call was written down."""
    unsaid: dict[MatrixCallId, mxcmd.SendHangup] = field(default_factory=dict)
    """What devices must still be told that rang for it in vain; kept by whoever tells them, until it is stored."""
    peer_status: int | None = None
    """The final status with which the phone's side refused, for the record."""
    peer_q850: int | None = None
    verdict: Verdict | None = None
    ended_by: EndedBy | None = None
    illegal_events: int = 0

    def next_deadline(self) -> float | None:
        """When the call must be given the next `TimerFired`, or `None`."""
        return min(self.deadlines.values(), default=None)

    def due(self, now: float) -> list[Timer]:
        """The timers whose deadlines have passed, the earliest first."""
        return [timer for at, timer in sorted((at, timer) for timer, at in self.deadlines.items()) if at <= now]

    @property
    def ended(self) -> bool:
        return self.state is State.ENDED

    @property
    def answered(self) -> bool:
        """Whether both sides have taken the call."""
        return self.at.answered is not None

    @property
    def is_attended(self) -> bool:
        """Whether the bridge has answered the phone before anybody was found for it."""
        return self.walk is not None and self.sip_leg is SipLeg.ESTABLISHED and self.at.answered is None

    @property
    def has_attendant(self) -> bool:
        """Whether nobody but the bridge talks to the phone, or is about to: a menu or a message box has the call."""
        return self.is_attended or self.state in ATTENDANT or self.state is State.IN_MENU

    @property
    def dialogs(self) -> set[DialogKey]:
        """Those in which the call still speaks, and takes its leave at its end."""
        second = self.second.dialog if self.second is not None else None
        return {dialog for dialog in (self.dialog, second, self.former) if dialog is not None}

    @property
    def users(self) -> set[UserId]:
        """Whose call this is, as far as anybody else can see."""
        rung = {ring.user for ring in self.hunt.rings if ring.concerned} if self.hunt is not None else set()
        return rung | {self.matrix.user} - {UserId("")}

    @property
    def menus(self) -> list[MenuPlan]:
        """The one that the phone is in, or was, and the one that it comes to when nobody takes the call."""
        walked = self.walk.menu if self.walk is not None else None
        ahead = self.hunt.plan.menu if self.hunt is not None else None
        return [menu for menu in (walked, ahead) if menu is not None]

    @property
    def called_party(self) -> str:
        """The Matrix user of the call, or the group or menu that is called while nobody has taken it."""
        if self.matrix.user:
            return self.matrix.user
        if self.hunt is not None and self.hunt.group and self.state is not State.IN_MENU:
            return f"group:{self.hunt.group}"
        return f"menu:{self.walk.menu.name}" if self.walk is not None else ""

    @property
    def matrix_calls(self) -> set[tuple[RoomId, MatrixCallId]]:
        """The Matrix calls that go on, each with its room."""
        calls = [(ring.room_id, ring.matrix_call_id) for ring in self.hunt.alive] if self.hunt is not None else []
        calls.append((self.matrix.room_id, self.matrix.call_id))
        return {(room_id, matrix_call_id) for room_id, matrix_call_id in calls if room_id is not None}

    @property
    def invites(self) -> list[MatrixCallId]:
        """The Matrix calls to which we have invited, and which no device has answered, or has been told to forget."""
        rings = [ring.matrix_call_id for ring in self.hunt.alive] if self.hunt is not None else []
        ours = [self.matrix.call_id] if self.matrix_leg is MatrixLeg.OURS else []
        return [*rings, *ours, *self.unsaid]

    @property
    def talk_s(self) -> float:
        """From answer to end; 0 for a call that was never answered."""
        return 0.0 if self.at.answered is None or self.at.ended is None else self.at.ended - self.at.answered

    def unheard_s(self, now: float) -> float | None:
        """How long ago the call was answered, if no audio has been able to flow since."""
        answered = self.at.answered if self.state is State.CONNECTING else None
        return None if answered is None else now - answered

    def is_peer(self, user: UserId, party: PartyId | None) -> bool:
        """Whether an event comes from the device that this call is with; version 0 knows no devices."""
        if user != self.matrix.user:
            return False
        return self.matrix.version == 0 or party == self.matrix.peer_party

    def end(self, verdict: Verdict, ended_by: EndedBy, now: float) -> list[cmd.Command]:
        """End the call: tell each side that has not been told, exactly once, and let go of everything."""
        if self.ended:
            return []
        if self.emergency and not self.answered and ended_by is not EndedBy.MATRIX:
            verdict = outcomes.of_emergency(verdict)
        notice = self.notice(verdict, ended_by)
        commands = [*self.farewell_phones(verdict), *self.farewell_matrix(verdict), *notice]
        self.state, self.verdict, self.ended_by = State.ENDED, verdict, ended_by
        self.matrix_leg = MatrixLeg.ENDED
        if self.at.ended is None:
            self.at.ended = now
        self.deadlines.clear()
        self.buffered.clear()
        self.sip_sdp = self.matrix_sdp = self.our_offer = None
        return [*commands, *self._farewell_partner(verdict), medcmd.CloseMedia(), cmd.FinishCall(verdict=verdict)]

    def notice(self, verdict: Verdict, ended_by: EndedBy) -> list[cmd.Command]:
        """A sentence for a user who placed the call or saw it ring, or who finds a room but no call in it.

        Any other call that never rang is not explained, nor is what the user's own client has ended. What the user
        hears was written before it was said.
        """
        if ended_by is EndedBy.MATRIX or self.told is not None:
            return []
        if self.state in (State.FETCHING, State.JOINED):
            return []
        if self._rang_nobody and verdict.reason in outcomes.MISSED:
            return [mxcmd.SendNotice(text=outcomes.MISSED_CALL)]
        saw_it = (
            self.direction is Direction.OUTBOUND
            or self.matrix_leg in (MatrixLeg.OURS, MatrixLeg.ANSWERED)
            or self.state is State.HANDING_OVER
        )
        text = verdict.user_text
        if self.at.early is not None and not self.answered:
            # To the client the call was up, and it will show it as one that was answered.
            text = text or outcomes.UNANSWERED.get(verdict.reason)
        return [mxcmd.SendNotice(text=text, urgent=self.emergency)] if text and saw_it else []

    @property
    def _rang_nobody(self) -> bool:
        """Whether no device can show that there was a call, though there is a room in which it can be said."""
        return self.state is State.AWAITING_JOIN or (self.state is State.RINGING and not self.delivered)

    def farewell_phones(self, verdict: Verdict) -> list[cmd.Command]:
        """Let every phone go that the call has, or calls."""
        commands = [*self._farewell_others(), *self._farewell_sip(verdict)]
        self.sip_leg, self.second, self.former = SipLeg.ENDED, None, None
        return commands

    def _farewell_others(self) -> list[cmd.Command]:
        """Give up a transfer, and let a phone go that was replaced."""
        former = [sipcmd.ByeSip(dialog=self.former)] if self.former is not None else []
        second, dialog = self.second, self.dialog
        if second is None or dialog is None:
            return [*former]
        if self.state is State.REPLACING:
            return [*former, sipcmd.RejectSip(status=480, dialog=second.dialog)]
        cancel = [sipcmd.CancelSip(dialog=second.dialog)] if second.dialog is not None else []
        return [*former, *cancel, sipcmd.NotifyReferral(dialog=dialog, status=487)]

    def _farewell_partner(self, verdict: Verdict) -> list[cmd.Command]:
        partner, self.partner = self.partner, None
        return [hcmd.TellPartner(partner=partner, event=hev.PartnerLeft(verdict=verdict))] if partner else []

    def _farewell_sip(self, verdict: Verdict) -> list[cmd.Command]:
        match self.sip_leg:
            case SipLeg.DIALLING:
                return [sipcmd.CancelSip()]
            case SipLeg.INCOMING if self.forward_to:
                return [sipcmd.RejectSip(status=verdict.sip_status, forward_to=self.forward_to)]
            case SipLeg.INCOMING:
                return [sipcmd.RejectSip(status=verdict.sip_status, q850=verdict.q850)]
            case SipLeg.ESTABLISHED:
                return [sipcmd.ByeSip(q850=verdict.q850)]
            case SipLeg.NONE | SipLeg.ENDED:
                return []

    def farewell_matrix(self, verdict: Verdict) -> list[cmd.Command]:
        """What the Matrix side must still be told."""
        rival = [*self.farewell_rival(), *(self.hunt.end_all(verdict) if self.hunt is not None else ())]
        match self.matrix_leg:
            case MatrixLeg.THEIRS:
                return [*rival, mxcmd.SendReject(reason=verdict.matrix_reason)]
            case MatrixLeg.OURS | MatrixLeg.ANSWERED:
                return [*rival, mxcmd.SendHangup(reason=verdict.matrix_reason or MatrixReason.USER_HANGUP)]
            case MatrixLeg.NONE | MatrixLeg.ENDED:
                return rival

    def connect(self, now: float) -> None:
        """Both sides are answered. Audio may have been quicker than the last step of signalling."""
        self.state = State.CONNECTED if self.at.connected is not None else State.CONNECTING
        if self.at.answered is None:
            self.at.answered = now
        self.deadlines.clear()
        # They have served their purpose, and have keys of encrypted audio in them: nothing to write down any longer.
        self.sip_sdp = self.matrix_sdp = self.our_offer = None
        if self.state is State.CONNECTING:
            self.deadlines[Timer.CONNECT] = now + self.times.connect_s

    def answer_soon(self, now: float) -> None:
        """Nobody has to wait for anything any more but for the answer that is being written."""
        self.deadlines = {Timer.ANSWER: now + self.times.connect_s}

    def take_sip_sdp(self, sdp: str) -> str | None:
        """A description of the phone's, for the media session to take; `None` if it has that already."""
        digest = hashlib.sha256(sdp.encode()).hexdigest()
        if digest == self.sip_sdp_taken:
            return None
        self.sip_sdp_taken = digest
        return sdp

    def wall(self, moment: float | None) -> float | None:
        """A moment of the call's clock as seconds since 1970."""
        return None if moment is None else self.began_wall + (moment - self.at.invited)

    def buffer_candidates(self, event: mxev.CandidatesReceived) -> None:
        """Keep candidates of a party that may be selected later; the total is bounded."""
        rings = len(self.hunt.alive) if self.hunt is not None else 0
        room_left = MAX_BUFFERED_CANDIDATES * max(1, rings) - sum(map(len, self.buffered.values()))
        if room_left > 0:
            key = _buffer_key(event.matrix_call_id, event.party)
            self.buffered.setdefault(key, []).extend(event.candidates[:room_left])

    def buffered_of(self, call_id: MatrixCallId, party: PartyId | None) -> list[cmd.Command]:
        """Hand over what one party of one Matrix call has sent so far."""
        candidates = self.buffered.get(_buffer_key(call_id, party))
        return [medcmd.AddCandidates(candidates=tuple(candidates))] if candidates else []

    def farewell_rival(self) -> list[cmd.Command]:
        """Turn down the user's own call, because ours was answered or is over."""
        if self.rival is None:
            return []
        rival, self.rival = self.rival, None
        self.deadlines.pop(Timer.GLARE, None)
        return [mxcmd.SendReject(reason=MatrixReason.USER_BUSY, other=rival.call)]


def _buffer_key(call_id: MatrixCallId, party: PartyId | None) -> str:
    return f"{call_id} {party or ''}"
