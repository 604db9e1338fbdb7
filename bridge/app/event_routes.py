"""Whose an event is: that of calls, of texts, of the bot, or of the phones that are watched."""

from bridge.app.bot_room import BotRoom
from bridge.app.matrix_intake import MatrixIntake
from bridge.app.phone_states import PhoneStates
from bridge.app.sip_intake import SipIntake
from bridge.app.text_desk import TextDesk
from bridge.matrix.events import RoomEvent
from bridge.sip.events import PhoneStateChanged, SipEvent, TextDelivered, TextFailed, TextReceived


async def route_matrix_event(intake: MatrixIntake, bot: BotRoom, texts: TextDesk, event: RoomEvent) -> None:
    """A text for a phone, a word to the bot, or a call."""
    if not await texts.takes(event):
        await (bot if bot.concerns(event) else intake).handle(event)


def route_sip_event(intake: SipIntake, phones: PhoneStates, texts: TextDesk, event: SipEvent) -> None:
    """What a phone does by itself, what it writes, or what it does in a call with us."""
    match event:
        case PhoneStateChanged():
            phones.note(event)
        case TextReceived() | TextDelivered() | TextFailed():
            texts.handle(event)
        case _:
            intake.handle(event)
