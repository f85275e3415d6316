"""Leases that have ended: whether one has, and why, in words for its rater."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from rrm.core.errors import ConflictError
from rrm.queue.items import in_words, item_rows
from rrm.store.kinds import read_place

ENDED = {  # by the state of a lease
    "answered": "this item was answered already: claim the next",
    "skipped": "this item was passed on already: claim the next",
    "undone": "this item was taken back and leased anew: claim again",
    "requeued": "this answer was taken back by an admin: claim the next",
}


def is_live(row: Any, now: float) -> bool:
    return bool(row.state == "live" and row.expires > now)


def check_live(connection: Connection, rows: Sequence[Any], now: float) -> None:
    """Raise ConflictError, which says why, for a lease that has ended."""
    [row, *_] = rows
    if is_live(row, now):
        return
    if row.state not in ("live", "expired"):
        raise ConflictError(ENDED[row.state])
    why, again = lost(connection, rows, now)
    raise ConflictError(f"{why}: claim {'again' if again else 'the next'}")


class Lost(NamedTuple):
    """Why somebody holds a lease no more that was not answered, and whether it can be had again."""

    why: str
    again: bool


def lost(connection: Connection, rows: Sequence[Any], now: float) -> Lost:
    """Say what became of a lease, by all its rows: one question may have ended it for the others."""
    if rows[0].state == "live":
        return Lost("the lease of this item had run out", True)
    items = list(item_rows(connection, [row.stands_for or row.item for row in rows]).values())
    closed = next((item for item in items if item.closed), None)
    if closed is not None:
        return Lost(f"{in_words(connection, read_place(closed.place))} was frozen in the meantime", False)
    enough = sum(item.given >= item.wanted for item in items)
    if enough == len(items):
        return Lost("no more answers are wanted here", False)
    if enough:
        return Lost(f"{enough} of these {len(rows)} questions want no more answers", True)
    if rows[0].expires > now:
        return Lost("this item went back in the meantime", True)
    return Lost("the lease of this item had run out", True)
