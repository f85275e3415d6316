"""Requests and feedback as the record holds them, inside a desk's transaction."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, select

from rrm.core.errors import MissingError
from rrm.core.values import Feedback, Request, View
from rrm.store.database import insert
from rrm.store.kinds import KINDS
from rrm.store.record import chunks, load_values
from rrm.store.tables import table

Rows = list[dict[str, Any]]

_REQUEST, _VIEW, _FEEDBACK = table("request"), table("view"), table("feedback")
_OF_REQUEST, _OF_VIEW = KINDS[Request], KINDS[View]
_VIEW_AT = _OF_REQUEST.columns.index("view")
_BOTH = (
    select(_REQUEST.c.id, *(_REQUEST.c[name] for name in _OF_REQUEST.columns), *(_VIEW.c[n] for n in _OF_VIEW.columns))
    .join_from(_REQUEST, _VIEW, _REQUEST.c.view == _VIEW.c.id)
    .where(_REQUEST.c.id.in_(bindparam("ids", expanding=True)))
)


def request_rows(requests: Iterable[Request]) -> tuple[Rows, Rows]:
    """Return the rows of the requests' views, each once, and of the requests."""
    views: dict[str, dict[str, Any]] = {}
    rows = []
    for request in requests:
        if request.view.id not in views:
            views[request.view.id] = _OF_VIEW.row(request.view)
        rows.append(_OF_REQUEST.row(request))
    return list(views.values()), rows


def insert_new(connection: Connection, kind: str, rows: Rows) -> None:
    """Insert the rows of one kind of value that are not there yet."""
    if rows:
        connection.execute(_new(connection.dialect.name, kind), rows)


def feedback_rows(feedback: Iterable[Feedback]) -> Rows:
    return [KINDS[Feedback].row(each) for each in feedback]


def load_request(connection: Connection, id: str) -> Request:
    """Return a request with its view; raise MissingError if there is none."""
    found = load_requests(connection, [id])
    if id not in found:
        raise MissingError(f"there is no item {id!r:.60}")
    return found[id]


def load_requests(connection: Connection, ids: Sequence[str]) -> dict[str, Request]:
    """Return those of these requests that are there, with their views, by id."""
    found: dict[str, Request] = {}
    last = 1 + len(_OF_REQUEST.columns)
    for row in connection.execute(_BOTH, {"ids": ids}):
        columns = tuple(row[1:last])
        view_id = columns[_VIEW_AT]
        view = _OF_VIEW.value(view_id, row[last:], {})
        found[row[0]] = _OF_REQUEST.value(row[0], columns, {"view": {view_id: view}})
    return found


def load_feedback(connection: Connection, ids: Sequence[str]) -> dict[str, Feedback]:
    """Return the feedback on record under these ids."""
    found: dict[str, Feedback] = {}
    for some in chunks(ids):
        found |= load_values(connection, KINDS[Feedback], select(_FEEDBACK.c.id).where(_FEEDBACK.c.id.in_(some)))
    return found


@cache
def _new(dialect: str, kind: str) -> Insert:
    return insert(dialect)(table(kind)).on_conflict_do_nothing(index_elements=["id"])
