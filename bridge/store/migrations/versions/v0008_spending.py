"""What calls have used, and who may make none for now."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "spending",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("day", sa.String, primary_key=True, index=True),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("cost", sa.Integer, nullable=False),
    )
    op.create_table(
        "suspensions",
        sa.Column("user_id", sa.String, primary_key=True),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("suspensions")
    op.drop_table("spending")
