"""What a user's presence has to be for a call to ring."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("user_settings", sa.Column("ring_when", sa.String, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("user_settings", "ring_when")
