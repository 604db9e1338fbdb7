"""The audio of one call: two legs, two directions, and the steps of the negotiation between them.

Lives on the loop of the media thread; `bridge.media.embedded` is its face towards the application.
"""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from bridge.core.ids import CallId
from bridge.media.call_settings import Surroundings
from bridge.media.call_sounds import CallSounds
from bridge.media.call_watch import CallWatch
from bridge.media.closing import take_all
from bridge.media.description_reader import DescriptionReader
from bridge.media.engine import (
    DigitPressed,
    IceCandidate,
    LegStats,
    MediaConnected,
    MediaEnded,
    MediaFailure,
    MediaStats,
)
from bridge.media.matrix_side import MatrixSide
from bridge.media.path import PathNeeds
from bridge.media.policy import SipMediaPolicy
from bridge.media.recording import RecordingEnd
from bridge.media.sdp import Flow
from bridge.media.sdp_matrix import LocalStream, RemoteMatrix
from bridge.media.sdp_sip import RemoteSip
from bridge.media.sip_side import SipSide
from bridge.media.speech_quality import rated
from bridge.media.verdicts import unavailable
from bridge.media.webrtc import WebRtcListener

_log = structlog.get_logger()


class CallMedia:
    """One call."""

    def __init__(self, call_id: CallId, policy: SipMediaPolicy, around: Surroundings) -> None:
        self.call_id = call_id
        self._around = around
        self._settings = around.settings
        self._policy = policy
        self.reader = DescriptionReader(around.settings, policy)
        self._now = around.clock.monotonic
        self._log = _log.bind(call_id=call_id)
        self.sounds = CallSounds(
            call_id,
            self._settings.hold_music,
            around.recorder,
            tones=policy.digits_as_tones,
            emit=around.emit,
            now=self._now,
        )
        self._path = around.paths.make(
            PathNeeds(
                ports=around.ports,
                entropy=around.entropy,
                clock=around.clock,
                telemetry=around.telemetry,
                log=self._log,
                trusted=self._settings.rtp_sources,
                signal_digit=self._signal_digit if policy.digits_as_tones or not policy.digits_in_rtp else None,
                played=self.sounds.played,
                phone_digit=self.sounds.phone_digit,
                on_lost=lambda: self._end(MediaFailure.WORKER_ENDED),
            )
        )
        self.sounds.attach(self._path)
        stream = self._new_stream()
        self._client = MatrixSide(policy, around, self._listener(), stream, self._log)
        self._phone = SipSide(policy, around.entropy, host=self._settings.sip_host, session=stream.session)
        self.closed = self._closing = False
        self._connected = self._ended = False
        self._off_path = 0
        self._watch = CallWatch(self._settings.silence, around.telemetry, self._log, self._now())
        self._waits_since: float | None = None
        """Since when the phone has had something to say: silence is measured from there, or from what it sent last."""
        self._phone_left = False
        self._partner: CallMedia | None = None
        """The call to whose phone this one's talks, since the user has left both."""

    async def open(self) -> None:
        """Bind the RTP sockets. Raises :class:`bridge.media.engine.MediaError` when ports run out."""
        self._phone.port = await self._path.open(self._settings.rtp_host)

    # The Matrix side

    async def set_matrix_offer(self, remote: RemoteMatrix) -> None:
        """An offer: of a new call, of a hold, or with new ICE credentials."""
        await self._client.take_offer(remote)

    async def create_matrix_answer(self) -> str:
        """Fix the codec, start the checks, describe our side."""
        await self._client.agree(self._phone)
        self._reconfigure()
        return await self._client.answer(self._phone)

    async def create_matrix_offer(self) -> str:
        """Describe our side first."""
        return await self._client.offer(self._phone)

    async def set_matrix_answer(self, remote: RemoteMatrix) -> None:
        """Take the answer and start the checks."""
        await self._client.take_answer(remote)
        self._reconfigure()

    async def add_matrix_candidates(self, candidates: Sequence[IceCandidate]) -> None:
        """Candidates go to the newest credentials."""
        await self._client.add_candidates(candidates)

    async def reset_matrix_leg(self) -> None:
        """Forget the Matrix side, and that it ended; keep the phone's, and all that it may do."""
        await self._client.forget()
        self._connected, self._ended, self._phone.flow = False, False, Flow.SENDRECV
        self._reconfigure()
        await self._client.free()

    async def join(self, other: "CallMedia") -> None:
        """Let the phones of two calls hear each other, and drop what is left of their Matrix sides."""
        if other is self._partner:
            return
        if other is self or any(media._closing or media._partner is not None for media in (self, other)):
            raise unavailable("a call that is over, or joined to another already")
        for media, partner in ((self, other), (other, self)):
            media._partner = partner
            media._path.join(partner._path)
        for media in (self, other):
            await media.reset_matrix_leg()
            media._waits_since = self._now()

    def _part(self) -> None:
        """The call goes; the phone of the other one has nobody to hear any more."""
        partner, self._partner = self._partner, None
        if partner is not None:
            partner._partner = None
            partner._path.join(None)
            self._path.join(None)

    def _new_stream(self) -> LocalStream:
        entropy = self._around.entropy
        return LocalStream(
            session=entropy.integer(1 << 32, 1 << 61),
            version=0,
            stream=entropy.token(24),
            track=entropy.token(24),
            ssrc=self._path.ssrc,
            cname=self._path.cname,
        )

    def _listener(self) -> WebRtcListener:
        return WebRtcListener(
            on_connected=self._on_connected,
            on_ended=self._end,
            on_off_path=self._on_off_path,
        )

    # The phone's side

    async def drop_sip_leg(self) -> None:
        """The phone is hung up on, and its user hears the rest from us."""
        self._phone_left = True
        self._reconfigure()

    async def create_sip_offer(self, *, to_another: bool = False) -> str:
        """Describe our RTP side first; to another phone than the one of the call, if there is one."""
        return self._phone.offer(self._client.formats, self._client.remote, to_another=to_another)

    async def create_sip_reoffer(self) -> str | None:
        """Hold and resume by the user's client, told to the phone; `None` when it knows all there is."""
        return self._phone.reoffer(self._client.formats, self._client.remote)

    async def set_sip_answer(
        self, remote: RemoteSip | None, *, from_another: bool = False, early: bool = False
    ) -> None:
        """Take an answer, early or final."""
        self._phone.rings = early
        if remote is not None:
            self._phone.take_answer(remote, from_another=from_another)
            self._direct(remote)
        self._waits_since = self._now()

    async def set_sip_offer(self, remote: RemoteSip) -> None:
        """Take an offer; it counts once it is answered."""
        self._phone.take_offer(remote)

    async def create_sip_answer(self) -> str:
        """Answer the offer; from here on audio goes to its address."""
        answer = self._phone.answer(self._client.formats)
        if self._phone.remote is not None:
            self._direct(self._phone.remote)
        return answer

    async def play_digits(self, digits: str, duration_ms: int) -> None:
        """Keys of the phone that came by signalling."""
        for digit in digits:
            self.sounds.phone_digit(digit)
        partner = self._partner
        if partner is None or partner._phone.takes_events:
            self._path.press(digits, duration_ms)
            return
        for digit in digits:
            partner._signal_digit(digit, duration_ms)

    def _signal_digit(self, digit: str, duration_ms: int) -> None:
        if self._policy.digits_as_tones:
            self.sounds.press(digit, duration_ms)
        else:
            self._around.emit(DigitPressed(call_id=self.call_id, digit=digit, duration_ms=duration_ms))

    def _direct(self, remote: RemoteSip) -> None:
        moved = self._path.direct(remote, self._phone.keys)
        self._reconfigure()
        if moved:
            self._path.expect_new_phone()
        self._waits_since = self._now()

    # What flows

    def _reconfigure(self) -> None:
        """Fit both directions to what is agreed."""
        if self._closing:
            return
        client = self._client.remote
        self._path.configure(self._client.formats, self._phone.formats)
        self.sounds.hold(self._phone.flow is Flow.SENDONLY and self._partner is None)
        self._path.let_through(
            to_sip=self._phone.listens and not self._phone_left,
            # A phone that has lost its user, to another phone perhaps, must not take the line for dead meanwhile.
            filling=(self._connected or self._client.leg is None) and not self._phone_left,
            to_matrix=self._connected and client is not None and client.flow.receives,
        )

    def look_after(self, now: float) -> None:
        """A few times a second: reports and time limits."""
        if self._closing:
            return
        self._path.look_after(now)
        if self._phone_left:
            return
        joined = self._partner is not None
        self._watch.look(now, self._path, self._phone, self.stats, talking=self._connected and not joined)
        limit_s, since, sip = self._settings.rtp_timeout_s, self._waits_since, self._phone.remote
        # Menus and message boxes have nobody who would miss a phone that has vanished.
        carries = self._connected or joined or self.sounds.listens
        if limit_s <= 0 or not carries or since is None or sip is None:
            return
        if sip.on_hold or self._phone.may_be_silent:
            self._waits_since = now
        elif now - max(since, self._path.heard_phone_at or since) > limit_s:
            self._end(MediaFailure.RTP_TIMEOUT)

    # What is told

    def _on_connected(self) -> None:
        first, self._connected = not self._connected, True
        self._waits_since = self._now()
        if self._client.leg is not None:
            self._path.carry(self._client.leg)
        self._reconfigure()
        if first:
            self._around.emit(MediaConnected(call_id=self.call_id))

    def _on_off_path(self) -> None:
        self._off_path += 1
        self._around.telemetry.count("media_offpath_dropped_total")

    def _end(self, failure: MediaFailure) -> None:
        if not self._ended and not self._closing:
            self._ended = True
            self._around.emit(MediaEnded(call_id=self.call_id, failure=failure))

    def stats(self) -> MediaStats:
        """The numbers so far, not older than a quarter of a second; only reads, so any thread may call it."""
        return self._rated(self._speaker())

    def _speaker(self) -> LegStats | None:
        """The phone that this one hears, when it is another call's."""
        partner = self._partner
        return None if partner is None else partner._path.stats(off_path_dropped=0).sip

    def _rated(self, speaker: LegStats | None) -> MediaStats:
        stats = self._path.stats(off_path_dropped=self._off_path)
        return rated(replace(stats, silent=self._watch.silent), speaks_to_sip=speaker)

    async def close(self) -> MediaStats:
        """Free everything; the numbers stay. Called again, it finishes what failed; `closed` once nothing is left."""
        if self.closed:
            return self.stats()
        self._closing = self._client.closing = True
        speaker = self._speaker()
        self.sounds.stop_recording(RecordingEnd.CLOSED)
        await take_all(self._say_goodbye, self._leave_partner, self._client.close, self._path.close)
        self.closed, final = True, self._rated(speaker)
        self._watch.finish(final)
        return final

    async def _say_goodbye(self) -> None:
        self._path.say_goodbye()

    async def _leave_partner(self) -> None:
        self._part()
