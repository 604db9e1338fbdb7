"""The demo phone: a SIP user agent on Trunkline's own SIP stack, for which Trunkline is the trunk."""

import asyncio
import contextlib
from typing import Any, Self

from bridge.core.clock import SystemClock
from bridge.core.entropy import SystemEntropy
from bridge.core.ids import DialogKey, TrunkName
from bridge.core.telemetry import NoTelemetry
from bridge.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallFailed,
    CallProgress,
    CallReoffered,
    IncomingCall,
    OutgoingCall,
    SipEvent,
)
from bridge.sip.io.endpoint import EndpointError, SipEndpoint
from bridge.sip.settings import Listener, SipSettings, Transport, Trunk, TrunkAuth
from deploy.demo import phone_sdp
from deploy.demo.audio import Tone
from deploy.demo.errors import DemoError
from deploy.demo.milestones import Milestone, Milestones
from deploy.demo.phone_audio import PhoneAudio

HOST = "127.0.0.1"
_TRUNK = TrunkName("trunkline")
_NOT_ACCEPTABLE_HERE = 488
_BUSY_HERE = 486
_MAX_CALLS = 8


class PhoneCall:
    """One call as the phone sees it."""

    def __init__(self, *, other: str, tone: Tone) -> None:
        self.other = other
        self.milestones = Milestones()
        self.audio = PhoneAudio(tone)
        self.dialog: DialogKey | None = None

    async def local_sdp(self) -> str:
        """Open the RTP port and describe it."""
        return phone_sdp.describe(HOST, await self.audio.open(HOST))

    def talk_to(self, sdp: str | None) -> None:
        """Begin to play towards the address in a description."""
        remote = phone_sdp.parse(sdp)
        self.audio.start_sending(remote.host, remote.port)


class Phone:
    """Rings for a moment, answers, plays its tone, then echoes. Leaving the context hangs up and frees its ports."""

    def __init__(
        self, *, number: str, port: int, trunkline_port: int, tone: Tone, ring_s: float = 1.0, name: str = "Demo phone"
    ) -> None:
        self.number = number
        self.tone = tone
        self.incoming: asyncio.Queue[PhoneCall] = asyncio.Queue(_MAX_CALLS)
        self._port = port
        self._switched_off = False
        self._name = name
        self._ring_s = ring_s
        self._calls: dict[DialogKey, PhoneCall] = {}
        self._tasks = asyncio.TaskGroup()
        self._endpoint = SipEndpoint(
            _sip_settings(port, trunkline_port),
            entropy=SystemEntropy(),
            clock=SystemClock(),
            telemetry=NoTelemetry(),
        )

    async def __aenter__(self) -> Self:
        try:
            await self._endpoint.start(self._on_event)
        except EndpointError as error:
            raise DemoError(f"the phone cannot start on UDP port {self._port}: {error}") from error
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._switched_off = True
        for dialog in list(self._calls):
            self._endpoint.bye(dialog)
            self._over(dialog, "the phone was switched off")
        try:
            await self._tasks.__aexit__(*error)
        finally:
            await self._endpoint.stop()

    async def dial(self, number: str) -> PhoneCall:
        """Call a number through Trunkline."""
        call = PhoneCall(other=number, tone=self.tone)
        sdp = await call.local_sdp()
        call.dialog = self._endpoint.invite(
            OutgoingCall(trunk=_TRUNK, called=number, caller=self.number, caller_name=self._name, sdp=sdp)
        )
        self._calls[call.dialog] = call
        return call

    def hang_up(self, call: PhoneCall) -> None:
        """End a call, or stop ringing; nothing happens when it is over already."""
        if call.dialog is None or call.dialog not in self._calls:
            return
        if call.milestones.reached(Milestone.ANSWERED):
            self._endpoint.bye(call.dialog)
        else:
            self._endpoint.cancel(call.dialog)
        self._over(call.dialog, "the phone hung up")

    def _on_event(self, event: SipEvent) -> None:
        match event:
            case IncomingCall():
                self._on_invite(event)
            case CallProgress():
                self._reach(event.dialog, Milestone.RINGING)
            case CallAnswered():
                self._on_answer(event)
            case CallFailed():
                self._over(event.dialog, f"SIP {event.status} {event.reason_phrase}".rstrip())
            case CallCancelled():
                self._over(event.dialog, "the caller gave up")
            case CallEnded():
                self._over(event.dialog, "BYE from the other side" if event.by_peer else "the other side went away")
            case CallReoffered():
                # The demo's callers never hold; refusing keeps the session as it was (RFC 3261 §14.1).
                self._endpoint.reject(event.dialog, _NOT_ACCEPTABLE_HERE)
            case CallConfirmed():
                self._reach(event.dialog, Milestone.CONNECTED)
            case _:
                pass  # Nobody transfers the demo's calls or sends them keys.

    def _on_invite(self, event: IncomingCall) -> None:
        if self._switched_off or len(self._calls) >= _MAX_CALLS or self.incoming.full():
            self._endpoint.reject(event.dialog, _BUSY_HERE)
            return
        call = PhoneCall(other=event.caller or "somebody who withholds the number", tone=self.tone)
        call.dialog = event.dialog
        self._calls[event.dialog] = call
        self._endpoint.ring(event.dialog)
        call.milestones.reach(Milestone.RINGING)
        self.incoming.put_nowait(call)
        self._tasks.create_task(self._pick_up(call, event))

    async def _pick_up(self, call: PhoneCall, event: IncomingCall) -> None:
        """Let it ring for a moment, then answer, unless the caller has gone."""
        with contextlib.suppress(DemoError):
            await call.milestones.wait(Milestone.ENDED, within_s=self._ring_s)
        if event.dialog not in self._calls:
            return
        try:
            sdp = await call.local_sdp()
            call.talk_to(event.sdp)
        except DemoError as error:
            self._endpoint.reject(event.dialog, _NOT_ACCEPTABLE_HERE)
            self._over(event.dialog, str(error))
            return
        self._endpoint.accept(event.dialog, sdp)
        call.milestones.reach(Milestone.ANSWERED)

    def _on_answer(self, event: CallAnswered) -> None:
        call = self._calls.get(event.dialog)
        if call is None:
            return
        try:
            call.talk_to(event.sdp)
        except DemoError as error:
            self._endpoint.bye(event.dialog)
            self._over(event.dialog, str(error))
            return
        call.milestones.reach(Milestone.ANSWERED)

    def _reach(self, dialog: DialogKey, milestone: Milestone) -> None:
        if dialog in self._calls:
            self._calls[dialog].milestones.reach(milestone)

    def _over(self, dialog: DialogKey, why: str) -> None:
        call = self._calls.pop(dialog, None)
        if call is not None:
            call.milestones.end(why)
            self._tasks.create_task(call.audio.close())


def _sip_settings(port: int, trunkline_port: int) -> SipSettings:
    trunk = Trunk(name=_TRUNK, host=HOST, port=trunkline_port, auth=TrunkAuth.ADDRESS)
    listeners = (Listener(transport=Transport.UDP, host=HOST, port=port),)
    return SipSettings(listeners=listeners, user_agent="Trunkline demo phone", trunks=(trunk,))
