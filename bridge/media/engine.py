"""The port behind which media engines live.

One session carries the audio of one call between a Matrix leg (WebRTC) and a SIP leg (RTP). Descriptions go in and come
out as SDP text, so an engine may run in this process, in another one, or on another machine.

The order of calls follows the side that speaks first (RFC 3264, RFC 8829):

* Matrix calls a phone: `set_matrix_offer`, `create_sip_offer`, `set_sip_answer`, `create_matrix_answer`;
* a phone calls Matrix: `set_sip_offer`, `create_matrix_offer`, `set_matrix_answer`, `create_sip_answer`;
* a phone calls without an offer: `create_matrix_offer`, `set_matrix_answer`, `create_sip_offer`, `set_sip_answer`;
* crossing calls: after `create_matrix_offer`, `reset_matrix_leg`, `set_matrix_offer`, `create_matrix_answer`;
* a re-INVITE: `set_sip_offer`, `create_sip_answer` again, at any time of the call;
* hold by the user's client: `set_matrix_offer`, `create_matrix_answer` again, then `create_sip_reoffer`, and
  `set_sip_answer` if the phone agrees;
* another phone takes over: `create_sip_offer(to_another=True)`, and `set_sip_answer` when it has answered;
* the bridge speaks to a user alone: `set_matrix_offer`, `create_matrix_answer`, or `drop_sip_leg` in a call; `play`;
* the user leaves a phone to another one: `reset_matrix_leg` keeps the phone that waits; `create_sip_offer` and
  `set_sip_answer` in a session of its own, without a Matrix side, fetch the other one; then `join`.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, overload

from bridge.core.errors import CallError
from bridge.core.ids import CallId
from bridge.media.policy import DEFAULT_POLICY, SipMediaPolicy
from bridge.media.recording import Recorded, RecordingRequest
from bridge.media.sounds import Sound


class MediaError(CallError):
    """A description cannot be used or a resource is missing; the verdict says which."""


class MediaFailure(enum.StrEnum):
    """Why the audio of a call ended without anyone hanging up."""

    ICE_FAILED = "ice_failed"
    """No candidate pair worked, or DTLS did not come up, within the set-up limit."""
    ICE_TIMEOUT = "ice_timeout"
    """The WebRTC side went away after it had been connected (consent lost, RFC 7675)."""
    CLIENT_CLOSED = "client_closed"
    """The client closed its side (DTLS), and nothing more was heard of it: its hangup did not get through."""
    RTP_TIMEOUT = "rtp_timeout"
    """The phone sent nothing for the set time, and is not on hold."""
    SERVER_LOST = "server_lost"
    """The media server that carried the call is gone, or knows nothing of it any more."""
    WORKER_ENDED = "worker_ended"
    """A process that carried the packets of calls has ended by a fault of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IceCandidate:
    """One trickled candidate of the Matrix side, as its client sent it."""

    candidate: str
    """`candidate:…` line (RFC 8839 §5.1), with or without the `a=`; empty means the end of candidates."""
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaConnected:
    """ICE and DTLS are up on the Matrix side: audio can flow."""

    call_id: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaEnded:
    """The session lost its audio for good; sent at most once."""

    call_id: CallId
    failure: MediaFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitPressed:
    """A key of the Matrix client, on a trunk whose digits are not events of its audio."""

    call_id: CallId
    digit: str = field(repr=False)
    duration_ms: int


class Ear(enum.StrEnum):
    """Who hears a sound of ours."""

    PHONE = "phone"
    MATRIX = "matrix"


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPlayed:
    """A sound has been played to its end, and the ear hears the other side again.

    Nothing is told of one that was stopped or replaced.
    """

    call_id: CallId
    number: int
    """What `play` had returned: another sound may have been started since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneDigitPressed:
    """A key of the phone, told as soon as it is recognised: once, however it came and however long it is held."""

    call_id: CallId
    digit: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingEnded:
    """A recording has ended, by whatever cause; its file is whole."""

    call_id: CallId
    recorded: Recorded


MediaEvent = MediaConnected | MediaEnded | DigitPressed | SoundPlayed | PhoneDigitPressed | RecordingEnded


class Silent(enum.StrEnum):
    """From whom nothing comes, neither audio nor reports: whoever is muted, or pauses, still sends one or the other."""

    MATRIX = "matrix"
    SIP = "sip"
    BOTH = "both"


@overload
def milliseconds(seconds: float) -> float: ...
@overload
def milliseconds(seconds: float | None) -> float | None: ...
def milliseconds(seconds: float | None) -> float | None:
    """Seconds as numbers for people show them."""
    return None if seconds is None else round(seconds * 1000, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegStats:
    """What one leg received and sent, counted in RTP packets."""

    codec: str = ""
    """Encoding name in upper case, `OPUS`, `PCMU` or `PCMA`; empty before negotiation."""
    packets_received: int = 0
    packets_sent: int = 0
    packets_lost: int = 0
    jitter_ms: float = 0.0
    """Interarrival jitter (RFC 3550 §6.4.1)."""
    round_trip_ms: float | None = None
    """To the far end and back, by its newest report; `None` while it has sent none that tells."""
    far_packets_lost: int | None = None
    """Of those that were sent, by the far end's own count."""
    far_jitter_ms: float | None = None
    mos: float | None = None
    """Of what came from here, as the other side hears it: estimated by the E-model, 1 to 4.5; `None` of nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardStats:
    """What one side hears of the other.

    Frames are of 20 ms, and known where audio is transcoded: what is passed through is played out, and concealed, by
    the far end.
    """

    frames_played: int = 0
    """As they came."""
    frames_concealed: int = 0
    """Made up, for they did not come, or too late."""
    packets_discarded: int = 0
    """Those that came, and were not played: too late, or too many at once."""
    playout_delay_ms: float = 0.0
    """How long audio is held back so that late packets are in time, just now or when it was played last."""
    audible: bool | None = None
    """Whether there was ever more than silence; `None` while nobody knows: of nothing, and of Opus passed through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaStats:
    """The audio of a whole call as numbers; digits are counted, never named."""

    matrix: LegStats = field(default_factory=LegStats)
    sip: LegStats = field(default_factory=LegStats)
    heard_by_matrix: HeardStats = field(default_factory=HeardStats)
    """The phone, as the Matrix client hears it."""
    heard_by_sip: HeardStats = field(default_factory=HeardStats)
    """The Matrix client, or another call's phone, as the phone hears it."""
    transcoded: bool = False
    digits_forwarded: int = 0
    concealed_frames: int = 0
    silent: Silent | None = None
    """Who was recognised as silent, first; nobody in most calls. Held and joined calls are not judged."""
    off_path_dropped: int = 0
    """Datagrams from addresses that ICE has not validated."""


class SessionSounds(Protocol):
    """What a session can let be heard, and hear, itself: what voicemail, menus and spoken notices stand on.

    An engine that lacks some of it raises :class:`MediaError` where that is asked for.

    None of it needs both sides. A call that the bridge answers itself is a session with a phone alone: `set_sip_offer`,
    `create_sip_answer`, and the phone can be played to, recorded and listened to for keys at once.
    """

    async def play(self, sound: Sound, ear: Ear, *, repeats: bool = False) -> int:
        """Play a sound to one side in the place of the other; the number by which `SoundPlayed` tells of its end.

        It begins as soon as that side can hear us, waits while it cannot (not connected yet, on hold), and takes the
        place of a sound that is being played to the same ear, hold music included. One that `repeats` goes on until it
        is stopped. Keys of the side that is not heard meanwhile are not passed on as events either.
        """
        ...

    async def stop_playing(self, ear: Ear) -> None:
        """Let the ear hear the other side again, or nothing if there is none; does nothing when nothing is played."""
        ...

    async def report_phone_digits(self, wanted: bool) -> None:
        """Tell of keys of the phone by `PhoneDigitPressed` from now on, or no longer.

        Telephone-events, tones in the audio where the trunk has them, and keys of signalling that `play_digits` is
        given are told alike. They reach the other side as ever.
        """
        ...

    async def start_recording(self, request: RecordingRequest) -> None:
        """Write what is said into a file, until `stop_recording`, a limit, or the end of the session.

        Sounds that we play are not in it, and no keys that are events. Pauses and hold are silence. Raises
        :class:`MediaError` when the file cannot be made, or the session is being recorded already.
        """
        ...

    async def stop_recording(self) -> Recorded | None:
        """End the recording and wait for its file; `None` when there is none, for it may have ended by itself.

        `RecordingEnded` tells of this end as of any other.
        """
        ...


class MediaSession(SessionSounds, Protocol):
    """The audio of one call. Every method may raise :class:`MediaError`; after that only `close` is useful."""

    async def set_matrix_offer(self, sdp: str) -> None:
        """Take the WebRTC offer of the Matrix user and begin ICE."""
        ...

    async def create_matrix_answer(self) -> str:
        """Answer the Matrix user's offer, all candidates inline; fixes the codec of the Matrix leg."""
        ...

    async def create_matrix_offer(self) -> str:
        """Offer a call to the Matrix user, all candidates inline."""
        ...

    async def set_matrix_answer(self, sdp: str) -> None:
        """Take the selected device's answer and begin ICE."""
        ...

    async def add_matrix_candidates(self, candidates: Sequence[IceCandidate]) -> None:
        """Add trickled candidates; useless ones (mDNS, TCP, unparsable, too many) are ignored and counted."""
        ...

    async def reset_matrix_leg(self) -> None:
        """Drop the Matrix side and its ICE, keep the SIP leg: the user called us while we called them, or has left."""
        ...

    async def drop_sip_leg(self) -> None:
        """Send nothing more to the phone, and expect nothing of it: it has been hung up on, the user stays a while."""
        ...

    async def create_sip_offer(self, *, to_another: bool = False) -> str:
        """Describe our RTP side to the phone; `to_another` while the call goes on with the one that it has (transfer).

        What is described takes effect with the answer.
        """
        ...

    async def create_sip_reoffer(self) -> str | None:
        """What the phone must be told since the user's client held or resumed; `None` when there is nothing."""
        ...

    async def set_sip_answer(self, sdp: str | None, *, from_another: bool = False, early: bool = False) -> None:
        """Take the phone's answer; may be repeated.

        While it is `early`, for the phone is not answered yet, silence of the phone is no loss; `None` afterwards makes
        the last one final.
        `from_another` answers an offer made `to_another`: that phone is the call's from now on.
        """
        ...

    async def set_sip_offer(self, sdp: str) -> None:
        """Take the phone's offer, of the INVITE or of a re-INVITE (new address, hold, resume)."""
        ...

    async def create_sip_answer(self) -> str:
        """Answer the phone's offer."""
        ...

    async def play_digits(self, digits: str, duration_ms: int) -> None:
        """Send keys to the Matrix client as events (RFC 4733), one after the other; what is no key is left out."""
        ...

    async def join(self, other: "MediaSession") -> None:
        """Let the phones of two sessions of this engine hear each other; the Matrix sides of both are dropped.

        Each phone stays with its own session, for hold, a new address and other codecs. When one session is closed, the
        other's phone hears silence. Joining the two again changes nothing.
        """
        ...

    def stats(self) -> MediaStats:
        """The numbers so far; safe to call at any time, from any thread."""
        ...

    async def close(self) -> MediaStats:
        """Free every port, socket and task of the session; may be called twice."""
        ...


class MediaEngine(Protocol):
    """Makes sessions and reports what happens to them."""

    async def start(self, on_event: Callable[[MediaEvent], None]) -> None:
        """Get ready; `on_event` is called on the event loop that called `start`."""
        ...

    async def open(self, call_id: CallId, policy: SipMediaPolicy = DEFAULT_POLICY) -> MediaSession:
        """A new session for a trunk's call. Raises :class:`MediaError` when ports or capacity are exhausted."""
        ...

    @property
    def ready(self) -> bool:
        """Whether a new call could be carried now, as far as the engine itself goes."""
        ...

    @property
    def has_ports(self) -> bool:
        """Whether the ports of another call are left; true where other machines have them."""
        ...

    async def stop(self) -> None:
        """Close every session that is left and free all resources."""
        ...
