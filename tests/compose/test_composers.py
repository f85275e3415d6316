"""Composers: what each rule makes of own scores and parts' scores, by hand."""

import numpy as np
import pytest
from scipy.special import expit, logit

from rrm.compose.composers import LogLinear, Mean, Minimum, Product
from rrm.compose.tree import require_anchored
from rrm.core.errors import InputError
from rrm.core.protocols import Composer, ScoredPart
from rrm.core.values import OVERALL, Output, Prediction
from tests.compose.compose_problems import NODE, said

ALL = [Mean(), Mean(0.0), Minimum(), Product(), LogLinear(1.0, 0.5, 0.25, -0.1)]


def asked(composer: Composer, own: list[list[float]], parts: list[list[float]], shares: list[float]) -> np.ndarray:
    """Return composed scores [members, k] of own ones [members, k] over parts [parts, members]."""
    scores = np.array(own)
    candidates = tuple(Output(NODE.id, str(at), "policy", at) for at in range(scores.shape[1]))
    scored = [
        ScoredPart(str(at), candidates[0], share, {OVERALL: np.array(part)})
        for at, (part, share) in enumerate(zip(parts, shares, strict=True))
    ]
    return np.asarray(composer.compose(NODE, candidates, said(scores), scored).acceptance[OVERALL])


def test_every_composer_keeps_the_protocol_and_has_a_name_of_its_own() -> None:
    assert all(isinstance(composer, Composer) for composer in ALL)
    assert len({composer.name for composer in ALL}) == len(ALL)


def test_each_rule_by_hand_for_two_members_and_two_outputs() -> None:
    own, parts, shares = [[0.6, 0.2], [0.9, 0.5]], [[0.8, 0.5], [0.4, 0.1]], [0.75, 0.25]
    below = np.array([0.75 * 0.8 + 0.25 * 0.4, 0.75 * 0.5 + 0.25 * 0.1])[:, None]  # [members, 1]
    np.testing.assert_allclose(asked(Mean(0.5), own, parts, shares), 0.5 * np.array(own) + 0.5 * below, atol=1e-12)
    np.testing.assert_allclose(asked(Mean(1.0), own, parts, shares), own, atol=1e-12)
    np.testing.assert_allclose(asked(Minimum(), own, parts, shares), [[0.4, 0.2], [0.1, 0.1]], atol=1e-12)
    product = [[0.6 * 0.32, 0.2 * 0.32], [0.9 * 0.05, 0.5 * 0.05]]
    np.testing.assert_allclose(asked(Product(), own, parts, shares), product, atol=1e-12)
    logits = logit(np.array(parts))
    mean, least = 0.75 * logits[0] + 0.25 * logits[1], logits.min(axis=0)
    expected = expit(2 * logit(np.array(own)) + 0.5 * mean[:, None] + 0.25 * least[:, None] - 1)
    np.testing.assert_allclose(asked(LogLinear(2, 0.5, 0.25, -1), own, parts, shares), expected, atol=1e-12)


def test_shares_count_relative_to_each_other() -> None:
    parts = [[0.8], [0.4]]
    assert asked(Mean(0.0), [[0.5]], parts, [3.0, 1.0])[0, 0] == pytest.approx(0.7)
    assert asked(Mean(0.0), [[0.5]], parts, [1.0, 1.0])[0, 0] == pytest.approx(0.6)


@pytest.mark.parametrize("composer", ALL, ids=lambda composer: composer.name)
def test_without_parts_an_output_keeps_its_own_score(composer: Composer) -> None:
    assert asked(composer, [[0.3, 0.7]], [], []).tolist() == [[0.3, 0.7]]


@pytest.mark.parametrize("composer", ALL, ids=lambda composer: composer.name)
def test_composition_acts_member_by_member(composer: Composer) -> None:
    rng = np.random.default_rng(0)
    own, parts = rng.random((5, 3)), rng.random((2, 5))
    together = asked(composer, own.tolist(), parts.tolist(), [0.5, 0.5])
    apart = [asked(composer, own[m : m + 1].tolist(), parts[:, m : m + 1].tolist(), [0.5, 0.5])[0] for m in range(5)]
    np.testing.assert_allclose(together, apart, atol=1e-12)


@pytest.mark.parametrize("composer", ALL, ids=lambda composer: composer.name)
def test_no_better_part_makes_a_worse_parent(composer: Composer) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        own, parts = rng.random((1, 1)).tolist(), rng.random((3, 1))
        shares = rng.dirichlet(np.ones(3)).tolist()
        before = asked(composer, own, parts.tolist(), shares)[0, 0]
        parts[rng.integers(3)] += 0.1 * rng.random()
        after = asked(composer, own, np.clip(parts, 0, 1).tolist(), shares)[0, 0]
        assert 0 <= before <= after + 1e-12 <= 1 + 1e-9


def test_certain_scores_stay_finite() -> None:
    for composer in ALL:
        found = asked(composer, [[0.0, 1.0]], [[1.0], [0.0]], [0.5, 0.5])
        assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()


def test_each_criterion_is_composed_for_itself_and_one_that_a_part_lacks_stays_as_it_is() -> None:
    own = np.array([[0.5]])
    scores = Prediction({OVERALL: logit(own), "style": logit(own)}, {OVERALL: own, "style": own})
    output = Output(NODE.id, "text", "policy", 0)
    both = ScoredPart("a", output, 0.5, {OVERALL: np.array([0.9]), "style": np.array([0.1])})
    overall = ScoredPart("b", output, 0.5, {OVERALL: np.array([0.7])})
    found = Mean(0.0).compose(NODE, (output,), scores, [both, both]).acceptance
    assert (found[OVERALL][0, 0], found["style"][0, 0]) == pytest.approx((0.9, 0.1))
    found = Mean(0.0).compose(NODE, (output,), scores, [both, overall]).acceptance
    assert (found[OVERALL][0, 0], found["style"][0, 0]) == pytest.approx((0.8, 0.5))


@pytest.mark.parametrize("composer", [Product(), Minimum(), LogLinear(1, 0, 0, 0)], ids=lambda composer: composer.name)
def test_unanchored_scores_are_refused_where_they_have_no_meaning(composer: Composer) -> None:
    with pytest.raises(InputError, match="comparisons alone"):
        require_anchored(composer, anchored=False)
    require_anchored(composer, anchored=True)
    require_anchored(Mean(), anchored=False)


def test_arguments_that_make_no_rule_are_refused() -> None:
    with pytest.raises(InputError, match=r"between 0 and 1, got 1\.5"):
        Mean(1.5)
    with pytest.raises(InputError, match="monotone"):
        LogLinear(-1, 0, 0, 0)
