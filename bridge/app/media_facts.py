"""What the media engine tells about a session, in the language of calls."""

from bridge.app.message_desk import MessageDesk
from bridge.app.switchboard import Switchboard
from bridge.calls import media_events as medev
from bridge.calls import message_events as mev
from bridge.core.verdict import MatrixReason
from bridge.media.engine import (
    DigitPressed,
    MediaConnected,
    MediaEnded,
    MediaEvent,
    MediaFailure,
    PhoneDigitPressed,
    RecordingEnded,
    SoundPlayed,
)

_REASONS = {
    MediaFailure.ICE_FAILED: MatrixReason.ICE_FAILED,
    MediaFailure.ICE_TIMEOUT: MatrixReason.ICE_TIMEOUT,
    MediaFailure.RTP_TIMEOUT: MatrixReason.ICE_TIMEOUT,
    MediaFailure.SERVER_LOST: MatrixReason.UNKNOWN_ERROR,
    MediaFailure.WORKER_ENDED: MatrixReason.UNKNOWN_ERROR,
    # A homeserver is away, or the app was closed: either way somebody hung up.
    MediaFailure.CLIENT_CLOSED: MatrixReason.USER_HANGUP,
}


def feed_media(switchboard: Switchboard, messages: MessageDesk, event: MediaEvent) -> None:
    """Give the fact to its call; one that is over needs none, but a message is kept all the same."""
    heard = isinstance(event, RecordingEnded) and messages.recorded(event.recorded)
    live = switchboard.directory.by_call_id(event.call_id)
    if live is None:
        return
    match event:
        case MediaConnected():
            switchboard.feed(live, medev.MediaConnected())
        case DigitPressed():
            switchboard.feed(live, medev.ClientKeyPressed(digit=event.digit, duration_ms=event.duration_ms))
        case MediaEnded():
            switchboard.feed(live, medev.MediaLost(reason=_REASONS[event.failure]))
        case SoundPlayed():
            live.played = event.number
            if event.number == live.playing:
                switchboard.feed(live, mev.SoundPlayed())
        case PhoneDigitPressed():
            switchboard.feed(live, mev.PhoneKeyPressed(digit=event.digit))
        case RecordingEnded():
            switchboard.feed(live, mev.MessageRecorded(heard=heard))
