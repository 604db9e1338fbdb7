"""Trunks that an operator has taken out of service."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table("trunks_out", sa.Column("trunk", sa.String, primary_key=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_table("trunks_out")
