"""Calls that were forwarded within the last day, so that a restart gives nobody more of them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "forwarded_calls",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("caller", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False, index=True),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("forwarded_calls")
