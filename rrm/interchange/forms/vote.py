"""Votes between two outputs side by side, in the words and numbers of arenas and annotation projects.

    {"prompt": "Sum up.", "completion_a": "It burned.", "completion_b": "A mill.", "vote": "a-is-slightly-better"}
    {"prompt": "Sum up.", "response_a": "It burned.", "response_b": "A mill.", "winner": "model_a"}
    {"conversation_a": [user, assistant], "conversation_b": [user, assistant], "winner": "tie (bothbad)"}
    {"prompt": "Sum up.", "response_a": "It burned.", "response_b": "A mill.", "winner_model_a": 1, ...}
    {"context": [user], "response1": "A mill.", "response2": "It burned.", "overall_preference": 2}   -3 to 3
    {"prompt": "Sum up.", "response_0": "It burned.", "response_1": "A mill.", "better_response_id": 0}

A tie between equal texts says nothing. "Both are bad" is a tie.
"""

import re
from contextlib import suppress
from typing import Any

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief
from rrm.core.values import Comparison
from rrm.interchange.columns import text, truth, whole
from rrm.interchange.forms.form import EqualTexts, Judged, Legend
from rrm.interchange.near import missing
from rrm.interchange.pairs import FLAGS, GRADES, sides, verdicts
from rrm.interchange.rows import Row

_GRADES = (None, 1 / 6, 1 / 2, 5 / 6)  # the middles of three grades
_HOW = {
    "": None,
    "-is-slightly-better": _GRADES[1],
    "-is-better": _GRADES[2],
    **{f"-is-{word}-better": _GRADES[3] for word in ("clearly", "far", "much", "significantly")},
}
_SAID = re.compile(r"(?:[a-z]+-?)??(?P<side>[ab]|a1|a2|\d|first|second|left|right)(?P<how>-is-.*)?")
_STEMS = (
    "", "model", "response", "answer", "completion", "output", "conversation", "candidate", "summary", "assistant",
    "generation", "text", "option",
)  # fmt: skip
_TIES = frozenset(
    [
        "tie",
        "equal",
        "draw",
        "same",
        "both",
        "neither",
        "bothbad",
        "both-bad",
        "both-good",
        "tie-(bothbad)",
        "tie-(both-bad)",
        "tie-bothbad",
        "equally-good",
        "equally-bad",
        "no-preference",
    ]
)


def vote(row: Row, legend: Legend) -> list[Judged]:
    """Read one vote between two outputs."""
    pair = sides(row)
    if pair is None:
        raise InputError(missing(next(each for each in ("completion_a", "completion_b") if each not in row), row))
    texts = (text(row, pair[0]), text(row, pair[1]))
    answer = _said(row, pair)
    if texts[0] != texts[1]:
        return [Judged(texts, answer)]
    if answer.better is None:
        return []
    raise EqualTexts(f"{pair[0]} and {pair[1]} are the same text, but one is preferred: mend or remove the row")


def _said(row: Row, pair: tuple[str, str]) -> Comparison:
    columns = verdicts(row)
    if not columns:
        raise InputError(f"{pair[0]} and {pair[1]} are there, but no vote: add a column vote with a, b or tie")
    said = verdict_by(columns[0], row, pair)
    for other in columns[1:]:
        again = said
        with suppress(InputError):  # a column that says something else
            again = verdict_by(other, row, pair)
        if None not in (said.better, again.better) and said.better != again.better:
            raise InputError(f"columns {columns[0]!r} and {other!r} contradict each other: leave the wrong one out")
    return said


def verdict_by(column: str, row: Row, pair: tuple[str, str]) -> Comparison:
    """Return what a column says of two outputs side by side; raise InputError where it is no verdict."""
    if column in GRADES:
        return _grade(column, row[column])
    return _flagged(row) if column == FLAGS[0] else _word(column, row, pair)


def _grade(column: str, value: Any) -> Comparison:
    grade = whole(value)
    if grade is None or not -3 <= grade <= 3:
        raise InputError(f"column {column!r} must be a whole number from -3 to 3, got {brief(value)}")
    return Comparison(None) if grade == 0 else Comparison(int(grade > 0), _GRADES[abs(grade)])


def _flagged(row: Row) -> Comparison:
    flags = [truth(row.get(column, False)) for column in FLAGS]
    if any(flag is None for flag in flags) or flags.count(True) != 1:
        raise InputError(f"of the columns {', '.join(FLAGS)} one must be 1 and the others 0")
    return Comparison((0, 1, None)[flags.index(True)])


def _word(column: str, row: Row, pair: tuple[str, str]) -> Comparison:
    value = row[column]
    number = whole(value)
    said = re.sub(r"[\s_]+", "-", (str(number) if number is not None else str(value)).strip().lower())
    if said in _TIES:
        return Comparison(None)
    if isinstance(value, str) and (named := [end for end in "ab" if row.get(f"model_{end}") == value]):
        if len(named) == 1:  # the winner's own name
            return Comparison("ab".index(named[0]))
    elif number is None and not isinstance(value, str):
        raise _unknown(column, value)
    found = _SAID.fullmatch(said)
    if found is None or said[: found.start("side")].rstrip("-") not in _STEMS or (found["how"] or "") not in _HOW:
        raise _unknown(column, value)
    return Comparison(_side(found["side"], column, value, pair), _HOW[found["how"] or ""])


def _side(side: str, column: str, value: Any, pair: tuple[str, str]) -> int:
    """Return which output a letter or number names; numbers are those of the columns' own names."""
    known = {"a": 0, "b": 1, "a1": 0, "a2": 1, "first": 0, "second": 1, "left": 0, "right": 1}
    if pair[0][-1].isdigit():
        known |= {pair[0][-1]: 0, pair[1][-1]: 1}
    if side not in known:
        raise InputError(
            f"{column} is {brief(value)}, which may be {pair[0]} or {pair[1]}: write a, b or tie, or number the columns"
        )
    return known[side]


def _unknown(column: str, value: Any) -> InputError:
    return InputError(f"{column} must be a, b or tie (or a-is-slightly-better and the like), got {brief(value)}")
