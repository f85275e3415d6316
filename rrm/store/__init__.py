"""The append-only record of a run: SQLModel tables on SQLite, with their migrations."""

from rrm.store.record import Event, SqlStore, StepCount, open_store

__all__ = ["Event", "SqlStore", "StepCount", "open_store"]
