"""What must survive a process: told once, kept once, refused when the file is damaged."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from bridge.core.ids import CallId, EventId, MatrixCallId, RoomId, UserId
from bridge.store import Store, StoreError
from bridge.store import database as database_module
from bridge.store.database import open_database
from bridge.store.inbox import DeadLetter, NewEvent, NewTransaction
from bridge.store.outbox import NewSend
from bridge.store.rooms import StoredGhost, StoredPortal
from bridge.store.tables import metadata
from bridge.store.upgrade import upgrade_database
from tests.patience import PATIENCE_S

ROOM = RoomId("!room:example.org")
ALICE = UserId("@alice:example.org")
GHOST = UserId("@_sip_+15550100:example.org")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "store.sqlite3")
    yield opened
    await opened.close()


def event(number: int, room_id: RoomId = ROOM) -> NewEvent:
    return NewEvent(event_id=EventId(f"$event{number}"), room_id=room_id, body=f'{{"n": {number}}}')


def transaction(txn_id: str, *numbers: int, body_hash: str = "") -> NewTransaction:
    events = tuple(event(number) for number in numbers)
    return NewTransaction(token_fingerprint="hs", txn_id=txn_id, body_hash=body_hash or txn_id, events=events)


def send(txn_id: str, give_up_at: float = 100.0) -> NewSend:
    return NewSend(
        txn_id=txn_id,
        room_id=ROOM,
        sender=GHOST,
        event_type="m.call.hangup",
        content="{}",
        created_at=10.0,
        give_up_at=give_up_at,
    )


# --- the file ------------------------------------------------------------------------------------------------------


async def test_the_database_is_made_for_our_eyes_only(store: Store, tmp_path: Path) -> None:
    assert (tmp_path / "store.sqlite3").stat().st_mode & 0o777 == 0o600


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    first = await Store.open(path)
    await first.calls.put(CallId("call"), "snapshot")
    await first.close()
    second = await Store.open(path)
    assert await second.calls.all() == {"call": "snapshot"}
    await second.close()


def test_migrations_make_the_tables_that_the_queries_expect(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    upgrade_database(path)
    engine = create_engine(f"sqlite:///{path}")
    found = inspect(engine)
    for table in metadata.sorted_tables:
        columns = {
            column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(table.name)
        }
        assert columns == {
            column.name: (column.type.compile(engine.dialect), column.nullable) for column in table.columns
        }
        assert {index["name"] for index in found.get_indexes(table.name)} >= {index.name for index in table.indexes}
        assert found.get_pk_constraint(table.name)["constrained_columns"] == list(table.primary_key.columns.keys())
    engine.dispose()


@pytest.mark.parametrize(
    "content", [b"this is no database, but a letter to grandmother" * 50, b"SQLite format 3\0" + b"\xff" * 4080]
)
async def test_a_damaged_file_is_refused_in_plain_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.sqlite3"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged or not a Trunkline database"):
        await Store.open(path)
    assert path.read_bytes() == content


async def test_a_database_with_a_broken_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    store = await Store.open(path)
    await store.inbox.accept(transaction("1", *range(500)), now=1.0)
    await store.close()
    pages = bytearray(path.read_bytes())
    for page in range(8, len(pages) // 4096):
        pages[page * 4096 : page * 4096 + 64] = b"\xee" * 64
    path.write_bytes(pages)
    with pytest.raises(StoreError, match="damaged"):
        await Store.open(path)


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    upgrade_database(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        await Store.open(path)


def test_an_upgrade_that_is_cut_off_has_done_nothing_and_can_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    cut = "CREATE TRIGGER cut BEFORE INSERT ON alembic_version BEGIN SELECT raise(ABORT, 'cut off'); END"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.execute(cut)
    with pytest.raises(StoreError, match="cut off"):
        upgrade_database(path)
    assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")] == [
        "alembic_version"
    ]
    connection.execute("DROP TRIGGER cut")
    connection.close()
    upgrade_database(path)


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened: No such file"):
        await Store.open(tmp_path / "missing" / "store.sqlite3")


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "store.sqlite3")
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.calls.put(CallId("call"), "late")


# --- the writer -----------------------------------------------------------------------------------------------------


async def test_one_failing_unit_of_work_does_not_harm_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    upgrade_database(path)
    database = open_database(path)

    def good(connection: Connection) -> int:
        return connection.execute(text("INSERT INTO calls VALUES (hex(randomblob(8)), '')")).rowcount

    def bad(connection: Connection) -> None:
        connection.execute(text("INSERT INTO no_such_table VALUES (1)"))

    works = [database.write(good), database.write(bad), database.write(good, durable=False)]
    results = await asyncio.gather(*works, return_exceptions=True)
    assert (results[0], results[2]) == (1, 1)
    assert isinstance(results[1], StoreError)
    count = await database.read(lambda connection: connection.execute(text("SELECT count(*) FROM calls")).scalar())
    assert count == 2
    await database.close()


async def test_a_durable_commit_waits_for_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    upgrade_database(path)
    database = open_database(path)

    def synchronous(connection: Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    assert await database.write(synchronous) == 2
    assert await database.write(synchronous, durable=False) == 1
    assert await database.write(synchronous) == 2
    assert await database.read(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar_one()) == "wal"
    await database.close()


async def test_a_writer_that_dies_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.sqlite3"
    upgrade_database(path)
    database = open_database(path)
    monkeypatch.setattr(database, "_commit_batch", lambda *_: 1 // 0)
    async with asyncio.timeout(PATIENCE_S):
        works = [database.write(lambda _: None) for _ in range(database_module._MAX_WAITING + 10)]
        results = await asyncio.gather(*works, return_exceptions=True)
        assert {type(result) for result in results} == {StoreError}
        with pytest.raises(StoreError, match="closed"):
            await database.write(lambda _: None)
        with pytest.raises(ZeroDivisionError):
            await database.close()


# --- inbox ----------------------------------------------------------------------------------------------------------


async def test_a_transaction_is_taken_in_once(store: Store) -> None:
    first = await store.inbox.accept(transaction("1", 1, 2, 3), now=1.0)
    again = await store.inbox.accept(transaction("1", 1, 2, 3), now=2.0)
    assert [stored.event_id for stored in first.events] == ["$event1", "$event2", "$event3"]
    assert (first.replay, again.replay, again.events) == (False, True, ())


async def test_ten_deliveries_at_once_count_as_one(store: Store) -> None:
    accepted = await asyncio.gather(*(store.inbox.accept(transaction("1", 1, 2), now=1.0) for _ in range(10)))
    assert sum(len(each.events) for each in accepted) == 2


async def test_a_reused_transaction_id_does_not_hide_new_events(store: Store) -> None:
    await store.inbox.accept(transaction("1", 1, 2, body_hash="before the homeserver lost its database"), now=1.0)
    accepted = await store.inbox.accept(transaction("1", 2, 3, body_hash="after"), now=2.0)
    assert [stored.event_id for stored in accepted.events] == ["$event3"]


async def test_an_event_that_comes_twice_in_one_transaction_is_stored_once(store: Store) -> None:
    accepted = await store.inbox.accept(transaction("1", 1, 1, 2), now=1.0)
    assert [stored.event_id for stored in accepted.events] == ["$event1", "$event2"]


async def test_any_transaction_id_is_as_good_as_another(store: Store) -> None:
    for txn_id in ("x" * 10_000, "a/b", "..", "\N{TELEPHONE RECEIVER}", "\ud800"):
        assert not (await store.inbox.accept(transaction(txn_id, body_hash="h"), now=1.0)).replay
        assert (await store.inbox.accept(transaction(txn_id, body_hash="h"), now=1.0)).replay


async def test_an_event_is_claimed_once(store: Store) -> None:
    accepted = await store.inbox.accept(transaction("1", 1), now=1.0)
    position = accepted.events[0].position
    assert [await store.inbox.claim(position), await store.inbox.claim(position)] == [True, False]


async def test_unclaimed_events_wait_in_order(store: Store) -> None:
    accepted = await store.inbox.accept(transaction("1", 5, 3, 4), now=1.0)
    await store.inbox.claim(accepted.events[1].position)
    assert await store.inbox.rooms_waiting(limit=10) == (ROOM,)
    waiting = await store.inbox.waiting(ROOM, limit=10)
    assert [stored.event_id for stored in waiting] == ["$event5", "$event4"]
    assert waiting[0].body == '{"n": 5}'


async def test_a_history_returns_what_nobody_has_claimed_in_its_own_order(store: Store) -> None:
    accepted = await store.inbox.accept(transaction("1", 2, 4), now=1.0)
    await store.inbox.claim(accepted.events[1].position)
    history = [event(number) for number in (1, 2, 3, 4)]
    for _ in range(2):
        added = await store.inbox.add(history, now=2.0)
        assert [stored.event_id for stored in added] == ["$event1", "$event2", "$event3"]
    await store.inbox.claim(added[0].position)
    assert [stored.event_id for stored in await store.inbox.add(history, now=3.0)] == ["$event2", "$event3"]


async def test_a_large_transaction_fits(store: Store) -> None:
    accepted = await store.inbox.accept(transaction("1", *range(5000)), now=1.0)
    assert len(accepted.events) == 5000
    assert [stored.event_id for stored in accepted.events[:2]] == ["$event0", "$event1"]


async def test_pruning_keeps_what_is_young_or_not_done(store: Store) -> None:
    accepted = await store.inbox.accept(transaction("1", 1, 2), now=1.0)
    await store.inbox.claim(accepted.events[0].position)
    await store.inbox.bury(DeadLetter(reason="broken", body="{}"), now=1.0)
    await store.prune(now=8 * 24 * 3600.0)
    assert not (await store.inbox.accept(transaction("1"), now=9.0)).replay
    assert [stored.event_id for stored in await store.inbox.waiting(ROOM, limit=10)] == ["$event2"]
    again = await store.inbox.accept(transaction("2", 1, 2), now=9.0)
    assert [stored.event_id for stored in again.events] == ["$event1"]


# --- outbox ---------------------------------------------------------------------------------------------------------


async def test_a_send_is_stored_once(store: Store) -> None:
    assert await store.outbox.put(send("call.1")) is not None
    assert await store.outbox.put(send("call.1")) is None
    assert await store.outbox.depth() == 1


async def test_a_send_waits_until_it_is_decided(store: Store) -> None:
    for txn_id in ("call.1", "call.2", "call.3"):
        await store.outbox.put(send(txn_id))
    await store.outbox.finish("call.1", EventId("$sent"))
    await store.outbox.finish("call.3", None)
    assert [stored.send.txn_id for stored in await store.outbox.waiting(ROOM, limit=10)] == ["call.2"]
    assert await store.outbox.rooms_waiting(limit=10) == (ROOM,)
    outcomes = [await store.outbox.outcome(f"call.{n}") for n in (1, 2, 3, 4)]
    assert [(o.pending, o.event_id) if o else None for o in outcomes] == [
        (False, "$sent"),
        (True, None),
        (False, None),
        None,
    ]


async def test_a_send_that_was_withdrawn_on_its_way_may_have_been_accepted(store: Store) -> None:
    for txn_id in ("call.1", "call.2"):
        await store.outbox.put(send(txn_id))
        assert await store.outbox.withdraw(txn_id)
        assert not await store.outbox.withdraw(txn_id)
    assert not await store.outbox.finish("call.1", EventId("$sent"))
    assert not await store.outbox.finish("call.2", None)
    outcomes = [await store.outbox.outcome(f"call.{n}") for n in (1, 2)]
    assert [(o.pending, o.event_id) if o else None for o in outcomes] == [(False, "$sent"), (False, None)]


# --- rooms and calls --------------------------------------------------------------------------------------------------


async def test_ghosts_rooms_and_portals(store: Store) -> None:
    assert await store.ghosts.get(GHOST) is None
    await store.ghosts.put(StoredGhost(user_id=GHOST, display_name="+1 555 0100"))
    bob = StoredGhost(user_id=GHOST, display_name="Bob", caller_name="Robert")
    await store.ghosts.put(bob)
    assert await store.ghosts.get(GHOST) == bob
    assert await store.ghosts.after("", limit=10) == (bob,)
    assert await store.ghosts.after(GHOST, limit=10) == ()
    await store.rooms.put(ROOM, GHOST)
    await store.rooms.put(ROOM, GHOST)
    assert await store.rooms.ghosts_in(ROOM) == (GHOST,)
    await store.rooms.drop(ROOM, GHOST)
    assert await store.rooms.ghosts_in(ROOM) == ()


async def test_the_rooms_of_a_ghost_and_its_peer_are_found_among_those_of_others(store: Store) -> None:
    for number in range(100):
        await store.rooms.put(RoomId(f"!{number}:example.org"), GHOST, peer=UserId(f"@user{number}:example.org"))
    await store.rooms.put(ROOM, GHOST)
    await store.rooms.put(ROOM, GHOST, peer=ALICE)
    await store.rooms.put(ROOM, GHOST)
    await store.rooms.put(RoomId("!newer:example.org"), GHOST, peer=ALICE)
    assert await store.rooms.rooms_with(GHOST, ALICE, limit=5) == ("!newer:example.org", ROOM)
    assert await store.rooms.rooms_with(GHOST, ALICE, limit=1) == ("!newer:example.org",)
    assert await store.rooms.rooms_with(GHOST, UserId("@bob:example.org"), limit=5) == ()


async def test_a_portal_is_found_from_both_sides(store: Store) -> None:
    portal = StoredPortal(user_id=ALICE, ghost=GHOST, room_id=ROOM)
    await store.portals.put(portal)
    assert await store.portals.room(ALICE, GHOST) == ROOM
    assert await store.portals.in_room(ROOM) == (portal,)
    await store.portals.put(StoredPortal(user_id=ALICE, ghost=GHOST, room_id=RoomId("!new:example.org")))
    assert await store.portals.in_room(ROOM) == ()
    await store.portals.drop(ALICE, GHOST)
    assert await store.portals.room(ALICE, GHOST) is None
    await store.portals.put(portal)
    await store.portals.drop_room(ROOM)
    assert await store.portals.room(ALICE, GHOST) is None


async def test_calls_and_their_tombstones(store: Store) -> None:
    await store.calls.put(CallId("a"), "ringing")
    await store.calls.put(CallId("a"), "answered")
    await store.calls.put(CallId("b"), "ringing")
    await store.calls.delete(CallId("b"))
    assert await store.calls.all() == {"a": "answered"}
    matrix_call_id = MatrixCallId("1795341345865A1qk")
    await store.ended_calls.put(ROOM, matrix_call_id, now=1000.0)
    await store.ended_calls.put(ROOM, matrix_call_id, now=1001.0)
    assert await store.ended_calls.since(500.0) == {(ROOM, matrix_call_id): 1000.0}
    await store.prune(now=1000.0 + 599.0)
    assert await store.ended_calls.since(0.0) == {(ROOM, matrix_call_id): 1000.0}
    await store.prune(now=1000.0 + 2 * 3600.0)
    assert await store.ended_calls.since(0.0) == {}
