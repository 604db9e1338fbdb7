"""The audio of one call on an rtpengine server: the steps of the port, told to the server as offers and answers.

Whatever changes on either side is told in one way: the offer of one party, and the answer of the other, as often as it
takes. Which side spoke first is no matter to the server afterwards.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from bridge.core.ids import CallId
from bridge.media.description_reader import DescriptionReader
from bridge.media.engine import (
    DigitPressed,
    Ear,
    IceCandidate,
    MediaError,
    MediaFailure,
    MediaSession,
    MediaStats,
    PhoneDigitPressed,
    SoundPlayed,
)
from bridge.media.policy import SipMediaPolicy
from bridge.media.recording import Recorded, RecordingRequest
from bridge.media.rtpengine.control import CallControl
from bridge.media.rtpengine.links import Links
from bridge.media.rtpengine.observation import Observation, Surroundings
from bridge.media.rtpengine.parties import StandIn
from bridge.media.rtpengine.player import Player
from bridge.media.rtpengine.roster import Roster
from bridge.media.rtpengine.wiring import Wiring
from bridge.media.sdp import Flow
from bridge.media.sounds import Sound
from bridge.media.verdicts import unavailable

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSurroundings(Surroundings):
    """What all calls of the engine share."""

    hold_music: bytes | None
    hears_keys: bool
    """Whether servers report keys to us."""
    reader: Callable[[SipMediaPolicy], DescriptionReader]
    closed: Callable[["RtpengineSession"], None]


class RtpengineSession:
    """Implements :class:`bridge.media.engine.MediaSession`."""

    def __init__(
        self, call_id: CallId, policy: SipMediaPolicy, control: CallControl, around: SessionSurroundings
    ) -> None:
        self.call_id = call_id
        self.policy = policy
        self.closed = False
        self._around = around
        self._control = control
        self._reader = around.reader(policy)
        self._links = Links(control)
        self._player = Player(control, around.hold_music, self._sound_played)
        self._who = Roster(policy, around.entropy)
        self._wiring = Wiring(policy, self._links, self._who)
        self.partner: RtpengineSession | None = None
        self._seen = Observation(call_id, control, self._who, around, joined=lambda: self.partner is not None)
        self._reports_keys = False
        self._in_order = asyncio.Lock()

    # The Matrix side

    async def set_matrix_offer(self, sdp: str) -> None:
        remote = self._reader.matrix(sdp, answer=False)
        async with self._step():
            if self._who.client is None:
                self._who.client, self._who.phone_leads = self._who.new_client(), False
            elif self._who.phone is not None and self._who.client.formats is not None:
                self._who.phone.flow = remote.flow
            self._who.client.take(remote)

    async def create_matrix_answer(self) -> str:
        async with self._step():
            client = self._who.the_client()
            await self._wiring.connect_client(client)
            self._client_described()
            await self._settle_sounds()
            return client.write_answer()

    async def create_matrix_offer(self) -> str:
        async with self._step():
            if self._who.client is not None:
                raise unavailable("there is a description already")
            client = self._who.client = self._who.new_client()
            await self._links.offer(self._who.across(), client)
            return client.write_offer()

    async def set_matrix_answer(self, sdp: str) -> None:
        remote = self._reader.matrix(sdp, answer=True)
        async with self._step():
            client = self._who.the_client()
            if client.remote is not None:
                raise unavailable("no offer that this could answer")
            client.take_answer(remote)
            await self._wiring.connect(self._who.across(), client)
            self._client_described()

    async def add_matrix_candidates(self, candidates: Sequence[IceCandidate]) -> None:
        """None is needed: the server sends no checks before it was reached by the client's own."""

    async def reset_matrix_leg(self) -> None:
        async with self._step():
            await self._reset_client()

    async def _reset_client(self) -> None:
        client, self._who.client = self._who.client, None
        self._seen.client_gone()
        phone = self._who.phone
        if phone is not None:
            phone.flow = Flow.SENDRECV
            await self._wiring.keep(phone)
            await self._settle_sounds()
        await self._links.drop(client)

    # The phone's side

    async def drop_sip_leg(self) -> None:
        """Not asked for: sounds of more than a few seconds are beyond a server, so there are no announcements."""
        raise unavailable("a server keeps both sides of a call")

    async def create_sip_offer(self, *, to_another: bool = False) -> str:
        async with self._step():
            if to_another:
                return await self._wiring.offer_to_another()
            if self._who.phone is None:
                self._who.phone = self._who.new_phone()
                await self._links.offer(self._who.beyond(), self._who.phone)
            return self._who.phone.write_offer()

    async def create_sip_reoffer(self) -> str | None:
        async with self._step():
            await self._wiring.forget_another()
            return None if self._who.phone is None else self._who.phone.write_reoffer()

    async def set_sip_answer(self, sdp: str | None, *, from_another: bool = False, early: bool = False) -> None:
        remote = None if sdp is None else self._reader.sip(sdp)
        async with self._step():
            before = self._who.phone
            if from_another:
                self._who.phone, self._who.another = self._who.another, None
            phone = self._who.the_phone()
            phone.rings = early
            if remote is not None:
                phone.take_answer(remote)
                await self._wiring.connect_phone(phone)
            if from_another:
                await self._links.drop(before)
                await self._wiring.forget_another()
            await self._settle_sounds()
            self._seen.pulse.phone_described(self._now())

    async def set_sip_offer(self, sdp: str) -> None:
        remote = self._reader.sip(sdp)
        async with self._step():
            if self._who.phone is None:
                self._who.phone, self._who.phone_leads = self._who.new_phone(), self._who.client is None
            self._who.phone.take_offer(remote)

    async def create_sip_answer(self) -> str:
        async with self._step():
            phone = self._who.the_phone()
            phone.accept()
            await self._wiring.connect_phone(phone)
            await self._settle_sounds()
            self._seen.pulse.phone_described(self._now())
            return phone.write_answer()

    # Sounds of our own

    async def play(self, sound: Sound, ear: Ear, *, repeats: bool = False) -> int:
        async with self._step():
            number = self._player.play(sound, ear, repeats=repeats)
            await self._settle_sounds()
            return number

    async def stop_playing(self, ear: Ear) -> None:
        async with self._step():
            self._player.stop(ear)
            await self._settle_sounds()

    async def report_phone_digits(self, wanted: bool) -> None:
        if wanted and not self._around.hears_keys:
            raise unavailable("keys of phones are not heard without media.rtpengine_keys")
        self._reports_keys = wanted

    async def start_recording(self, request: RecordingRequest) -> None:
        raise unavailable(f"a server cannot write {request.path.name}: it records on a disk of its own")

    async def stop_recording(self) -> Recorded | None:
        return None

    # Keys, and other calls

    async def play_digits(self, digits: str, duration_ms: int) -> None:
        partner = self.partner
        self._tell_phone_digits(digits)
        if partner is not None and not partner.policy.digits_in_rtp:
            for digit in digits:
                partner.key_pressed(digit, duration_ms)
            return
        async with self._step():
            phone = self._who.the_phone()
            if not self._links.plays_keys:
                self._links.plays_keys = True
                await self._wiring.connect_phone(phone)
            await self._player.press(phone.tag, digits, duration_ms)

    def key_heard(self, tag: str, digit: str, duration_ms: int) -> None:
        """A server has heard a key of the party of that tag."""
        if self._who.phone is not None and self._who.phone.tag == tag:
            self._tell_phone_digits(digit)
        elif self._who.client is not None and self._who.client.tag == tag and not self.policy.digits_in_rtp:
            self.key_pressed(digit, duration_ms)

    def _tell_phone_digits(self, digits: str) -> None:
        if self._reports_keys and not self.closed:
            for digit in digits:
                self._around.emit(PhoneDigitPressed(call_id=self.call_id, digit=digit))

    def key_pressed(self, digit: str, duration_ms: int) -> None:
        """A key of the Matrix side, for a trunk whose digits are not events of its audio."""
        if not self.closed:
            pressed = DigitPressed(call_id=self.call_id, digit=digit, duration_ms=duration_ms)
            self._around.emit(pressed)

    async def join(self, other: MediaSession) -> None:
        if not isinstance(other, RtpengineSession):
            raise unavailable("the other session belongs to another engine")
        if other is self.partner:
            return
        if other is self or any(s.closed or s.partner is not None for s in (self, other)):
            raise unavailable("a call that is over, or joined to another already")
        self.partner, other.partner = other, self
        here, there = await self._open_for_partner(), await other._open_for_partner()
        await self._reach_partner(here, there)
        await other._reach_partner(there, here)

    async def _open_for_partner(self) -> StandIn:
        """Leave the client, and open something for the phone of the other call; in one codec that all have."""
        async with self._step():
            stand_in = self._who.the_stand_in()
            stand_in.audio = stand_in.audio[:1]
            await self._reset_client()
            await self._wiring.connect_phone(self._who.the_phone())
            return stand_in

    async def _reach_partner(self, ours: StandIn, theirs: StandIn) -> None:
        async with self._step():
            ours.aim(theirs)
            await self._wiring.connect_phone(self._who.the_phone())
            self._seen.pulse.phone_described(self._now())

    # What is told

    async def look(self) -> None:
        """Ask the server how the call is, and tell what has changed."""
        connected = await self._seen.look()
        if connected or self._player.is_over:
            try:
                async with self._step():
                    await self._settle_sounds()
            except MediaError as error:
                _log.warning("media_sound_not_played", call_id=self.call_id, error=error.detail)

    @property
    def key(self) -> str:
        """The server's name for the call."""
        return self._control.key

    def is_due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return not self.closed and self._seen.is_due(now)

    @property
    def is_lost(self) -> bool:
        """Whether the call's server was given up."""
        return self._control.is_lost

    def end(self, failure: MediaFailure) -> None:
        """Tell, once, that the audio is gone."""
        self._seen.end(failure)

    def stats(self) -> MediaStats:
        return self._seen.stats()

    async def close(self) -> MediaStats:
        async with self._in_order:
            if not self.closed:
                self.closed = True
                self._player.close()
                partner, self.partner = self.partner, None
                if partner is not None:
                    partner.partner = None
                try:
                    await self._seen.finish()
                    await self._control.delete()
                finally:
                    self._around.closed(self)
            return self._seen.stats()

    # What the steps are made of

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[None]:
        """One step after the other, each bounded by the time limits of its commands."""
        async with self._in_order:
            if self.closed:
                raise unavailable("the session is closed")
            yield

    def _now(self) -> float:
        return self._around.clock.monotonic()

    def _client_described(self) -> None:
        self._seen.pulse.client_described(self._now())
        self._seen.look_soon()

    async def _settle_sounds(self) -> None:
        """Play what is wanted to those who can hear it now."""
        phone, client = self._who.phone, self._who.client
        listens = phone is not None and phone.remote is not None and phone.remote.host and phone.remote.flow.receives
        self._player.hold(phone is not None and phone.flow is Flow.SENDONLY and self.partner is None)
        await self._player.settle(Ear.PHONE, phone.tag if phone is not None and listens else None)
        connected = client is not None and self._seen.pulse.connected and client.hears
        await self._player.settle(Ear.MATRIX, client.tag if client is not None and connected else None)

    def _sound_played(self, number: int) -> None:
        self._around.emit(SoundPlayed(call_id=self.call_id, number=number))
        self._seen.look_now()
