"""The learned composer: a known rule comes back from members' noisy scores."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logit

from rrm.compose.composers import LogLinear
from rrm.compose.learned import LearnedJoin
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import ComposerLearner, JoinedRating, ScoredPart, Workspace
from rrm.core.values import OVERALL, Label, Prediction
from tests.compose.compose_problems import compared, joined, noisy

TRUTH = np.array([0.8, 0.0, 1.2, 0.3])


def learned(ratings: list[JoinedRating], folder: Path) -> LogLinear:
    return LearnedJoin().fit(ratings, Place(level=1), 0, Workspace(folder))


def reported(composer: LogLinear, rating: JoinedRating) -> float:
    """The mean over the members of the first candidate's composed score."""
    found = composer.compose(rating.node, rating.candidates, rating.scores, rating.parts)
    return float(found.acceptance[OVERALL][:, 0].mean())


def good(rating: JoinedRating) -> bool:
    answer = rating.rated.feedback.answer
    assert isinstance(answer, Label)
    return answer.good


def slope(composer: LogLinear, fresh: list[JoinedRating]) -> float:
    """How much the logit of being accepted rises with the reported one, by logistic regression; 1 if calibrated."""
    logits = logit(np.array([reported(composer, each) for each in fresh]))
    signs = np.array([1.0 if good(each) else -1.0 for each in fresh])
    return float(minimize(lambda at: np.logaddexp(0, -signs * (at[0] * logits + at[1])).sum(), [1.0, 0.0]).x[0])


def by_one_member(rating: JoinedRating) -> JoinedRating:
    scores = Prediction.overall(rating.scores.rewards[OVERALL][:1], rating.scores.acceptance[OVERALL][:1])
    parts = tuple(
        ScoredPart(part.node, part.output, part.share, {OVERALL: part.acceptance[OVERALL][:1]}) for part in rating.parts
    )
    return JoinedRating(rating.node, rating.rated, rating.candidates, scores, parts)


def test_exact_scores_give_the_rule_back(tmp_path: Path) -> None:
    found = learned(noisy(np.random.default_rng(0), TRUTH, 4000, noise=0.0, members=1), tmp_path)
    assert isinstance(LearnedJoin(), ComposerLearner)
    np.testing.assert_allclose([*found.weights, found.intercept], TRUTH, atol=0.25)
    assert found.weights[[0, 2]].tolist() == pytest.approx(TRUTH[[0, 2]].tolist(), abs=0.2)


def test_noisy_members_teach_a_rule_whose_reports_are_calibrated_on_fresh_roots(tmp_path: Path) -> None:
    slopes, attenuated = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        ratings, fresh = noisy(rng, TRUTH, 1500, noise=1.0), noisy(rng, TRUTH, 2000, noise=1.0)
        found = learned(ratings, tmp_path)
        # members err by a logit where scores vary by 1.5: a fit to single members is attenuated by about half
        single = learned([by_one_member(each) for each in ratings], tmp_path)
        assert single.weights.sum() < 0.7 * TRUTH[:3].sum() < found.weights.sum()
        slopes.append(slope(found, fresh))
        attenuated.append(slope(single, fresh))
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.15)  # 1500 labels tell a slope to about 0.12
    assert np.mean(attenuated) > 1.6


def test_the_learned_composer_is_monotone_even_if_ratings_say_otherwise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    own, parts = rng.uniform(0.05, 0.95, (300, 2, 1)), rng.uniform(0.05, 0.95, (300, 3, 2))
    perverse = [joined(Label(bool(o.mean() < 0.5)), o, p) for o, p in zip(own, parts, strict=True)]
    assert (learned(perverse, tmp_path).weights >= 0).all()


def test_comparisons_teach_the_weight_of_what_the_candidates_differ_in(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels = noisy(rng, np.zeros(4), 10, noise=0.5, members=2)
    with_comparisons = learned([*labels, *compared(rng, 200)], tmp_path)
    assert with_comparisons.weights[0] > 2 * learned(labels, tmp_path).weights[0]


def test_what_was_learned_is_saved_and_loaded(tmp_path: Path) -> None:
    found = learned(noisy(np.random.default_rng(0), TRUTH, 50, noise=0.5), tmp_path)
    again = LearnedJoin().load(tmp_path)
    assert again.name == found.name and np.array_equal(again.weights, found.weights)
    (tmp_path / "composer.json").write_text('{"own": 1}')
    with pytest.raises(InputError, match="does not hold a learned composer"):
        LearnedJoin().load(tmp_path)


def test_what_anchors_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs labels"):
        learned(compared(np.random.default_rng(0), 5), tmp_path)
    with pytest.raises(InputError, match="precision of the prior is above 0"):
        LearnedJoin(0.0)
