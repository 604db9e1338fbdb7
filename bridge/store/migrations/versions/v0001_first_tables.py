"""The first tables: inbox, outbox, ghosts and portals, calls."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    _create_inbox()
    _create_outbox()
    _create_rooms()
    _create_calls()


def downgrade() -> None:
    """Drop everything."""
    for table in (
        "ended_calls",
        "calls",
        "portals",
        "ghost_rooms",
        "ghosts",
        "outbox",
        "dead_letters",
        "events",
        "transactions",
    ):
        op.drop_table(table)


def _create_inbox() -> None:
    op.create_table(
        "transactions",
        sa.Column("token_fingerprint", sa.String, primary_key=True),
        sa.Column("txn_key", sa.String, primary_key=True),
        sa.Column("body_hash", sa.String, nullable=False),
        sa.Column("received_at", sa.Float, nullable=False, index=True),
    )
    op.create_table(
        "events",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String, nullable=False, unique=True),
        sa.Column("room_id", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("received_at", sa.Float, nullable=False, index=True),
        sa.Column("claimed", sa.Boolean, nullable=False, server_default=sa.false()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_waiting", "events", ["room_id", "position"], sqlite_where=sa.text("claimed IS 0"))
    op.create_table(
        "dead_letters",
        sa.Column("fingerprint", sa.String, primary_key=True),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("received_at", sa.Float, nullable=False, index=True),
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("txn_id", sa.String, nullable=False, unique=True),
        sa.Column("room_id", sa.String, nullable=False),
        sa.Column("sender", sa.String, nullable=False),
        sa.Column("event_type", sa.String, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False, index=True),
        sa.Column("give_up_at", sa.Float, nullable=False),
        sa.Column("outcome", sa.String, nullable=False, server_default="pending"),
        sa.Column("event_id", sa.String, nullable=False, server_default=""),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_waiting", "outbox", ["room_id", "position"], sqlite_where=sa.text("outcome = 'pending'"))


def _create_rooms() -> None:
    op.create_table(
        "ghosts",
        sa.Column("user_id", sa.String, primary_key=True),
        sa.Column("display_name", sa.String, nullable=False),
    )
    op.create_table(
        "ghost_rooms",
        sa.Column("room_id", sa.String, primary_key=True),
        sa.Column("user_id", sa.String, primary_key=True, index=True),
    )
    op.create_table(
        "portals",
        sa.Column("user_id", sa.String, primary_key=True),
        sa.Column("ghost", sa.String, primary_key=True),
        sa.Column("room_id", sa.String, nullable=False, index=True),
    )


def _create_calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String, primary_key=True),
        sa.Column("snapshot", sa.Text, nullable=False),
    )
    op.create_table(
        "ended_calls",
        sa.Column("room_id", sa.String, primary_key=True),
        sa.Column("matrix_call_id", sa.String, primary_key=True),
        sa.Column("ended_at", sa.Float, nullable=False, index=True),
    )
