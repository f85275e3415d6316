"""What gives reason to doubt a run's figures: models no better than a count of words, and raters who do not judge."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rrm.core.report import LevelReport
from rrm.core.values import Answer, Comparison, Rated

LEAST_ROWS = 20
"""With fewer comparisons, or answers of one rater and kind, nothing is said."""

_SIDES = {0: "the first output shown to be better", 1: "the second output shown to be better", None: "outputs equal"}


def beaten(levels: Iterable[LevelReport], top: int) -> Iterator[str]:
    """Say of which levels "the longer wins" is right at least as often as the model, on the same held-out rows."""
    for level in levels:
        if level.accuracy is None or level.longer_wins is None or level.n_test - level.ties < LEAST_ROWS:
            continue
        if level.longer_wins >= level.accuracy:
            yield (
                f'{level.name(top)}: "the longer wins" is right in {level.longer_wins:.0%} of held-out pairs, the '
                f"model in {level.accuracy:.0%}: there is no sign that it has learned more than length"
            )


def one_sided(rated: Sequence[Rated]) -> Iterator[str]:
    """Say which raters gave one and the same answer to all their questions of a kind; each answer counts once."""
    answers: dict[tuple[str, str], dict[str, Answer]] = defaultdict(dict)
    for row in rated:
        answers[row.feedback.rater, row.feedback.answer.kind][row.feedback.id] = row.feedback.answer
    for (rater, kind), given in sorted(answers.items()):
        said = [_said(each) for each in given.values()]
        if len(said) >= LEAST_ROWS and all(each == said[0] for each in said):
            yield f"the rater {rater} {said[0]} in all {len(said):,} answers of the kind {kind}"


def _said(answer: Answer) -> str:
    return f"held {_SIDES[answer.better]}" if isinstance(answer, Comparison) else f"gave the answer {str(answer)[:80]}"
