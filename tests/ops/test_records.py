"""Call records: one line for every attempt, on disk, whatever happens to the disk."""

import asyncio
import errno
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.core.ids import CallId, RoomId, TrunkName, UserId
from bridge.core.pii import Pii
from bridge.core.verdict import MatrixReason, Result
from bridge.ops import record_keeping
from bridge.ops.metrics import PrometheusTelemetry
from bridge.ops.record_keeping import forget_user, records_of, with_record
from bridge.ops.records import CallRecord, CallRecords, LegRecord, RecordFile
from tests.patience import PATIENCE_S


def record(call_id: str = "c1") -> CallRecord:
    return CallRecord(
        call_id=CallId(call_id),
        direction="outbound",
        trunk=TrunkName("carrier"),
        caller=Pii("@alice:example.org"),
        called=Pii("+15550100"),
        user=Pii("@alice:example.org"),
        room_id=RoomId("!room:example.org"),
        t_invite=1_700_000_000.0,
        t_answer=1_700_000_005.25,
        t_end=1_700_000_065.5,
        duration_s=60.25,
        result=Result.SUCCESS,
        reason="completed",
        sip_status=200,
        matrix_reason=MatrixReason.USER_HANGUP,
        ended_by="sip",
        matrix=LegRecord(codec="OPUS", packets_received=10),
        version="1.2.3",
    )


def telemetry() -> PrometheusTelemetry:
    return PrometheusTelemetry(trunks=[], version="1", strict=True)


def outcome(of: PrometheusTelemetry, name: str) -> float | None:
    return of.registry.get_sample_value("trunkline_call_records_total", {"outcome": name})


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def written(into: CallRecords, *several: CallRecord) -> None:
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(into.run())
        for one in several:
            into.add(one)
        into.stop()


async def test_a_record_is_one_line_that_tells_the_whole_call(tmp_path: Path) -> None:
    file = tmp_path / "records"
    await written(CallRecords(file, telemetry=telemetry()), record("c1"), record("c2"))
    first, second = read(file)
    assert (first["call_id"], second["call_id"]) == ("c1", "c2")
    assert first["t_invite"] == "2023-11-14T22:13:20.000Z"
    assert first["t_answer"] == "2023-11-14T22:13:25.250Z"
    assert first["t_ring"] is None
    assert (first["result"], first["reason"], first["matrix_reason"]) == ("success", "completed", "user_hangup")
    assert first["matrix"]["codec"] == "OPUS"
    assert first["duration_s"] == 60.25
    assert file.stat().st_mode & 0o777 == 0o600


async def test_people_are_hashed_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    hashed, plain = tmp_path / "hashed", tmp_path / "plain"
    await written(CallRecords(hashed, telemetry=telemetry()), record())
    await written(CallRecords(plain, telemetry=telemetry(), record_numbers=True), record())
    assert "+15550100" not in hashed.read_text()
    assert "@alice" not in hashed.read_text()
    assert read(hashed)[0]["called"] == str(Pii("+15550100"))
    assert read(plain)[0]["called"] == "+15550100"
    assert read(plain)[0]["user"] == "@alice:example.org"


async def test_no_file_no_records() -> None:
    await written(CallRecords(None, telemetry=telemetry()), record())


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records")
    file.append(["one"])
    (tmp_path / "records").rename(tmp_path / "records.1")
    file.append(["two"])
    (tmp_path / "records").unlink()
    file.append(["three"])
    file.close()
    assert (tmp_path / "records.1").read_text() == "one\n"
    assert (tmp_path / "records").read_text() == "three\n"


def test_a_half_written_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RecordFile(tmp_path / "records")
    file.append(["one"])
    monkeypatch.setattr(os, "write", fill_the_disk_after(3))
    with pytest.raises(OSError, match="No space"):
        file.append(["two-two-two"])
    monkeypatch.undo()
    file.append(["three"])
    file.close()
    assert (tmp_path / "records").read_text() == "one\nthree\n"


def fill_the_disk_after(octets: int) -> Any:
    real, left = os.write, octets

    def write(descriptor: int, content: memoryview) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = real(descriptor, content[:left])
        left -= done
        return done

    return write


class FailingFile(RecordFile):
    """A disk that is full for the first write."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.failures = 1
        self.failed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def append(self, lines: Sequence[str]) -> None:
        if self.failures:
            self.failures -= 1
            self._loop.call_soon_threadsafe(self.failed.set)
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(lines)


async def test_a_full_disk_is_counted_and_the_record_is_written_with_the_next(tmp_path: Path) -> None:
    metrics = telemetry()
    into = CallRecords(tmp_path / "records", telemetry=metrics)
    into._file = disk = FailingFile(tmp_path / "records")
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(into.run())
        into.add(record("c1"))
        await disk.failed.wait()
        into.add(record("c2"))
        into.stop()
    assert [line["call_id"] for line in read(tmp_path / "records")] == ["c1", "c2"]
    assert (outcome(metrics, "failed"), outcome(metrics, "written"), outcome(metrics, "lost")) == (1, 2, 0)


async def test_a_disk_that_stays_full_costs_the_oldest_records_and_no_memory(tmp_path: Path) -> None:
    metrics = telemetry()
    into = CallRecords(tmp_path / "records", telemetry=metrics)
    into._file = disk = FailingFile(tmp_path / "records")
    disk.failures = 1_000
    for number in range(1_100):
        into.add(record(f"c{number}"))
    await written(into)
    assert outcome(metrics, "lost") == 1_100
    assert outcome(metrics, "written") == 0


async def test_whoever_adds_a_record_learns_when_it_is_on_the_disk(tmp_path: Path) -> None:
    into = CallRecords(tmp_path / "records", telemetry=telemetry())
    into._file = disk = FailingFile(tmp_path / "records")
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(into.run())
        first = into.add(record("c1"))
        await disk.failed.wait()
        assert not first.done()
        await into.add(record("c2"))
        assert first.done()
        assert [line["call_id"] for line in read(tmp_path / "records")] == ["c1", "c2"]
        into.stop()
    assert CallRecords(None, telemetry=telemetry()).add(record()).done()


async def test_calls_that_have_a_record_are_known_whatever_stands_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, known = tmp_path / "records", [CallId(name) for name in ("c1", "c2", "c3", "none")]
    assert with_record(file, known) == set()
    await written(CallRecords(file, telemetry=telemetry()), record("c1"), record("c2"), record("other"), record("c3"))
    with file.open("ab") as stream:
        stream.write(b'no record \xff\n[]\n{"call_id": 5}\n{"call_id":"none"')
    assert with_record(file, known) == {"c1", "c2", "c3"}
    lines = file.read_bytes().splitlines(keepends=True)
    monkeypatch.setattr(record_keeping, "_NEWEST_OCTETS", sum(map(len, lines[2:])) + len(lines[1]) // 2)
    assert with_record(file, known) == {"c3"}, "the newest ones, and no half line"


async def test_a_directory_that_vanished_is_survived(tmp_path: Path) -> None:
    metrics = telemetry()
    await written(CallRecords(tmp_path / "gone" / "records", telemetry=metrics), record())
    assert outcome(metrics, "lost") == 1


def ending_at(moment: float, call_id: str, user: str = "@alice:example.org") -> CallRecord:
    return replace(record(call_id), t_end=moment, user=Pii(user), caller=Pii(user))


def file_of(path: Path, *records: CallRecord, reveal: bool = False) -> Path:
    path.write_text("".join(f"{one.to_json(reveal=reveal)}\n" for one in records) + "no record\n")
    return path


async def test_records_are_forgotten_after_their_time(tmp_path: Path) -> None:
    now = time.time()
    file = file_of(tmp_path / "records", ending_at(now - 200, "old"), ending_at(now - 50, "young"))
    counted = telemetry()
    await written(CallRecords(file, telemetry=counted, keep_s=100), ending_at(now, "new"))
    lines = file.read_text().splitlines()
    assert [json.loads(line)["call_id"] for line in lines if line != "no record"] == ["young", "new"]
    assert "no record" in lines, "what nobody can read is left for a person"
    assert outcome(counted, "expired") == 1
    assert file.stat().st_mode & 0o777 == 0o600


async def test_neither_half_a_line_nor_a_clock_that_was_wrong_keeps_old_records(tmp_path: Path) -> None:
    """The one is what a power cut leaves; both come to stand first one day, and stay for a person to look at."""
    file, now = tmp_path / "records.jsonl", time.time()
    half, wrong = '{"call_id":"half', ending_at(now + 10 * 365 * 86_400, "wrong").to_json(reveal=False)
    old, late = (ending_at(now - ago, name).to_json(reveal=False) for ago, name in ((1000, "old"), (500, "late")))
    file.write_text(f"{half}\n{old}\n{wrong}\n{late}\n")
    counted = telemetry()
    await written(CallRecords(file, telemetry=counted, keep_s=100), ending_at(now, "new"))
    lines = file.read_text().splitlines()
    assert lines[:2] == [half, wrong]
    assert [json.loads(line)["call_id"] for line in lines[1:]] == ["wrong", "new"]
    assert outcome(counted, "expired") == 2


async def test_of_a_million_records_only_those_are_read_that_are_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, now, read = tmp_path / "records.jsonl", time.time(), list[str]()
    old, new = (ending_at(now - ago, "call").to_json(reveal=False) for ago in (1000, 0))
    file.write_text(f"{old}\n" + f"{new}\n" * 1000)
    understand = record_keeping._record

    def counting(line: str) -> object:
        read.append(line)
        return understand(line)

    monkeypatch.setattr(record_keeping, "_record", counting)
    assert record_keeping.forget_older(file, now - 100, now + 1) == 1
    assert len(read) == 3  # The first one twice.
    assert file.read_text() == f"{new}\n" * 1000


async def test_a_line_that_a_power_cut_has_halved_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text('{"call_id":"half')
    await written(CallRecords(file, telemetry=telemetry()), record("whole"))
    half, whole = file.read_text().splitlines()
    assert half == '{"call_id":"half'
    assert json.loads(whole)["call_id"] == "whole"


async def test_a_file_with_nothing_old_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    file = file_of(tmp_path / "records", ending_at(time.time(), "young"))
    before = file.stat().st_ino
    await written(CallRecords(file, telemetry=telemetry(), keep_s=100))
    assert file.stat().st_ino == before


@pytest.mark.parametrize("reveal", [False, True])
def test_the_records_of_one_user_are_found_and_taken_out(tmp_path: Path, reveal: bool) -> None:
    alice, bob = UserId("@alice:example.org"), UserId("@bob:example.org")
    file = file_of(tmp_path / "r", ending_at(1, "a1"), ending_at(2, "b1", bob), ending_at(3, "a2"), reveal=reveal)
    assert [known["call_id"] for known in records_of(file, alice)] == ["a1", "a2"]
    assert forget_user(file, alice) == 2
    assert list(records_of(file, alice)) == []
    assert [known["call_id"] for known in records_of(file, bob)] == ["b1"]
    assert forget_user(file, alice) == 0
    assert forget_user(tmp_path / "none", alice) == 0
