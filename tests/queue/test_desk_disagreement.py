"""How much answers differ, against values found by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrm.core.values import Answer, Comparison, Correction, Label, Ranking, Rating, Reject
from rrm.queue.disagreement import disagreement


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], 0.0),
        ([Comparison(0)], 0.0),
        ([Comparison(0, 0.0), Comparison(0, 1.0)], 0.0),
        ([Comparison(0), Comparison(1), Comparison(None)], 1.0),
        ([Comparison(0), Comparison(0), Comparison(1)], 2 / 3),
        ([Comparison(0), Reject("both are bad")], 1.0),
        ([Reject("a"), Reject("b")], 0.0),
        ([Label(True), Label(False), Label(True), Label(False)], 4 / 6),
        ([Rating(1), Rating(7)], 1.0),
        ([Rating(3), Rating(4)], 1 / 6),
        ([Rating(1, 5), Rating(3, 5), Rating(5, 5)], (0.5 + 0.5 + 1.0) / 3),
        ([Ranking((0, 1, 2)), Ranking((2, 1, 0))], 1.0),
        ([Ranking((0, 1, 2)), Ranking((0, 2, 1))], 1 / 3),
        ([Ranking((0,)), Ranking((0, 2, 1))], 0.0),  # the first says no more than that 0 is best
        ([Ranking((1,)), Ranking((0, 1, 2))], 1 / 2),  # 1 over 0 against 0 over 1; 1 over 2 in both
        ([Correction("a"), Correction("b")], 0.0),
    ],
)
def test_disagreement_is_the_mean_difference_of_pairs(answers: list[Answer], expected: float) -> None:
    assert disagreement(answers) == pytest.approx(expected, abs=1e-12)


rankings = st.lists(st.permutations(range(4)).map(lambda order: Ranking(tuple(order))), min_size=2, max_size=4)


@given(rankings)
def test_disagreement_lies_between_0_and_1_whoever_comes_first(answers: list[Ranking]) -> None:
    found = disagreement(answers)
    assert 0 <= found <= 1
    assert disagreement(answers[::-1]) == pytest.approx(found)
    assert disagreement([answers[0]] * 3) == 0
