"""What a rating says about two outputs, as one number."""

from itertools import combinations
from typing import NamedTuple

from rrm.core.values import Comparison, Ranking, Rated


class Preference(NamedTuple):
    """Two outputs' texts beside one source, and the outcome: 1 the first is better, 0 the second, 0.5 a tie."""

    source: str
    first: str
    second: str
    outcome: float


def outcome_of(rated: Rated) -> float | None:
    """Return 1 if the first output shown was judged better, 0 if the second, 0.5 for a tie.

    None for a rating that does not compare exactly two outputs.
    """
    answer = rated.feedback.answer
    if len(rated.request.shown) != 2:
        return None
    if isinstance(answer, Comparison):
        return 0.5 if answer.better is None else 1.0 - answer.better
    if isinstance(answer, Ranking) and answer.best_first:
        return 1.0 - answer.best_first[0]
    return None


def preferences(rated: Rated) -> list[Preference]:
    """Return the pairs that a comparison or ranking decides; none for any other kind.

    A ranking prefers each output that it names to all named later and all not named.
    """
    texts = [shown.text for shown in rated.request.shown]
    answer = rated.feedback.answer
    source = rated.request.source
    outcome = outcome_of(rated)
    if outcome is not None:
        return [Preference(source, texts[0], texts[1], outcome)]
    if not isinstance(answer, Ranking):
        return []
    unnamed = [place for place in range(len(texts)) if place not in answer.best_first]
    ordered = list(combinations(answer.best_first, 2)) + [(a, b) for a in answer.best_first for b in unnamed]
    return [Preference(source, texts[better], texts[worse], 1.0) for better, worse in ordered]
