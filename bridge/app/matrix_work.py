"""Carries out what a call wants of its Matrix side: rooms and events, one after the other in the call's order."""

from collections.abc import Callable
from typing import assert_never

import structlog

from bridge.app.call_tracing import CallTracing
from bridge.app.live_call import LiveCall
from bridge.app.matrix_ways import MatrixCommand, OfMember, OneEvent, Origin, origin_of, submit
from bridge.calls import events as ev
from bridge.calls import handover_commands as hcmd
from bridge.calls import hunt_commands as huntcmd
from bridge.calls import hunt_events as huntev
from bridge.calls import matrix_commands as mxcmd
from bridge.calls import matrix_events as mxev
from bridge.calls import outcomes
from bridge.calls.ports import MatrixPort, Portal
from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.errors import CallError, TrunklineError
from bridge.core.ids import E164, UserId
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import Verdict
from bridge.matrix import call_content
from bridge.matrix.call_content import CallIdentity, OutgoingEvent
from bridge.matrix.link import WITHDRAWN, MatrixError
from bridge.store import StoreError

log = structlog.get_logger(__name__)

Feed = Callable[[LiveCall, ev.Event], None]

NOTICE_PAUSE_S = 600.0
"""Who dials again and again reads the same sentence in a room once in this time."""

_FAREWELLS = ("m.call.hangup", "m.call.reject")

_PATIENCE_S = 60.0
"""How long an event is worth sending: what comes later finds a client that has given up."""
_LONG_PATIENCE_S = 3600.0
_LASTING = (*_FAREWELLS, "m.call.select_answer", "m.room.message")
"""What is true however late it comes, and without which a device rings on, or a room does not say how a call ended."""

ANONYMOUS = E164("anonymous")
"""The ghost of everybody who withholds their number."""


class MatrixWork:
    """Each command runs in the call's Matrix lane; `feed` gets its result."""

    def __init__(
        self, matrix: MatrixPort, feed: Feed, clock: Clock, telemetry: Telemetry, tracing: CallTracing
    ) -> None:
        self._matrix = matrix
        self._feed = feed
        self._clock = clock
        self._telemetry = telemetry
        self._tracing = tracing
        self._notices = Budgets(burst=1, refill_s=NOTICE_PAUSE_S)

    def submit(self, live: LiveCall, command: MatrixCommand) -> None:
        """Queue a command, to be sent by whom and where the call is now."""
        origin = origin_of(live, command)
        txn_id = live.invite_txn_id(origin.identity.call_id)
        if isinstance(command, mxcmd.SendHangup) and txn_id in live.inviting:
            # Not in the lane, in which the invite itself is: it must not ring for a call that is over.
            live.portal_lane.submit(lambda: self._withdraw(txn_id))
        if isinstance(command, mxcmd.SendHangup) and command.other is not None:
            # The call goes on and is written down without the other one, perhaps before this is.
            live.call.unsaid[command.other.call_id] = command
        submit(live, command, lambda: self._run(live, command, origin))

    async def _run(self, live: LiveCall, command: MatrixCommand, origin: Origin) -> None:
        """Never raises: whatever goes wrong becomes an event of the call."""
        try:
            await self._carry_out(live, command, origin)
        except TrunklineError as error:
            self._refused(live, command, error)
        except Exception:
            log.exception("matrix_command_failed", command=type(command).__name__)
            self._telemetry.count("internal_errors_total", component="matrix")
            self._feed(live, ev.Aborted(verdict=outcomes.INTERNAL_ERROR))

    def _refused(self, live: LiveCall, command: MatrixCommand, error: TrunklineError) -> None:
        log.warning("matrix_command_refused", command=type(command).__name__, detail=str(error))
        if isinstance(command, OfMember):
            unreachable = huntev.MemberUnreachable(matrix_call_id=command.matrix_call_id, verdict=_verdict(error))
            self._feed(live, unreachable)
        elif not live.call.ended:
            self._feed(live, ev.CallRefused(verdict=_verdict(error)))

    async def _carry_out(self, live: LiveCall, command: MatrixCommand, origin: Origin) -> None:
        match command:
            case mxcmd.AskPresence():
                state = await self._matrix.presence(live.call.matrix.user)
                self._feed(live, mxev.PresenceKnown(state=state))
            case mxcmd.OpenPortal():
                await self._open_portal(live)
            case mxcmd.SendInvite():
                await self._send_invite(live, command, origin)
            case huntcmd.AskMemberPresence():
                state = await self._matrix.presence(command.user)
                self._feed(live, huntev.MemberPresence(matrix_call_id=command.matrix_call_id, state=state))
            case huntcmd.OpenMemberRoom():
                await self._open_member_room(live, command)
            case huntcmd.InviteMember():
                await self._invite_member(live, command, origin)
            case mxcmd.SendAnswer():
                await self._send(live, origin, call_content.answer(origin.identity, sdp=command.sdp))
                await self._send(live, origin, call_content.end_of_candidates(origin.identity, sdp=command.sdp))
            case mxcmd.SendIdentity():
                ghost = await self._matrix.known_ghost(E164(command.number)) if command.number else None
                told = call_content.asserted_identity(
                    origin.identity, number=command.number, name=command.name, ghost=ghost
                )
                for event in told:
                    await self._send(live, origin, event)
            case mxcmd.SendNotice(urgent=False) if not self._notices.spend(
                f"{origin.room_id} {command.text}", self._clock.monotonic()
            ):
                log.info("notice_not_repeated", room_id=origin.room_id)
            case _:
                await self._send(live, origin, _event(command, origin.identity))
                if isinstance(command, mxcmd.SendHangup):
                    live.call.unsaid.pop(origin.identity.call_id, None)

    async def _open_portal(self, live: LiveCall) -> None:
        portal = await self._portal(live, live.call.matrix.user)
        ready = mxev.PortalReady(room_id=portal.room_id, ghost=portal.ghost, user_joined=portal.user_joined)
        self._feed(live, ready)

    async def _open_member_room(self, live: LiveCall, command: huntcmd.OpenMemberRoom) -> None:
        portal = await self._portal(live, command.user)
        ready = huntev.MemberRoomReady(
            matrix_call_id=command.matrix_call_id,
            room_id=portal.room_id,
            ghost=portal.ghost,
            user_joined=portal.user_joined,
        )
        self._feed(live, ready)

    async def _portal(self, live: LiveCall, user: UserId) -> Portal:
        call = live.call
        number, name = (E164(call.number), call.caller_name) if call.number else (ANONYMOUS, "")
        return await self._matrix.portal(user=user, number=number, caller_name=name)

    async def _send_invite(self, live: LiveCall, command: mxcmd.SendInvite, origin: Origin) -> None:
        call = live.call
        wanted = not call.ended and call.matrix.call_id == origin.identity.call_id
        if wanted and await self._invite(live, command, origin, call.matrix.user):
            self._feed(live, mxev.InviteDelivered())

    async def _invite_member(self, live: LiveCall, command: huntcmd.InviteMember, origin: Origin) -> None:
        hunt = live.call.hunt
        wanted = hunt is not None and hunt.ring_of(command.matrix_call_id) is not None
        if wanted and await self._invite(live, command, origin, command.user):
            self._feed(live, huntev.MemberRings(matrix_call_id=command.matrix_call_id))

    async def _invite(
        self, live: LiveCall, command: mxcmd.SendInvite | huntcmd.InviteMember, origin: Origin, invitee: UserId
    ) -> bool:
        """Whether the homeserver has it: given up before it was sent, an invite must not be sent at all."""
        invite = call_content.invite(origin.identity, sdp=command.sdp, lifetime_ms=command.lifetime_ms, invitee=invitee)
        try:
            await self._deliver(live, origin, invite, patience_s=command.lifetime_ms / 1000)
        except MatrixError as error:
            if error.errcode == WITHDRAWN:
                return False
            raise
        await self._send(live, origin, call_content.end_of_candidates(origin.identity, sdp=command.sdp))
        return True

    async def _deliver(self, live: LiveCall, origin: Origin, invite: OutgoingEvent, *, patience_s: float) -> None:
        """Until the homeserver has our invite, or nobody wants it any more."""
        if origin.room_id is None or origin.ghost is None:
            return
        self._tracing.matrix_out(live, invite.type, invite.content)
        txn_id = live.invite_txn_id(origin.identity.call_id)
        live.inviting.add(txn_id)
        try:
            await self._matrix.send_and_wait(
                room_id=origin.room_id,
                sender=origin.ghost,
                event_type=invite.type,
                content=invite.content,
                txn_id=txn_id,
                give_up_after_s=patience_s,
            )
        finally:
            live.inviting.discard(txn_id)

    async def _withdraw(self, txn_id: str) -> None:
        try:
            await self._matrix.withdraw(txn_id)
        except TrunklineError as error:
            log.warning("invite_not_withdrawn", detail=str(error))

    async def _send(self, live: LiveCall, origin: Origin, event: OutgoingEvent) -> None:
        """Hand an event over for delivery."""
        if origin.room_id is None or origin.ghost is None:
            return
        self._tracing.matrix_out(live, event.type, event.content)
        farewell = event.type in _FAREWELLS
        kind = event.type.rpartition(".")[2]
        await self._matrix.send(
            room_id=origin.room_id,
            sender=origin.ghost,
            event_type=event.type,
            content=event.content,
            txn_id=live.farewell_txn_id(origin.identity.call_id) if farewell else live.next_txn_id(kind),
            give_up_after_s=_LONG_PATIENCE_S if event.type in _LASTING else _PATIENCE_S,
        )


def _verdict(error: TrunklineError) -> Verdict:
    match error:
        case CallError():
            return error.verdict
        case MatrixError(temporary=False):
            return outcomes.MATRIX_REFUSED
        case StoreError():
            return outcomes.STORE_FAILED
        case _:
            return outcomes.MATRIX_UNREACHABLE


def _event(command: OneEvent, identity: CallIdentity) -> OutgoingEvent:
    """The one event that a command stands for."""
    match command:
        case mxcmd.SendNegotiateAnswer():
            return call_content.negotiate_answer(identity, sdp=command.sdp)
        case mxcmd.SendSelectAnswer():
            return call_content.select_answer(identity, selected_party_id=command.selected_party)
        case mxcmd.SendReject():
            return call_content.reject(identity, reason=command.reason)
        case mxcmd.SendHangup():
            return call_content.hangup(identity, reason=command.reason)
        case hcmd.RejectReplacement():
            return call_content.reject_replacement(identity, replacement_id=command.replacement_id)
        case mxcmd.SendNotice():
            return call_content.notice(command.text)
        case _:
            assert_never(command)
