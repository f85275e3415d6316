"""What judgements say about two outputs: as one number, and any kind of judgement as comparisons."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from rrm.core.ids import generator
from rrm.core.values import Comparison, Feedback, Label, Ranking, Rated, Rating, Request

MOST_PAIRS = 1000
"""Of the pairs that one rater's ratings beside one view imply, at most so many are taken, drawn by chance."""


def outcome_of(rated: Rated) -> float | None:
    """Return 1 if the first output shown was judged better, 0 if the second, 0.5 for a tie.

    None for a rating that does not compare exactly two outputs.
    """
    answer = rated.feedback.answer
    if len(rated.request.shown) != 2:
        return None
    if isinstance(answer, Comparison) and answer.better is None:
        return 0.5
    return None if answer.first is None else 1.0 - answer.first


def pairwise(rated: Sequence[Rated]) -> list[Rated]:
    """Return every judgement as comparisons of two outputs, in the order in which the judgements come.

    Comparisons stay as they are. A ranking prefers each output that it names to all named later and
    all not named; those that are level are not compared. Ratings, and labels, that one rater gave beside
    one view by one criterion say which of two outputs with different values is better (`MOST_PAIRS` of them at most);
    these stand where the first of the group stood. Other kinds compare no two outputs as shown, and give
    none.
    """
    groups: dict[tuple[object, ...], list[Rated]] = defaultdict(list)
    for row in rated:
        if (key := _group(row)) is not None:
            groups[key].append(row)
    pairs: list[Rated] = []
    for row in rated:
        answer = row.feedback.answer
        if isinstance(answer, Comparison):
            pairs.append(row)
        elif isinstance(answer, Ranking):
            pairs.extend(_ranked(row, answer))
        elif (key := _group(row)) is not None:
            pairs.extend(_valued(groups.pop(key, [])))
    return pairs


def _group(rated: Rated) -> tuple[object, ...] | None:
    """Return what ratings or labels must share to be compared with each other; None for other kinds."""
    answer, request = rated.feedback.answer, rated.request
    if not isinstance(answer, Rating | Label) or len(request.shown) != 1:
        return None
    points = answer.points if isinstance(answer, Rating) else 2
    criterion = rated.feedback.criterion
    return rated.feedback.rater, request.source, request.place, request.view.id, criterion, answer.kind, points


def _ranked(rated: Rated, answer: Ranking) -> Iterable[Rated]:
    ranks = answer.ranks
    for first, second in combinations(range(len(rated.request.shown)), 2):
        before, behind = (ranks.get(place, len(ranks)) for place in (first, second))
        if before != behind:
            yield _comparison(rated, rated, int(behind < before), (first, second))


def _valued(rated: Sequence[Rated]) -> Iterable[Rated]:
    values = [_value(each) for each in rated]
    texts = [each.request.shown[0].text for each in rated]
    pairs = [
        (first, second)
        for first, second in combinations(range(len(rated)), 2)
        if values[first] != values[second] and texts[first] != texts[second]
    ]
    if len(pairs) > MOST_PAIRS:
        drawn = generator("pairwise", rated[0].request.id).choice(len(pairs), MOST_PAIRS, replace=False)
        pairs = [pairs[place] for place in sorted(drawn)]
    for first, second in pairs:
        yield _comparison(rated[first], rated[second], int(values[second] > values[first]), (0, 0))


def _value(rated: Rated) -> float:
    answer = rated.feedback.answer
    assert isinstance(answer, Rating | Label)
    return answer.value if isinstance(answer, Rating) else float(answer.good)


def _comparison(first: Rated, second: Rated, better: int, places: tuple[int, int]) -> Rated:
    shown = (first.request.shown[places[0]], second.request.shown[places[1]])
    request: Request = replace(first.request, kind=Comparison.kind, shown=shown)
    return Rated(
        request, Feedback(request.id, first.feedback.rater, Comparison(better), criterion=first.feedback.criterion)
    )
