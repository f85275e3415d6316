"""Names of columns that are ours but for capitals, spaces and underscores: `Prompt`, `CHOSEN`, `source id`."""

from collections.abc import Iterable
from functools import lru_cache

from rrm.interchange.pairs import FLAGS, JUDGED, SIDES, SINGLE, VERDICTS

OURS = frozenset((
    *JUDGED, *SINGLE, *VERDICTS, *FLAGS, *(column for pair in SIDES for column in pair),
    "prompt", "context", "conversations", "source", "source_id", "reference", "completions", "labels", "label", "score",
    "scores", "margin", "confidence", "level", "round", "subject", "criterion", "request", "feedback", "votes_for",
    "votes_against", "votes_equal",
))  # fmt: skip
"""Columns that are read, in rows of judgements and of texts to be scored, under these names alone."""


@lru_cache(maxsize=1024)
def bare(column: str) -> str:
    """Return what the spellings of a name share: its letters and digits, in small letters."""
    return "".join(letter for letter in column.casefold() if letter.isalnum())


def missing(column: str, columns: Iterable[str]) -> str:
    """Return the error about a column that is not there: which are, and which of them may be meant."""
    there = list(columns)
    meant = [each for each in there if bare(each) == bare(column)]
    hint = f"; did you mean {meant[0]!r}? rename it {column!r}" if meant else ""
    return f"column {column!r} is missing; there are {', '.join(there) or 'none'}{hint}"


def misspelt(columns: Iterable[str]) -> dict[str, str]:
    """Return which columns are ours but for their spelling, each with our name, where no column has that name."""
    known = {bare(each) for each in columns if each in OURS}
    return {
        each: _OURS[bare(each)]
        for each in columns
        if each not in OURS and bare(each) in _OURS and bare(each) not in known
    }


_OURS = {bare(each): each for each in sorted(OURS)}
