"""Known answers: whether an answer is right, and the state of a new rater's practice."""

from collections import Counter
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, literal_column, or_, select

from rrm.core.annotation import DeskSettings, Purpose
from rrm.queue.guidelines import read_settings
from rrm.queue.items import ITEM, LEASE, is_for_me
from rrm.store.tables import table

GIVEN = table("given")

IS_CHECK = ITEM.c.purpose != literal_column("'work'")
"""Added to every other condition on a purpose, so that the index over gold, attention and practice serves."""

_ANSWERED = select(GIVEN.c.attempt, GIVEN.c.right, GIVEN.c.position).where(
    GIVEN.c.person == bindparam("me"), GIVEN.c.purpose == "practice"
)
_PASSED_ON = select(LEASE.c.attempt).where(
    LEASE.c.person == bindparam("me"),
    LEASE.c.purpose == "practice",
    LEASE.c.state == "skipped",
    LEASE.c.position == 0,
)
_HOW_MANY = select(ITEM.c.purpose, func.count(ITEM.c.sheet.distinct())).where(IS_CHECK).group_by(ITEM.c.purpose)
_TO_PRACTISE = select(func.count(ITEM.c.sheet.distinct())).where(IS_CHECK, ITEM.c.purpose == "practice", is_for_me())
_PRACTISING = select(ITEM.c.group).distinct().where(IS_CHECK, ITEM.c.purpose == "practice")


class PracticeState(NamedTuple):
    """A rater's practice: `done` of `items` (sheets) in try number `attempt`.

    Of the answers in them `judged` could be wrong, and `right` were not.
    """

    attempt: int
    items: int
    done: int
    right: int
    judged: int

    def is_over(self) -> bool:
        return self.done >= self.items

    def is_passed(self, share: float) -> bool:
        """Whether a finished try counts as passed with this share right."""
        return self.right >= share * self.judged


def practice_state(connection: Connection, person: str, settings: DeskSettings) -> PracticeState:
    """Return the state of a person's latest try, a finished one too; `items` is 0 if nothing is to be practised.

    A sheet that was passed on counts as one answer that was wrong.
    """
    items = min(settings.practice_items, connection.execute(_TO_PRACTISE, {"me": person}).scalar_one())
    if not items:
        return PracticeState(1, 0, 0, 0, 0)
    answered = connection.execute(_ANSWERED, {"me": person}).all()
    wrong = Counter(connection.execute(_PASSED_ON, {"me": person}).scalars())
    attempt = max([1, *(row.attempt for row in answered), *wrong])
    now = [row for row in answered if row.attempt == attempt]
    rights = [row.right for row in now]
    judged = sum(right is not None for right in rights)
    done = sum(row.position == 0 for row in now) + wrong[attempt]
    return PracticeState(attempt, items, done, sum(right is True for right in rights), judged + wrong[attempt])


def count_checks(connection: Connection) -> dict[Purpose, int]:
    """Return how many sheets with items of each purpose but work there are, where there are any."""
    return dict(connection.execute(_HOW_MANY).all())


def groups_with_practice(connection: Connection) -> set[str]:
    """Return the groups of raters that have something of their own to practise with; "" if all have."""
    return set(connection.execute(_PRACTISING).scalars()) if read_settings(connection).practice_items else set()


def next_practice_state(state: PracticeState) -> PracticeState:
    """Return the state that the next item belongs to: that of a new try once the last is over."""
    return PracticeState(state.attempt + 1, state.items, 0, 0, 0) if state.is_over() else state


def leads_checks() -> ColumnElement[bool]:
    """That the item is the first of a sheet without work: one that is mixed in by itself."""
    return and_(ITEM.c.position == 0, is_apart())


def is_apart() -> ColumnElement[bool]:
    """That the item, which is no work, is on a sheet without work."""
    beside = ITEM.alias("beside")
    work = select(beside.c.seq).where(beside.c.sheet == ITEM.c.sheet, beside.c.purpose == "work")
    return or_(ITEM.c.sheet == ITEM.c.id, ~work.exists().correlate(ITEM))


class PracticeItem(NamedTuple):
    """The first item of a sheet of practice."""

    id: str
    sheet: str
    question: str


def practice_items(connection: Connection, person: str, attempt: int) -> list[PracticeItem]:
    """Return the first items of the sheets still to come in a try: those that the person never had, if any are left."""
    mine = LEASE.c.person == person
    had = select(LEASE.c.question, LEASE.c.attempt, LEASE.c.state).where(mine, LEASE.c.purpose == "practice")
    before: set[str] = set()
    now: set[str] = set()
    for asked, tried, state in connection.execute(had):
        if tried == attempt and state not in ("expired", "undone"):
            now.add(asked)
        elif tried < attempt:
            before.add(asked)
    all_ = select(ITEM.c.id, ITEM.c.sheet, ITEM.c.question).where(
        IS_CHECK, ITEM.c.purpose == "practice", ITEM.c.position == 0, is_for_me()
    )
    left = [PracticeItem(*row) for row in connection.execute(all_, {"me": person}) if row.question not in now]
    return [each for each in left if each.question not in before] or left
