"""What is used of a shared limit is the sum over its users: what they are booked for themselves must not count twice.

So far it was booked on an account of its own, named after all of them, and beside it only on users who have a limit of
their own. What remains of that account is what nobody knows any more who has used it.
"""

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

Books = defaultdict[str, dict[str, tuple[float, int]]]
"""Seconds and money of each account on each day."""
SPENDING = sa.table("spending", sa.column("account"), sa.column("day"), sa.column("seconds"), sa.column("cost"))


def upgrade() -> None:
    """Take from each shared account what is booked on its users, the accounts of few before those of many."""
    connection = op.get_bind()
    books: Books = defaultdict(dict)
    for row in connection.execute(sa.select(SPENDING)):
        books[row.account][row.day] = (row.seconds, row.cost)
    for shared in sorted(filter(_is_shared, books), key=_size):
        parts = [days for account, days in books.items() if account != shared and _is_part(account, shared)]
        for day, (seconds, cost) in books[shared].items():
            own = [days[day] for days in parts if day in days]
            left = (max(0.0, seconds - sum(s for s, _ in own)), max(0, cost - sum(c for _, c in own)))
            books[shared][day] = left
            row_of = (SPENDING.c.account == shared, SPENDING.c.day == day)
            connection.execute(sa.update(SPENDING).where(*row_of).values(seconds=left[0], cost=left[1]))


def _is_shared(account: str) -> bool:
    return " " in account or not account.startswith("@")


def _is_part(account: str, shared: str) -> bool:
    who = shared.split()
    return all(user in who or user.partition(":")[2] in who for user in account.split())


def _size(account: str) -> tuple[bool, int]:
    """Users are fewer than those of a server."""
    return any(not user.startswith("@") for user in account.split()), len(account.split())


def downgrade() -> None:
    """Nothing: an earlier version goes on with what is left."""
