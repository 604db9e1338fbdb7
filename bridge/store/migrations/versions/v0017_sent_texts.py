"""How many text messages users have sent on a day, so that a restart gives nobody more of them."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "sent_texts",
        sa.Column("user_id", sa.String, primary_key=True),
        sa.Column("day", sa.String, primary_key=True, index=True),
        sa.Column("parts", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("sent_texts")
