"""Who may rate: by role and state, by the quota of a panel, and by a practice that is over."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from rrm.core.annotation import DeskSettings, PersonState, Role
from rrm.core.errors import AccessError, MissingError
from rrm.queue.drafts import DRAFT
from rrm.queue.given import EVERY, IS_LIVE, done_so_far
from rrm.queue.guidelines import read_settings
from rrm.queue.items import ITEM, LEASE, ME, is_for_me, is_held
from rrm.queue.panels import PANEL
from rrm.queue.people import change_state
from rrm.queue.practice import GIVEN, practice_state
from rrm.store.tables import table

_PERSON = table("person")
_MAY_RATE: frozenset[Role] = frozenset({"annotator", "adjudicator", "admin"})

_WHO = (
    select(
        _PERSON.c.id.label("who"),
        _PERSON.c.role,
        _PERSON.c.state.label("person_state"),
        select(DRAFT.c.sheet).where(DRAFT.c.person == _PERSON.c.id).exists().label("drafts"),
        PANEL.c.quota,
        *LEASE.c,
    )
    .join_from(_PERSON, LEASE, (LEASE.c.person == _PERSON.c.id) & is_held() & (LEASE.c.position == 0), isouter=True)
    .join(PANEL, _PERSON.c.panel == PANEL.c.id, isouter=True)
    .where(_PERSON.c.id.in_(bindparam("us", expanding=True)))
)
_WANTED = select(func.sum(ITEM.c.wanted)).where(ITEM.c.purpose == "work", is_for_me())
_GIVEN_BY = EVERY.where(GIVEN.c.person == ME, GIVEN.c.purpose == "work", IS_LIVE).with_only_columns(func.count())
_STATES = select(_PERSON.c.id, _PERSON.c.role, _PERSON.c.state).where(_PERSON.c.id.in_(bindparam("us", expanding=True)))


def who_asks(connection: Connection, persons: Sequence[str]) -> dict[str, Any]:
    """Return who they are with their live leases, if any, in this order; AccessError for who gets no items."""
    found = {row.who: row for row in connection.execute(_WHO, {"us": persons})}
    for person in persons:
        if person not in found:
            raise MissingError(f"there is no person {person!r:.40}")
        _check_may_rate(found[person].role, found[person].person_state)
    return {person: found[person] for person in persons}


def shut_out(connection: Connection, persons: Collection[str]) -> dict[str, AccessError]:
    """Return those of these who may not answer what they hold any more, with why."""
    found = {}
    for row in connection.execute(_STATES, {"us": persons}):
        try:
            _check_may_rate(row.role, row.state)
        except AccessError as error:
            found[row.id] = error
    return found


def _check_may_rate(role: Role, state: PersonState) -> None:
    if role not in _MAY_RATE:
        raise AccessError("a reader looks on and gets no items: ask an admin for another role")
    if state == "paused":
        raise AccessError("you are paused and get no items for now: ask an admin")
    if state == "refused":
        raise AccessError("practice was not passed, so there are no items: ask an admin")


def may_answer(connection: Connection, person: str, quota: int | None, settings: DeskSettings) -> int | None:
    """Return how many more sheets somebody may answer, at most; None where nothing limits that.

    A panel's participant gives no more than its quota, and nobody more than `rater_share` of all answers that the work
    open to them wants; the sheet that reaches the share is whole.
    """
    limits = [max(0, quota - done_so_far(connection, person))] if quota else []
    if settings.rater_share < 1:
        wanted = connection.execute(_WANTED, {"me": person}).scalar() or 0
        given = connection.execute(_GIVEN_BY, {"me": person}).scalar_one()
        limits.append(max(0, max(1, int(settings.rater_share * wanted + 1e-9)) - given))
    return min(limits, default=None)


def after_practice(connection: Connection, lease: Any) -> dict[str, Any]:
    """Settle a practice that is over; return the person's new state for the audit, if it changed."""
    if lease.purpose != "practice":
        return {}
    settings = read_settings(connection)
    state = connection.execute(select(_PERSON.c.state).where(_PERSON.c.id == lease.person)).scalar()
    practice = practice_state(connection, lease.person, settings)
    if state != "practising" or not practice.is_over():
        return {}
    new: PersonState
    if practice.is_passed(settings.practice_pass):
        new = "active"
    elif practice.attempt >= settings.practice_tries:
        new = "refused"
    else:
        return {}
    change_state(connection, lease.person, new)
    return {"state": new}
