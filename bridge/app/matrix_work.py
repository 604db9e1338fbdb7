"""Carries out what a call wants of its Matrix side: rooms and events, one after the other in the call's order."""

from collections.abc import Callable

import structlog

from bridge.app.live_call import LiveCall
from bridge.calls import commands as cmd
from bridge.calls import events as ev
from bridge.calls import outcomes
from bridge.calls.ports import MatrixPort
from bridge.core.errors import CallError, TrunklineError
from bridge.core.ids import E164, MatrixCallId
from bridge.core.telemetry import Telemetry
from bridge.matrix import call_content
from bridge.matrix.call_content import CallIdentity, OutgoingEvent

log = structlog.get_logger(__name__)

Feed = Callable[[LiveCall, ev.Event], None]

MatrixCommand = (
    cmd.OpenPortal
    | cmd.SendInvite
    | cmd.SendAnswer
    | cmd.SendNegotiateAnswer
    | cmd.SendSelectAnswer
    | cmd.SendReject
    | cmd.SendHangup
    | cmd.SendNotice
)

ANONYMOUS = E164("anonymous")
"""The ghost of everybody who withholds their number."""


class MatrixWork:
    """Each command runs in the call's Matrix lane; `feed` gets its result."""

    def __init__(self, matrix: MatrixPort, feed: Feed, telemetry: Telemetry) -> None:
        self._matrix = matrix
        self._feed = feed
        self._telemetry = telemetry

    def submit(self, live: LiveCall, command: MatrixCommand) -> None:
        """Queue a command with the identity that the call has now."""
        identity = _identity(live, command)
        live.matrix_lane.submit(lambda: self._run(live, command, identity))

    async def _run(self, live: LiveCall, command: MatrixCommand, identity: CallIdentity) -> None:
        """Never raises: whatever goes wrong becomes an event of the call."""
        try:
            await self._carry_out(live, command, identity)
        except TrunklineError as error:
            self._refused(live, command, error)
        except Exception:
            log.exception("matrix_command_failed", command=type(command).__name__)
            self._telemetry.count("internal_errors_total", component="matrix")
            self._feed(live, ev.Aborted(verdict=outcomes.INTERNAL_ERROR))

    def _refused(self, live: LiveCall, command: MatrixCommand, error: TrunklineError) -> None:
        log.warning("matrix_command_refused", command=type(command).__name__, detail=str(error))
        verdict = error.verdict if isinstance(error, CallError) else outcomes.MATRIX_UNREACHABLE
        if not live.call.ended:
            self._feed(live, ev.CallRefused(verdict=verdict))

    async def _carry_out(self, live: LiveCall, command: MatrixCommand, identity: CallIdentity) -> None:
        match command:
            case cmd.OpenPortal():
                await self._open_portal(live)
            case cmd.SendInvite():
                await self._send_invite(live, command, identity)
            case cmd.SendAnswer():
                await self._send(live, call_content.answer(identity, sdp=command.sdp))
                await self._send(live, call_content.end_of_candidates(identity, sdp=command.sdp))
            case cmd.SendNegotiateAnswer():
                await self._send(live, call_content.negotiate_answer(identity, sdp=command.sdp))
            case cmd.SendSelectAnswer():
                event = call_content.select_answer(identity, selected_party_id=command.selected_party)
                await self._send(live, event)
            case cmd.SendReject():
                await self._send(live, call_content.reject(identity, reason=command.reason))
            case cmd.SendHangup():
                await self._send(live, call_content.hangup(identity, reason=command.reason))
            case cmd.SendNotice():
                await self._send(live, call_content.notice(command.text))

    async def _open_portal(self, live: LiveCall) -> None:
        call = live.call
        portal = await self._matrix.portal(
            user=call.matrix.user, number=E164(call.number) if call.number else ANONYMOUS
        )
        ready = ev.PortalReady(room_id=portal.room_id, ghost=portal.ghost, user_joined=portal.user_joined)
        self._feed(live, ready)

    async def _send_invite(self, live: LiveCall, command: cmd.SendInvite, identity: CallIdentity) -> None:
        """Given up before it was sent, an invite must not be sent at all."""
        if live.call.ended or live.call.matrix.call_id != identity.call_id:
            return
        user = live.call.matrix.user
        event = call_content.invite(identity, sdp=command.sdp, lifetime_ms=command.lifetime_ms, invitee=user)
        await self._send(live, event, wait=True)
        await self._send(live, call_content.end_of_candidates(identity, sdp=command.sdp))
        self._feed(live, ev.InviteDelivered())

    async def _send(self, live: LiveCall, event: OutgoingEvent, *, wait: bool = False) -> None:
        """Hand an event over for delivery; with `wait`, until the homeserver has it."""
        matrix = live.call.matrix
        if matrix.room_id is None or matrix.ghost is None:
            return
        send = self._matrix.send_and_wait if wait else self._matrix.send
        await send(
            room_id=matrix.room_id,
            sender=matrix.ghost,
            event_type=event.type,
            content=event.content,
            txn_id=live.next_txn_id(event.type.rpartition(".")[2]),
        )


def _identity(live: LiveCall, command: MatrixCommand) -> CallIdentity:
    """Whose event it is: of the call's Matrix side, or of the other call of a glare that the command names."""
    matrix = live.call.matrix
    named: MatrixCallId | None = getattr(command, "matrix_call_id", None)
    version: int | None = getattr(command, "version", None)
    return CallIdentity(
        call_id=named or matrix.call_id,
        party_id=matrix.own_party,
        version=matrix.version if version is None else version,
    )
