"""How a call is, as its server tells when it is asked: connected, alive, lost, and its numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.ids import CallId
from bridge.core.telemetry import Telemetry
from bridge.media.call_watch import CallWatch
from bridge.media.engine import MediaConnected, MediaEnded, MediaEvent, MediaFailure, MediaStats
from bridge.media.rtpengine.control import CallControl
from bridge.media.rtpengine.figures import leg_stats, read_party
from bridge.media.rtpengine.ng import Reply, ServerRefusedError
from bridge.media.rtpengine.pulse import Pulse
from bridge.media.rtpengine.roster import Roster
from bridge.media.silence_watch import SilenceLimits

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the engine gives to every call."""

    entropy: Entropy
    clock: Clock
    telemetry: Telemetry
    emit: Callable[[MediaEvent], None]
    connect_timeout_s: float
    rtp_timeout_s: float
    silence: SilenceLimits


class Observation:
    """One call's."""

    def __init__(
        self, call_id: CallId, control: CallControl, who: Roster, around: Surroundings, *, joined: Callable[[], bool]
    ) -> None:
        self._call_id = call_id
        self._control, self._who, self._around = control, who, around
        self._joined = joined
        self.pulse = Pulse(connect_timeout_s=around.connect_timeout_s, rtp_timeout_s=around.rtp_timeout_s)
        now = around.clock.monotonic()
        self._watch = CallWatch(around.silence, around.telemetry, _log.bind(call_id=call_id), now)
        self._next_at = now
        self._ended = self._finished = False

    def is_due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return not self._ended and self._next_at <= now

    def client_gone(self) -> None:
        """There is no client any more; its end was not that of the phone, which is watched on."""
        self.pulse.client_gone()
        self._ended = False

    def look_soon(self) -> None:
        """Something has changed, for which somebody waits."""
        self._next_at = self._around.clock.monotonic() + self.pulse.looks_every_s

    def look_now(self) -> None:
        """Something has ended, after which there is something to do."""
        self._next_at = self._around.clock.monotonic()

    async def look(self) -> bool:
        """Ask, and tell what has changed; whether the client has just been connected."""
        try:
            reply = await self._control.query()
        except ServerRefusedError as error:
            # A server that was started anew knows nothing of the calls before.
            _log.warning("media_call_unknown", call_id=self._call_id, error=str(error))
            self.end(MediaFailure.SERVER_LOST)
            return False
        connected = reply is not None and not self._finished and self._judge(reply)
        self.look_soon()
        return connected

    def _judge(self, reply: Reply) -> bool:
        now = self._around.clock.monotonic()
        self._take(reply, now)
        connected = self.pulse.look(now)
        if connected:
            self._around.emit(MediaConnected(call_id=self._call_id))
        silent, joined = self._who.phone_may_be_silent, self._joined()
        failure = self.pulse.failure(now, phone_may_be_silent=silent, joined=joined)
        if failure is not None:
            self.end(failure)
        self._watch_sound(now, talking=self.pulse.connected and self._who.both_talk and not joined)
        return connected

    def _watch_sound(self, now: float, *, talking: bool) -> None:
        if self._watch.is_due(now):
            self._watch.sample(self.stats())
        if talking:
            self._watch.listen(now, matrix_heard_at=self.pulse.client.at, sip_heard_at=self.pulse.phone.at)
        else:
            self._watch.rest()

    def _take(self, reply: Reply, now: float) -> None:
        if self._who.client is not None:
            self.pulse.client.take(read_party(reply, self._who.client.tag), now)
        if self._who.phone is not None:
            self.pulse.phone.take(read_party(reply, self._who.phone.tag), now)

    def end(self, failure: MediaFailure) -> None:
        """Tell, once, that the audio is gone."""
        if not self._ended and not self._finished:
            self._ended = True
            if failure is MediaFailure.ICE_FAILED:
                # A server does not tell a check that never came from a handshake that failed.
                self._around.telemetry.count("webrtc_not_connected_total", missing="ice")
            self._around.emit(MediaEnded(call_id=self._call_id, failure=failure))

    async def finish(self) -> None:
        """Take the last numbers; nothing is told afterwards."""
        self._finished = True
        try:
            reply = await self._control.query()
        except ServerRefusedError:
            reply = None
        if reply is not None:
            self._take(reply, self._around.clock.monotonic())
        self._watch.finish(self.stats())

    def stats(self) -> MediaStats:
        """The numbers that were taken last."""
        client, phone = self.pulse.client.figures, self.pulse.phone.figures
        codecs = self._who.codecs
        return MediaStats(
            matrix=leg_stats(codecs[0], client, phone),
            sip=leg_stats(codecs[1], phone, client),
            transcoded="" not in codecs and codecs[0] != codecs[1],
            silent=self._watch.silent,
        )
