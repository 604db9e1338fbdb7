"""Owns the live calls: gives each its events, carries out its commands, and lets go of it when it is over.

Everything here runs on one event loop. A call's commands are all carried out, or queued in order, before it sees its
next event; what takes time answers with an event of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_never

import structlog

from bridge.app.call_tracing import CallTracing
from bridge.app.directory import MAX_ATTENDED_OF_A_TRUNK, Directory
from bridge.app.lane import LaneFull
from bridge.app.live_call import LiveCall
from bridge.app.matrix_ways import MatrixCommand
from bridge.app.matrix_work import MatrixWork
from bridge.app.media_work import MediaCommand, MediaWork, MessagePort, PromptPort, VoicePort
from bridge.app.memory import Memory
from bridge.app.meter import Meter, Outlets
from bridge.app.sip_work import SipCommand, SipWork
from bridge.app.trunk_service import TrunkService
from bridge.calls import announcement_commands as acmd
from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import fetch, machine, outcomes
from bridge.calls import handover_commands as hcmd
from bridge.calls import handover_events as hev
from bridge.calls import hunt_commands as huntcmd
from bridge.calls import hunt_events as huntev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import menu_commands as ncmd
from bridge.calls import menu_events as nev
from bridge.calls.call import Call
from bridge.calls.ports import MatrixPort, SipPort
from bridge.calls.state import Direction, State
from bridge.core.clock import Clock
from bridge.core.ids import TrunkName, UserId
from bridge.core.presence import RingWhen
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import Verdict
from bridge.media.engine import MediaEngine
from bridge.media.policy import SipMediaPolicy
from bridge.numbers.sentences import Spoken
from bridge.ops.declarations.label_values import NO_TRUNK
from bridge.ops.logs import bind_call

log = structlog.get_logger(__name__)

Members = Callable[[Call, UserId], Verdict | RingWhen]
"""Whether a member of a group wants a call, and what their presence has to be for it to ring."""
Choices = Callable[[Call, ncmd.FindTarget], nev.MenuEvent]
OnFinished = Callable[[LiveCall, Verdict], Awaitable[None]]

_MILESTONES = {
    State.DIALLING: "call_dialled",
    State.EARLY: "early_media_begun",
    State.RINGING: "call_offered",
    State.HUNTING: "hunt_begun",
    State.AWAITING_JOIN: "call_awaits_join",
    State.ADOPTING: "calls_crossed",
    State.CONNECTING: "call_answered",
    State.CONNECTED: "call_connected",
    State.TRANSFERRING: "transfer_begun",
    State.REPLACING: "replacement_begun",
    State.HANDING_OVER: "handover_begun",
    State.FETCHING: "phone_fetched",
    State.JOINED: "phones_joined",
    State.ATTENDED: "call_attended",
    State.IN_MENU: "menu_entered",
    State.TELLING: "user_told",
}


class Switchboard:
    """The place where the signalling sides, the audio and the calls meet."""

    def __init__(
        self,
        *,
        engine: MediaEngine,
        policy_of: Callable[[TrunkName], SipMediaPolicy],
        sip: SipPort,
        matrix: MatrixPort,
        memory: Memory,
        meter: Meter,
        messages: MessagePort,
        voice: VoicePort,
        prompts: PromptPort,
        clock: Clock,
        telemetry: Telemetry,
        on_finished: OnFinished,
        service: TrunkService,
        tracing: CallTracing | None = None,
        max_attended: Callable[[TrunkName], int] = lambda trunk: MAX_ATTENDED_OF_A_TRUNK,
    ) -> None:
        self.directory = Directory()
        self.accepting = True
        self.tracing = tracing or CallTracing()
        self.service = service
        self._clock = clock
        self._telemetry = telemetry
        self._on_finished = on_finished
        self._memory = memory
        find = self.directory.by_call_id
        self._media = MediaWork(engine, policy_of, self.feed, find, telemetry, messages, voice, prompts)
        self._sip = SipWork(sip, self.directory)
        self._matrix = MatrixWork(matrix, self.feed, clock, telemetry, self.tracing)
        self._finishing: set[LiveCall] = set()
        self._idle = asyncio.Event()
        self._members: Members = lambda call, user: RingWhen.ALWAYS
        self._choices: Choices = lambda call, command: nev.NothingFound()
        self._max_attended = max_attended
        self._meter = meter
        meter.connect(Outlets(feed=self.feed, warn=self._warn, calls_of=self._all_of, lives=self.lives))

    def open(self, live: LiveCall, first: ev.Event) -> None:
        """Take up a new call and give it its first event."""
        call = live.call
        self.directory.add(live)
        if not call.test:
            self._telemetry.count("call_attempts_total", direction=call.direction, trunk=call.trunk or NO_TRUNK)
        self._show_active(call.direction)
        with bind_call(call.call_id):
            log.info(
                "call_started",
                direction=call.direction,
                trunk=call.trunk,
                room_id=call.matrix.room_id,
                sip_call_id=call.sip_call_id,
                matrix_call_id=call.matrix.call_id,
            )
        self.tracing.opened(live)
        if not isinstance(first, ev.CallRefused):
            self._memory.remember(live)
        self.feed(live, first)

    def say_the_rest(self, live: LiveCall) -> None:
        """Tell devices what another process may not have got to tell them: that they ring in vain."""
        for command in list(live.call.unsaid.values()):
            self._tell_matrix_side(live, command)

    def ask_of_members(self, members: Members) -> None:
        """Who knows what the members of a group want."""
        self._members = members

    def ask_of_choices(self, choices: Choices) -> None:
        """Who knows what the keys of a menu lead to."""
        self._choices = choices

    def remember(self, live: LiveCall) -> None:
        """Write the call down anew: its dialog is not what it was."""
        if live.remembered and not live.call.ended:
            self._memory.remember(live)

    def feed(self, live: LiveCall, event: ev.Event) -> None:
        """Give a call an event and do what it wants. Never raises: a bug ends that call and no other."""
        with bind_call(live.call.call_id):
            try:
                self._feed(live, event)
            except LaneFull:
                live.media_lane.drop_waiting()
                self._break_off(live, "lane_full")
            except Exception:
                log.exception("call_event_failed", event_type=type(event).__name__, state=live.call.state)
                self._break_off(live, "exception")
            self._rearm(live)

    def _feed(self, live: LiveCall, event: ev.Event) -> None:
        call, before, illegal = live.call, live.call.state, live.call.illegal_events
        call.attendable = self.directory.attended_of_trunk(call.trunk) < self._max_attended(call.trunk)
        commands = machine.handle(call, event, self._clock.monotonic())
        if call.illegal_events != illegal:
            self._telemetry.count("call_illegal_events_total", state=before)
            log.warning("call_event_illegal", event_type=type(event).__name__, state=before)
        if call.state is not before and call.state in _MILESTONES:
            log.info(_MILESTONES[call.state], state=call.state, sip_call_id=call.sip_call_id)
        if (call.state is not before and call.state in _MILESTONES) or State.HUNTING in (before, call.state):
            # Who rings is written down before anybody rings, and who has taken the call before the others are told.
            self._memory.remember(live)
        self._carry_out_all(live, commands)
        self._meter.follow(live)
        self.tracing.followed(live, event, before, illegal=call.illegal_events != illegal)
        if live.stand_in is not None:
            live.stand_in.followed(call)

    def _all_of(self, user: UserId) -> list[LiveCall]:
        """A user's calls, those included that the user has left to somebody else."""
        return [*self.directory.of_user(user), *self.directory.left_by(user)]

    def _warn(self, live: LiveCall, text: str) -> None:
        """A sentence into the room of a call that goes on and will be ended soon, and into its user's ear."""
        self._tell_matrix_side(live, mxcmd.SendNotice(text=text, urgent=True))
        if live.call.state is State.CONNECTED and Spoken.LIMIT_NEAR in live.call.spoken:
            self._media.submit(live, acmd.Announce(reason=Spoken.LIMIT_NEAR))

    def _carry_out_all(self, live: LiveCall, commands: list[cmd.Command]) -> None:
        """A farewell goes on whatever happens to one of its parts: the rest must still be told and freed."""
        self.directory.follow(live)
        for command in commands:
            try:
                self._carry_out(live, command)
            except Exception:
                if not live.call.ended:
                    raise
                log.exception("farewell_failed", command=type(command).__name__)
                self._telemetry.count("internal_errors_total", component="calls")

    def _carry_out(self, live: LiveCall, command: cmd.Command) -> None:
        if isinstance(command, cmd.FollowDialog):
            self.directory.follow_dialog(live, command.dialog)
        elif isinstance(command, cmd.FollowMatrixCall):
            self.directory.follow_matrix_call(live, command.room_id, command.matrix_call_id)
        elif isinstance(command, cmd.NoteFailover):
            self._telemetry.count("trunk_failovers_total", trunk=command.trunk, reason=command.reason)
            log.warning("trunk_failed", trunk=command.trunk, reason=command.reason, next_trunk=live.call.trunk)
        elif isinstance(command, cmd.FinishCall):
            self._finish(live, command.verdict)
        elif isinstance(command, hcmd.FetchPhone):
            self._fetch(live)
        elif isinstance(command, hcmd.TellPartner):
            self._tell_partner(live, command)
        elif isinstance(command, huntcmd.JudgeMember):
            self._judge_member(live, command)
        elif isinstance(command, ncmd.FindTarget):
            self._feed_soon(live, self._choices(live.call, command))
        elif isinstance(command, MediaCommand):
            self._media.submit(live, command)
        elif isinstance(command, SipCommand):
            self._sip.carry_out(live, command)
        elif isinstance(command, MatrixCommand):
            self._tell_matrix_side(live, command)
        else:
            assert_never(command)

    def _tell_matrix_side(self, live: LiveCall, command: MatrixCommand) -> None:
        if live.stand_in is not None:
            live.stand_in.take(command)
        else:
            self._matrix.submit(live, command)

    def _fetch(self, live: LiveCall) -> None:
        handover = live.call.handover
        if handover is not None:
            call = fetch.begin(live.call, handover, now=self._clock.monotonic(), wall=self._clock.wall())
            self.open(LiveCall(call=call), hev.FetchPermitted())

    def _judge_member(self, live: LiveCall, command: huntcmd.JudgeMember) -> None:
        """Later, like what a partner is told."""
        wish = self._members(live.call, command.user)
        refusal = wish if isinstance(wish, Verdict) else None
        ring_when = wish if isinstance(wish, RingWhen) else RingWhen.ALWAYS
        event = huntev.MemberJudged(matrix_call_id=command.matrix_call_id, refusal=refusal, ring_when=ring_when)
        self._feed_soon(live, event)

    def _tell_partner(self, live: LiveCall, command: hcmd.TellPartner) -> None:
        """Later, since a call sees no event before the commands of its last one are carried out."""
        partner = self.directory.by_call_id(command.partner)
        if partner is not None:
            self._feed_soon(partner, command.event)
        elif not isinstance(command.event, hev.PartnerLeft):
            self._feed_soon(live, hev.PartnerLeft(verdict=outcomes.transfer_failed()))

    def _feed_soon(self, live: LiveCall, event: ev.Event) -> None:
        asyncio.get_running_loop().call_soon(self.feed, live, event)

    def _break_off(self, live: LiveCall, cause: str) -> None:
        """End a call that cannot be carried on, as far as that is still possible."""
        self._telemetry.count("internal_errors_total", component="calls")
        log.error("call_broken_off", cause=cause)
        try:
            now = self._clock.monotonic()
            self._carry_out_all(live, machine.handle(live.call, ev.Aborted(verdict=outcomes.INTERNAL_ERROR), now))
        except Exception:
            log.exception("call_break_off_failed")
            self._meter.finished(live)
            self.directory.remove(live, self._clock.monotonic())
            self._note_idle()

    def _rearm(self, live: LiveCall) -> None:
        """Have the call woken at its next deadline."""
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None
        deadline = live.call.next_deadline()
        if deadline is not None:
            delay = max(0.0, deadline - self._clock.monotonic())
            live.timer = asyncio.get_running_loop().call_later(delay, self._expire, live)

    def _expire(self, live: LiveCall) -> None:
        for timer in live.call.due(self._clock.monotonic()):
            self.feed(live, ev.TimerFired(timer=timer))
        self._rearm(live)

    def _finish(self, live: LiveCall, verdict: Verdict) -> None:
        """The last command of every call. Its record is written when its media session has been closed."""
        self.directory.remove(live, self._clock.monotonic())
        self._show_active(live.call.direction)
        self._meter.finished(live)
        self._finishing.add(live)
        if live.ring_lanes:
            live.matrix_lane.submit(live.drain_rings)
        live.media_lane.submit(lambda: self._report(live, verdict))

    def _show_active(self, direction: Direction) -> None:
        self._telemetry.gauge("calls_active", self.directory.count(direction), direction=direction)

    async def _report(self, live: LiveCall, verdict: Verdict) -> None:
        with bind_call(live.call.call_id):
            try:
                self.tracing.finished(live, verdict)
                await self._on_finished(live, verdict)
            except Exception:
                log.exception("call_report_failed")
                self._telemetry.count("internal_errors_total", component="ops")
            finally:
                if live.stand_in is not None:
                    live.stand_in.finished(verdict)
                # Last of all, behind everything that Matrix and the store still have to be told.
                self._memory.forget(live)
                live.matrix_lane.submit(lambda: self._forget(live))

    async def _forget(self, live: LiveCall) -> None:
        self._finishing.discard(live)
        self._note_idle()

    def _note_idle(self) -> None:
        if not self.accepting and not self.directory and not self._finishing:
            self._idle.set()

    def lives(self) -> list[LiveCall]:
        """Every call that is live, or whose end is still being told."""
        return [*self.directory, *self._finishing]

    def drain(self) -> int:
        """Refuse new calls, and let the live ones finish; gives how many those are."""
        self.accepting = False
        self._note_idle()
        return len(self.directory)

    async def idle(self) -> None:
        """Return when the last call that was live at `drain` is over, and everybody has been told."""
        await self._idle.wait()

    async def shut_down(self, limit_s: float) -> None:
        """Refuse new calls, end the live ones on both sides, and wait at most `limit_s` for that to be done."""
        self.accepting = False
        for live in self.directory:
            self.feed(live, ev.Aborted(verdict=outcomes.SHUTTING_DOWN))
        try:
            async with asyncio.timeout(limit_s):
                while self._finishing:
                    live = next(iter(self._finishing))
                    await live.drain()
                    self._finishing.discard(live)
        except TimeoutError:
            log.warning("calls_not_finished", calls=len(self._finishing))
