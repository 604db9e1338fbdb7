"""A user leaves a phone to somebody else: who may be called, who is on the line, and what is told to whom."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from bridge.calls import media_events as medev
from bridge.calls.state import State
from bridge.core.ids import DialogKey, RoomId, UserId
from bridge.sip import events as sip
from tests.app.conftest import open_stage
from tests.app.outsides import ALICE, BOB, GHOST, ROOM, TRUNK
from tests.app.stage import Stage
from tests.app.test_transfers import referred

OTHER_GHOST = UserId("@_sip_+15550111:example.org")
OTHER_ROOM = RoomId("!other:example.org")
FIRST, SECOND = DialogKey("out-1"), DialogKey("out-2")


async def talking(stage: Stage, call_id: str = "call", room_id: RoomId = ROOM, ghost: UserId = GHOST) -> DialogKey:
    """Alice talks with the phone."""
    stage.matrix.members[room_id] = frozenset({ALICE, ghost})
    await stage.invite(call_id, room_id=room_id)
    dialog = DialogKey(f"out-{len(stage.sip.commands)}")
    await feed(stage, sip.CallAnswered(dialog=dialog, sdp="phone answer"))
    live = stage.switchboard.directory.by_dialog(dialog)
    assert live is not None
    stage.switchboard.feed(live, medev.MediaConnected())
    return dialog


async def feed(stage: Stage, event: sip.CallEvent) -> None:
    stage.sip_intake.handle(event)
    await stage.settle()


def placed(stage: Stage) -> tuple[DialogKey, sip.OutgoingCall]:
    """The newest INVITE, and its dialog."""
    at, command = max((n, command) for n, command in enumerate(stage.sip.commands, 1) if command[0] == "invite")
    return DialogKey(f"out-{at}"), command[1]


def ignored(stage: Stage) -> dict[str, str]:
    """How many call events led nowhere, by reason."""
    return dict(re.findall(r'call_events_ignored_total{reason="(\w+)"} (\S+)', stage.telemetry.exposition().decode()))


def wish(call_id: str = "call", **changes: Any) -> Mapping[str, Any]:
    """What matrix-js-sdk sends."""
    return {
        "call_id": call_id,
        "version": "1",
        "party_id": "LAPTOP",
        "replacement_id": "replacement",
        "target_user": {"id": OTHER_GHOST, "display_name": "Carol", "avatar_url": None},
        "create_call": "new",
        **changes,
    }


async def leave(stage: Stage, call_id: str = "call", *, room_id: RoomId = ROOM, **changes: Any) -> None:
    content = {key: value for key, value in wish(call_id, **changes).items() if value is not None}
    await stage.event("m.call.replaces", content, room_id=room_id)


async def test_the_other_phone_is_called_as_the_user_would_and_joined(stage: Stage) -> None:
    first = await talking(stage)
    await leave(stage)
    assert stage.matrix.content("m.call.hangup")["reason"] == "user_hangup"
    other, call = placed(stage)
    assert (call.trunk, call.called, call.caller) == (TRUNK, "+15550111", "+15550199")
    await feed(stage, sip.CallAnswered(dialog=other, sdp="other answer"))
    kept, new = stage.engine.sessions
    assert kept.asked[-1] == "reset_matrix_leg"
    assert new.asked == ["set_sip_answer", "join"]
    await feed(stage, sip.CallEnded(dialog=other))
    assert stage.sip.commands[-1] == ("bye", first)
    assert sorted(stage.reasons()) == ["completed", "completed"]
    assert [kind for kind in stage.matrix.types() if kind == "m.call.hangup"] == ["m.call.hangup"]


async def test_who_has_hidden_the_number_in_a_call_leaves_the_phone_without_showing_it(stage: Stage) -> None:
    await talking(stage, ghost=UserId("@_sip_#31#+15550100:example.org"))
    await leave(stage)
    assert (placed(stage)[1].called, placed(stage)[1].withheld) == ("+15550111", True)


@pytest.mark.parametrize("replaces", [None, "other;to-tag=1;from-tag=2"])
async def test_a_phone_that_the_user_has_left_is_told_that_it_cannot_be_moved_on(
    stage: Stage, replaces: str | None
) -> None:
    first = await talking(stage)
    await leave(stage)
    other = placed(stage)[0]
    await feed(stage, sip.CallAnswered(dialog=other, sdp="other answer"))
    for dialog in (first, other):
        with capture_logs() as logs:
            await feed(stage, referred(dialog, "5550122", replaces=replaces))
        assert stage.sip.commands[-1] == ("refuse_referral", dialog, 403)
        assert [line["reason"] for line in logs if line["event"] == "transfer_refused"] == ["no_user"]
    assert {live.call.state for live in stage.switchboard.lives()} == {State.JOINED}


async def test_the_user_can_call_and_be_called_while_the_two_talk(stage: Stage) -> None:
    await talking(stage)
    await leave(stage)
    await feed(stage, sip.CallAnswered(dialog=placed(stage)[0], sdp="other answer"))
    assert stage.switchboard.directory.of_user(ALICE) == []
    assert len(stage.switchboard.directory.left_by(ALICE)) == 2
    before = len(stage.sip.commands)
    await stage.invite("again")
    assert len(stage.sip.commands) == before + 1


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("@_sip_+442079460000:example.org", "not permitted"),
        ("@_sip_112:example.org", "EMERGENCY"),
        ("@carol:example.org", "telephone numbers only"),
        (None, "telephone numbers only"),
    ],
)
async def test_to_whom_the_user_may_not_leave_a_phone_it_is_not_left(
    stage: Stage, target: str | None, said: str
) -> None:
    first = await talking(stage)
    await leave(stage, target_user={"id": target})
    refusal = stage.matrix.content("m.call.reject_replacement")
    assert (refusal["replacement_id"], refusal["reason"]) == ("replacement", "declined")
    assert stage.sip.commands[-1] == ("bye", first)
    assert stage.matrix.types()[-3:] == ["m.call.reject_replacement", "m.call.hangup", "m.room.message"]
    assert said in stage.matrix.content("m.room.message")["body"]


async def test_a_matrix_user_who_has_a_number_is_called_there(stage: Stage) -> None:
    await talking(stage)
    await leave(stage, target_user={"id": BOB})
    assert placed(stage)[1].called == "+15550188"


async def test_a_wish_without_a_target_or_a_call_is_counted_and_changes_nothing(stage: Stage) -> None:
    await talking(stage)
    await leave(stage, create_call=None)
    await leave(stage, "never heard of")
    assert len(stage.switchboard.directory) == 1
    assert (ignored(stage)["replaces"], ignored(stage)["unknown_call"]) == ("1.0", "1.0")


@pytest.mark.parametrize("awaited_first", [True, False])
async def test_two_phones_on_the_line_are_joined_whichever_word_comes_first(stage: Stage, awaited_first: bool) -> None:
    """matrix-js-sdk tells the one call to wait and the other to go there, in two rooms."""
    first = await talking(stage)
    second = await talking(stage, "consultation", OTHER_ROOM, OTHER_GHOST)
    await_call = {"create_call": None, "await_call": "new"}
    words = [("consultation", OTHER_ROOM, await_call), ("call", ROOM, {})]
    for call_id, room_id, changes in words if awaited_first else reversed(words):
        await leave(stage, call_id, room_id=room_id, **changes)
    assert [command for command in stage.sip.commands if command[0] == "invite"] == stage.sip.commands[:2]
    joins = [session.asked.count("join") for session in stage.engine.sessions]
    assert joins == [1, 0]
    assert stage.matrix.types().count("m.call.hangup") == 2
    await feed(stage, sip.CallEnded(dialog=first))
    assert stage.sip.commands[-1] == ("bye", second)
    assert sorted(stage.reasons()) == ["completed", "completed"]


async def test_a_phone_that_is_told_to_wait_is_not_called_again(stage: Stage) -> None:
    await talking(stage)
    await talking(stage, "consultation", OTHER_ROOM, OTHER_GHOST)
    await leave(stage, "consultation", room_id=OTHER_ROOM, create_call=None, await_call="new")
    assert stage.matrix.types().count("m.call.hangup") == 1
    assert len(stage.switchboard.directory) == 2


@pytest_asyncio.fixture
async def referring(tmp_path: Path) -> AsyncIterator[Stage]:
    """A trunk whose calls are moved by REFER."""
    async with open_stage(tmp_path, refers=True) as stage:
        yield stage


async def test_a_trunk_that_moves_its_calls_by_refer_is_asked_to(referring: Stage) -> None:
    first = await talking(referring)
    await leave(referring)
    assert ("refer", first, "+15550111", None) in referring.sip.commands
    await feed(referring, sip.ReferralProgress(dialog=first, status=100))
    await feed(referring, sip.ReferralProgress(dialog=first, status=200))
    assert referring.sip.commands[-1] == ("bye", first)
    assert referring.reasons() == ["transferred"]


async def test_a_trunk_that_connects_two_of_its_phones_is_asked_to(referring: Stage) -> None:
    first = await talking(referring)
    second = await talking(referring, "consultation", OTHER_ROOM, OTHER_GHOST)
    await leave(referring)
    assert referring.sip.commands[-1] == ("refer", first, "+15550111", second)
    await feed(referring, sip.CallEnded(dialog=second))
    await feed(referring, sip.ReferralProgress(dialog=first, status=200))
    assert sorted(referring.reasons()) == ["completed", "transferred"]


async def test_a_peer_that_takes_no_refer_is_not_asked(referring: Stage) -> None:
    referring.sip.refers = False
    await talking(referring)
    await leave(referring)
    assert "refer" not in referring.sip.names()
    assert placed(referring)[1].called == "+15550111"


async def test_where_the_trunk_refuses_the_other_phone_is_called(referring: Stage) -> None:
    first = await talking(referring)
    await leave(referring)
    await feed(referring, sip.ReferralProgress(dialog=first, status=603, refused=True))
    assert placed(referring)[1].called == "+15550111"


async def test_a_phone_that_does_not_answer_is_told_in_the_room_of_the_first(stage: Stage) -> None:
    first = await talking(stage)
    await leave(stage)
    await feed(stage, sip.CallFailed(dialog=placed(stage)[0], status=486))
    assert stage.sip.commands[-1] == ("bye", first)
    said = stage.matrix.contents("m.room.message")
    assert [content["body"] for content in said] == [
        "The call could not be transferred, and has ended. The number you called is busy."
    ]
    assert sorted(stage.reasons()) == ["busy", "transfer_failed"]


async def test_everything_ends_when_the_bridge_does(stage: Stage) -> None:
    first = await talking(stage)
    await leave(stage)
    other, _ = placed(stage)
    await stage.switchboard.shut_down(1.0)
    assert {("bye", first), ("cancel", other)} <= set(stage.sip.commands)
    assert len(stage.switchboard.directory) == 0


@pytest.mark.parametrize(
    "kind",
    [
        *("m.call.sdp_stream_metadata_changed", "org.matrix.call.sdp_stream_metadata_changed"),
        *("m.call.asserted_identity", "org.matrix.call.asserted_identity", "m.call.reject_replacement"),
    ],
)
async def test_remarks_of_a_client_are_taken_and_change_nothing(stage: Stage, kind: str) -> None:
    """Muted is not dead: that a client says so ends no call, and is no fault either (MSC3077, MSC3086)."""
    await talking(stage)
    before, ignored_before = list(stage.sip.commands), ignored(stage)
    muted = {"purpose": "m.usermedia", "audio_muted": True, "video_muted": True}
    await stage.event(kind, {"call_id": "call", "version": "1", "sdp_stream_metadata": {"stream": muted}})
    assert stage.sip.commands == before
    assert ignored(stage) == ignored_before


async def test_words_of_a_call_that_nobody_knows_yet_are_counted(stage: Stage) -> None:
    await stage.event("m.call.hologram", {"call_id": "call", "version": "1"})
    await stage.event("m.call.member", {}, state_key="@alice:example.org")
    assert ignored(stage)["unknown_kind"] == "1.0"
