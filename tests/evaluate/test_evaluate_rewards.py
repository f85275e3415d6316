"""A reward model's report on rows: figures by hand, parts by level and rater, and the line that the CLI prints."""

import json
import math

import numpy as np
import pytest

from rrm.core.errors import InputError, ShapeError
from rrm.core.place import Place
from rrm.core.values import Comparison, Feedback, Label, Rated, Request, Shown, View
from rrm.evaluate.baselines import BagOfWords
from rrm.evaluate.levels import HeldOut, level_report
from rrm.evaluate.rewards import LEAST_ROWS, pairwise, reward_report

HEAD = ["n", "accuracy", "ties", "interval", "nll", "ece", "noise_ceiling", "agreement", "best_possible"]
HEAD += ["longer_wins", "bag_of_words", "verbatim"]


def row(source: str, first: str, second: str, better: int | None, rater: str = "r", level: int = 0) -> Rated:
    view = View("Summarise.", (), 50)
    request = Request("n", source, Place(level=level), "comparison", view, (Shown("a", first), Shown("b", second)))
    return Rated(request, Feedback(request.id, rater, Comparison(better)))


ROWS = [
    row("s0", "good and long", "bad", 0),
    row("s0", "good", "bad and longer", 0, level=1),
    row("s1", "bad", "good", 1, "q"),
    row("s1", "bad", "good", None, "q", level=1),
]
PROBABILITY = np.array([0.8, 0.6, 0.7, 0.4])


def test_every_figure_by_hand() -> None:
    words = BagOfWords({"good": 0}, np.array([1.0]), 1.0)
    found = reward_report(PROBABILITY, ROWS, words).figures
    assert (found.n, found.ties) == (4, 1)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.nll == pytest.approx(-(math.log(0.8) + math.log(0.6) + math.log(0.3) + 0.5 * math.log(0.4 * 0.6)) / 4)
    assert found.ece == pytest.approx(abs(np.mean([0.8, 0.6, 0.7, 0.6]) - np.mean([1, 1, 0, 0.5])))
    assert found.longer_wins == pytest.approx((1 + 0 + 0.5) / 3)
    assert found.bag_of_words == pytest.approx(1.0)
    assert found.noise_ceiling is None  # one vote a pair
    assert found.interval is None and found.ece_interval is not None  # of two sources


def test_the_line_has_exactly_the_keys_that_others_script() -> None:
    report = reward_report(PROBABILITY, ROWS)
    line = json.loads(json.dumps(report.to_json()))
    assert list(line) == HEAD and report.to_json() == report.figures.to_json()
    assert line["n"] == 4 and line["ties"] == 1 and line["interval"] is None and line["bag_of_words"] is None


def test_without_rows_everything_is_undefined_but_the_count() -> None:
    line = reward_report(np.zeros(0), []).to_json()
    assert line == {**dict.fromkeys(HEAD), "n": 0, "ties": 0}


def test_levels_have_their_own_figures() -> None:
    found = reward_report(PROBABILITY, ROWS).by_level
    assert {level: part.n for level, part in found.items()} == {0: 2, 1: 2}
    assert found[0].accuracy == pytest.approx(1 / 2) and found[1].accuracy == pytest.approx(1.0)
    assert found[0].nll == pytest.approx(-(math.log(0.8) + math.log(0.3)) / 2)


def test_raters_with_enough_rows_have_their_own_figures() -> None:
    many = [row(f"s{n}", f"x{n}", "y", n % 2, "many") for n in range(LEAST_ROWS)]
    few = [row(f"s{n}", f"x{n}", "y", 0, "few") for n in range(LEAST_ROWS - 1)]
    found = reward_report(np.full(len(many) + len(few), 0.9), [*many, *few]).by_rater
    assert list(found) == ["many"]
    assert found["many"] == (LEAST_ROWS, pytest.approx(0.5), pytest.approx(-(math.log(0.9) + math.log(0.1)) / 2))


def test_votes_have_an_agreement_and_checked_answers_a_ceiling() -> None:
    said = {"a": 0, "b": 0, "c": 1}
    votes = [row("s", f"x{pair}", "y", better, rater) for pair in range(10) for rater, better in said.items()]
    half = np.full(len(votes), 0.5)
    # a and b: the others are split, a coin; c: both others disagree.
    found = reward_report(half, votes).figures
    assert found.agreement == pytest.approx((0.5 + 0.5 + 0) / 3) and found.noise_ceiling is None
    assert found.best_possible is not None
    checked = reward_report(half, votes, checked=True).figures
    assert (checked.noise_ceiling, checked.agreement, checked.best_possible) == (1.0, None, None)


def test_a_level_report_of_the_same_rows_has_the_same_figures() -> None:
    level = level_report(0, [HeldOut(*each) for each in zip(PROBABILITY, ROWS, strict=True)], 0, [], {})
    head = reward_report(PROBABILITY, ROWS).figures
    for name in ("accuracy", "interval", "nll", "ece", "ece_interval", "reliability", "longer_wins", "ties"):
        assert getattr(level, name) == getattr(head, name), name


def test_rows_that_are_no_comparison_and_missing_probabilities_are_refused() -> None:
    request = Request("n", "s", Place(), "label", View("Summarise.", (), 50), (Shown("a", "x"),))
    label = Rated(request, Feedback(request.id, "r", Label(True)))
    with pytest.raises(InputError, match="row 2 is no comparison of two outputs but a label"):
        reward_report(np.array([0.5, 0.5]), [ROWS[0], label])
    with pytest.raises(ShapeError, match="one probability per row"):
        reward_report(PROBABILITY[:3], ROWS)
    assert pairwise([label]) == []
