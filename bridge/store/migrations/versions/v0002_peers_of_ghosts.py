"""For whom a ghost is in a room."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the peer; of rooms that are there already it is not known."""
    op.add_column("ghost_rooms", sa.Column("peer", sa.String, nullable=False, server_default=""))
    op.create_index("ix_ghost_rooms_pair", "ghost_rooms", ["user_id", "peer"])


def downgrade() -> None:
    """Forget the peer."""
    op.drop_index("ix_ghost_rooms_pair", "ghost_rooms")
    op.drop_column("ghost_rooms", "peer")
