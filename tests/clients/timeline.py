"""What Element makes of all events of one call in the room's timeline."""

from collections.abc import Sequence

from bridge.core.ids import UserId
from tests.homeserver_model import Event


def tile_of_element_web(events: Sequence[Event], me: UserId) -> str:
    """`LegacyCallEventGrouper` and `LegacyCallEvent`: one tile for each call id."""
    rejects = [event for event in events if event["type"] == "m.call.reject"]
    hangups = [event for event in events if event["type"] == "m.call.hangup"]
    reason = hangups[-1]["content"].get("reason") if hangups else None
    if not rejects and not hangups:
        return "never ends"
    if not any(event["sender"] == me for event in events):
        return "Missed call"
    if rejects:
        return "Call declined"
    if reason == "answered_elsewhere":
        return "Answered elsewhere"
    if reason in (None, "user_hangup"):
        # The duration is that from the selection to the hangup.
        selected = any(event["type"] == "m.call.select_answer" for event in events)
        return "Call ended" if selected else "Call ended, of unknown duration"
    return "No answer" if reason == "invite_timeout" else "Connection failed"


def tile_of_element_android(events: Sequence[Event]) -> str:
    """`CallItemFactory`: by the kind of the last event."""
    kinds = {event["type"] for event in events}
    if "m.call.reject" in kinds:
        return "declined"
    if "m.call.hangup" not in kinds:
        return "never ends"
    return "ended" if "m.call.answer" in kinds else "missed"
