"""One column of a row, checked: texts, names and numbers; faults name the column and what stands there."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from rrm.core.errors import InputError
from rrm.interchange.rows import Row

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


def number(value: Any) -> float | None:
    """Return a finite number, None for anything else (booleans too)."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if known else None


def whole(value: Any) -> int | None:
    """Return a whole number, None for anything else (booleans too)."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def brief(value: Any) -> str:
    """Return a value as an error message shows it, in 60 characters at most."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


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
