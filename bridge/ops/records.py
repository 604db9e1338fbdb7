"""Call records: one line of JSON for every attempt, so that every call can be explained and paid for."""

import asyncio
import contextlib
import json
import math
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from bridge.core.clock import Clock, SystemClock
from bridge.core.ids import CallId, MatrixCallId, RoomId, SipCallId, TrunkName
from bridge.core.pii import Pii
from bridge.core.telemetry import Telemetry
from bridge.core.verdict import MatrixReason, Result
from bridge.ops.record_keeping import forget_older
from bridge.ops.scrubbing import without_host, without_number

_log = structlog.get_logger(__name__)
TIDY_EVERY_S = 3_600.0
_PENDING = 20_000
"""Records that may wait for the disk: more than there can be calls, all of which can end in the same second."""


_OUTCOMES = ("passed", "failed", "attested")
VERIFICATIONS = frozenset(
    ("", "passed", "failed", "unknown", *(f"{outcome}-{level}" for outcome in _OUTCOMES for level in "ABC"))
)
"""`passed` and `failed` are the trunk's network's word, `attested` only the caller's network's (RFC 8588)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRecord:
    """The audio of one leg in numbers.

    `far_…` is what the other end reports of our packets (RTCP), `None` when it did not. Frames of 20 ms are those of
    what came from here, as played to the other side, and counted where audio was transcoded.
    """

    codec: str = ""
    packets_received: int = 0
    packets_sent: int = 0
    packets_lost: int = 0
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    far_packets_lost: int | None = None
    far_jitter_ms: float | None = None
    frames_played: int = 0
    frames_concealed: int = 0
    packets_discarded: int = 0
    playout_delay_ms: float = 0.0
    """How long the other side had it held back in the end, so that late packets were in time."""
    audible: bool | None = None
    """Whether more than silence ever came; `None` when that is not known: of Opus passed through, or of nothing."""
    mos: float | None = None
    """Of what came from here, estimated by the E-model (ITU-T G.107)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call attempt, refused ones included. Moments are seconds since 1970 UTC; durations never come from them."""

    call_id: CallId
    parent: CallId | None = None
    """The call that this one was placed for, or joined to, when a user connected two phones."""
    direction: str
    """`outbound`: a Matrix user called a phone; `inbound`: the other way."""
    test: bool = False
    """Whether this was a test call of the bridge's own, and no user's."""
    trunk: TrunkName | None = None
    tried: tuple[TrunkName, ...] = ()
    """Trunks that failed before, in their order."""
    caller: Pii
    called: Pii
    connected: Pii | None = None
    """Whom the call was with in the end, when that is neither: after a transfer, or a diversion that is told."""
    menu_path: tuple[str, ...] = ()
    """The spoken menu that was called, and what was chosen: names of menus, and kinds of what else was reached."""
    transfers: int = 0
    user: Pii | None = None
    """The Matrix user of the call; of a call to a group, who took it."""
    group: str = ""
    """The group that was called."""
    room_id: RoomId | None = None
    matrix_call_id: MatrixCallId | None = None
    sip_call_id: SipCallId | None = None
    t_invite: float
    t_ring: float | None = None
    early_media: bool = False
    """Whether the caller heard what was played before the phone was answered; whether it was, says `t_answer`."""
    t_answer: float | None = None
    t_end: float
    duration_s: float = 0.0
    """From answer to end, by the monotonic clock."""
    cost: str | None = None
    """What the call cost by the trunk's rates, in their currency; `None` for a call that costs nothing to know of."""
    currency: str | None = None
    """What `cost` is in, where the configuration says so."""
    result: Result
    reason: str
    sip_status: int | None = None
    q850: int | None = None
    matrix_reason: MatrixReason | None = None
    ended_by: str = ""
    """`matrix`, `sip` or `bridge`."""
    verification: str = ""
    """What networks said of the phone's number, one of `VERIFICATIONS`; empty when nothing."""
    matrix: LegRecord = field(default_factory=LegRecord)
    sip: LegRecord = field(default_factory=LegRecord)
    transcoded: bool = False
    silent: str = ""
    """`matrix`, `sip` or `both`: from whom nothing came for too long, first."""
    digits: int = 0
    """How many keys were pressed; which ones is nobody's business."""
    node: str = ""
    """The name of the machine, for records of several in one place."""
    version: str

    def to_json(self, *, reveal: bool) -> str:
        """One line without its newline; people are shown as keyed hashes unless `reveal`."""
        members = {name: _plain(getattr(self, name), reveal=reveal) for name in self.__dataclass_fields__}
        if not reveal:
            members["sip_call_id"] = self.sip_call_id and without_host(self.sip_call_id)
            members["matrix_call_id"] = self.matrix_call_id and without_number(self.matrix_call_id)
        members.update({name: _moment(members[name]) for name in members if name.startswith("t_")})
        return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def _plain(value: object, *, reveal: bool) -> Any:
    match value:
        case Pii():
            return value.reveal() if reveal else str(value)
        case LegRecord():
            return {name: _plain(getattr(value, name), reveal=reveal) for name in value.__dataclass_fields__}
        case float():
            return round(value, 6)
        case _:
            return value


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class CallRecords:
    """Appends records to a file, each on disk (fsync) soon after it was added, off the event loop.

    A full disk loses no call and, up to a bound, no record: what could not be written is tried again with the next one.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        telemetry: Telemetry,
        record_numbers: bool = False,
        keep_s: float = math.inf,
        clock: Clock | None = None,
    ) -> None:
        """Records are taken out again when their call ended `keep_s` ago."""
        self._path = path
        self._keep_s, self._clock = keep_s, clock or SystemClock()
        self._tidied_at = -math.inf
        self._file = RecordFile(path) if path is not None else None
        self._telemetry = telemetry
        self._reveal = record_numbers
        self._pending: deque[tuple[str, asyncio.Future[None]]] = deque()
        """Lines, and whoever waits until they are on the disk."""
        self._news = asyncio.Event()
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many records are not on the disk yet."""
        return len(self._pending)

    def add(self, record: CallRecord) -> asyncio.Future[None]:
        """Queue one record; never blocks, never raises. The future is done when it is on the disk, or given up."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._file is None:
            settled.set_result(None)
            return settled
        if len(self._pending) >= _PENDING:
            self._settle_first()
            self._telemetry.count("call_records_total", outcome="lost")
        self._pending.append((record.to_json(reveal=self._reveal), settled))
        self._news.set()
        return settled

    def _settle_first(self) -> None:
        _, settled = self._pending.popleft()
        if not settled.done():
            settled.set_result(None)

    async def run(self) -> None:
        """Write until :meth:`stop`, and then what is left."""
        await self._forget_old()
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIDY_EVERY_S):
                    await self._news.wait()
            self._news.clear()
            await self._write_pending()
            await self._forget_old()
        await self._write_pending()
        if self._file is not None:
            self._telemetry.count("call_records_total", len(self._pending), outcome="lost")
            await asyncio.to_thread(self._file.close)

    def stop(self) -> None:
        """Let :meth:`run` finish."""
        self._stopping = True
        self._news.set()

    async def _forget_old(self) -> None:
        """Now and then; never beside a write, since the file is replaced."""
        if self._path is None or self._clock.monotonic() - self._tidied_at < TIDY_EVERY_S:
            return
        self._tidied_at = self._clock.monotonic()
        try:
            now = self._clock.wall()
            expired = await asyncio.to_thread(forget_older, self._path, now - self._keep_s, now)
        except OSError as error:
            _log.error("call_records_not_forgotten", error=str(error))
            return
        self._telemetry.count("call_records_total", expired, outcome="expired")

    async def _write_pending(self) -> None:
        batch = tuple(self._pending)
        if self._file is None or not batch:
            return
        try:
            await asyncio.to_thread(self._file.append, [line for line, _ in batch])
        except OSError as error:
            self._telemetry.count("call_records_total", outcome="failed")
            _log.error("call_records_not_written", error=str(error), pending=len(self._pending))
            return
        self._telemetry.count("call_records_total", len(batch), outcome="written")
        for written in batch:
            if self._pending and self._pending[0] is written:
                self._settle_first()


class RecordFile:
    """A file that is only appended to, whole lines at a time; opened anew when it was moved away (logrotate)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def append(self, lines: Sequence[str]) -> None:
        """Write and fsync `lines`. On failure none of them is in the file, so that no half line spoils the next."""
        descriptor = self._open()
        before = os.fstat(descriptor).st_size
        rest = memoryview((_line_end(descriptor, before) + "".join(f"{line}\n" for line in lines)).encode())
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # a device cannot be cut, and the first error is the one to tell
                os.ftruncate(descriptor, before)
            raise

    def close(self) -> None:
        """Close the file; the next :meth:`append` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is not None and self._is_in_place(self._descriptor):
            return self._descriptor
        self.close()
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def _is_in_place(self, descriptor: int) -> bool:
        """Whether the path still leads to the file that is open."""
        try:
            there, here = self._path.stat(), os.fstat(descriptor)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _line_end(descriptor: int, size: int) -> str:
    """What a file lacks whose last line a power cut has halved, so that the next one is whole; a device has no size."""
    return "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""
