"""The tables, for writing queries. Their shape in a database is made by the migrations alone.

A test holds the two against each other.
"""

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint, false

metadata = MetaData()

transactions = Table(
    "transactions",
    metadata,
    Column("token_fingerprint", String, primary_key=True),
    Column("txn_key", String, primary_key=True),
    Column("body_hash", String, nullable=False),
    Column("received_at", Float, nullable=False, index=True),
)
"""Transactions of the homeserver that have been acknowledged."""

events = Table(
    "events",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("event_id", String, nullable=False, unique=True),
    Column("room_id", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("received_at", Float, nullable=False, index=True),
    Column("claimed", Boolean, nullable=False, server_default=false()),
    sqlite_autoincrement=True,
)
"""Events received; `body` is emptied when the event is claimed, the row stays for deduplication."""
Index("ix_events_waiting", events.c.room_id, events.c.position, sqlite_where=events.c.claimed.is_(False))

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("reason", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("received_at", Float, nullable=False, index=True),
)
"""What could not be understood or worked on, kept for whoever looks for the reason."""

outbox = Table(
    "outbox",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("txn_id", String, nullable=False, unique=True),
    Column("room_id", String, nullable=False),
    Column("sender", String, nullable=False),
    Column("event_type", String, nullable=False),
    Column("content", Text, nullable=False),
    Column("created_at", Float, nullable=False, index=True),
    Column("give_up_at", Float, nullable=False),
    Column("outcome", String, nullable=False, server_default="pending"),
    Column("event_id", String, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
"""Events to send; `outcome` is pending, sent or failed."""
Index("ix_outbox_waiting", outbox.c.room_id, outbox.c.position, sqlite_where=outbox.c.outcome == "pending")

ghosts = Table(
    "ghosts",
    metadata,
    Column("user_id", String, primary_key=True),
    Column("display_name", String, nullable=False),
    Column("caller_name", String, nullable=False, server_default=""),
    Column("avatar", String, nullable=False, server_default=""),
)
"""Users of ours that the homeserver knows, with the display name and the picture that were set last, and the name that
the telephone network gave with the number's last call."""

ghost_rooms = Table(
    "ghost_rooms",
    metadata,
    Column("room_id", String, primary_key=True),
    Column("user_id", String, primary_key=True, index=True),
    Column("peer", String, nullable=False, server_default=""),
)
"""Rooms that users of ours have joined; `peer` is for whom: who invited it there, or the only other member.

The ghost of a main line has a room with each of its callers, and the right one must be found without asking for all.
"""
Index("ix_ghost_rooms_pair", ghost_rooms.c.user_id, ghost_rooms.c.peer)

portals = Table(
    "portals",
    metadata,
    Column("user_id", String, primary_key=True),
    Column("ghost", String, primary_key=True),
    Column("room_id", String, nullable=False, index=True),
)
"""The room in which a user and a ghost call each other."""

notices = Table(
    "notices",
    metadata,
    Column("room_id", String, primary_key=True),
    Column("topic", String, primary_key=True),
)
"""What has been explained in a room, so that it is not said again."""

calls = Table(
    "calls",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("snapshot", Text, nullable=False),
)
"""Calls that are going on, as their state machine writes them down."""

ended_calls = Table(
    "ended_calls",
    metadata,
    Column("room_id", String, primary_key=True),
    Column("matrix_call_id", String, primary_key=True),
    Column("ended_at", Float, nullable=False, index=True),
)
"""Matrix calls that are over, so that a late event of one starts nothing."""

user_settings = Table(
    "user_settings",
    metadata,
    Column("user_id", String, primary_key=True),
    Column("do_not_disturb", Boolean, nullable=False),
    Column("forward", String, nullable=False),
    Column("ring_when", String, nullable=False, server_default=""),
    Column("withheld", Boolean, nullable=True),
    Column("hours", String, nullable=False, server_default=""),
    Column("refuses_anonymous", Boolean, nullable=False, server_default=false()),
)
"""What users have set; `forward` is a number, `ring_when` a rule, `hours` as they are written; or empty."""

blocked_numbers = Table(
    "blocked_numbers",
    metadata,
    Column("user_id", String, primary_key=True),
    Column("number", String, primary_key=True),
)
"""Callers that a user does not want."""

own_names = Table(
    "own_names",
    metadata,
    Column("user_id", String, primary_key=True),
    Column("number", String, primary_key=True),
    Column("name", String, nullable=False),
)
"""The names that a user has given to numbers, for that user's eyes only."""

past_calls = Table(
    "past_calls",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("user_id", String, nullable=False),
    Column("number", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("began_at", Float, nullable=False),
    Column("ended_at", Float, nullable=False, index=True),
    Column("talk_s", Float, nullable=False),
    sqlite_autoincrement=True,
)
"""Each user's calls that are over, for the time that the configuration allows."""
Index("ix_past_calls_of_user", past_calls.c.user_id, past_calls.c.position)

spending = Table(
    "spending",
    metadata,
    Column("account", String, primary_key=True),
    Column("day", String, primary_key=True, index=True),
    Column("seconds", Float, nullable=False),
    Column("cost", Integer, nullable=False),
)
"""What calls have used of each account on each day (ISO 8601); `cost` in millionths."""

paid_calls = Table(
    "paid_calls",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("since", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("cost", Integer, nullable=False),
)
"""Calls that go on and are being paid for: since when, and until when they are paid."""

forwarded_calls = Table(
    "forwarded_calls",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("user_id", String, nullable=False),
    Column("caller", String, nullable=False),
    Column("at", Float, nullable=False, index=True),
    sqlite_autoincrement=True,
)
"""Calls that trunks were asked to make for users whose calls are forwarded, for as long as a limit counts them."""

sent_texts = Table(
    "sent_texts",
    metadata,
    Column("user_id", String, primary_key=True),
    Column("day", String, primary_key=True, index=True),
    Column("parts", Integer, nullable=False),
)
"""How many text messages users have sent on each day (ISO 8601), for as long as a limit counts them."""

trunks_out = Table("trunks_out", metadata, Column("trunk", String, primary_key=True))
"""Trunks that an operator has taken out of service."""

suspensions = Table(
    "suspensions",
    metadata,
    Column("user_id", String, primary_key=True),
    Column("reason", String, nullable=False),
    Column("until", Float, nullable=False),
)
"""Users who may not call out for now."""

admin_entries = Table(
    "admin_entries",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("kind", "name"),
)
"""Numbers and permissions that were set over the admin API, as they were sent (JSON)."""

admin_changes = Table(
    "admin_changes",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("who", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", Integer, nullable=False),
    sqlite_autoincrement=True,
)
"""What programs have done over the admin API: the last of it."""

messages = Table(
    "messages",
    metadata,
    Column("message_id", String, primary_key=True),
    Column("user_id", String, nullable=False),
    Column("number", String, nullable=False),
    Column("caller_name", String, nullable=False),
    Column("left_at", Float, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("waveform", Text, nullable=False),
    Column("whole", Boolean, nullable=False),
)
"""Messages that phones have left and their users have not got yet; each one's audio is a file of its name."""
