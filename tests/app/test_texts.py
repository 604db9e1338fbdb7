"""Texts between a room and a phone: who may write, what it costs, what is said when it fails, what one becomes."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bridge.app.suspensions import SuspensionRule
from bridge.app.text_book import TextBook
from bridge.app.text_desk import (
    EMERGENCY,
    LIMIT_REACHED,
    NO_TEXTS,
    NOT_TEXT,
    NUMBER_SHOWN,
    OUT_OF_SERVICE,
    REFUSAL_PAUSE_S,
    TOO_LONG,
    TOO_MANY,
    TOO_OLD,
    TextDesk,
    TextSide,
)
from bridge.app.user_settings import BLOCKED
from bridge.core.clock import SystemClock, local_day
from bridge.core.entropy import SeededEntropy
from bridge.core.ids import EventId, RoomId, TextKey, TrunkName, UserId
from bridge.core.verdict import Verdict
from bridge.matrix.events import RoomEvent
from bridge.numbers.abuse import Suspicion
from bridge.numbers.limits import SUSPENDED, Cap, Limit
from bridge.numbers.policy import WITHHELD
from bridge.sip.events import OutgoingText, TextDelivered, TextFailed, TextReceived
from bridge.sip.settings import Texting
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, BOB, GHOST, PBX, PHONE, ROOM, TRUNK
from tests.app.stage import Stage
from tests.clock import ManualClock
from tests.patience import PATIENCE_S

OTHER_ROOM = RoomId("!other:example.org")
CENT = 10_000
NOON, DAY_S = 1_700_049_600.0, 86_400.0


@dataclass(slots=True)
class StageTexts:
    """The telephone side: takes every text until told otherwise."""

    desk: TextDesk | None = None
    status: int = 202
    silent: bool = False
    sends: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[OutgoingText] = field(default_factory=list)
    answered: list[tuple[TextKey, int]] = field(default_factory=list)

    def send_text(self, message: OutgoingText) -> TextKey:
        self.sent.append(message)
        self.sends.set()
        key = TextKey(str(len(self.sent)))
        failed = TextFailed(text=key, status=self.status)
        outcome = TextDelivered(text=key) if self.status < 300 else failed
        if self.desk is not None and not self.silent:
            asyncio.get_running_loop().call_soon(self.desk.handle, outcome)
        return key

    def answer_text(self, text: TextKey, status: int) -> None:
        self.answered.append((text, status))

    def trunk_up(self, trunk: TrunkName) -> bool:
        return True


class LaterClock(SystemClock):
    """Jumps ahead."""

    later_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later_s


class Texts:
    """A stage with a desk for texts."""

    def __init__(
        self, stage: Stage, *, per_day: int = 10, texting: Texting = Texting.SMS, price: int | None = 0
    ) -> None:
        self.stage = stage
        self.sip = StageTexts()
        self.refusal: Verdict | None = None
        self.in_service = True
        self.per_day = per_day
        self.book = TextBook(lambda: self.per_day, stage.store, stage.clock, stage.telemetry)
        sides = {TRUNK: TextSide(texting=texting, price=price), PBX: TextSide(texting=Texting.NONE, price=0)}
        self.desk = TextDesk(
            sip=self.sip,
            rooms=stage.matrix,
            plan=lambda: stage.plan,
            sides=lambda: sides,
            meter=stage.meter,
            refuses=lambda user, caller: self.refusal,
            hides_number=stage.settings.hides_number,
            carries=lambda trunk: self.in_service,
            book=self.book,
            clock=stage.clock,
            entropy=SeededEntropy(2),
            telemetry=stage.telemetry,
        )
        self.sip.desk = self.desk
        self._events = 0

    async def write(self, body: str = "hello", *, sender: UserId = ALICE, room: RoomId = ROOM, **other: Any) -> bool:
        self._events += 1
        age_ms = other.pop("age_ms", 0)
        event = RoomEvent(
            event_id=EventId(f"${self._events}"),
            room_id=room,
            sender=sender,
            type=other.pop("type", "m.room.message"),
            content={"msgtype": "m.text", "body": body, **other},
            age_ms=age_ms,
            received_at=self.stage.clock.monotonic(),
        )
        taken = await self.desk.takes(event)
        await self.settle()
        return taken

    async def settle(self) -> None:
        for lane in list(self.desk._lanes.values()):
            await asyncio.wait_for(lane.drain(), PATIENCE_S)

    async def receive(self, body: str = "hello back", *, called: str = "+15550199", caller: str = PHONE) -> int:
        self.desk.handle(
            TextReceived(text=TextKey("in"), trunk=TRUNK, called=called, caller=caller, caller_name="Bob", body=body)
        )
        await asyncio.wait_for(asyncio.gather(*self.desk._arrivals), PATIENCE_S)
        return self.sip.answered.pop()[1]

    def said(self) -> list[str]:
        return [content["body"] for content in self.stage.matrix.contents("m.room.message")]

    def counted(self, direction: str, trunk: str, outcome: str) -> bool:
        labels = f'direction="{direction}",outcome="{outcome}",trunk="{trunk}"'
        return f"texts_total{{{labels}}} 1.0" in self.stage.telemetry.exposition().decode()


@pytest.fixture
def texts(stage: Stage) -> Texts:
    return Texts(stage)


async def hide(stage: Stage, *, configured: bool) -> None:
    """Alice's number is hidden, by the configuration or by herself."""
    if configured:
        stage.plan = replace(stage.plan, caller_ids={ALICE: WITHHELD})
    else:
        await stage.settings.change(ALICE, withheld=True)


class TestToAPhone:
    async def test_a_text_goes_out_with_the_number_that_calls_show(self, texts: Texts) -> None:
        texts.stage.matrix.names[ALICE] = "Alice"
        assert await texts.write("Grüße")
        (sent,) = texts.sip.sent
        assert (sent.trunk, sent.called, sent.caller, sent.caller_name) == (TRUNK, PHONE, "+15550199", "Alice")
        assert sent.body == "Grüße"
        assert texts.said() == []
        assert texts.counted(direction="outbound", trunk=TRUNK, outcome="delivered")

    async def test_a_long_one_goes_in_parts_in_their_order(self, texts: Texts) -> None:
        await texts.write("word " * 60)
        assert [sent.body[:6] for sent in texts.sip.sent] == ["(1/3) ", "(2/3) ", "(3/3) "]

    async def test_after_a_part_that_failed_no_other_is_sent(self, texts: Texts) -> None:
        texts.sip.status = 404
        await texts.write("word " * 60)
        assert len(texts.sip.sent) == 1
        assert texts.said() == [
            "Your message was not delivered: this number does not exist, or takes no text messages."
        ]

    async def test_a_failure_is_said_as_an_answer_to_its_message(self, texts: Texts) -> None:
        texts.sip.status = 599
        await texts.write()
        (content,) = texts.stage.matrix.contents("m.room.message")
        assert content["msgtype"] == "m.notice"
        assert content["m.relates_to"] == {"m.in_reply_to": {"event_id": "$1"}}
        assert "(599)" in content["body"]
        assert texts.counted(direction="outbound", trunk=TRUNK, outcome="failed")

    async def test_texts_of_a_room_wait_for_each_other(self, texts: Texts) -> None:
        texts.sip.silent = True
        event = asyncio.create_task(texts.write("first"))
        other = asyncio.create_task(texts.write("second"))
        await asyncio.wait_for(texts.sip.sends.wait(), PATIENCE_S)
        assert [sent.body for sent in texts.sip.sent] == ["first"]
        texts.sip.silent = False
        texts.desk.handle(TextDelivered(text=TextKey("1")))
        await asyncio.gather(event, other)
        assert [sent.body for sent in texts.sip.sent] == ["first", "second"]

    @pytest.mark.parametrize("configured", [True, False])
    async def test_who_shows_no_number_shows_none_in_a_text(self, stage: Stage, configured: bool) -> None:
        await hide(stage, configured=configured)
        texts = Texts(stage, texting=Texting.PAGE)
        await texts.write()
        assert [sent.withheld for sent in texts.sip.sent] == [True]

    @pytest.mark.parametrize("configured", [True, False])
    async def test_a_text_that_would_show_a_hidden_number_is_not_sent(self, stage: Stage, configured: bool) -> None:
        """A mobile network tells who has sent a short message, whatever is wished."""
        await hide(stage, configured=configured)
        texts = Texts(stage)
        await texts.write()
        assert (texts.sip.sent, texts.said()) == ([], [NUMBER_SHOWN])
        assert texts.counted(direction="outbound", trunk="none", outcome="refused")

    async def test_who_wants_to_be_seen_writes_as_ever(self, stage: Stage) -> None:
        await hide(stage, configured=True)
        await stage.settings.change(ALICE, withheld=False)
        texts = Texts(stage)
        await texts.write()
        assert [sent.withheld for sent in texts.sip.sent] == [False]

    @pytest.mark.parametrize(
        ("options", "message", "sentence"),
        [
            ({}, {"body": "x " * 1000}, TOO_LONG),
            ({}, {"age_ms": 7_200_000}, TOO_OLD),
            ({"per_day": 0}, {}, TOO_MANY),
            ({"per_day": 2}, {"body": "word " * 60}, TOO_MANY),
            ({}, {"msgtype": "m.image"}, NOT_TEXT),
            ({"texting": Texting.NONE}, {}, NO_TEXTS),
        ],
    )
    async def test_what_is_not_sent_is_explained(
        self, stage: Stage, options: dict[str, Any], message: dict[str, Any], sentence: str
    ) -> None:
        texts = Texts(stage, **options)
        await texts.write(**{"body": "hello", **message})
        assert texts.said() == [sentence]
        assert not texts.sip.sent

    async def test_who_writes_on_beyond_a_limit_is_told_so_once_a_minute(self, stage: Stage) -> None:
        clock = stage.clock = LaterClock()
        texts = Texts(stage, per_day=1)
        for _ in range(20):
            await texts.write()
        assert texts.said() == [TOO_MANY]
        clock.later_s += REFUSAL_PAUSE_S
        await texts.write()
        assert texts.said() == [TOO_MANY] * 2

    async def test_a_restart_gives_nobody_more_texts_but_a_new_day_does(self, tmp_path: Path) -> None:
        clock = ManualClock(epoch=NOON)
        async with open_stage(tmp_path, clock=clock) as stage:
            texts = Texts(stage, per_day=4)
            await texts.book.load()
            await texts.write("word " * 60)
        async with open_stage(tmp_path, clock=clock) as stage:
            texts = Texts(stage, per_day=4)
            await texts.book.load()
            for _ in range(2):
                await texts.write()
            assert (len(texts.sip.sent), texts.said()) == (1, [TOO_MANY]), "three parts were sent before"
            clock.now += DAY_S
            await texts.write()
            assert len(texts.sip.sent) == 2
            await stage.store.prune(now=clock.wall() + 3 * DAY_S)
            assert await stage.store.sent_texts.on(local_day(clock).isoformat()) == {}

    async def test_another_number_of_texts_a_day_counts_at_once_with_those_that_were_sent(self, stage: Stage) -> None:
        texts = Texts(stage, per_day=1)
        for _ in range(2):
            await texts.write()
        texts.per_day = 2
        for _ in range(2):
            await texts.write()
        assert len(texts.sip.sent) == 2

    async def test_who_is_suspended_is_told_so_and_sends_nothing(self, texts: Texts) -> None:
        texts.stage.meter._suspend(ALICE, Suspicion.WANGIRI)
        await texts.write()
        assert texts.said() == [f"Your message was not sent. {SUSPENDED.user_text}"]
        assert not texts.sip.sent
        assert texts.counted(direction="outbound", trunk=TRUNK, outcome="refused")

    async def test_a_suspended_user_has_all_texts_of_the_day_afterwards(self, stage: Stage) -> None:
        texts = Texts(stage, per_day=1)
        stage.meter._suspend(ALICE, Suspicion.WANGIRI)
        for _ in range(3):
            await texts.write()
        await stage.meter.resume(ALICE)
        await texts.write()
        assert len(texts.sip.sent) == 1

    async def test_a_number_that_may_not_be_called_may_not_be_written_to(self, texts: Texts) -> None:
        texts.stage.matrix.members[ROOM] = frozenset({BOB, GHOST})
        await texts.write(sender=BOB)
        (sentence,) = texts.said()
        assert sentence.startswith("Your message was not sent.")
        assert texts.counted(direction="outbound", trunk="none", outcome="refused")

    async def test_a_trunk_that_is_out_of_service_carries_none_either_way(self, texts: Texts) -> None:
        texts.in_service = False
        await texts.write()
        assert texts.said() == [OUT_OF_SERVICE]
        assert await texts.receive() == 480

    async def test_emergency_services_read_no_texts(self, texts: Texts) -> None:
        texts.stage.matrix.members[ROOM] = frozenset({ALICE, UserId("@_sip_112:example.org")})
        await texts.write("help")
        assert texts.said() == [EMERGENCY]

    async def test_a_trunk_without_texts_is_said_once_in_a_room(self, stage: Stage) -> None:
        texts = Texts(stage, texting=Texting.NONE)
        for _ in range(3):
            await texts.write()
        assert texts.said() == [NO_TEXTS]

    async def test_pictures_are_explained_once_in_a_while(self, texts: Texts) -> None:
        for _ in range(3):
            await texts.write(msgtype="m.image")
        assert texts.said() == [NOT_TEXT]

    async def test_notices_and_edits_go_nowhere(self, texts: Texts) -> None:
        assert await texts.write(msgtype="m.notice")
        assert not texts.sip.sent
        assert not texts.said()

    @pytest.mark.parametrize(
        ("members", "sender"),
        [
            ({ALICE, BOB, GHOST}, ALICE),
            ({ALICE, BOB}, ALICE),
            ({ALICE, GHOST}, BOB),
            ({ALICE, GHOST}, GHOST),
        ],
    )
    async def test_only_a_room_of_two_is_a_conversation(
        self, texts: Texts, members: set[UserId], sender: UserId
    ) -> None:
        texts.stage.matrix.members[ROOM] = frozenset(members)
        assert not await texts.write(sender=sender)
        assert not texts.sip.sent

    async def test_what_is_no_message_is_somebody_elses(self, texts: Texts) -> None:
        assert not await texts.write(type="m.call.invite")


class TestMoney:
    @pytest.fixture
    def limited(self, stage: Stage) -> Stage:
        stage.limits = (Limit(who=("example.org",), day=Cap(cost=10 * CENT)),)
        stage.__post_init__()
        return stage

    async def test_a_days_limit_counts_each_part_and_survives(self, limited: Stage) -> None:
        texts = Texts(limited, price=4 * CENT)
        await texts.write("word " * 40)  # Two parts.
        await texts.write("one more")
        assert len(texts.sip.sent) == 2
        assert texts.said() == [LIMIT_REACHED]
        (use,) = await limited.store.spending.since("2000-01-01")
        assert use.cost == 8 * CENT

    async def test_an_unknown_price_forbids_within_a_limit_of_money(self, limited: Stage) -> None:
        texts = Texts(limited, price=None)
        await texts.write()
        assert texts.said() == [LIMIT_REACHED]

    async def test_without_a_limit_the_price_does_not_matter(self, stage: Stage) -> None:
        texts = Texts(stage, price=None)
        await texts.write()
        assert len(texts.sip.sent) == 1

    async def test_what_is_refused_for_want_of_money_is_no_text_of_the_day_and_told_once_a_minute(
        self, limited: Stage
    ) -> None:
        texts, today = Texts(limited, price=10 * CENT, per_day=2), local_day(limited.clock)
        for _ in range(20):
            await texts.write()
        assert (len(texts.sip.sent), texts.said()) == (1, [LIMIT_REACHED])
        assert await limited.store.sent_texts.on(today.isoformat()) == {ALICE: 1}
        limited.meter.change_rules((), limited.thresholds, SuspensionRule())
        for _ in range(20):
            await texts.write()
        assert (len(texts.sip.sent), texts.said()) == (2, [LIMIT_REACHED, TOO_MANY])

    async def test_what_is_one_too_many_costs_nothing(self, limited: Stage) -> None:
        texts = Texts(limited, price=3 * CENT, per_day=1)
        for _ in range(3):
            await texts.write()
        (use,) = await limited.store.spending.since("2000-01-01")
        assert (use.cost, texts.said()) == (3 * CENT, [TOO_MANY])

    async def test_texts_in_two_rooms_at_once_are_no_more_than_a_day_allows(self, limited: Stage) -> None:
        limited.matrix.members[OTHER_ROOM] = limited.matrix.members[ROOM]
        texts = Texts(limited, price=CENT, per_day=1)
        await asyncio.gather(texts.write(), texts.write(room=OTHER_ROOM))
        assert (len(texts.sip.sent), texts.said()) == (1, [TOO_MANY])


class TestFromAPhone:
    async def test_it_is_in_the_room_of_user_and_phone_before_it_is_acknowledged(self, texts: Texts) -> None:
        assert await texts.receive("Grüße") == 202
        (content,) = texts.stage.matrix.contents("m.room.message")
        assert content == {"msgtype": "m.text", "body": "Grüße"}
        assert texts.stage.matrix.callers == [(PHONE, "Bob")]
        assert texts.stage.matrix.patience_s["m.room.message"] > 86_400
        assert texts.counted(direction="inbound", trunk=TRUNK, outcome="delivered")

    async def test_nobodys_number_is_not_found(self, texts: Texts) -> None:
        assert await texts.receive(called="+15550000") == 404
        assert not texts.said()

    async def test_a_writer_whose_calls_are_not_wanted_is_turned_away(self, texts: Texts) -> None:
        texts.refusal = BLOCKED
        assert await texts.receive() == 603
        assert not texts.said()

    async def test_an_empty_one_is_taken_and_not_shown(self, texts: Texts) -> None:
        assert await texts.receive(" \r\n") == 200
        assert not texts.said()

    async def test_a_homeserver_that_cannot_be_reached_makes_the_sender_try_later(self, texts: Texts) -> None:
        texts.stage.matrix.portal_fails = True
        assert await texts.receive() == 480
        assert texts.counted(direction="inbound", trunk=TRUNK, outcome="refused")

    async def test_a_flood_is_turned_away(self, texts: Texts) -> None:
        statuses = [await texts.receive() for _ in range(70)]
        assert statuses[:60] == [202] * 60
        assert 480 in statuses[60:]

    async def test_stopping_tells_senders_to_try_later(self, texts: Texts) -> None:
        texts.stage.matrix.portal_delay = asyncio.Event()
        texts.desk.handle(TextReceived(text=TextKey("in"), trunk=TRUNK, called="+15550199", caller=PHONE, body="x"))
        await asyncio.sleep(0)
        await texts.desk.stop()
        assert texts.sip.answered == [(TextKey("in"), 480)]
