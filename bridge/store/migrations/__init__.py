"""How a database gets its shape: one Alembic revision for each change, run at start."""
