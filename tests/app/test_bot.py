"""The bot in a room with one person, on a homeserver."""

import time
from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.app.bot_desk import BotDesk
from bridge.app.bot_room import COMMANDS_AT_ONCE, BotRoom
from bridge.app.directory import Directory
from bridge.app.forward_book import ForwardBook
from bridge.app.history import History
from bridge.app.meter import Meter
from bridge.app.people import People
from bridge.bot import replies
from bridge.bot.commands import Forward, Resume, Ring, Status, Voicemail
from bridge.core.clock import SystemClock
from bridge.core.ids import E164, GroupName, RoomId, TrunkName, UserId
from bridge.core.presence import RingWhen
from bridge.core.telemetry import NoTelemetry
from bridge.core.turn import Turn
from bridge.matrix.events import RoomEvent
from bridge.numbers.forwards import ForwardLimits
from bridge.numbers.groups import Group
from bridge.numbers.hours import parse_hours
from bridge.numbers.permission import Permission
from bridge.numbers.policy import NumberPlan, TrunkChoice
from bridge.numbers.reach import Reach, ToGroup, ToUser
from bridge.numbers.refusals import NO_NUMBER, NOT_PERMITTED
from bridge.store.people import PastCall
from bridge.store.spending import StoredSuspension
from tests.app.stage import meter_of
from tests.homeserver import Fault, ScriptedHomeserver
from tests.matrix.bridge_fixture import Bridge, Handled, running_bridge

NUMBER = "+15550100"
GHOST = UserId("@_sip_+15550100:example.org")
ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")
SALES = GroupName("sales")
CARRIER, PBX = TrunkName("carrier"), TrunkName("pbx")


@dataclass(slots=True, kw_only=True)
class Scene:
    """A homeserver, the Matrix side and the bot."""

    hs: ScriptedHomeserver
    bridge: Bridge
    people: People
    meter: Meter

    async def invite_bot(self) -> RoomId:
        room = await self.hs.create_dm(ALICE, self.hs.bot)
        await self.said(room)
        return room

    def notices(self, room: RoomId) -> list[str]:
        events = self.hs.events(room, "m.room.message")
        return [event["content"]["body"] for event in events if event["sender"] == self.hs.bot]

    async def said(self, room: RoomId, count: int = 1) -> str:
        """What the bot said last, once it has said so much."""
        await self.hs.wait_until(lambda: len(self.notices(room)) >= count)
        return self.notices(room)[-1]

    async def say(self, room: RoomId, text: str, **content: object) -> None:
        await self.hs.send_as(ALICE, room, "m.room.message", {"msgtype": "m.text", "body": text, **content})

    async def ask(self, room: RoomId, text: str) -> str:
        before = len(self.notices(room))
        await self.say(room, text)
        return await self.said(room, before + 1)

    async def settled(self, room: RoomId) -> list[str]:
        """Everything said so far: one more question in the same room is answered after all others."""
        await self.say(room, "voicemail")
        await self.hs.wait_until(lambda: self.notices(room)[-1:] == [replies.NO_VOICEMAIL])
        return self.notices(room)[:-1]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    plan = NumberPlan(
        permissions=(Permission(who=(ALICE,), prefixes=("+1555",)),),
        trunks=(TrunkChoice(name=CARRIER, forwards=True), TrunkChoice(name=PBX)),
        inbound={"+15550199": Reach.of_user(ALICE)},
    )
    handled = Handled()
    async with ScriptedHomeserver() as hs:
        hs.add_user("alice")
        hs.add_user("bob")
        async with running_bridge(hs, tmp_path / "db", handled=handled) as bridge:
            clock = SystemClock()
            forwards = ForwardBook(ForwardLimits, bridge.store, clock, NoTelemetry())
            people = await People.load(
                bridge.store,
                history_days=90,
                forwards=forwards,
                clock=clock,
                name_of={"+15550177": "Joan"}.get,
                turn=Turn(),
            )
            meter = meter_of(bridge.store, plan, bridge.service, admins=(ALICE,))
            desk = BotDesk(
                plan=lambda: plan,
                trunk_up=lambda trunk: trunk == CARRIER,
                rooms=bridge.service,
                directory=Directory(),
                people=people,
                meter=meter,
                admins=lambda: (ALICE,),
                knows_presence=lambda: True,
            )
            bot = BotRoom(
                desk=desk,
                matrix=bridge.service,
                store=bridge.store,
                clock=SystemClock(),
                telemetry=bridge.telemetry,
            )

            async def work(event: RoomEvent) -> None:
                if bot.concerns(event):
                    await bot.handle(event)

            handled.during = work
            yield Scene(hs=hs, bridge=bridge, people=people, meter=meter)


def desk_of(
    scene: Scene,
    *,
    admins: Callable[[], Container[UserId]] = tuple,
    groups: Callable[[], Mapping[GroupName, Group]] = dict,
    inbound: Mapping[str, Reach] | None = None,
    message_reasons: Callable[[UserId], Sequence[str] | None] = lambda user: None,
    pbx_voicemail: str = "",
) -> BotDesk:
    """A desk beside the scene's own, which knows of nobody's presence."""
    return BotDesk(
        plan=lambda: NumberPlan(
            permissions=(Permission(who=(ALICE,), prefixes=("+1555",)),),
            trunks=(TrunkChoice(name=CARRIER, forwards=True, voicemail=pbx_voicemail),),
            inbound=inbound or {},
        ),
        trunk_up=lambda trunk: True,
        rooms=scene.bridge.service,
        directory=Directory(),
        people=scene.people,
        meter=scene.meter,
        admins=admins,
        groups=groups,
        message_reasons=message_reasons,
    )


# --- the room ------------------------------------------------------------------------------------------------------


async def test_it_joins_a_room_of_its_own_with_a_user_and_greets_once(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert scene.notices(room) == [replies.GREETING]
    assert scene.hs.users[scene.hs.bot] == "Telephone"
    assert await scene.ask(room, "help") == replies.HELP
    (first, *_) = scene.hs.events(room, "m.room.message")
    assert first["content"]["msgtype"] == "m.notice"


async def test_what_was_said_before_it_had_joined_is_answered(scene: Scene) -> None:
    scene.hs.disconnect()
    room = await scene.hs.create_dm(ALICE, scene.hs.bot, wait=False)
    await scene.say(room, "help")
    scene.hs.connect("http://{}:{}".format(*scene.bridge.service.address))
    assert await scene.said(room, 2) == replies.HELP
    assert scene.notices(room)[0] == replies.GREETING


async def test_it_keeps_out_of_public_rooms_of_rooms_with_others_and_of_strangers_rooms(scene: Scene) -> None:
    public = await scene.hs.create_room(ALICE, invite=[scene.hs.bot], public=True)
    await scene.hs.wait_member(public, scene.hs.bot, "leave")
    crowded = await scene.hs.create_room(ALICE)
    await scene.hs.join_as(BOB, crowded)
    await scene.hs.invite_as(ALICE, crowded, scene.hs.bot)
    await scene.hs.wait_member(crowded, scene.hs.bot, "leave")
    foreign = await scene.hs.create_room(UserId("@carol:elsewhere.org"), invite=[scene.hs.bot])
    await scene.hs.wait_member(foreign, scene.hs.bot, "leave")
    assert [scene.notices(room) for room in (public, crowded, foreign)] == [[], [], []]


async def test_when_somebody_else_comes_in_it_falls_silent(scene: Scene) -> None:
    room = await scene.invite_bot()
    await scene.hs.join_as(BOB, room)
    await scene.say(room, "status")
    await scene.hs.leave_as(BOB, room)
    assert await scene.settled(room) == [replies.GREETING]


async def test_it_says_nothing_in_the_room_of_a_phone(scene: Scene) -> None:
    portal = await scene.hs.create_dm(ALICE, GHOST)
    await scene.say(portal, "help")
    await scene.bridge.handled.wait("m.room.message")
    assert len(scene.hs.events(portal, "m.room.message")) == 1


async def test_an_encrypted_room_gets_one_notice(scene: Scene) -> None:
    room = await scene.invite_bot()
    await scene.hs.send_as(ALICE, room, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"}, "")
    for _ in range(3):
        await scene.hs.send_as(ALICE, room, "m.room.encrypted", {"ciphertext": "x"})
    assert await scene.settled(room) == [replies.GREETING, replies.ENCRYPTED]


async def test_invited_to_an_encrypted_room_it_does_not_promise_anything(scene: Scene) -> None:
    room = await scene.hs.create_room(ALICE)
    await scene.hs.send_as(ALICE, room, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"}, "")
    await scene.hs.invite_as(ALICE, room, scene.hs.bot)
    assert await scene.said(room) == replies.ENCRYPTED


async def test_when_the_user_leaves_so_does_the_bot(scene: Scene) -> None:
    room = await scene.invite_bot()
    await scene.hs.leave_as(ALICE, room)
    await scene.hs.wait_member(room, scene.hs.bot, "leave")


# --- who is answered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {"msgtype": "m.notice"},
        {"msgtype": "m.image"},
        {"m.relates_to": {"rel_type": "m.replace", "event_id": "$1"}},
        {"body": ""},
        {"body": 7},
        {"msgtype": ["m.text"]},
    ],
)
async def test_notices_edits_and_pictures_are_not_answered(scene: Scene, content: dict[str, object]) -> None:
    room = await scene.invite_bot()
    await scene.say(room, **{"text": "help", **content})  # type: ignore[arg-type]
    assert await scene.settled(room) == [replies.GREETING]


async def test_a_message_from_long_ago_is_not_worked_on(scene: Scene) -> None:
    room = await scene.invite_bot()
    scene.hs.disconnect()
    await scene.say(room, "dnd on")
    scene.hs.rooms[room].timeline[-1]["origin_server_ts"] = int(time.time() * 1000) - 600_000
    scene.hs.connect("http://{}:{}".format(*scene.bridge.service.address))
    assert await scene.settled(room) == [replies.GREETING]
    assert not scene.people.settings.of(ALICE).do_not_disturb


async def test_who_asks_too_much_is_told_once_and_then_not_answered(scene: Scene) -> None:
    room = await scene.invite_bot()
    for _ in range(COMMANDS_AT_ONCE + 5):
        await scene.say(room, "what")
    await scene.bridge.handled.wait("m.room.message", COMMANDS_AT_ONCE + 5)
    await scene.said(room, COMMANDS_AT_ONCE + 2)
    assert scene.notices(room)[1:] == [replies.UNKNOWN] * COMMANDS_AT_ONCE + [replies.TOO_FAST]


async def test_a_repeated_transaction_is_answered_once(scene: Scene) -> None:
    room = await scene.invite_bot()
    scene.hs.faults.append(Fault(path="/send/m.room.message", status=502, after=True))
    await scene.ask(room, "dnd on")
    assert len(await scene.settled(room)) == 2


# --- the commands ----------------------------------------------------------------------------------------------------


async def test_call_makes_a_room_with_the_number_and_leads_there(scene: Scene) -> None:
    room = await scene.invite_bot()
    answer = await scene.ask(room, "call (555) 555-0100")
    portal = await scene.bridge.service.portal(user=ALICE, number=E164("+15555550100"))
    assert portal.room_id.partition(":")[0][1:] in answer
    assert scene.hs.rooms[portal.room_id].membership(ALICE) == "invite"


async def test_call_says_why_not_before_any_room_is_made(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert await scene.ask(room, "call +4930123456") == NOT_PERMITTED.user_text
    assert await scene.ask(room, "call Jane") == NO_NUMBER.user_text
    assert len(scene.hs.rooms) == 1


async def test_a_homeserver_in_trouble_is_an_answer_too(scene: Scene) -> None:
    room = await scene.invite_bot()
    scene.hs.faults.append(Fault(path="/createRoom", status=403, errcode="M_FORBIDDEN"))
    assert await scene.ask(room, f"call {NUMBER}") == replies.FAILED


async def test_do_not_disturb_goes_on_and_off(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert "busy" in await scene.ask(room, "dnd on")
    assert "Do not disturb: on" in await scene.ask(room, "status")
    assert "ring again" in await scene.ask(room, "dnd off")
    assert not scene.people.settings.of(ALICE).do_not_disturb


async def test_users_choose_whether_they_are_rung_while_away(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert await scene.ask(room, "ring unless offline") == replies.RINGING[RingWhen.NOT_OFFLINE]
    assert scene.people.settings.of(ALICE).ring_when is RingWhen.NOT_OFFLINE
    assert "Ringing: unless offline" in await scene.ask(room, "status")
    assert await scene.ask(room, "ring always") == replies.RINGING[RingWhen.ALWAYS]
    assert scene.people.settings.of(ALICE).ring_when is RingWhen.ALWAYS


async def test_where_presence_is_not_known_nobody_is_promised_anything(scene: Scene) -> None:
    desk = desk_of(scene)
    assert await desk.do(ALICE, Ring(when=RingWhen.ONLINE)) == replies.NO_PRESENCE
    assert scene.people.settings.of(ALICE).ring_when is None


async def test_forwarding_says_over_which_trunks_calls_still_ring(scene: Scene) -> None:
    room = await scene.invite_bot()
    answer = await scene.ask(room, "forward +1 555 5550122")
    assert "Calls over pbx still ring you." in answer
    assert scene.people.settings.of(ALICE).forward == "+15555550122"
    await scene.ask(room, "forward off")
    assert scene.people.settings.of(ALICE).forward == ""


async def test_forwarding_is_refused_as_a_call_there_would_be(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert await scene.ask(room, "forward +4930123456") == NOT_PERMITTED.user_text
    assert scene.people.settings.of(ALICE).forward == ""


@pytest.mark.parametrize(
    ("number", "reach"),
    [
        ("+1555020*", Reach.of_user(ALICE)),
        ("201", Reach.of_user(ALICE)),
        ("+15550199", Reach(to=ToGroup(SALES), hours=parse_hours("mon 9:00-17:00"), otherwise=ToUser(ALICE))),
    ],
    ids=["block", "extension", "outside of hours"],
)
async def test_whoever_a_number_rings_can_forward(scene: Scene, number: str, reach: Reach) -> None:
    desk = desk_of(scene, inbound={number: reach})
    assert "now go to" in await desk.do(ALICE, Forward(number="+1 555 5550122"))
    assert scene.people.settings.of(ALICE).forward == "+15555550122"


async def test_calls_to_a_group_ring_its_members_and_are_forwarded_by_none(scene: Scene) -> None:
    reached: dict[str, Reach] = {"+15550190": Reach(to=ToGroup(SALES))}
    groups = {SALES: Group(members=(ALICE,))}
    desk = desk_of(scene, groups=lambda: groups, inbound=reached)
    assert await desk.do(ALICE, Forward(number="+1 555 5550122")) == replies.NOTHING_TO_FORWARD
    assert scene.people.settings.of(ALICE).forward == ""
    desk = desk_of(scene, groups=lambda: groups, inbound={**reached, "+1555020*": Reach.of_user(ALICE)})
    assert "Calls to your groups still ring you." in await desk.do(ALICE, Forward(number="+1 555 5550122"))


async def test_status_knows_a_block_of_numbers(scene: Scene) -> None:
    desk = desk_of(scene, inbound={"+1555020*": Reach.of_user(ALICE)})
    assert "Your number: all that begin with +1555020\n" in await desk.do(ALICE, Status())


async def test_numbers_are_blocked_listed_and_let_through_again(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert await scene.ask(room, "block") == replies.blocked([])
    assert "cannot call you" in await scene.ask(room, "block +1 555 5550177")
    assert scene.people.settings.blocked(ALICE) == {"+15555550177"}
    assert "+1" in await scene.ask(room, "block")
    assert "can call you again" in await scene.ask(room, "unblock +1 555 5550177")
    assert await scene.ask(room, "unblock +1 555 5550177") == replies.NOT_BLOCKED
    assert await scene.ask(room, "block me") == NO_NUMBER.user_text


async def test_hours_are_set_as_they_are_written(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert "mon-fri 9:00-17:00" in await scene.ask(room, "hours Mon-Fri 9:00-17:00")
    assert scene.people.settings.of(ALICE).hours == "mon-fri 9:00-17:00"
    assert "Hours: mon-fri 9:00-17:00" in await scene.ask(room, "status")
    assert "Please say it like this" in await scene.ask(room, "hours from nine to five")
    assert scene.people.settings.of(ALICE).hours == "mon-fri 9:00-17:00"
    assert "all hours" in await scene.ask(room, "hours off")


async def test_callers_without_a_number_are_turned_away_on_request(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert "turned away" in await scene.ask(room, "refuse anonymous")
    assert scene.people.settings.of(ALICE).refuses_anonymous
    assert "Anonymous callers: refused" in await scene.ask(room, "status")
    assert "can call you again" in await scene.ask(room, "accept anonymous")


async def test_history_shows_the_last_ten_calls_by_name(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert await scene.ask(room, "history") == replies.NO_HISTORY
    for number in [NUMBER] * 10 + ["+15550177"]:
        call = PastCall(
            user_id=ALICE,
            number=number,
            direction="inbound",
            reason="no_answer",
            began_at=0.0,
            ended_at=time.time(),
            talk_s=0.0,
        )
        await scene.bridge.store.past_calls.add(call)
    newest, *others = (await scene.ask(room, "history")).splitlines()
    assert newest.endswith("from Joan (+1 5550177): missed")
    assert len(others) == 9


async def test_history_that_is_not_kept_is_said_to_be_so(scene: Scene) -> None:
    scene.people.history._days = 0
    room = await scene.invite_bot()
    assert await scene.ask(room, "history") == replies.HISTORY_IS_OFF
    assert not History(scene.bridge.store, days=0, clock=SystemClock()).kept


async def test_without_voicemail_it_is_honest(scene: Scene) -> None:
    assert await scene.ask(await scene.invite_bot(), "voicemail") == replies.NO_VOICEMAIL


async def test_who_has_a_message_box_is_told_when_a_message_is_left_and_where_it_comes(scene: Scene) -> None:
    desk = desk_of(scene, message_reasons={ALICE: ("no_answer", "busy")}.get)
    answer = await desk.do(ALICE, Voicemail())
    assert answer == replies.message_box(("no_answer", "busy"))
    assert await desk.do(BOB, Voicemail()) == replies.NO_VOICEMAIL


async def test_voicemail_of_a_pbx_is_a_room_to_call_it_from_beside_a_message_box_of_ours(scene: Scene) -> None:
    desk = desk_of(scene, pbx_voicemail="+15555550197")
    assert (await desk.do(ALICE, Voicemail())).startswith("To call +1 555-555-0197, open this room")
    desk = desk_of(scene, pbx_voicemail="+15555550197", message_reasons=lambda user: ("no_answer",))
    ours, theirs = (await desk.do(ALICE, Voicemail())).splitlines()
    assert ours == replies.message_box(("no_answer",))
    assert theirs.startswith("To call +1 555-555-0197, open this room")


async def test_nothing_is_said_of_the_voicemail_of_a_pbx_to_who_has_a_message_box_and_may_not_call_it(
    scene: Scene,
) -> None:
    desk = desk_of(scene, pbx_voicemail="*97", message_reasons=lambda user: ("no_answer",))
    assert await desk.do(ALICE, Voicemail()) == replies.message_box(("no_answer",))
    assert await desk_of(scene, pbx_voicemail="*97").do(ALICE, Voicemail()) == NOT_PERMITTED.user_text


# --- names -----------------------------------------------------------------------------------------------------------


def shown_in(scene: Scene, portal: RoomId) -> object:
    return scene.hs.rooms[portal].state["m.room.member", GHOST]["content"].get("displayname")


async def test_a_name_is_shown_in_the_own_room_of_the_number_and_nowhere_else(scene: Scene) -> None:
    room = await scene.invite_bot()
    mine = (await scene.bridge.service.portal(user=ALICE, number=E164(NUMBER))).room_id
    other = (await scene.bridge.service.portal(user=BOB, number=E164(NUMBER))).room_id
    assert "is now called Jane Doe" in await scene.ask(room, f"name {NUMBER} Jane Doe")
    assert (shown_in(scene, mine), shown_in(scene, other)) == ("Jane Doe", None)
    assert scene.hs.users[GHOST] == "+1 5550100"
    await scene.ask(room, f"name {NUMBER}")
    assert shown_in(scene, mine) == "+1 5550100"


async def test_a_name_given_before_the_first_call_is_shown_from_then_on(scene: Scene) -> None:
    room = await scene.invite_bot()
    await scene.ask(room, f"name {NUMBER} Jane")
    portal = (await scene.bridge.service.portal(user=ALICE, number=E164(NUMBER))).room_id
    assert shown_in(scene, portal) == "Jane"


async def test_a_name_that_the_profile_has_overwritten_is_back_at_the_next_call(scene: Scene) -> None:
    room = await scene.invite_bot()
    await scene.ask(room, f"name {NUMBER} Jane")
    portal = (await scene.bridge.service.portal(user=ALICE, number=E164(NUMBER))).room_id
    await scene.hs.send_as(GHOST, portal, "m.room.member", {"membership": "join", "displayname": "Joan"}, GHOST)
    await scene.bridge.service.portal(user=ALICE, number=E164(NUMBER))
    assert shown_in(scene, portal) == "Jane"


async def test_no_name_can_be_shown_and_no_call_is_lost(scene: Scene) -> None:
    room = await scene.invite_bot()
    await scene.ask(room, f"name {NUMBER} Jane")
    scene.hs.faults.append(Fault(path="/state/m.room.member", status=403, errcode="M_FORBIDDEN", times=9))
    assert (await scene.bridge.service.portal(user=ALICE, number=E164(NUMBER))).room_id in scene.hs.rooms


async def test_there_is_an_end_to_names(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.app.bot_desk.MAX_NAMES", 1)
    room = await scene.invite_bot()
    await scene.ask(room, "name 201 Jane")
    assert await scene.ask(room, "name 202 Joan") == replies.TOO_MANY_NAMES
    assert "is now called Joan" in await scene.ask(room, "name 201 Joan")


async def test_an_administrator_ends_a_suspension(scene: Scene) -> None:
    room = await scene.invite_bot()
    assert await scene.ask(room, f"resume {BOB}") == replies.NOT_SUSPENDED
    await scene.bridge.store.suspensions.put(StoredSuspension(user_id=BOB, reason="sequential", until=2e10))
    await scene.meter.load()
    assert not scene.meter.may_forward(BOB)
    assert await scene.ask(room, f"resume {BOB}") == replies.resumed(BOB)
    assert scene.meter.may_forward(BOB)
    assert await scene.bridge.store.suspensions.all() == ()


async def test_nobody_else_ends_a_suspension(scene: Scene) -> None:
    desk = desk_of(scene, admins=lambda: (ALICE,))
    assert await desk.do(BOB, Resume(user=BOB)) == replies.NO_ADMIN


async def test_who_is_rung_for_a_group_is_told_so(scene: Scene) -> None:
    groups = {SALES: Group(members=(ALICE,)), GroupName("office"): Group(members=(BOB,))}
    desk = desk_of(scene, groups=lambda: groups)
    assert "Groups that ring you: sales\n" in await desk.do(ALICE, Status())
