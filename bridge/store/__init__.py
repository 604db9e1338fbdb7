"""What must survive the process: SQLite through SQLAlchemy Core, one repository for each subject."""

from bridge.store.database import StoreError
from bridge.store.store import Store

__all__ = ["Store", "StoreError"]
