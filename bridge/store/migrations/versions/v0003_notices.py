"""What people were told of a room, so that it is said once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "notices",
        sa.Column("room_id", sa.String, primary_key=True),
        sa.Column("topic", sa.String, primary_key=True),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("notices")
