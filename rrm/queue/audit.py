"""The audit: an append-only list of who did what, written in the transaction of what was done."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from rrm.core.annotation import AuditEntry
from rrm.queue import people_tables  # noqa: F401  (makes the tables known)
from rrm.store.kinds import to_json
from rrm.store.tables import table

_AUDIT = table("audit")
_NEW = insert(_AUDIT)


def record_audit(
    connection: Connection,
    at: float,
    by: str,
    what: str,
    subject: str,
    old: Any = None,
    new: Any = None,
    guideline: int = 0,
) -> None:
    """Append an entry in the transaction of the change that it tells of.

    `by` and `subject` are ids, `old` and `new` JSON values: nobody's name, and no token or password,
    may stand in any of them, because nothing is ever taken out again.
    """
    record_audits(connection, [audit_row(at, by, what, subject, old, new, guideline)])


def audit_row(at: float, by: str, what: str, subject: str, old: Any, new: Any, guideline: int) -> dict[str, Any]:
    """Return an entry for `record_audits`, of what `record_audit` says."""
    values = {"at": at, "by": by, "what": what, "subject": subject, "guideline": guideline}
    return {**values, "old": to_json(old), "new": to_json(new)}


def record_audits(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append entries, each as `audit_row` makes it."""
    connection.execute(_NEW, rows)


def audit_entries(
    connection: Connection, limit: int, before: int | None, without: Sequence[str] = ()
) -> list[AuditEntry]:
    """Return up to `limit` entries, the latest first: those with a number below `before`, of no `what` in `without`."""
    columns = _AUDIT.c
    asked = select(
        columns.at,
        columns.by,
        columns.what,
        columns.subject,
        columns.old,
        columns.new,
        columns.guideline,
        columns.seq,
    )
    if before is not None:
        asked = asked.where(columns.seq < before)
    if without:
        asked = asked.where(columns.what.not_in(without))
    return [AuditEntry(*row) for row in connection.execute(asked.order_by(columns.seq.desc()).limit(limit))]
