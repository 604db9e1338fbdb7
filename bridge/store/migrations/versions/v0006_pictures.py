"""The picture of a ghost."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("ghosts", sa.Column("avatar", sa.String, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("ghosts", "avatar")
