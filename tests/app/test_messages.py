"""Messages on their way to their users: through a crash, and while the homeserver is away."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bridge.app import message_desk
from bridge.app.announcements import Announcements
from bridge.app.greetings import Greetings
from bridge.app.live_call import LiveCall
from bridge.app.media_work import MediaWork
from bridge.app.message_desk import MessageDesk
from bridge.app.prompts import Prompts
from bridge.app.repertoire import Repertoire
from bridge.calls import events as ev
from bridge.calls import media_events as medev
from bridge.calls import outcomes
from bridge.calls.call import Call
from bridge.calls.message import MessageBox
from bridge.calls.message_commands import PlayGreeting, RecordMessage, WriteOwnAnswer
from bridge.calls.state import EndedBy
from bridge.core.clock import SystemClock
from bridge.core.errors import CallError
from bridge.core.ids import EventId
from bridge.matrix.link import MatrixError
from bridge.media.ogg_duration import ogg_duration_s
from bridge.media.policy import DEFAULT_POLICY
from bridge.media.recorder import MOST_AT_ONCE
from bridge.media.recording import Recorded, RecordingEnd, RecordingRequest
from bridge.media.verdicts import unavailable
from bridge.store import Store, StoreError
from tests.app.outsides import StageEngine, StageMatrix, StageSession
from tests.calls import scenes
from tests.matrix.bridge_fixture import Counts
from tests.patience import PATIENCE_S
from tests.stores import open_store

AUDIO = b"OggS\x00\x04" + (96_000).to_bytes(8, "little") + bytes(100)
"""The last page of two seconds."""


@dataclass(slots=True)
class Rooms(StageMatrix):
    """A homeserver that keeps files, and is away as often as `away` says."""

    away: int = 0
    uploads: list[bytes] = field(default_factory=list)
    delivered: asyncio.Event = field(default_factory=asyncio.Event)

    async def upload(self, content: bytes, kind: str, owner: str) -> str:
        if self.away:
            self.away -= 1
            raise MatrixError("M_UNAVAILABLE", "away", status=503)
        self.uploads.append(content)
        return f"mxc://example.org/{len(self.uploads)}"

    async def send_and_wait(self, **event: Any) -> EventId:
        self.delivered.set()
        return await StageMatrix.send_and_wait(self, **event)


@dataclass
class Scene:
    store: Store
    rooms: Rooms
    desk: MessageDesk
    folder: Path
    counts: Counts

    async def leave(self, call_id: str = "call-2", **recorded: Any) -> bool:
        """A phone leaves a message; gives whether it is one."""
        request = await self.desk.begin(call(call_id), longest_s=60.0)
        request.path.write_bytes(AUDIO)
        made = {"duration_s": 2.0, "heard": True, "waveform": (0, 512, 1024), **recorded}
        return self.desk.recorded(Recorded(path=request.path, end=RecordingEnd.STOPPED, octets=len(AUDIO), **made))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():  # noqa: ASYNC110 - the disk tells nobody
                await asyncio.sleep(0.005)

    def messages(self) -> list[Any]:
        return self.rooms.contents("m.room.message")


def call(call_id: str = "call-2") -> Call:
    made = scenes.ringing()
    made.call_id = call_id  # type: ignore[assignment]
    return made


@asynccontextmanager
async def desk(path: Path, rooms: Rooms | None = None, *, delivering: bool = True) -> AsyncIterator[Scene]:
    store, counts = await open_store(path / "db"), Counts()
    rooms = rooms or Rooms()
    made = MessageDesk(
        folder=path / "messages",
        greetings=Greetings(Repertoire),
        store=store,
        rooms=rooms,
        clock=SystemClock(),
        telemetry=counts,
    )
    running = asyncio.create_task(made.run()) if delivering else None
    try:
        yield Scene(store, rooms, made, path / "messages", counts)
    finally:
        if running is not None:
            running.cancel()
        await made.drain()
        await store.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_desk, "FIRST_PAUSE_S", 0.01)


async def test_a_message_comes_as_a_voice_message_and_is_forgotten(tmp_path: Path) -> None:
    async with desk(tmp_path) as scene:
        assert await scene.leave()
        await scene.until(lambda: not list(scene.folder.glob("*")))
        (content,) = scene.messages()
        assert content["msgtype"] == "m.audio"
        assert content["url"] == "mxc://example.org/1"
        assert content["info"] == {"duration": 2000, "mimetype": "audio/ogg", "size": len(AUDIO)}
        assert content["org.matrix.msc1767.audio"] == {"duration": 2000, "waveform": [0, 512, 1024]}
        assert content["org.matrix.msc3245.voice"] == {}
        assert scene.rooms.uploads == [AUDIO]
        assert await scene.store.messages.all() == ()


async def test_it_waits_on_disk_while_the_homeserver_is_away(tmp_path: Path) -> None:
    async with desk(tmp_path, Rooms(away=3)) as scene:
        await scene.leave()
        await asyncio.wait_for(scene.rooms.delivered.wait(), PATIENCE_S)
        assert len(scene.messages()) == 1
        assert scene.counts.counts["voicemail_messages_total", "outcome=failed"] == 3


async def test_a_message_that_waited_when_the_process_ended_is_delivered_by_the_next(tmp_path: Path) -> None:
    async with desk(tmp_path, delivering=False) as scene:
        await scene.leave()
    async with desk(tmp_path) as scene:
        await asyncio.wait_for(scene.rooms.delivered.wait(), PATIENCE_S)
        assert [txn_id for _, _, txn_id in scene.rooms.sent] == ["message.call-2"]


async def test_what_a_crash_cut_off_is_delivered_as_far_as_it_goes(tmp_path: Path) -> None:
    async with desk(tmp_path, delivering=False) as scene:
        request = await scene.desk.begin(call(), longest_s=60.0)
        request.path.write_bytes(AUDIO)
        empty = await scene.desk.begin(call("call-3"), longest_s=60.0)
        empty.path.write_bytes(b"")
    async with desk(tmp_path) as scene:
        await asyncio.wait_for(scene.rooms.delivered.wait(), PATIENCE_S)
        await scene.until(lambda: not list(scene.folder.glob("*")))
        (content,) = scene.messages()
        assert content["info"]["duration"] == 2000


@pytest.mark.parametrize("recorded", [{"heard": False}, {"duration_s": 0.4}], ids=["silent", "a click"])
async def test_what_is_no_message_is_forgotten(tmp_path: Path, recorded: dict[str, Any]) -> None:
    async with desk(tmp_path) as scene:
        assert not await scene.leave(**recorded)
        await scene.until(lambda: not list(scene.folder.glob("*")))
        assert not scene.messages()


async def test_a_file_that_is_gone_holds_up_no_other(tmp_path: Path) -> None:
    async with desk(tmp_path, delivering=False) as scene:
        await scene.leave("call-1")
        await scene.leave("call-2")
        await scene.desk.drain()
        (scene.folder / "call-1.ogg").unlink()
    async with desk(tmp_path) as scene:
        await asyncio.wait_for(scene.rooms.delivered.wait(), PATIENCE_S)
        await scene.until(lambda: not list(scene.folder.glob("*")))
        assert len(scene.messages()) == 1


async def test_a_full_box_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_desk, "MAX_WAITING", 1)
    async with desk(tmp_path, delivering=False) as scene:
        await scene.leave("call-1")
        with pytest.raises(CallError):
            await scene.desk.begin(call("call-2"), longest_s=60.0)


async def test_a_folder_that_cannot_be_written_takes_no_message(tmp_path: Path) -> None:
    (tmp_path / "messages").write_text("not a folder")
    async with desk(tmp_path) as scene:
        with pytest.raises(CallError):
            await scene.desk.begin(call(), longest_s=60.0)
        assert await scene.store.messages.all() == ()


async def test_a_folder_that_is_gone_stops_no_delivery(tmp_path: Path) -> None:
    async with desk(tmp_path, delivering=False) as scene:
        await scene.desk.begin(call("call-1"), longest_s=60.0)
        scene.folder.rmdir()
        scene.folder.write_text("not a folder")
    async with desk(tmp_path) as scene:
        async with asyncio.timeout(PATIENCE_S):
            while await scene.store.messages.all():  # noqa: ASYNC110 - nor does the database
                await asyncio.sleep(0.005)
        scene.folder.unlink()
        await scene.leave("call-2")
        await asyncio.wait_for(scene.rooms.delivered.wait(), PATIENCE_S)


async def test_a_recording_that_could_not_be_begun_leaves_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as scene:
        await scene.desk.begin(call(), longest_s=60.0)
        await scene.desk.never_begun(call())
        assert await scene.store.messages.all() == ()


async def test_a_message_whose_end_could_not_be_noted_comes_once_the_database_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object, **__: object) -> None:
        raise StoreError("disk full")

    async with desk(tmp_path) as scene:
        with monkeypatch.context() as away:
            away.setattr(scene.store.messages, "finish", failing)
            assert await scene.leave()
            await scene.desk.drain()
        await asyncio.wait_for(scene.rooms.delivered.wait(), PATIENCE_S)
        assert not [name for name, _ in scene.counts.counts if name == "internal_errors_total"]


@pytest.mark.parametrize(
    ("content", "duration_s"),
    [
        (b"", 0.0),
        (b"no such file at all", 0.0),
        (AUDIO, 2.0),
        (AUDIO + b"OggS\x00", 2.0),
        (AUDIO + b"OggS\x00\x00" + b"\xff" * 8 + bytes(20), 2.0),
        (AUDIO + bytes(200_000), 0.0),
    ],
)
def test_the_length_of_a_file_is_that_of_its_last_whole_page(tmp_path: Path, content: bytes, duration_s: float) -> None:
    (tmp_path / "x.ogg").write_bytes(content)
    assert ogg_duration_s(tmp_path / "x.ogg") == duration_s


def media_work(scene: Scene, events: list[ev.Event]) -> MediaWork:
    """What carries commands out, and tells these events of it."""
    return MediaWork(
        StageEngine(),
        lambda trunk: DEFAULT_POLICY,
        lambda live, event: events.append(event),
        lambda call_id: None,
        scene.counts,
        scene.desk,
        Announcements(Repertoire, lambda user: "en", SystemClock()),
        Prompts(lambda edition: None),
    )


@pytest.mark.parametrize("trouble", ["no folder", "full disk", "no database"])
async def test_a_phone_is_not_answered_for_a_message_that_could_not_be_kept(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    events: list[ev.Event] = []
    async with desk(tmp_path) as scene:
        match trouble:
            case "no folder":
                scene.folder.write_text("not a folder")
            case "full disk":
                monkeypatch.setattr(os, "posix_fallocate", full)
            case _:
                await scene.store.close()
        live = LiveCall(call=call())
        live.call.message_box = MessageBox(reasons=("no_answer",), longest_s=60.0, limit_s=90.0)
        media_work(scene, events).submit(live, WriteOwnAnswer(late_offer=False))
        await live.drain()
    assert [event.verdict.reason for event in events if isinstance(event, medev.MediaRefused)] == ["messages_not_kept"]


async def test_a_phone_is_not_answered_for_a_message_while_as_many_are_left_as_can_be_recorded(tmp_path: Path) -> None:
    events: list[ev.Event] = []
    async with desk(tmp_path) as scene:
        work = media_work(scene, events)
        lives = [LiveCall(call=call(f"call-{number}")) for number in range(MOST_AT_ONCE + 2)]
        for live in lives[:-1]:
            live.call.message_box = MessageBox(reasons=("no_answer",), longest_s=60.0, limit_s=90.0)
            work.submit(live, WriteOwnAnswer(late_offer=False))
            await live.drain()
        assert [event.verdict.reason for event in events if isinstance(event, medev.MediaRefused)] == [
            "attendants_busy"
        ]
        work.submit(lives[0], PlayGreeting())
        work.submit(lives[-1], PlayGreeting())
        await asyncio.gather(lives[0].drain(), lives[-1].drain())
        assert sum(isinstance(event, medev.MediaRefused) for event in events) == 2, "a menu may lead to no other either"
        lives[0].call.end(outcomes.COMPLETED, EndedBy.SIP, 0.0)
        work.submit(lives[-1], PlayGreeting())
        await lives[-1].drain()
        assert sum(isinstance(event, medev.MediaRefused) for event in events) == 2


async def test_a_call_that_cannot_be_recorded_leaves_no_message_behind(tmp_path: Path) -> None:
    @dataclass(slots=True)
    class Busy(StageSession):
        async def start_recording(self, request: RecordingRequest) -> None:
            raise unavailable("too many calls are recorded")

    events: list[ev.Event] = []
    async with desk(tmp_path) as scene:
        live = LiveCall(call=call())
        live.session = Busy()
        media_work(scene, events).submit(live, RecordMessage(longest_s=60.0))
        await live.drain()
        assert [type(event) for event in events] == [medev.MediaRefused]
        assert await scene.store.messages.all() == ()
