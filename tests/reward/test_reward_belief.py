"""Beliefs over heads: against Newton's method on every effect written out, and what ratings do to them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rrm.core.asking import Belief, BelievingLearner
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.roles import Ratings, Train
from rrm.core.values import Group, Label, Rated
from rrm.reward.belief import HeadsBelief
from rrm.reward.criteria import CriteriaModel, overall
from rrm.reward.disperse import FALL, Dispersion, steepness
from rrm.reward.features import FeatureReader
from rrm.reward.fit import FitConfig, fit
from rrm.reward.frozen import Frozen
from rrm.reward.model import LevelModel
from tests.reward.belief_problems import written_out
from tests.reward.reward_problems import WordEncoder, output, rate, rated, view

SMALL = FitConfig(members=8, folds=4, l2=5.0, shrink=5.0, components=4)
READER = FeatureReader(WordEncoder())


def at_level(rows: list[Rated], level: int) -> list[Rated]:
    return [replace(row, request=replace(row.request, place=Place(level=level))) for row in rows]


def two_levels() -> tuple[list[LevelModel], list[list[Rated]]]:
    leaves = rate(sources=6, comparisons=3, labels=3, seed=1)
    roots = at_level(rate(sources=4, comparisons=2, labels=2, seed=2), 1)
    below = fit(leaves, READER, SMALL, 0, place=Place())
    return [below, fit(roots, READER, SMALL, 0, init=below, place=Place(level=1))], [leaves, roots]


def asked(source: str, seed: int, level: int = 0, count: int = 3) -> Group:
    rng = np.random.default_rng(seed)
    return Group(source, Place(level=level), view(source), tuple(output(source, at, rng) for at in range(count)))


def frozen() -> Frozen:
    learner = Frozen(members=8, folds=4, l2=5.0, shrink=5.0, components=4)
    learner.reader = READER
    return learner


def believed(models: Sequence[LevelModel], rows: Sequence[Sequence[Rated]]) -> HeadsBelief:
    return frozen().believe(models, [Ratings(Train, tuple(each)) for each in rows])


def test_a_belief_is_the_posterior_with_every_effect_written_out() -> None:
    models, rows = two_levels()
    belief = believed(models, rows)
    of_rated = [Group(r.request.source, r.request.place, r.request.view, r.request.group.outputs) for r in rows[0][:2]]
    groups = [*of_rated, asked("s1", 5), asked("new", 6), asked("new", 6, level=1), asked("s2", 7, level=1)]
    means, covariance = written_out(belief, groups)
    assert belief.means(groups) == pytest.approx(means, abs=2e-2)
    assert belief.covariance(groups, groups) == pytest.approx(covariance, abs=1e-2, rel=1e-2)
    assert belief.covariance(groups[:2], groups[2:]) == pytest.approx(
        belief.covariance(groups, groups)[: len(means) - 12, len(means) - 12 :], abs=1e-12
    )
    assert np.linalg.eigvalsh(belief.covariance(groups, groups))[0] > -1e-9
    assert isinstance(belief, Belief)


def test_ratings_of_an_output_tell_most_about_that_output() -> None:
    models, rows = two_levels()
    before = believed(models, rows)
    group = asked("s1", 11)
    many = [rated("s1", Label(True), [group.outputs[0]], copy) for copy in range(60)]
    after = believed(models, [[*rows[0], *many], rows[1]])
    was, now = (np.diag(each.covariance([group], [group])) for each in (before, after))
    assert now[0] < 0.15 * was[0]  # its own effect is known by now
    assert 0.3 * was[1] < now[1] < was[1]  # that of another is not
    assert after.means([group])[0] > before.means([group])[0] + 1


def test_what_is_said_of_leaves_moves_roots() -> None:
    models, rows = two_levels()
    belief = believed(models, rows)
    leaf, root = asked("new", 1), asked("new", 1, level=1)
    across = belief.covariance([leaf], [root])
    assert np.diag(across).min() > 0
    apart = believed([models[0], replace(models[1], shrinkage=None)], rows)
    assert apart.covariance([leaf], [root]) == pytest.approx(np.zeros((3, 3)), abs=1e-12)


def test_the_order_of_ratings_does_not_matter() -> None:
    models, rows = two_levels()
    groups = [asked("s1", 5), asked("new", 6, level=1)]
    one = believed(models, rows)
    other = believed(models, [each[::-1] for each in rows])
    assert other.means(groups) == pytest.approx(one.means(groups), abs=1e-4)
    assert other.covariance(groups, groups) == pytest.approx(one.covariance(groups, groups), abs=1e-4)


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_without_ratings_is_believed_to_be_the_one_below_whose_outputs_differ_less(level: int) -> None:
    """So much less that the variance is what the level's own model has in its intervals."""
    models, rows = two_levels()
    shared = LevelModel.shared(models[0], Place(level=level))
    belief = believed([models[0], shared], [rows[0], []])
    below, here = asked("new", 1), asked("new", 1, level=level)
    found, fallen = (Dispersion(*model.dispersion[-1]) for model in (models[0], shared))
    assert fallen.output == pytest.approx(FALL**level * found.output)
    steeper = steepness(fallen.total) / steepness(found.total)
    assert belief.means([here]) == pytest.approx(steeper * belief.means([below]))
    heads = belief.covariance([below], [below]) - found.view - found.output * np.eye(3)
    expected = steeper**2 * heads + fallen.view + fallen.output * np.eye(3)
    assert belief.covariance([here], [here]) == pytest.approx(expected)
    assert np.linalg.eigvalsh(belief.covariance([below, here], [below, here]))[0] > -1e-9


def test_a_level_between_two_that_have_ratings_is_believed_to_be_the_lower_one() -> None:
    models, rows = two_levels()
    upper = replace(models[1], place=Place(level=2))
    belief = believed([models[0], upper], [rows[0], at_level(rows[1], 2)])
    lowest, between, highest = (belief.means([asked("new", 1, level=each)]) for each in range(3))
    assert np.ptp(between / lowest) < 1e-9 < 1e-2 < np.ptp(between / highest)


def test_nothing_said_and_levels_apart_are_refused() -> None:
    models, rows = two_levels()
    with pytest.raises(InputError, match="nothing is believed yet: no rating says anything"):
        believed(models, [[], []])
    wider = fit(rows[1], READER, replace(SMALL, separate=True, components=2), 0, place=Place(level=1))
    with pytest.raises(InputError, match="weigh different columns have no common belief"):
        believed([models[0], wider], rows)
    assert "leave out `separate`" in (Frozen(separate=True).no_belief or "")


def test_the_learner_on_a_frozen_encoder_believes_what_is_overall() -> None:
    models, _ = two_levels()
    assert isinstance(frozen(), BelievingLearner) and frozen().no_belief is None
    assert overall(CriteriaModel({"overall": models[0], "accuracy": models[1]})) is models[0]
    assert overall(models[1]) is models[1]
