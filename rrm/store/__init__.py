"""The append-only record of a run: SQLModel tables on SQLite or PostgreSQL, with their migrations."""

from rrm.store.record import Event, SqlStore, StepCount, open_store

__all__ = ["Event", "SqlStore", "StepCount", "open_store"]
