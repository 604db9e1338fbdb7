"""Whether a user's number is shown to those whom the user calls."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("user_settings", sa.Column("withheld", sa.Boolean, nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("user_settings", "withheld")
