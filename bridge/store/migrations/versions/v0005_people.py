"""What users have set for themselves, their names for numbers, and their last calls."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "user_settings",
        sa.Column("user_id", sa.String, primary_key=True),
        sa.Column("do_not_disturb", sa.Boolean, nullable=False),
        sa.Column("forward", sa.String, nullable=False),
    )
    op.create_table(
        "own_names",
        sa.Column("user_id", sa.String, primary_key=True),
        sa.Column("number", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
    )
    op.create_table(
        "past_calls",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("number", sa.String, nullable=False),
        sa.Column("direction", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("began_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float, nullable=False, index=True),
        sa.Column("talk_s", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_past_calls_of_user", "past_calls", ["user_id", "position"])


def downgrade() -> None:
    """Drop them."""
    for table in ("past_calls", "own_names", "user_settings"):
        op.drop_table(table)
