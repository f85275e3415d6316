"""The kinds of feedback, a file each, and what is asked of answers whatever their kind."""

from collections.abc import Sequence

from rrm.core.errors import InputError
from rrm.core.kinds.answer import Answer
from rrm.core.kinds.claims import ClaimMarks
from rrm.core.kinds.comparison import Comparison
from rrm.core.kinds.correction import Correction
from rrm.core.kinds.critique import Critique
from rrm.core.kinds.demonstration import Demonstration
from rrm.core.kinds.hindsight import Hindsight
from rrm.core.kinds.label import Label
from rrm.core.kinds.ranking import Ranking
from rrm.core.kinds.rating import Rating
from rrm.core.kinds.reject import Reject

__all__ = [
    "KINDS",
    "Answer",
    "ClaimMarks",
    "Comparison",
    "Correction",
    "Critique",
    "Demonstration",
    "Hindsight",
    "Label",
    "Ranking",
    "Rating",
    "Reject",
    "check_answer",
    "difference",
    "inverse",
    "is_right",
]

KINDS: dict[str, type[Answer]] = {
    answer.kind: answer
    for answer in (
        Comparison,
        Hindsight,
        Ranking,
        Rating,
        Label,
        Correction,
        Demonstration,
        Critique,
        ClaimMarks,
        Reject,
    )
}
"""Every kind by its name in records, in the order in which they are listed to people."""


def check_answer(answer: Answer, kind: str, texts: Sequence[str], points: int | None = None) -> None:
    """Raise InputError for what is no answer to a question of this kind that shows outputs of these texts.

    `points` is the length of the rating scale, None where any will do.
    """
    if kind == Reject.kind and answer == Label(True):  # of any number of outputs: nothing is wrong with the item
        return
    if answer.kind not in (kind, Reject.kind):
        raise InputError(f"the item asks for a {kind}, got a {answer.kind}")
    answer.check(texts, points)


def difference(one: Answer, other: Answer) -> float:
    """Return from 0 to 1 how much two answers differ; those of different kinds wholly."""
    return one.difference(other) if type(one) is type(other) else 1.0


def is_right(answer: Answer, expected: Answer) -> bool | None:
    """Say whether an answer agrees with the known one; None where such answers are not judged."""
    if not expected.metrics:
        return None
    return type(answer) is type(expected) and answer.agrees(expected)


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """Return the permutation that takes another back: from places in the request to places on the page."""
    return tuple(order.index(place) for place in range(len(order)))
