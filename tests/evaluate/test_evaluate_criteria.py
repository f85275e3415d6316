"""Accuracy by criterion, against counts made by hand."""

import pytest

from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Feedback, Label, Rated, Rating, Request, Shown, View
from rrm.evaluate.criteria import by_criterion
from rrm.evaluate.held_out import Predicted
from rrm.evaluate.outcomes import pairwise

VIEW = View("Summarise.", (), 50)


def rated(answer: Answer, criterion: str, *texts: str, source: str = "s") -> Rated:
    request = Request("n", source, Place(), answer.kind, VIEW, tuple(Shown(t, t) for t in texts), criterion=criterion)
    return Rated(request, Feedback(request.id, "r", answer, criterion=criterion))


def pair(criterion: str, probability: float, better: int | None, source: str) -> Predicted:
    row = rated(Comparison(better), criterion, "a", "b", source=source)
    return Predicted(source, "comparison", probability, None if better is None else 1 - better, (0, 1), row)


def judged(criterion: str, probability: float, good: bool, source: str) -> Predicted:
    row = rated(Label(good), criterion, "a", source=source)
    return Predicted(source, "label", probability, int(good), (0, 0), row)


def test_each_criterion_is_told_by_itself_and_ties_are_left_out() -> None:
    found = by_criterion(
        [
            pair("overall", 0.9, 0, "s0"),
            pair("overall", 0.9, 1, "s1"),
            pair("overall", 0.5, 1, "s2"),
            pair("overall", 0.9, None, "s2"),
            judged("accuracy", 0.2, False, "s0"),
            judged("accuracy", 0.7, True, "s0"),
        ]
    )
    accuracy, overall = found
    assert (accuracy.criterion, overall.criterion) == ("accuracy", "overall")
    assert (overall.pairs.rows, overall.pairs.share) == (3, pytest.approx((1 + 0 + 0.5) / 3))
    assert overall.pairs.interval is not None and overall.pairs.interval.low < 0.5 < overall.pairs.interval.high
    assert (accuracy.pairs.rows, accuracy.pairs.share) == (0, None)
    assert (accuracy.judged.rows, accuracy.judged.share, accuracy.judged.interval) == (2, 1.0, None)  # of one source


def test_one_criterion_alone_is_not_told_again() -> None:
    assert by_criterion([pair("overall", 0.9, 0, "s0"), pair("overall", 0.9, 0, "s1")]) == ()


def test_ratings_by_different_criteria_compare_no_two_outputs() -> None:
    rows = [rated(Rating(6), "accuracy", "a"), rated(Rating(2), "coverage", "b"), rated(Rating(3), "coverage", "c")]
    [found] = pairwise(rows)
    assert [shown.text for shown in found.request.shown] == ["b", "c"]
    assert (found.feedback.answer, found.feedback.criterion, found.request.criterion) == (
        Comparison(1), "coverage", "coverage",
    )  # fmt: skip
