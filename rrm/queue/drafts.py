"""What raters have typed so far: one draft a person and sheet, inside a desk's transaction."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, delete, select, tuple_

from rrm.core.errors import InputError
from rrm.queue.items import LEASE, ME
from rrm.store.database import insert as insert_or_update
from rrm.store.kinds import to_json
from rrm.store.tables import table

DRAFT = table("draft")

_DRAFTS = select(DRAFT.c.person, DRAFT.c.sheet, DRAFT.c.content).where(
    DRAFT.c.person.in_(bindparam("us", expanding=True)), DRAFT.c.sheet.in_(bindparam("sheets", expanding=True))
)
_DRAFT = select(DRAFT.c.content).where(DRAFT.c.person == ME, DRAFT.c.sheet == bindparam("one"))
_FORGET_DRAFTS = delete(DRAFT).where(
    tuple_(DRAFT.c.person, DRAFT.c.sheet).in_(
        select(LEASE.c.person, LEASE.c.sheet).where(LEASE.c.id.in_(bindparam("these", expanding=True)))
    )
)


def draft_of(connection: Connection, person: str, sheet: str) -> Any:
    """Return the person's draft of a sheet, None if there is none."""
    return connection.execute(_DRAFT, {"me": person, "one": sheet}).scalar()


def drafts_of(connection: Connection, persons: Sequence[str], sheets: Sequence[str]) -> dict[tuple[str, str], Any]:
    """Return the drafts of these persons of these sheets, by person and sheet."""
    found = connection.execute(_DRAFTS, {"us": persons, "sheets": sheets})
    return {(row.person, row.sheet): row.content for row in found}


def put_draft(connection: Connection, lease: Any, content: str, now: float) -> None:
    """Keep a draft, as JSON, of a lease's rater and sheet."""
    row = {"person": lease.person, "sheet": lease.sheet, "content": content, "at": now}
    connection.execute(_put_draft(connection.dialect.name), [row])


@cache
def _put_draft(dialect: str) -> Insert:
    new = insert_or_update(dialect)(DRAFT)
    changed = {name: new.excluded[name] for name in ("content", "at")}
    return new.on_conflict_do_update(index_elements=["person", "sheet"], set_=changed)


def forget_drafts(connection: Connection, leases: Sequence[str]) -> None:
    """Forget what the raters of these leases had typed for their sheets."""
    connection.execute(_FORGET_DRAFTS, {"these": leases})


def is_older(draft: Mapping[str, Any], kept: Any) -> bool:
    """Whether a draft was written before another; False where nobody can say."""
    times = [each.get("at") if isinstance(each, Mapping) else None for each in (draft, kept)]
    mine, other = (each if isinstance(each, int | float) and not isinstance(each, bool) else None for each in times)
    return mine is not None and other is not None and mine < other


def draft_json(draft: Mapping[str, Any]) -> str:
    """Return a draft's JSON; raise InputError for what has none."""
    try:
        return to_json(dict(draft))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"a draft must have JSON: {error}") from error
