"""A desk phone of a PBX that is scripted by the test, with ears that stay open through hold and resume.

baresip stops recording with the first re-INVITE and has no music on hold. This one speaks SIP by the bridge's own user
agent; `tests.e2e.phone` is the one that shows how strangers' phones take to ours.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from bridge.core.ids import DialogKey, TrunkName
from bridge.sip.events import CallAnswered, CallEnded, CallReofferAnswered, CallReoffered, IncomingCall, SipEvent
from bridge.sip.settings import Transport, Trunk, TrunkAuth
from tests.e2e.phone import TONE
from tests.e2e.sound import Heard, Tone
from tests.e2e.voice import Voice
from tests.e2e.waiting import until
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK
from tests.sip.phone import Phone as Endpoint

MIRRORED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_SILENCE = Heard(pitch_hz=0.0, level_db=-120.0)


class DeskPhone:
    """A telephone at `port`, which is a trunk of the bridge at `bridge_port`; answers at once and plays `TONE`."""

    def __init__(self, *, port: int, bridge_port: int) -> None:
        trunk = Trunk(
            name=TrunkName("bridge"),
            host=LOOPBACK,
            port=bridge_port,
            transport=Transport.UDP,
            auth=TrunkAuth.ADDRESS,
        )
        self._endpoint = Endpoint(trunk, on_event=self._react, port=port)
        self._voice = Voice(TONE)
        self._dialog: DialogKey | None = None
        self._version = 0
        self._own_flow = "sendrecv"
        """What the person at this phone wants."""
        self.offered: list[str] = []
        """The direction of every offer of the bridge, the first one included."""
        self.answered: list[str] = []
        """The direction of every answer of the bridge."""

    async def __aenter__(self) -> Self:
        self._voice.start()
        await self._endpoint.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._endpoint.__aexit__()
        await asyncio.to_thread(self._voice.close)

    # What a person does with it

    def call(self, number: str) -> None:
        """Dial a number."""
        self._dialog = self._endpoint.call(number, sdp_text=self._description("sendrecv"))

    async def hold(self, *, flow: str = "sendonly", music: Tone | None = None) -> None:
        """Put the other end on hold, with music or with silence; wait until it has agreed."""
        self._voice.play(music)
        await self._reoffer(flow)

    async def resume(self) -> None:
        """Take it back."""
        await self._reoffer("sendrecv")
        self._voice.play(TONE)

    async def _reoffer(self, flow: str) -> None:
        if self._dialog is None:
            raise AssertionError("there is no call")
        self._own_flow, count = flow, len(self.answered)
        self._endpoint.endpoint.reoffer(self._dialog, self._description(flow))
        await self._wait(lambda: len(self.answered) > count, f"no answer to {flow}")

    async def wait_called(self) -> None:
        """Wait for a call, which is answered by itself."""
        await self._endpoint.wait(IncomingCall, limit_s=PATIENCE_S)

    async def wait_answered(self) -> None:
        """Wait until the one that was called has answered."""
        await self._endpoint.wait(CallAnswered, limit_s=PATIENCE_S)

    async def wait_offered(self, *flows: str) -> None:
        """Wait until the bridge has offered these directions since the call began, no more and no less."""
        await self._wait(lambda: self.offered[1:] == list(flows), f"not offered {flows}")

    async def wait_ended(self) -> None:
        """Wait until the other side has hung up."""
        await self._endpoint.wait(CallEnded, limit_s=PATIENCE_S)

    # What a person hears

    async def hears(self, tone: Tone) -> None:
        """Wait until this is heard."""
        await self._wait(lambda: (self._voice.steady() or _SILENCE).is_like(tone), f"did not hear {tone}")

    async def hears_nothing(self) -> None:
        """Wait until for a third of a second nothing could be heard."""
        await self._wait(lambda: self._voice.quiet_s() > 0.3, "still heard something")

    async def wait_digits(self, digits: str) -> None:
        """Wait for keys that are pressed at the other end."""
        await self._wait(lambda: self._voice.digits() == digits, f"did not get {digits}")

    def time_gaps(self) -> None:
        """Begin to measure; see `longest_gap_s`."""
        self._voice.forget()

    def longest_gap_s(self) -> float:
        """The longest silence since `time_gaps`."""
        return self._voice.longest_gap_s()

    async def _wait(self, true: Callable[[], bool], complaint: str) -> None:
        async def met() -> bool:
            return true()

        await until(met, lambda: f"the phone {complaint}: {self.story()}", limit_s=PATIENCE_S)

    def story(self) -> str:
        """What happened so far: for the message of a failed test."""
        kinds = [type(event).__name__ for event in self._endpoint.events]
        return f"offered {self.offered}, answered {self.answered}, digits {self._voice.digits()!r}, events {kinds}"

    # SIP

    def _react(self, endpoint: Endpoint, event: SipEvent) -> None:
        match event:
            case IncomingCall(dialog=dialog, sdp=str(offer)) | CallReoffered(dialog=dialog, sdp=str(offer)):
                self._dialog = dialog
                self.offered.append(flow_of(offer))
                self._voice.aim(offer)
                endpoint.endpoint.accept(dialog, self._description(self._allowed(offer)))
            case CallAnswered(sdp=str(answer)) | CallReofferAnswered(sdp=str(answer)):
                self.answered.append(flow_of(answer))
                self._voice.aim(answer)
            case _:
                pass

    def _allowed(self, offer: str) -> str:
        """Our answer: what is offered, less what this person does not want (RFC 3264 §6.1)."""
        theirs, ours = MIRRORED[flow_of(offer)], self._own_flow
        sends = all(flow in ("sendrecv", "sendonly") for flow in (theirs, ours))
        receives = all(flow in ("sendrecv", "recvonly") for flow in (theirs, ours))
        return {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}.get(
            (sends, receives), "inactive"
        )

    def _description(self, flow: str) -> str:
        self._version += 1
        self._voice.speaks = flow in ("sendrecv", "sendonly")
        lines = ("v=0", f"o=desk 1 {self._version} IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0")
        media = (f"m=audio {self._voice.port} RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", f"a={flow}")
        return "\r\n".join((*lines, *media, ""))


def flow_of(sdp: str) -> str:
    """The direction of a description; none is `sendrecv` (RFC 8866 §6.7)."""
    found = [line[2:] for line in sdp.splitlines() if line[2:] in MIRRORED]
    return found[0] if found else "sendrecv"
