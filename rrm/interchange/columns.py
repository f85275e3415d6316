"""One column of a row, checked: texts, names and numbers; faults name the column and what stands there."""

from collections.abc import Callable, Mapping
from typing import Any

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief, whole
from rrm.core.place import SUBJECTS, Place
from rrm.core.values import OVERALL
from rrm.interchange.rows import Row

_MOST = 10**6  # rounds, levels

Render = Callable[[list[dict[str, Any]]], str]
"""Chat messages (`role`, `content`) to one text, such as a tokenizer's chat template."""


def text(row: Row, column: str, render: Render | None = None) -> str:
    """Return a column's text; raise InputError where it is missing, empty or no text.

    Chat messages become one text: by `render`, or else a single message its content and several
    one paragraph each, after who spoke.
    """
    value = _value(row, column)
    if _is_chat(value):
        value = render([dict(each) for each in value]) if render else _plainly(value)
    return _checked(value, column)


def reply(row: Row, column: str, render: Render | None = None) -> str:
    """Return the text of an answer: as `text`, but a single message is its content, as it is."""
    value = _value(row, column)
    return _checked(value[0]["content"], column) if _is_chat(value) and len(value) == 1 else text(row, column, render)


def name(row: Row, column: str) -> str:
    """Return a column's name or whole number as text; raise InputError for anything else."""
    value = row.get(column)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"column {column!r} must be a name or a number, got {brief(value)}")
    return str(value)


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


def place_of_others(row: Row) -> Place:
    """Return `place` of a row that others wrote: null is absent, and a level that is no number says nothing to us."""
    told = {column: row[column] for column in ("round", "subject", "level") if row.get(column) is not None}
    if whole(told.get("level")) is None:
        told.pop("level", None)
    return place(told)


def criterion(row: Row) -> str:
    """Return the criterion that a row was judged by, `overall` without a column `criterion`."""
    return name(row, "criterion") if "criterion" in row else OVERALL


def _value(row: Row, column: str) -> Any:
    if column not in row:
        raise InputError(f"column {column!r} is missing; there are {', '.join(row) or 'none'}")
    return row[column]


def _checked(value: Any, column: str) -> str:
    if not isinstance(value, str):
        draw = "; null may stand for a draw: give completion_a, completion_b and vote instead" if value is None else ""
        raise InputError(f"column {column!r} must be a text, got {brief(value)}{draw}")
    if not value.strip():
        raise InputError(f"column {column!r} is empty")
    return value


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_message(each) for each in value)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)


def _plainly(messages: list[Mapping[str, str]]) -> str:
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n\n".join(f"{each['role']}: {each['content']}" for each in messages)
