"""Columns that hold outputs, under the names that collections of judgements give them, and those that judge a pair."""

from functools import lru_cache

from rrm.interchange.rows import Row

JUDGED = ("chosen", "rejected")
SINGLE = ("completion", "candidate", "summary", "response", "output")
"""The columns that hold one text by itself, the first that a row has."""

GRADES = ("overall_preference", "preference_strength")
"""Verdicts as a number: below 0 for the first output, above 0 for the second, up to 3 for much better."""

VERDICTS = ("vote", "preference", "winner", "better_response_id", *GRADES)
FLAGS = ("winner_model_a", "winner_model_b", "winner_tie")
"""Verdicts as three flags, one of which is set: for the first output, for the second, a tie."""

_STEMS = ("completion", "response", "answer", "output", "conversation", "candidate", "summary", "generation", "text")
_ENDS = (("_a", "_b"), ("_0", "_1"), ("_1", "_2"), ("0", "1"), ("1", "2"))
SIDES = tuple((f"{stem}{first}", f"{stem}{second}") for stem in _STEMS for first, second in _ENDS)
"""Two outputs side by side: completion_a and completion_b, response_1 and response_2, and the like."""


def sides(row: Row) -> tuple[str, str] | None:
    """Return the columns of two outputs side by side that a row has, None if it has none."""
    return _sides(tuple(row))


@lru_cache(maxsize=1024)
def _sides(columns: tuple[str, ...]) -> tuple[str, str] | None:
    return next((pair for pair in SIDES if set(pair) <= set(columns)), None)


def verdicts(row: Row) -> list[str]:
    """Return the columns that say which of two outputs side by side is better, that which counts first."""
    return [column for column in (*VERDICTS, FLAGS[0]) if column in row]


def output_columns(row: Row) -> tuple[str, ...]:
    """Return the columns whose outputs a row is about: a pair, or one; none for lists and records."""
    return _output_columns(tuple(row))


@lru_cache(maxsize=1024)
def _output_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    row = dict.fromkeys(columns)
    pair = sides(row)
    if pair is not None and (verdicts(row) or not any(column in row for column in JUDGED)):
        return pair
    if any(column in row for column in JUDGED):
        return JUDGED
    return () if "completions" in row else tuple(column for column in SINGLE if column in row)[:1]
