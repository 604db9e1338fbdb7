"""Messages that phones leave: where they are recorded, and that each reaches its user, whatever happens meanwhile.

A message is noted before it is recorded, and forgotten when the homeserver has it. So neither a crash nor a homeserver
that is away loses one; what a crash has cut off is delivered as far as it goes.
"""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Protocol

import structlog

from bridge.app.greetings import Greetings
from bridge.calls import outcomes
from bridge.calls.call import Call
from bridge.calls.ports import MatrixPort
from bridge.core.clock import Clock
from bridge.core.errors import CallError, TrunklineError
from bridge.core.ids import E164, CallId, UserId
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import Result, Verdict
from bridge.matrix.texts import voice_message
from bridge.media.ogg_duration import ogg_duration_s
from bridge.media.recorder import MOST_AT_ONCE
from bridge.media.recording import Recorded, RecordedSides, RecordingRequest
from bridge.media.sounds import Sound
from bridge.store import Store, StoreError
from bridge.store.messages import StoredMessage

log = structlog.get_logger(__name__)

SHORTEST_S = 1.0
"""What is shorter is the click of a phone that was put down."""
MAX_WAITING = 1_000
"""Messages on disk; with more the phone hears what it would hear without a message box."""
OCTETS_PER_S = 4_000
"""Of a message's file, rounded up: Opus at 32 kbit/s in Ogg."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
KEPT_FOR_S = 30 * 86_400.0
"""A message that cannot be delivered for so long has nobody who misses it."""
DELIVERY_LIMIT_S = 120.0

NO_ROOM = Verdict(result=Result.SERVER, reason="messages_full", sip_status=480, q850=19)
NOT_KEPT = Verdict(result=Result.SERVER, reason="messages_not_kept", sip_status=480, q850=19)


class MessageRooms(MatrixPort, Protocol):
    """The Matrix side, which keeps files as well."""

    async def upload(self, content: bytes, kind: str, owner: UserId) -> str: ...


class MessageDesk:
    """One for all calls."""

    def __init__(
        self,
        *,
        folder: Path,
        greetings: Greetings,
        store: Store,
        rooms: MessageRooms,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._folder = folder
        self._greetings = greetings
        self._store = store
        self._rooms = rooms
        self._clock = clock
        self._telemetry = telemetry
        self._wake = asyncio.Event()
        self._recording: set[str] = set()
        self._places: dict[CallId, Call] = {}
        """The calls that hear a greeting or leave a message; those that are over make room when the next one comes."""
        self._tasks: set[asyncio.Task[None]] = set()

    # While a message is left.

    def greeting(self, user: UserId) -> Sound:
        """What a phone hears before the beep."""
        return self._greetings.of(user)

    @property
    def greeting_s(self) -> float:
        """The length of the longest of these."""
        return self._greetings.longest_s

    def hold_place(self, call: Call) -> None:
        """Have room at the recorder from the greeting on, whoever comes later; raises `CallError` if there is none."""
        self._places = {call_id: held for call_id, held in self._places.items() if not held.ended}
        if call.call_id not in self._places and len(self._places) >= MOST_AT_ONCE:
            why = call.message.why if call.message is not None else outcomes.NO_ANSWER
            raise CallError(outcomes.attendants_busy(why), "as many messages are being left as can be recorded")
        self._places[call.call_id] = call

    async def make_sure(self, *, longest_s: float) -> None:
        """Raise `CallError` when a message could not be kept now: asked before a phone is answered for it."""
        try:
            await self._check_waiting()
            await asyncio.to_thread(_try_folder, self._folder, round(longest_s * OCTETS_PER_S))
        except (StoreError, OSError) as error:
            log.error("message_not_taken", detail=str(error))
            raise CallError(NOT_KEPT, "there is nowhere to keep a message") from error
        if not self._store.healthy:
            raise CallError(NOT_KEPT, "the database cannot be written")

    async def begin(self, call: Call, *, longest_s: float) -> RecordingRequest:
        """A place for the message of a call. Raises `CallError` when there is none."""
        try:
            return await self._begin(call, longest_s)
        except (StoreError, OSError) as error:
            log.error("message_not_begun", detail=str(error))
            raise CallError(NOT_KEPT, "there is nowhere to keep a message") from error

    async def _begin(self, call: Call, longest_s: float) -> RecordingRequest:
        await self._check_waiting()
        message = StoredMessage(
            message_id=call.call_id,
            user_id=call.matrix.user,
            number=call.number,
            caller_name=call.caller_name,
            left_at=self._clock.wall(),
        )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._recording.add(message.message_id)
        try:
            await self._store.messages.begin(message)
        except BaseException:
            self._recording.discard(message.message_id)
            raise
        return RecordingRequest(
            path=self._path(message.message_id), sides=RecordedSides.PHONE, longest_s=longest_s, beep=True
        )

    async def _check_waiting(self) -> None:
        if await self._store.messages.count() >= MAX_WAITING:
            log.error("messages_full", waiting=MAX_WAITING)
            raise CallError(NO_ROOM, "too many messages wait for their users")

    def recorded(self, recorded: Recorded) -> bool:
        """A recording has ended, its call perhaps as well; gives whether there is a message in it."""
        message_id = recorded.path.stem
        heard = recorded.heard and recorded.duration_s >= SHORTEST_S
        task = asyncio.create_task(self._finish(message_id, recorded, heard=heard))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return heard

    async def never_begun(self, call: Call) -> None:
        """There is no recording in the place that `begin` has given."""
        try:
            await self._forget(call.call_id)
        except (StoreError, OSError) as error:
            log.warning("message_not_noted", detail=str(error))
        finally:
            self._recording.discard(call.call_id)
            self._wake.set()

    async def _finish(self, message_id: str, recorded: Recorded, *, heard: bool) -> None:
        try:
            if heard:
                await self._store.messages.finish(
                    message_id, duration_s=recorded.duration_s, waveform=recorded.waveform
                )
                self._wake.set()
            else:
                await self._forget(message_id)
        except (StoreError, OSError) as error:
            # It stays on disk as one that is being recorded, and is taken over once the database is back.
            log.warning("message_not_noted", detail=str(error))
            self._wake.set()
        except Exception:
            log.exception("message_not_noted")
            self._telemetry.count("internal_errors_total", component="messages")
        finally:
            self._recording.discard(message_id)

    # Until the user has it.

    async def run(self) -> None:
        """Deliver what is left, for as long as this runs; first of all what the last process had not."""
        pause_s = FIRST_PAUSE_S
        while True:
            self._wake.clear()
            try:
                await self._take_over()
                done = await self._deliver_all()
            except StoreError as error:
                log.warning("messages_not_read", reason=str(error))
                done = False
            pause_s = FIRST_PAUSE_S if done else min(pause_s * 2, LONGEST_PAUSE_S)
            try:
                async with asyncio.timeout(None if done else pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def drain(self) -> None:
        """Wait until what was recorded is noted."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_over(self) -> None:
        """What nobody records any more, since a process died or could not note its end: delivered as far as it goes."""
        recording = frozenset(self._recording)
        for message in await self._store.messages.all():
            if message.whole or message.message_id in recording | self._recording:
                continue
            duration_s = await asyncio.to_thread(ogg_duration_s, self._path(message.message_id))
            if duration_s >= SHORTEST_S:
                await self._store.messages.finish(message.message_id, duration_s=duration_s, waveform=())
            else:
                await self._forget(message.message_id)

    async def _deliver_all(self) -> bool:
        """Whether nothing is left that would have to be tried again soon."""
        done = True
        for message in await self._store.messages.all():
            if message.whole:
                done = await self._try(message) and done
        return done

    async def _try(self, message: StoredMessage) -> bool:
        try:
            async with asyncio.timeout(DELIVERY_LIMIT_S):
                await self._deliver(message)
        except (TrunklineError, TimeoutError, OSError) as error:
            log.warning("message_not_delivered", call_id=message.message_id, detail=str(error) or "timeout")
            self._count("failed")
            if self._clock.wall() - message.left_at < KEPT_FOR_S and not isinstance(error, FileNotFoundError):
                return False
        except Exception:
            log.exception("message_delivery_failed", call_id=message.message_id)
            self._telemetry.count("internal_errors_total", component="messages")
            return False
        else:
            log.info("message_delivered", call_id=message.message_id, user=Pii(message.user_id))
            self._count("delivered")
        await self._forget(message.message_id)
        return True

    async def _deliver(self, message: StoredMessage) -> None:
        content = await asyncio.to_thread(self._path(message.message_id).read_bytes)
        portal = await self._rooms.portal(
            user=message.user_id, number=E164(message.number), caller_name=message.caller_name
        )
        address = await self._rooms.upload(content, "audio/ogg", portal.ghost)
        event = voice_message(
            address, octets=len(content), duration_ms=round(message.duration_s * 1000), waveform=message.waveform
        )
        await self._rooms.send_and_wait(
            room_id=portal.room_id,
            sender=portal.ghost,
            event_type=event.type,
            content=event.content,
            txn_id=f"message.{message.message_id}",
            give_up_after_s=DELIVERY_LIMIT_S,
        )

    async def _forget(self, message_id: str) -> None:
        await self._store.messages.drop(message_id)
        try:
            await asyncio.to_thread(self._path(message_id).unlink, missing_ok=True)
        except OSError as error:
            log.error("message_not_erased", call_id=message_id, detail=error.strerror)

    def _path(self, message_id: str) -> Path:
        """Call ids are made by us, of letters and digits."""
        return self._folder / f"{message_id}.ogg"

    def _count(self, outcome: str) -> None:
        self._telemetry.count("voicemail_messages_total", outcome=outcome)


def _try_folder(folder: Path, octets: int) -> None:
    """Find out whether a file of that size can be written. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, octets)
