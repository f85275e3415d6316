"""What choosing among root outputs was worth, against a gold function that only evaluation is handed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from rrm.core.errors import ShapeError
from rrm.core.report import Candidate, NodeReport, TargetReport, TreeReport
from rrm.evaluate.roots import Root, against_gold, gain, with_gold

GOLD = {"a": 0.2, "b": 0.5, "c": 0.9, "d": 0.4}


def target() -> TargetReport:
    """Two trees with two root candidates each; the best composed score is c's."""
    first = (Candidate("1", "a", 0.3, None, 0.1, chosen=True), Candidate("2", "b", 0.1, None, 0.2))
    second = (Candidate("3", "c", 0.2, None, 0.8, chosen=True), Candidate("4", "d", None, None, None))
    trees = tuple(
        TreeReport(seed, f"root{seed}", (NodeReport(f"root{seed}", 0, 0, "Book", (), "", candidates),))
        for seed, candidates in enumerate((first, second))
    )
    return TargetReport("book", "Book", trees, second[0], 1)


def test_gold_of_the_chosen_stands_beside_the_mean_and_the_best() -> None:
    roots = [Root("1", "a", 0.1, 0.9, 3.0), Root("2", "b", 0.2, 0.5, 2.0), Root("3", "c", 0.8, 0.1, 1.0)]
    judged = against_gold(roots, GOLD.__getitem__, "2")
    assert judged.gold == (0.2, 0.5, 0.9)
    assert judged.of_chosen == 0.5
    assert judged.mean == pytest.approx(1.6 / 3)
    assert judged.best == 0.9
    assert [each.value for each in (judged.composed, judged.own, judged.flat)] == pytest.approx([1, -1, -1])


def test_correlations_are_spearmans_over_the_scored_candidates() -> None:
    random = np.random.default_rng(0)
    scores, truth = random.random(40), random.random(40)
    roots = [Root(str(n), str(n), float(scores[n]) if n % 4 else None) for n in range(40)]
    judged = against_gold(roots, lambda text: float(truth[int(text)]), None)
    scored = [n for n in range(40) if n % 4]
    assert judged.composed.value == pytest.approx(spearmanr(scores[scored], truth[scored]).statistic)
    assert judged.composed.n == 30
    assert judged.own == (None, None, 0)
    assert judged.of_chosen is None


def test_a_target_without_candidates_has_no_gold() -> None:
    judged = against_gold([], GOLD.__getitem__, None)
    assert (judged.of_chosen, judged.mean, judged.best) == (None, None, None)


def test_a_targets_report_takes_the_gold_of_all_its_trees() -> None:
    found = with_gold(target(), GOLD.__getitem__, {"1": 4.0, "2": 3.0, "3": 2.0, "4": 1.0})
    assert (found.gold_of_chosen, found.gold_best) == (0.9, 0.9)
    assert found.gold_mean == pytest.approx(0.5)
    assert [each.gold for tree in found.trees for each in tree.nodes[0].candidates] == [0.2, 0.5, 0.9, 0.4]
    assert found.chosen is not None and found.chosen.gold == 0.9
    assert found.composed_correlation is not None and found.composed_correlation[::2] == (1.0, 3)
    assert found.own_correlation is not None and found.own_correlation.value == -0.5
    assert found.flat_correlation is not None
    assert found.flat_correlation.value == pytest.approx(spearmanr([4, 3, 2, 1], [0.2, 0.5, 0.9, 0.4]).statistic)


def test_a_candidate_that_was_proposed_several_times_counts_as_often() -> None:
    first, second = target().trees
    often = replace(
        first.nodes[0], candidates=(replace(first.nodes[0].candidates[0], times=3), first.nodes[0].candidates[1])
    )
    found = with_gold(replace(target(), trees=(replace(first, nodes=(often,)), second)), GOLD.__getitem__)
    assert found.gold_mean == pytest.approx((3 * 0.2 + 0.5 + 0.9 + 0.4) / 6)
    assert found.own_correlation is not None
    # own: a thrice .3, b .1, c .2; gold .2, .5, .9
    assert found.own_correlation.value == pytest.approx(
        spearmanr([0.3, 0.3, 0.3, 0.1, 0.2], [0.2, 0.2, 0.2, 0.5, 0.9]).statistic
    )
    assert found.own_correlation.n == 5


def test_gold_changes_no_choice_and_no_score() -> None:
    found = with_gold(target(), lambda text: 1 - GOLD[text])
    assert found.chosen is not None and found.chosen.id == "3"
    assert [each.composed for each in found.trees[0].nodes[0].candidates] == [0.1, 0.2]


def test_the_gain_over_targets_has_an_interval_and_counts_strict_wins() -> None:
    chosen, mean = [0.6, 0.7, 0.5, 0.9], [0.5, 0.5, 0.5, 0.6]
    found = gain(chosen, mean)
    assert found.mean == pytest.approx(0.15)
    assert (found.wins, found.n) == (3, 4)
    assert found.interval is not None
    assert 0 <= found.interval.low < 0.15 < found.interval.high < 0.31


def test_the_gains_interval_is_students_for_normal_gains() -> None:
    gains = np.random.default_rng(4).normal(0.1, 0.2, 20)
    found = gain((0.5 + gains).tolist(), [0.5] * 20, resamples=4000)
    half = 2.093 * gains.std(ddof=1) / np.sqrt(20)  # the 97.5 % point of Student's t with 19 degrees of freedom
    assert found.interval is not None
    assert found.interval.low == pytest.approx(gains.mean() - half, abs=0.02)
    assert found.interval.high == pytest.approx(gains.mean() + half, abs=0.02)


def test_gains_need_pairs() -> None:
    with pytest.raises(ShapeError):
        gain([0.1], [0.1, 0.2])
    with pytest.raises(ShapeError):
        gain([], [])
