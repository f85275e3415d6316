"""Beliefs over heads: against Newton's method on every effect written out, and what ratings do to them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from rrm.core.asking import Belief, BelievingLearner
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.roles import Ratings, Train
from rrm.core.values import Comparison, Group, Label, Rated
from rrm.reward.belief import HeadsBelief, believe
from rrm.reward.criteria import CriteriaModel, overall
from rrm.reward.features import FeatureReader
from rrm.reward.fit import FitConfig, fit
from rrm.reward.frozen import Frozen
from rrm.reward.model import LevelModel
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


def written_out(belief: HeadsBelief, groups: list[Group]) -> tuple[np.ndarray, np.ndarray]:
    """Return means and covariance of the groups' outputs, with every head and every effect a parameter."""
    width = belief.heads[0].model.trunk.columns
    names: dict[object, int] = {}
    items: dict[tuple[int, str, str], np.ndarray] = {}
    for level, head in enumerate(belief.heads):
        for item, columns in zip(head.feedback.items, head.columns, strict=True):
            items[level, item.view.id, item.text] = columns
    for group, features in zip(groups, READER.read(groups), strict=True):
        level = group.place.level
        for text, columns in zip(group.outputs, belief.heads[level].model.trunk(features), strict=True):
            items[level, group.view.id, text] = columns
    for level, seen, text in items:
        names.setdefault((level, seen), len(names))
        names.setdefault((level, seen, text), len(names))
    heads = 2 * width
    precision = np.zeros((heads + len(names), heads + len(names)))
    eye = np.eye(width)
    precision[:width, :width] = (SMALL.l2 or 0) * eye + (SMALL.shrink or 0) * eye
    precision[width:heads, width:heads] = (SMALL.shrink or 0) * eye
    precision[:width, width:heads] = precision[width:heads, :width] = -(SMALL.shrink or 0) * eye
    for name, at in names.items():
        assert isinstance(name, tuple)
        effects = belief.heads[name[0]].effects
        precision[heads + at, heads + at] = 1 / (effects.view if len(name) == 2 else effects.output)

    def along(level: int, seen: str, text: str) -> np.ndarray:
        row = np.zeros(len(precision))
        row[level * width : (level + 1) * width] = items[level, seen, text]
        row[heads + names[level, seen]] = row[heads + names[level, seen, text]] = 1
        return row

    told, first, offset = [], [], []
    for level, head in enumerate(belief.heads):
        for answer, shown in zip(head.feedback.answers, head.feedback.row_items, strict=True):
            rows = [along(level, head.feedback.items[at].view.id, head.feedback.items[at].text) for at in shown]
            told.append(rows[0] - rows[1] if isinstance(answer, Comparison) else rows[0])
            offset.append(0.0 if isinstance(answer, Comparison) else head.anchor)
            first.append(answer.better == 0 if isinstance(answer, Comparison) else bool(answer.accepted))
    design, won, shift = np.array(told), np.array(first, dtype=float), np.array(offset)
    mode = np.zeros(len(precision))
    for _ in range(50):
        p = expit(design @ mode + shift)
        hessian = precision + (design * (p * (1 - p))[:, None]).T @ design
        mode = mode + np.linalg.solve(hessian, design.T @ (won - p) - precision @ mode)
    wanted = np.array([along(g.place.level, g.view.id, text) for g in groups for text in g.outputs])
    unit = np.array([belief.heads[g.place.level].unit for g in groups for _ in g.outputs])
    other = np.array([belief.heads[g.place.level].shift for g in groups for _ in g.outputs])
    anchor = np.array([belief.heads[g.place.level].anchor for g in groups for _ in g.outputs])
    spread = wanted @ np.linalg.solve(hessian, wanted.T)
    return unit * (wanted @ mode + anchor) + other, spread * np.outer(unit, unit)


def test_a_belief_is_the_posterior_with_every_effect_written_out() -> None:
    models, rows = two_levels()
    belief = believe(models, rows, READER, SMALL)
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
    before = believe(models, rows, READER, SMALL)
    group = asked("s1", 11)
    many = [rated("s1", Label(True), [group.outputs[0]], copy) for copy in range(60)]
    after = believe(models, [[*rows[0], *many], rows[1]], READER, SMALL)
    was, now = (np.diag(each.covariance([group], [group])) for each in (before, after))
    assert now[0] < 0.15 * was[0]  # its own effect is known by now
    assert 0.3 * was[1] < now[1] < was[1]  # that of another is not
    assert after.means([group])[0] > before.means([group])[0] + 1


def test_what_is_said_of_leaves_moves_roots() -> None:
    models, rows = two_levels()
    belief = believe(models, rows, READER, SMALL)
    leaf, root = asked("new", 1), asked("new", 1, level=1)
    across = belief.covariance([leaf], [root])
    assert np.diag(across).min() > 0
    apart = believe([replace(models[0]), replace(models[1], shrinkage=None)], rows, READER, SMALL)
    assert apart.covariance([leaf], [root]) == pytest.approx(np.zeros((3, 3)), abs=1e-12)


def test_the_order_of_ratings_does_not_matter() -> None:
    models, rows = two_levels()
    groups = [asked("s1", 5), asked("new", 6, level=1)]
    one = believe(models, rows, READER, SMALL)
    other = believe(models, [each[::-1] for each in rows], READER, SMALL)
    assert other.means(groups) == pytest.approx(one.means(groups), abs=1e-4)
    assert other.covariance(groups, groups) == pytest.approx(one.covariance(groups, groups), abs=1e-4)


def test_a_level_without_ratings_is_believed_to_be_the_one_below() -> None:
    models, rows = two_levels()
    shared = LevelModel.shared(models[0], Place(level=1))
    belief = believe([models[0], shared], [rows[0], []], READER, SMALL)
    assert belief.means([asked("new", 1, level=1)]) == pytest.approx(belief.means([asked("new", 1)]))


def test_nothing_said_and_levels_apart_are_refused() -> None:
    models, rows = two_levels()
    with pytest.raises(InputError, match="nothing is believed yet: no rating says anything"):
        believe(models, [[], []], READER, SMALL)
    wider = fit(rows[1], READER, replace(SMALL, separate=True, components=2), 0, place=Place(level=1))
    with pytest.raises(InputError, match="leave out `separate`"):
        believe([models[0], wider], rows, READER, SMALL)


def test_the_learner_on_a_frozen_encoder_believes() -> None:
    learner = Frozen(members=8, l2=5.0, shrink=5.0, components=4)
    learner.reader = READER
    assert isinstance(learner, BelievingLearner)
    models, rows = two_levels()
    belief = learner.believe(models, [Ratings(Train, tuple(each)) for each in rows])
    expected = believe(models, rows, READER, learner.config)
    group = asked("new", 1)
    assert belief.means([group]).tolist() == expected.means([group]).tolist()
    assert overall(CriteriaModel({"overall": models[0], "accuracy": models[1]})) is models[0]
    assert overall(models[1]) is models[1]
