"""Diversity by hand: BLEU, self-BLEU, and how well a policy's own probabilities tell its best output."""

from math import exp

import numpy as np
import pytest

from rrm.core.errors import ShapeError
from rrm.evaluate.diversity import as_predictor, bleu, calibration_error, self_bleu


def test_bleu_is_worked_out_by_hand() -> None:
    text, reference = ["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "f"]
    # 4/5; (3+1)/(4+1); (2+1)/(3+1); (1+1)/(2+1)
    assert bleu(text, [reference]) == pytest.approx((4 / 5 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)
    assert bleu(text, [text]) == pytest.approx(1.0)
    assert bleu(["z"], [text]) == 0.0


def test_a_word_counts_as_often_as_a_reference_has_it_and_short_texts_are_punished() -> None:
    assert bleu(["a", "a", "a", "a"], [["a", "b", "c", "d"]]) == pytest.approx((1 / 4 * 1 / 4 * 1 / 3 * 1 / 2) ** 0.25)
    # all of its one and two words in a row are right; of three and four there are none, and one count is added
    assert bleu(["a", "b"], [["a", "b", "c", "d"]]) == pytest.approx(exp(1 - 4 / 2))
    assert bleu([], [["a"]]) == 0.0 and bleu([], [[]]) == 1.0


def test_equal_texts_repeat_each_other_and_others_do_not() -> None:
    assert self_bleu(["Anna left the mill.", "Anna left the mill."]) == pytest.approx(1.0)
    assert self_bleu(["Anna left.", "It rained."]) == 0.0
    assert self_bleu(["Anna left."]) is None


def test_a_policy_predicts_which_of_its_outputs_is_best() -> None:
    predicted, best = as_predictor(np.array([3.0, 1.0]), np.array([0.2, 0.9]))
    assert predicted.tolist() == [0.75, 0.25] and best.tolist() == [0.0, 1.0]
    assert as_predictor(np.ones(3), np.array([1.0, 1.0, 0.0]))[1].tolist() == [0.5, 0.5, 0.0]
    with pytest.raises(ShapeError, match="a weight and a quality"):
        as_predictor(np.ones(2), np.ones(3))


def test_the_calibration_error_is_the_gap_by_bin() -> None:
    predicted, observed = np.array([0.1, 0.15, 0.9, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    # bins: {0.1, 0.15} with one of two right: |0.25 - 1|; {0.9, 1.0} with both: |1.9 - 2|
    assert calibration_error(predicted, observed) == pytest.approx((0.75 + 0.1) / 4)
    assert calibration_error(np.array([]), np.array([])) is None
