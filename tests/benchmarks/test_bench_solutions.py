"""Composed step rewards against outcome-only: closed forms, folds of problems, and problems with known answers."""

import json
from math import log
from pathlib import Path

import numpy as np
import pytest

from benchmarks.decompose_solutions import (
    Logistic,
    composed,
    figures,
    folds_of,
    interval,
    read_solutions,
    step_features,
)
from tasks.arithmetic_steps import calculations


def test_a_logistic_regression_without_information_gives_the_share_and_with_it_the_order() -> None:
    good = np.array([True, True, True, False])
    assert Logistic.fit(np.zeros((4, 2)), good).logits(np.zeros((1, 2)))[0] == pytest.approx(log(3), abs=1e-4)
    told = Logistic.fit(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([False, False, True, True]))
    assert told.logits(np.array([[3.0]]))[0] > 0 > told.logits(np.array([[0.0]]))[0]


def test_what_is_composed_is_the_log_of_the_product_the_least_and_the_mean() -> None:
    parts = np.log(np.array([0.5, 0.25, 0.5]))
    assert composed(parts) == pytest.approx([log(1 / 16), log(1 / 4), log(1 / 16) / 3, 3])
    assert composed(np.zeros(0)).tolist() == [0, 0, 0, 0]


def test_folds_are_of_problems_and_even_and_intervals_resample_them() -> None:
    problems = [f"problem {at // 4}" for at in range(40)]
    fold = folds_of(problems, 5, 0)
    assert all(len(set(fold[at : at + 4])) == 1 for at in range(0, 40, 4))
    assert sorted(np.bincount(fold)) == [8] * 5
    assert interval(np.full(40, 0.3), problems, 0) == pytest.approx((0.3, 0.3))
    low, high = interval(np.array([1.0, 0.0] * 20), problems, 0)  # every problem has the same mean
    assert (low, high) == (0.5, 0.5)


def test_a_steps_features_hang_on_the_question_and_the_steps_before_it_alone() -> None:
    first, second = "3 + 4 = <<3+4=7>>7", "7 * 2 = <<7*2=15>>15"
    both, one = f"{first}\n{second}", first
    question = "There are 3 and 4 and 2."
    features = step_features(question, both, calculations(both))
    assert features.shape == (2, 20) and features[0, 0] == 1 and features[1, 0] == 0
    alone = step_features(question, one, calculations(one))
    assert np.delete(features[0], 10).tolist() == np.delete(alone[0], 10).tolist()  # all but the place among the steps


def test_where_wrong_solutions_use_unknown_numbers_every_method_but_the_formal_check_finds_them(tmp_path: Path) -> None:
    problems, written, pairs = [], [], []
    for number in range(30):
        a, b = 3 + number, 50 + 2 * number
        question = f"Box {number} holds {a} red and {b} blue. How many?"
        good = f"{a}+{b} = <<{a}+{b}={a + b}>>{a + b}\nA: {a + b}"
        bad = f"{a}+997 = <<{a}+997={a + 997}>>{a + 997}\nA: {a + 997}"
        problems.append({"question": question, "solution": good})
        written += [{"question": question, "solution": text, "is_correct": text is good} for text in (good, bad)]
        pairs.append({"prompt": question, "chosen": good, "rejected": bad})
    for name, rows in (("problems", problems), ("model_solutions", written), ("solution_pairs", pairs)):
        path = tmp_path / f"{name}_validation.jsonl.gz"
        path.write_text("\n".join(map(json.dumps, rows)))
    assert len(read_solutions(tmp_path)) == 60
    found = {figure.name: figure.value for figure in figures(tmp_path, 3, 0)}
    for name in ("steps composed by product", "steps composed by minimum", "steps composed by a learned rule"):
        assert found[name] == 1.0
    assert found["outcome only"] == 1.0 and found["steps labelled right"] == 1.0
    assert found["all calculations hold"] == 0.5
    assert found["steps composed by product, less outcome only"] == 0.0
