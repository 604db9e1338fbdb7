"""Which callers a user does not want, and when the user wants none."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.add_column("user_settings", sa.Column("hours", sa.String, nullable=False, server_default=""))
    op.add_column(
        "user_settings", sa.Column("refuses_anonymous", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_table(
        "blocked_numbers",
        sa.Column("user_id", sa.String, primary_key=True),
        sa.Column("number", sa.String, primary_key=True),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("blocked_numbers")
    op.drop_column("user_settings", "refuses_anonymous")
    op.drop_column("user_settings", "hours")
