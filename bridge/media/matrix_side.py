"""What is agreed with the client, and what is being agreed: descriptions in and out, and the WebRTC legs behind it."""

from collections.abc import Sequence
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from bridge.media import sdp_matrix
from bridge.media.call_settings import Surroundings
from bridge.media.closing import Closable, close_each
from bridge.media.engine import IceCandidate
from bridge.media.formats import LegFormats
from bridge.media.negotiation import (
    client_ptime,
    matrix_answer_formats,
    matrix_offer_audio,
    matrix_offered_formats,
    passed_on_opus,
)
from bridge.media.policy import SipMediaPolicy
from bridge.media.sdp_matrix import LocalStream, RemoteMatrix, Setup
from bridge.media.sip_side import SipSide
from bridge.media.verdicts import unavailable
from bridge.media.webrtc import WebRtcLeg, WebRtcListener


class MatrixSide:
    """The client's half of a call's negotiation."""

    def __init__(
        self,
        policy: SipMediaPolicy,
        around: Surroundings,
        listener: WebRtcListener,
        stream: LocalStream,
        log: FilteringBoundLogger,
    ) -> None:
        self.leg: WebRtcLeg | None = None
        self.remote: RemoteMatrix | None = None
        self.formats: LegFormats | None = None
        self.closing = False
        """Whether the call is over: no leg is made any more."""
        self._policy = policy
        self._around = around
        self._listener = listener
        self._stream = stream
        self._log = log
        self._next: WebRtcLeg | None = None
        """The association of an offer that has yet to be answered, when it cannot be the one that is up."""
        self._setup = Setup.PASSIVE
        self._retired: list[Closable] = []
        """Legs that are to be closed; one that could not be stays here for the next try."""

    async def take_offer(self, remote: RemoteMatrix) -> None:
        """An offer: of a new call, of a hold, or with new ICE credentials (RFC 8839 §4.4.1.1: an ICE restart)."""
        current = self.remote
        if self.leg is None:
            self.leg = await self._new_leg(remote, controlling=remote.ice_lite)
        elif current is None or current.ufrag != remote.ufrag:
            await self._restart(self.leg, remote)
        self.remote = remote

    async def _restart(self, leg: WebRtcLeg, remote: RemoteMatrix) -> None:
        """Another path for the association that is up, or else another association."""
        await self._retire_next()
        if leg.continues_with(remote):
            await leg.prepare_restart(remote)
        else:
            await leg.give_up_restart()
            self._next = await self._new_leg(remote, controlling=remote.ice_lite)

    async def agree(self, phone: SipSide) -> None:
        """Fix the codec of the offer that is to be answered, and start the checks."""
        remote = self.remote
        if remote is None:
            raise unavailable("no offer to answer")
        leg, is_new = await self._answering_leg()
        if self.formats is not None:
            phone.flow = remote.flow
        self.formats = matrix_answer_formats(remote, phone.formats, phone.phone, self.formats, self._policy)
        if is_new:
            self._setup = Setup.ACTIVE if remote.setup is Setup.PASSIVE else Setup.PASSIVE
            leg.start(self._around.tasks, self._setup)
        leg.restart(self._around.tasks)

    async def answer(self, phone: SipSide) -> str:
        """Describe our side of what was agreed."""
        if self.leg is None or self.remote is None or self.formats is None:
            raise unavailable("nothing is agreed")
        ptime_ms = client_ptime(phone.formats, phone.phone)
        described, opus = await self.leg.describe(), passed_on_opus(phone.formats)
        return sdp_matrix.write_answer(
            self.remote, described, self._next_stream(), self.formats, self._setup, ptime_ms, opus
        )

    async def _answering_leg(self) -> tuple[WebRtcLeg, bool]:
        """The leg that the answer describes, and whether it has yet to be started."""
        if self._next is not None:
            before, self.leg, self._next = self.leg, self._next, None
            await self._retire(before)
            return self.leg, True
        if self.leg is None:
            raise unavailable("no leg to answer with")
        return self.leg, not self.leg.started

    async def offer(self, phone: SipSide) -> str:
        """Describe our side first."""
        if self.leg is not None:
            raise unavailable("there is a description already")
        self.leg = await self._new_leg(None, controlling=True)
        audio = matrix_offer_audio(phone.formats, phone.phone, self._policy)
        ptime_ms = client_ptime(phone.formats, phone.phone)
        described, opus = await self.leg.describe(), passed_on_opus(phone.formats)
        return sdp_matrix.write_offer(described, self._next_stream(), audio, ptime_ms=ptime_ms, opus=opus)

    async def take_answer(self, remote: RemoteMatrix) -> None:
        """Take the answer and start the checks."""
        if self.leg is None or self.remote is not None:
            raise unavailable("no offer that this could answer")
        self.formats = matrix_offered_formats(remote)
        self.remote = remote
        self._setup = Setup.PASSIVE if remote.setup is Setup.ACTIVE else Setup.ACTIVE
        await self.leg.set_remote(remote)
        self.leg.start(self._around.tasks, self._setup)

    async def add_candidates(self, candidates: Sequence[IceCandidate]) -> None:
        """Candidates go to the newest credentials."""
        leg = self._next or self.leg
        if leg is not None:
            await leg.add_trickled(candidates)

    async def forget(self) -> None:
        """Nothing is agreed any more; `free` closes the leg that this was about."""
        await self._retire_next()
        self._retired += [leg for leg in (self.leg,) if leg is not None]
        self.leg = self.remote = self.formats = None

    async def free(self) -> None:
        """Close the legs that are not needed any more."""
        await close_each(self._retired)

    async def close(self) -> None:
        """Close all legs."""
        self._retired += [leg for leg in (self.leg, self._next) if leg is not None]
        self.leg = self._next = None
        await self.free()

    async def _retire_next(self) -> None:
        leg, self._next = self._next, None
        await self._retire(leg)

    async def _retire(self, leg: WebRtcLeg | None) -> None:
        if leg is not None:
            self._retired.append(leg)
        await self.free()

    async def _new_leg(self, remote: RemoteMatrix | None, *, controlling: bool) -> WebRtcLeg:
        if self.closing:
            raise unavailable("the session is closed")
        leg = WebRtcLeg(
            self._around.settings.webrtc,
            self._around.ports,
            self._listener,
            self._around.telemetry,
            now=self._around.clock.monotonic,
            log=self._log,
        )
        try:
            await leg.gather(controlling=controlling)
            if remote is not None:
                await leg.set_remote(remote)
        except BaseException:
            await self._retire(leg)
            raise
        return leg

    def _next_stream(self) -> LocalStream:
        self._stream = replace(self._stream, version=self._stream.version + 1)
        return self._stream
