"""One user's data is handed out whole, and erased wherever it lies, while that of others stays."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, inspect

from bridge.cli import main
from bridge.config import Config, load_config, trace_settings
from bridge.core.ids import E164, CallId, RoomId, TrunkName, UserId
from bridge.core.pii import Pii
from bridge.core.verdict import Result as Outcome
from bridge.ops.records import CallRecord
from bridge.store import Store
from bridge.store.administration import StoredChange
from bridge.store.forwards import StoredForward
from bridge.store.messages import StoredMessage
from bridge.store.people import PastCall, StoredSettings
from bridge.store.personal import _ERASED, _KEPT
from bridge.store.rooms import StoredPortal
from bridge.store.spending import StoredSuspension, StoredUse
from bridge.store.tables import forwarded_calls
from bridge.store.traces.file import TraceFile
from bridge.store.traces.rows import TracedCall, TraceEntry

ALICE, BOB = UserId("@alice:example.org"), UserId("@bob:example.org")
NUMBER = E164("+15550100")
ROOMS = {ALICE: RoomId("!alices:example.org"), BOB: RoomId("!bobs:example.org")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trunkline.yaml"
    document = {
        "homeserver": {"url": "http://127.0.0.1:9", "server_name": "example.org"},
        "appservice": {"as_token": "as-0123456789abcdef", "hs_token": "hs-0123456789abcdef"},
        "ops": {"record_numbers": True},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def trunkline(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


async def lived(config: Config) -> None:
    """Both users have called, set things, and got a message."""
    store = await Store.open(config.store.path)
    for user in (ALICE, BOB):
        await _in_the_database(store, user)
    await store.close()
    folder = config.store.path.with_name(f"{config.store.path.stem}-messages")
    folder.mkdir()
    traces = trace_settings(config).path
    assert traces is not None
    assert config.ops.call_records is not None
    trace_file = TraceFile(traces)
    for user in (ALICE, BOB):
        (folder / f"of{user[1]}.ogg").write_bytes(b"audio")
        call_id = CallId(f"call-of-{user[1]}")
        call = TracedCall(call_id=call_id, began_at=1.0, ended_at=2.0, direction="outbound", user=user, number=NUMBER)
        entry = TraceEntry(call_id=call_id, at=1.0, kind="sip", title="INVITE", detail=f"From: {user}")
        trace_file.write(calls=[call], entries=[entry])
    trace_file.close()
    lines = [_record(user).to_json(reveal=True) for user in (ALICE, BOB)]
    config.ops.call_records.write_text("".join(f"{line}\n" for line in lines))


async def _in_the_database(store: Store, user: UserId) -> None:
    await store.settings.put(user, StoredSettings(do_not_disturb=True))
    await store.admin_changes.add(StoredChange(at=1.0, who="a", action="PUT", subject=user, body="", status=200))
    await store.blocked.put(user, NUMBER)
    await store.own_names.put(user, NUMBER, "Mum", limit=10)
    past = PastCall(
        user_id=user, number=NUMBER, direction="outbound", reason="busy", began_at=1.0, ended_at=2.0, talk_s=0.0
    )
    await store.past_calls.add(past)
    ghost = UserId(f"@_sip_{NUMBER}:example.org")
    await store.portals.put(StoredPortal(user_id=user, ghost=ghost, room_id=ROOMS[user]))
    message = StoredMessage(message_id=f"of{user[1]}", user_id=user, number=NUMBER, caller_name="", left_at=1.0)
    await store.messages.begin(message)
    await store.spending.add([StoredUse(account=user, day="2026-11-28", seconds=60.0, cost=10)])
    await store.sent_texts.add(user, "2026-11-28", 3)
    await store.forwards.add(StoredForward(user_id=user, caller="+15550177", at=9e9))
    await store.suspensions.put(StoredSuspension(user_id=user, reason="countries", until=9e9))


def _record(user: UserId) -> CallRecord:
    return CallRecord(
        call_id=CallId(f"call-of-{user[1]}"),
        direction="outbound",
        trunk=TrunkName("carrier"),
        caller=Pii(user),
        called=Pii(NUMBER),
        user=Pii(user),
        t_invite=1.0,
        t_end=2.0,
        result=Outcome.CLIENT,
        reason="busy",
        version="1",
    )


async def test_everything_about_a_user_is_handed_out(file: Path, tmp_path: Path) -> None:
    await lived(load_config(file, {}))
    output = tmp_path / "alice.json"
    result = trunkline("records", "export", "--config", file, "--user", ALICE, "--output", output)
    assert result.exit_code == 0, result.output
    assert output.stat().st_mode & 0o777 == 0o600
    written = output.read_text()
    known = json.loads(written)
    assert BOB not in written
    assert all(known["database"][table.name] for table, _ in (*_ERASED[:-1], *_KEPT))
    assert [record["call_id"] for record in known["call_records"]] == ["call-of-a"]
    assert known["traces"][0]["entries"][0]["title"] == "INVITE"
    assert known["recordings"][0].endswith("ofa.ogg")


async def test_what_a_bridge_of_the_version_before_has_is_handed_out(file: Path, tmp_path: Path) -> None:
    """It finishes its calls after an upgrade, for as long as `calls.drain_timeout_s`."""
    config = load_config(file, {})
    await lived(config)
    with closing(sqlite3.connect(config.store.path)) as database:
        database.execute(f"DROP TABLE {forwarded_calls.name}")
    output = tmp_path / "alice.json"
    result = trunkline("records", "export", "--config", file, "--user", ALICE, "--output", output)
    assert result.exit_code == 0, result.output
    assert json.loads(output.read_text())["database"]["past_calls"]


async def test_a_user_is_erased_and_others_are_not(file: Path, tmp_path: Path) -> None:
    config = load_config(file, {})
    await lived(config)
    result = trunkline("records", "erase", "--config", file, "--user", ALICE, "--yes")
    assert result.exit_code == 0, result.output
    for line in ("call_records: 1", "traces: 1", "recordings: 1", "past_calls: 1", "portals: 1", "messages: 1"):
        assert f"{line} erased" in result.output
    left = tmp_path / "left.json"
    for user, has in ((ALICE, False), (BOB, True)):
        left.unlink(missing_ok=True)
        trunkline("records", "export", "--config", file, "--user", user, "--output", left)
        known = json.loads(left.read_text())
        found = {table.name: bool(known["database"][table.name]) for table, _ in _ERASED[:-1]}
        assert set(found.values()) == {has}
        assert [bool(known[part]) for part in ("call_records", "recordings", "traces")] == [has] * 3
        assert known["database"]["suspensions"], "a suspension does not end by it"


async def test_nothing_of_the_user_stays_in_free_pages(file: Path) -> None:
    config = load_config(file, {})
    await lived(config)
    traces = trace_settings(config).path
    assert traces is not None
    assert b"alices:example.org" in config.store.path.read_bytes()
    trunkline("records", "erase", "--config", file, "--user", ALICE, "--yes")
    assert b"alices:example.org" not in config.store.path.read_bytes()
    assert ALICE.encode() not in traces.read_bytes()


async def test_a_bridge_that_runs_is_not_robbed(file: Path) -> None:
    config = load_config(file, {})
    await lived(config)
    store = await Store.open(config.store.path)
    try:
        result = trunkline("records", "erase", "--config", file, "--user", ALICE, "--yes")
    finally:
        await store.close()
    assert result.exit_code == 1
    assert "in use by another trunkline process" in result.output
    assert config.ops.call_records is not None
    assert ALICE in config.ops.call_records.read_text()


async def test_every_table_with_a_user_in_it_is_known_here(file: Path) -> None:
    """A table that is added has to be handed out and erased as well."""
    config = load_config(file, {})
    await (await Store.open(config.store.path)).close()
    engine = create_engine(f"sqlite:///{config.store.path}")
    tables = inspect(engine)
    owning = {
        name
        for name in tables.get_table_names()
        if {column["name"] for column in tables.get_columns(name)} & {"user_id", "account", "peer", "subject"}
    }
    engine.dispose()
    assert owning - {"ghosts"} == {table.name for table, _ in (*_ERASED, *_KEPT)}, "ghosts are ours, and no persons"
