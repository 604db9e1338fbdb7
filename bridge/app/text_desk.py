"""Text messages between Matrix users and phones: `m.room.message` in a portal, and MESSAGE of SIP (RFC 3428).

A text goes out under the permissions of calls and counts towards the limits of money, and nobody may send without end.
What was not delivered is said in the room, as an answer to the message that it concerns.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from bridge.app.lane import Lane
from bridge.app.meter import Meter
from bridge.app.text_book import TextBook
from bridge.calls.ports import MatrixPort
from bridge.core.budget import Budgets
from bridge.core.clock import Clock
from bridge.core.entropy import Entropy
from bridge.core.errors import TrunklineError
from bridge.core.ids import E164, RoomId, TextKey, TrunkName, UserId
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import Verdict
from bridge.matrix.events import RoomEvent
from bridge.matrix.texts import Text, UnsupportedText, answer_to, plain, read_text
from bridge.numbers.limits import SUSPENDED
from bridge.numbers.policy import NumberPlan, Route
from bridge.sip.events import OutgoingText, TextDelivered, TextEvent, TextFailed, TextReceived
from bridge.sip.settings import Texting
from bridge.sip.text_parts import parts_of

log = structlog.get_logger(__name__)

ANSWER_LIMIT_S = 40.0
"""For the trunk: its transaction ends by itself after 32 s, and after a challenge a second one begins."""
PORTAL_LIMIT_S = 10.0
"""For the homeserver, while the phone's side waits for a final response."""
MAX_AGE_S = 3_600.0
"""A text that comes later than this would surprise more than it says."""
KEPT_FOR_S = 7 * 86_400.0
"""How long a phone's text waits for a homeserver that is away: it was acknowledged."""
MAX_ROOMS = 200
"""Rooms whose texts are under way at once."""
RECEIVED_AT_ONCE = 60
NOTICE_PAUSE_S = 600.0
REFUSAL_PAUSE_S = 60.0
NOTICE_PATIENCE_S = 60.0
NO_TEXTS_TOPIC = "no_texts"

TOO_LONG = "Your message was not sent: it is too long for a text message."
TOO_OLD = "Your message was not sent: it reached the telephone network too late."
TOO_MANY = "Your message was not sent: you have sent as many text messages as you may for now."
LIMIT_REACHED = "Your message was not sent: you have reached the limit of your spending, or its price is not known."
EMERGENCY = "Your message was not sent: emergency services cannot be reached by text from here. Use a telephone."
NOT_TEXT = "Only text can be sent to a telephone number."
NUMBER_SHOWN = "Your message was not sent: your number is hidden, and a text message to a mobile network would show it."
"""A short message always has its sender in it (TP-Originating-Address, 3GPP TS 23.040 §9.2.2.1)."""
OUT_OF_SERVICE = "Your message was not sent: the connection to the telephone network is out of service for now."
NO_TEXTS = "Text messages cannot be sent to this number from here, only calls."

_FAILURES = {
    403: "the telephone network does not permit it",
    404: "this number does not exist, or takes no text messages",
    405: "this number takes no text messages",
    408: "the telephone network did not answer",
    413: "it is too long",
    415: "this number takes no text messages",
    480: "the phone cannot be reached now",
    486: "the phone is busy",
    503: "the telephone network cannot be reached now",
    604: "this number does not exist",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSide:
    """What a trunk does with text messages."""

    texting: Texting
    price: int | None
    """Millionths for each part; `None` when nobody knows."""


class SipTexts(Protocol):
    """The telephone side; `bridge.sip.io.endpoint.SipEndpoint` has it."""

    def send_text(self, message: OutgoingText) -> TextKey: ...

    def answer_text(self, text: TextKey, status: int) -> None: ...

    def trunk_up(self, trunk: TrunkName) -> bool: ...


class TextRooms(MatrixPort, Protocol):
    """The Matrix side, which knows what was said once in a room."""

    async def say_once(self, room_id: RoomId, topic: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conversation:
    """A message, and to which ghost it was said."""

    event: RoomEvent
    ghost: UserId
    number: str


class TextDesk:
    """All text messages of a bridge."""

    def __init__(
        self,
        *,
        sip: SipTexts,
        rooms: TextRooms,
        plan: Callable[[], NumberPlan],
        sides: Callable[[], Mapping[TrunkName, TextSide]],
        meter: Meter,
        refuses: Callable[[UserId, str], Verdict | None],
        hides_number: Callable[[UserId], bool | None],
        carries: Callable[[TrunkName], bool] = lambda trunk: True,
        book: TextBook,
        clock: Clock,
        entropy: Entropy,
        telemetry: Telemetry,
    ) -> None:
        self._sip = sip
        self._rooms = rooms
        self._plan = plan
        self._sides = sides
        self._meter = meter
        self._refuses = refuses
        self._hides_number = hides_number
        self._carries = carries
        self._clock = clock
        self._entropy = entropy
        self._telemetry = telemetry
        self._book = book
        self._received = Budgets(burst=RECEIVED_AT_ONCE, refill_s=1.0)
        self._notices = Budgets(burst=1, refill_s=NOTICE_PAUSE_S)
        self._refusals = Budgets(burst=1, refill_s=REFUSAL_PAUSE_S)
        self._waiting: dict[TextKey, asyncio.Future[TextDelivered | TextFailed]] = {}
        self._lanes: dict[RoomId, Lane] = {}
        self._arrivals: set[asyncio.Task[None]] = set()

    # From Matrix.

    async def takes(self, event: RoomEvent) -> bool:
        """Whether a room's message is for a phone; if so it is on its way when this returns."""
        if event.type != "m.room.message" or self._rooms.is_ours(event.sender):
            return False
        members = await self._rooms.joined_members(event.room_id)
        ghosts = [user for user in members if self._rooms.ghost_number(user) is not None]
        if len(ghosts) != 1 or len(members) != 2 or event.sender not in members:
            return False
        number = self._rooms.ghost_number(ghosts[0])
        if number is None:
            return False
        self._queue(_Conversation(event=event, ghost=ghosts[0], number=number))
        return True

    def _queue(self, talk: _Conversation) -> None:
        """One room's texts in their order, and none waits for another room's."""
        room_id = talk.event.room_id
        for idle in [room for room, lane in self._lanes.items() if lane.idle]:
            del self._lanes[idle]
        lane = self._lanes.get(room_id) or (Lane() if len(self._lanes) < MAX_ROOMS else None)
        if lane is None or lane.full:
            self._count("outbound", "none", "refused")
            log.warning("text_dropped", room_id=room_id, reason="too_many")
            return
        self._lanes[room_id] = lane
        lane.submit(lambda: self._guarded(self._send, talk))

    async def _guarded(self, work: Callable[[Any], Any], item: object) -> None:
        """One text that cannot be worked on harms no other."""
        try:
            await work(item)
        except TrunklineError as error:
            log.warning("text_not_worked_on", detail=str(error))
        except Exception:
            self._telemetry.count("internal_errors_total", component="texts")
            log.exception("text_failed")

    async def _send(self, talk: _Conversation) -> None:
        try:
            text = read_text(talk.event)
        except UnsupportedText:
            if self._notices.spend(talk.event.room_id, self._clock.monotonic()):
                await self._say(talk, NOT_TEXT)
            return
        if text is None:
            return
        if not any(side.texting is not Texting.NONE for side in self._sides().values()):
            if await self._rooms.say_once(talk.event.room_id, NO_TEXTS_TOPIC):
                await self._say(talk, NO_TEXTS)
            return
        refusal = await self._try(talk, text)
        if refusal:
            await self._say(talk, refusal)

    async def _try(self, talk: _Conversation, text: Text) -> str:
        """Send it; gives what its writer must be told, if anything."""
        event, now = talk.event, self._clock.monotonic()
        if event.age_ms / 1000 + now - event.received_at > MAX_AGE_S:
            return self._refused(event.sender, TOO_OLD)
        route = self._route(event, talk.number)
        if isinstance(route, str):
            return self._refused(event.sender, route)
        if self._meter.suspends(event.sender):
            return self._refused(event.sender, _not_sent(SUSPENDED), route.trunk)
        side = self._sides()[route.trunk]
        parts = parts_of(text.body, side.texting)
        if not parts:
            return self._refused(event.sender, TOO_LONG, route.trunk)
        if not self._book.allows(event.sender, len(parts)):
            return self._refused(event.sender, TOO_MANY, route.trunk)
        bookings = self._meter.charge_text(event.sender, side.price, parts=len(parts))
        if bookings is None:
            return self._refused(event.sender, LIMIT_REACHED, route.trunk)
        # Nothing has been waited for since both were asked, so no other text of this user has come between.
        await self._book.note(event.sender, len(parts))
        await self._meter.cash_book.write(bookings)
        return await self._deliver(route, parts, await self._rooms.display_name(event.sender))

    def _route(self, event: RoomEvent, number: str) -> Route | str:
        """The first way of a call to that number whose trunk takes texts, or why there is none."""
        if self._plan().is_emergency(number, event.sender):
            return EMERGENCY
        user, withheld = event.sender, self._hides_number(event.sender)
        decision = self._plan().decide(user, number, self._sip.trunk_up, room=event.room_id, withheld=withheld)
        if isinstance(decision, Verdict):
            return _not_sent(decision)
        sides = self._sides()
        takers = [route for route in decision.routes if sides[route.trunk].texting is not Texting.NONE]
        routes = [route for route in takers if not (route.withheld and sides[route.trunk].texting is Texting.SMS)]
        if not routes:
            return NUMBER_SHOWN if takers else NO_TEXTS
        return next((route for route in routes if self._carries(route.trunk)), OUT_OF_SERVICE)

    async def _deliver(self, route: Route, parts: tuple[str, ...], name: str) -> str:
        """All parts in their order; what comes after one that failed is not sent."""
        for body in parts:
            message = OutgoingText(
                trunk=route.trunk,
                called=route.number,
                caller=route.caller,
                caller_name=name,
                withheld=route.withheld,
                body=body,
            )
            outcome = await self._outcome(self._sip.send_text(message))
            if isinstance(outcome, TextFailed):
                self._count("outbound", route.trunk, "failed")
                log.info("text_not_delivered", trunk=route.trunk, sip_status=outcome.status)
                why = _FAILURES.get(outcome.status, f"the telephone network refused it ({outcome.status})")
                return f"Your message was not delivered: {why}."
        self._count("outbound", route.trunk, "delivered")
        return ""

    async def _outcome(self, key: TextKey) -> TextDelivered | TextFailed:
        waiter: asyncio.Future[TextDelivered | TextFailed] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiter
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await waiter
        except TimeoutError:
            return TextFailed(text=key, status=408, local=True)
        finally:
            del self._waiting[key]

    def _refused(self, user: UserId, sentence: str, trunk: str = "none") -> str:
        """What its writer must be told: the same sentence not more often than once a minute."""
        self._count("outbound", trunk, "refused")
        return sentence if self._refusals.spend(f"{user} {sentence}", self._clock.monotonic()) else ""

    async def _say(self, talk: _Conversation, sentence: str) -> None:
        notice = answer_to(talk.event.event_id, sentence)
        await self._rooms.send(
            room_id=talk.event.room_id,
            sender=talk.ghost,
            event_type=notice.type,
            content=notice.content,
            txn_id=f"text.{talk.event.event_id}",
            give_up_after_s=NOTICE_PATIENCE_S,
        )

    # From the telephone network.

    def handle(self, event: TextEvent) -> None:
        """Take one event of the telephone side."""
        match event:
            case TextReceived():
                task = asyncio.create_task(self._guarded(self._receive, event))
                self._arrivals.add(task)
                task.add_done_callback(self._arrivals.discard)
            case TextDelivered() | TextFailed():
                waiter = self._waiting.get(event.text)
                if waiter is not None and not waiter.done():
                    waiter.set_result(event)

    async def _receive(self, event: TextReceived) -> None:
        status = 480
        try:
            async with asyncio.timeout(PORTAL_LIMIT_S):
                status = await self._store(event)
        except TimeoutError:
            log.warning("text_not_taken", trunk=event.trunk, reason="homeserver_slow")
        finally:
            self._sip.answer_text(event.text, status)
            self._count("inbound", event.trunk, "delivered" if status < 300 else "refused")

    async def _store(self, event: TextReceived) -> int:
        """Into the user's room, on disk; gives the status for its sender (RFC 3428 §7: 202, for nobody has read it)."""
        user = self._plan().user_of(event.called)
        if user is None:
            return 404
        if (refusal := self._refuses(user, event.caller)) is not None:
            return refusal.sip_status
        if not event.body.strip():
            return 200
        if not self._carries(event.trunk) or not self._received.spend(event.trunk, self._clock.monotonic()):
            return 480
        number = E164(self._plan().caller_number(event.caller))
        portal = await self._rooms.portal(user=user, number=number, caller_name=event.caller_name)
        content = plain(event.body)
        await self._rooms.send(
            room_id=portal.room_id,
            sender=portal.ghost,
            event_type=content.type,
            content=content.content,
            txn_id=f"text.{self._entropy.token(24)}",
            give_up_after_s=KEPT_FOR_S,
        )
        return 202

    def _count(self, direction: str, trunk: str, outcome: str) -> None:
        self._telemetry.count("texts_total", direction=direction, trunk=trunk, outcome=outcome)

    async def stop(self) -> None:
        """Give up what is under way; senders of the telephone side are told that it was not taken."""
        for lane in self._lanes.values():
            lane.drop_waiting()
        for waiter in self._waiting.values():
            waiter.cancel()
        for task in list(self._arrivals):
            task.cancel()
        await asyncio.gather(*self._arrivals, return_exceptions=True)


def _not_sent(why: Verdict) -> str:
    return f"Your message was not sent. {why.user_text or ''}".strip()
