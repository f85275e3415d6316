"""One column of a row, checked: texts, names and numbers; faults name the column and what stands there."""

from typing import Any

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief
from rrm.core.kinds.parts import whole as exactly_whole
from rrm.core.place import SUBJECTS, Place
from rrm.core.values import OVERALL
from rrm.interchange.messages import messages_of, plain
from rrm.interchange.near import missing
from rrm.interchange.rows import Row

_MOST = 10**6  # rounds, levels
_FIRST = Place()
_EXACT = 2**53  # above, a float that is whole may stand for another number


def text(row: Row, column: str) -> str:
    """Return a column's text; raise InputError where it is missing, empty or no text.

    Chat messages become one text: a single message its words, several one paragraph each, after who spoke.
    """
    value = _value(row, column)
    chat = None if isinstance(value, str) else messages_of(value, column)
    return _checked(value if chat is None else plain(chat), column)


def whole(value: Any) -> int | None:
    """Return a whole number, None for anything else (booleans too).

    A float that is whole is one: columns of whole numbers with a gap come out so from many tools.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return exactly_whole(value)


def truth(value: Any) -> bool | None:
    """Return a truth value, written as such, as its word or as 1 or 0; None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"false": False, "true": True}.get(value.strip().lower())
    return {0: False, 1: True}.get(whole(value))  # type: ignore[arg-type]  # None is no key


def name(row: Row, column: str) -> str:
    """Return a column's name or whole number as text; raise InputError for anything else."""
    value = row.get(column)
    number = whole(value)
    if number is None and (not isinstance(value, str) or not value.strip()):
        raise InputError(f"column {column!r} must be a name or a number, got {brief(value)}")
    return str(value if number is None else number)


def place(row: Row) -> Place:
    """Return the place that the columns `round`, `subject` and `level` tell; those that are missing are `Place()`'s.

    Raises InputError for a round or level that is no whole number from 0 up, and for an unknown subject.
    """
    numbers = {}
    for column in ("round", "level"):
        value = whole(row.get(column, 0))
        if value is None or not 0 <= value <= _MOST:
            raise InputError(f"column {column!r} must be a whole number from 0 to {_MOST:,}, got {brief(row[column])}")
        numbers[column] = value
    subject = row.get("subject", Place().subject)
    if subject not in SUBJECTS:
        raise InputError(f"column 'subject' must be one of {', '.join(SUBJECTS)}, got {brief(subject)}")
    return Place(numbers["round"], subject, numbers["level"])


def says_level(row: Row) -> bool:
    """Whether a row tells its level; one that is a word tells none."""
    level = row.get("level")
    return level.isdecimal() if isinstance(level, str) else level is not None


def place_of_others(row: Row) -> Place:
    """Return `place` of a row that others wrote: null is absent, and a level that is a word says nothing to us."""
    told = {column: row[column] for column in ("round", "subject", "level") if row.get(column) is not None}
    if not told:
        return _FIRST
    if isinstance(level := told.get("level"), str):
        told["level"] = int(level) if says_level(row) else 0
    return place(told)


def criterion(row: Row) -> str:
    """Return the criterion that a row was judged by, `overall` without a column `criterion`."""
    return name(row, "criterion") if "criterion" in row else OVERALL


def _value(row: Row, column: str) -> Any:
    if column not in row:
        raise InputError(missing(column, row))
    return row[column]


def _checked(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"column {column!r} must be a text, got {brief(value)}")
    if not value.strip():
        raise InputError(f"column {column!r} is empty")
    return value
