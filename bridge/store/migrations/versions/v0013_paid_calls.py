"""Until when the calls are paid that go on: what a crash leaves unpaid is booked by the next process."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "paid_calls",
        sa.Column("call_id", sa.String, primary_key=True),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("cost", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("paid_calls")
