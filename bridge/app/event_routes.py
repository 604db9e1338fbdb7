"""Whose an event is: that of calls, of texts, of the bot, or of the phones that are watched."""

from collections.abc import Callable

from bridge.app.bot_room import BotRoom
from bridge.app.matrix_intake import MatrixIntake
from bridge.app.phone_states import PhoneStates
from bridge.app.sip_intake import SipIntake
from bridge.app.text_desk import TextDesk
from bridge.core.ids import TrunkName
from bridge.matrix.events import RoomEvent
from bridge.sip.events import PhoneStateChanged, SipEvent, TextDelivered, TextFailed, TextReceived, TrunkLeft


async def route_matrix_event(intake: MatrixIntake, bot: BotRoom, texts: TextDesk, event: RoomEvent) -> None:
    """A text for a phone, a word to the bot, or a call."""
    if not await texts.takes(event):
        await (bot if bot.concerns(event) else intake).handle(event)


def route_sip_event(
    intake: SipIntake, phones: PhoneStates, texts: TextDesk, forget: Callable[[TrunkName], None], event: SipEvent
) -> None:
    """What a phone does by itself, what it writes, or what it does in a call with us; or the end of a trunk."""
    match event:
        case TrunkLeft(trunk=trunk):
            forget(trunk)
        case PhoneStateChanged():
            phones.note(event)
        case TextReceived() | TextDelivered() | TextFailed():
            texts.handle(event)
        case _:
            intake.handle(event)
