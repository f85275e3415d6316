"""Parts of a form: what one field of an answer must be as JSON, and the words for it."""

from collections.abc import Callable
from math import isfinite
from typing import Any, NamedTuple


class FormPart(NamedTuple):
    """What a part must be, and the words for it, as in "'better' must be 0, 1 or null"."""

    fits: Callable[[Any], bool]
    words: str


def part(fits: Callable[[Any], bool], words: str) -> dict[str, FormPart]:
    """Return the metadata of a dataclass's field that is a part of a form."""
    return {"part": FormPart(fits, words)}


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


def is_text(value: Any) -> bool:
    """Whether it is a text that is not empty."""
    return isinstance(value, str) and bool(value.strip())


def is_texts(value: Any) -> bool:
    """Whether it is a list of texts, none empty."""
    return isinstance(value, list) and all(map(is_text, value))


def is_places(value: Any) -> bool:
    """Whether it is a list of whole numbers."""
    return isinstance(value, list) and all(whole(each) is not None for each in value)


def is_spans(value: Any) -> bool:
    """Whether it is a list of [start, end] characters, none empty."""
    return isinstance(value, list) and all(
        is_places(each) and len(each) == 2 and 0 <= each[0] < each[1] for each in value
    )


def is_count(value: Any) -> bool:
    """Whether it is a whole number from 1 up."""
    return (whole(value) or 0) >= 1


def is_share(value: Any) -> bool:
    """Whether it is a number from 0 to 1."""
    return (known := number(value)) is not None and 0 <= known <= 1


TEXT = part(is_text, "a text that is not empty")
