"""Dispersion: what features do not tell comes back from ratings, and a score's interval allows for it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rrm.core.place import Place
from rrm.core.values import Comparison, Group, Label, Rated, Score
from rrm.evaluate.held_out import held_out
from rrm.reward.calibrate import HeldLogits
from rrm.reward.disperse import (
    FALL,
    LEAVES,
    PRIOR,
    Dispersion,
    cross_disperse,
    disperse,
    effects,
    spread,
    standing_in,
    steepness,
    upward,
)
from rrm.reward.features import FeatureReader
from rrm.reward.fit import FitConfig, fit, leaves_out
from rrm.reward.model import LevelModel
from tests.reward.reward_problems import WordEncoder, output, rate, rated, view

READER = FeatureReader(WordEncoder())
CONFIG = FitConfig(members=24, folds=4, l2=5.0, components=4)
PER_VIEW = 4


def logistic(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


def ratings(
    of_output: float, of_view: float = 0.0, views: int = 600, labels: int = 1, comparisons: int = 6, seed: int = 0
) -> tuple[HeldLogits, np.ndarray]:
    """Ratings of outputs with random effects of these variances, and their exact mean probabilities."""
    rng = np.random.default_rng(seed)
    drawn, weight = np.polynomial.hermite_e.hermegauss(61)

    def mean(logit: np.ndarray, variance: float) -> np.ndarray:
        return np.asarray(logistic(logit[:, None] + np.sqrt(variance) * drawn) @ weight / weight.sum())

    outputs = views * PER_VIEW
    at_view = np.repeat(np.arange(views), PER_VIEW)
    told = rng.normal(scale=1.3, size=outputs)
    own = rng.normal(scale=np.sqrt(of_output), size=outputs)
    both = own + rng.normal(scale=np.sqrt(of_view), size=views)[at_view]
    single = np.repeat(np.arange(outputs), labels)
    two = np.array([rng.permutation(PER_VIEW)[:2] + PER_VIEW * at for at in range(views) for _ in range(comparisons)])
    a, b = two.astype(np.int64).reshape(-1, 2).T
    first, second = np.concatenate([single, a]), np.concatenate([np.full(len(single), -1), b])
    true = np.concatenate([(told + both)[single], (told + own)[a] - (told + own)[b]])
    expected = np.concatenate([mean(told[single], of_output + of_view), mean(told[a] - told[b], 2 * of_output)])
    outcome = (rng.random(len(true)) < logistic(true)).astype(float)
    is_label = (second < 0).astype(float)
    rows = len(true)
    return HeldLogits(
        np.zeros((rows, 1)), outcome, is_label, np.zeros(rows, int), first, second, at_view[first]
    ), expected


@pytest.mark.parametrize(("labels", "comparisons"), [(1, 6), (4, 0), (0, 12)])
@pytest.mark.parametrize("variance", [0.5, 1.0, 2.0])
def test_a_known_variance_between_outputs_comes_back(variance: float, labels: int, comparisons: int) -> None:
    found = [disperse(*ratings(variance, 0, 600, labels, comparisons, seed)).output for seed in range(4)]
    assert np.mean(found) == pytest.approx(variance, rel=0.2)


def test_a_known_variance_between_views_comes_back_beside_it() -> None:
    found = np.mean([disperse(*ratings(1.0, 0.8, 800, labels=2, seed=seed)) for seed in range(4)], axis=0)
    np.testing.assert_allclose(found, [1.0, 0.8], rtol=0.2)


def test_raters_of_whom_the_features_tell_all_show_no_variance() -> None:
    found = disperse(*ratings(0.0, 0.0))
    assert 0 <= found.output < 0.1 and 0 <= found.view < 0.25


def test_the_sums_by_output_are_those_over_all_pairs_of_ratings() -> None:
    rng = np.random.default_rng(0)
    rows, prior = 60, Dispersion(0.1, 0.2)
    first, second = rng.integers(8, size=rows), rng.integers(-1, 8, size=rows)
    same = first == second
    second[same] = -1
    held = HeldLogits(np.zeros((rows, 1)), rng.integers(3, size=rows) / 2, second < 0, first, first, second, first // 3)
    p = rng.uniform(0.2, 0.8, size=rows)
    signs = np.zeros((rows, 8))
    signs[np.arange(rows), first] = 1
    signs[np.arange(rows)[second >= 0], second[second >= 0]] = -1
    shared, e, w = signs @ signs.T, held.outcome - p, p * (1 - p)
    label = second < 0
    found = disperse(held, p, prior)
    steep = np.where(label, steepness(found.total), steepness(2 * found.output))
    top = told = prior_top = seen = 0.0
    for a in range(rows):
        for b in range(a):
            information = w[a] * w[b] / (steep[a] * steep[b])
            top += (
                shared[a, b] * e[a] * e[b] - (label[a] and label[b] and first[a] == first[b]) * information * found.view
            )
            told += shared[a, b] ** 2 * information
            if label[a] and label[b] and first[a] != first[b] and first[a] // 3 == first[b] // 3:
                prior_top += e[a] * e[b]
                seen += information
    assert found.output == pytest.approx(max(0.0, (top + 4 * prior.output) / (told + 4)), abs=1e-6)
    assert found.view == pytest.approx(max(0.0, (prior_top + 4 * prior.view) / (seen + 4)), abs=1e-6)
    assert found.output > 0 or found.view > 0


def test_ratings_that_share_nothing_leave_what_was_thought_before() -> None:
    held, p = ratings(1.0, labels=1, comparisons=0)
    alone = held.where(np.arange(len(p)) % PER_VIEW == 0)
    assert disperse(alone, p[::PER_VIEW], Dispersion(2.5, 0.7)) == pytest.approx((2.5, 0.7))
    assert disperse(held.where(np.zeros(len(p), dtype=bool)), p[:0]) == pytest.approx(PRIOR)


def test_comparisons_of_an_output_with_itself_say_nothing() -> None:
    held, p = ratings(1.0, views=50)
    itself = held.where(np.arange(len(p)) >= 0)._replace(second=np.where(held.second < 0, -1, held.first))
    labels = held.second < 0
    assert disperse(itself, p) == disperse(held.where(labels), p[labels])


def test_impossible_ratings_stay_within_bounds() -> None:
    rows = 400
    first = np.arange(rows) // 20
    outcome = (first % 2).astype(float)
    held = HeldLogits(
        np.zeros((rows, 1)), outcome, np.ones(rows), np.zeros(rows, int), first, np.full(rows, -1), first // 2
    )
    assert disperse(held, np.full(rows, 0.5)) == (9.0, 0.0)


def test_a_fold_s_dispersion_ignores_its_own_rows() -> None:
    left_out = leaves_out(3, 3)
    held, _ = ratings(1.0)
    held = held._replace(logits=np.zeros((len(held.fold), 6)), fold=held.view % 3)
    lied = held._replace(
        outcome=np.where(held.fold == 0, held.first % 2, held.outcome),
        logits=np.where(left_out[None, :, 0], held.logits, 9.0),
    )
    same = np.tile([1.0, 0.0], (4, 1))
    before, after = (cross_disperse(each, left_out, same, [LEAVES] * 4) for each in (held, lied))
    assert before.shape == (4, 2)
    assert np.array_equal(before[0], after[0])
    assert (np.abs(before[1:] - after[1:]).max(axis=1) > 0.1).all()


def test_effects_are_standard_normal_quantiles_in_an_order_of_each_text_s_own() -> None:
    texts = tuple(f"text {at}" for at in range(400))
    found = effects("v", (*texts, "text 0"), 24)
    assert found.shape == (24, 401)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.quantile(found, [0.05, 0.95], axis=0)[:, 0], [-1.645, 1.645], atol=1e-3)
    assert np.array_equal(found[:, 0], found[:, -1])
    assert np.array_equal(effects("v", ("text 7",), 24)[:, 0], found[:, 7])
    assert not np.array_equal(effects("w", ("text 7",), 24)[:, 0], found[:, 7])
    correlations = np.corrcoef(found[:, :400].T)[np.triu_indices(400, 1)]
    assert abs(correlations.mean()) < 0.01
    assert correlations.std() == pytest.approx(1 / np.sqrt(23), rel=0.1)
    assert np.array_equal(effects("v", ("one",), 1), [[0.0]])


def test_spreading_keeps_means_and_widens_intervals() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=4, size=(24, 50)) * 0.1 + np.linspace(-40, 40, 50)
    found = spread(logits, 1.5 * effects("v", tuple(map(str, range(50))), 24), 2.25)
    np.testing.assert_allclose(found.mean(axis=0), logistic(logits).mean(axis=0), atol=1e-9)
    middle = np.abs(logits.mean(axis=0)) < 3
    assert (found.std(axis=0)[middle] > 2 * logistic(logits).std(axis=0)[middle]).all()
    np.testing.assert_allclose(spread(logits, np.zeros_like(logits), 0.0), logistic(logits), atol=1e-9)


@pytest.mark.parametrize("variance", [0.25, 1.0, 3.0])
def test_a_logit_of_one_output_is_flatter_on_average_by_its_steepness(variance: float) -> None:
    drawn = np.random.default_rng(0).normal(scale=np.sqrt(variance), size=400_000)
    for logit in (0.5, 1.5):
        assert logistic(steepness(variance) * logit + drawn).mean() == pytest.approx(
            logistic(np.array(logit)), abs=0.01
        )


# ---- with fitted models ----


def people(
    variance: float, sources: int = 12, outputs: int = 30, seed: int = 0
) -> tuple[list[Rated], dict[str, float]]:
    """Labels and comparisons of outputs whose reward is 1 for each copied sentence over two, and a part of their own.

    Also returns the truth: by source and text, the probability that an output is accepted.
    """
    rng = np.random.default_rng(seed)
    rows: list[Rated] = []
    accepted: dict[str, float] = {}
    for number in range(sources):
        source = f"s{number}"
        good = rng.integers(5, size=outputs)
        texts = [output(source, int(each), rng) for each in good]
        own = {text: rng.normal(scale=np.sqrt(variance)) for text in texts}
        reward = np.array([each - 2.0 + own[text] for each, text in zip(good, texts, strict=True)])
        for at, text in enumerate(texts):
            accepted[f"{source}: {text}"] = float(logistic(reward[at]))
            for copy in range(2):
                rows.append(rated(source, Label(bool(rng.random() < logistic(reward[at]))), [text], copy))
            other = int(rng.integers(outputs - 1))
            other += other >= at
            first = rng.random() < logistic(reward[at] - reward[other])
            rows.append(rated(source, Comparison(0 if first else 1), [text, texts[other]]))
    return rows, accepted


def labelled(rows: Sequence[Rated]) -> list[Group]:
    groups = [row.request.group for row in rows if row.feedback.answer.kind == "label"]
    return list({(group.source, group.outputs[0]): group for group in groups}.values())


@pytest.fixture(scope="module")
def asked() -> tuple[list[Rated], dict[str, float], LevelModel]:
    rows, accepted = people(1.5)
    return rows, accepted, fit(rows, READER, CONFIG, seed=0)


def test_intervals_hold_the_true_probability_of_held_out_outputs_as_often_as_they_say(
    asked: tuple[list[Rated], dict[str, float], LevelModel],
) -> None:
    rows, accepted, model = asked
    groups = labelled(rows)
    assert len(groups) > 250

    def share(samples: list[np.ndarray]) -> float:
        intervals = [Score(each[:, 0]).interval(0.9) for each in samples]
        truth = [accepted[f"{group.source}: {group.outputs[0]}"] for group in groups]
        return float(np.mean([low <= true <= high for (low, high), true in zip(intervals, truth, strict=True)]))

    assert 0.85 <= share(model.acceptance(groups)) <= 0.95
    new = [replace(group, source="new") for group in groups]  # by all members, here not held out
    assert 0.85 <= share(model.acceptance(new)) <= 0.97
    assert share([logistic(each) for each in model.rewards(groups)]) < 0.5


def test_a_fit_tells_raters_of_whom_features_tell_little_from_those_of_whom_they_tell_all(
    asked: tuple[list[Rated], dict[str, float], LevelModel],
) -> None:
    assert 1 < asked[2].dispersion[-1].sum() < 3.5  # 1.5, and what the features miss of the copied sentences
    rows, _ = people(0.0)
    assert fit(rows, READER, CONFIG, seed=0).dispersion[-1].sum() < 0.6


def test_the_mean_acceptance_is_the_calibrated_probability_of_held_out_labels(
    asked: tuple[list[Rated], dict[str, float], LevelModel],
) -> None:
    rows, _, model = asked
    labels = [row for row in held_out(rows, model) if row.kind == "label"]
    samples = model.acceptance([row.rated.request.group for row in labels])
    np.testing.assert_allclose([each.mean() for each in samples], [row.probability for row in labels], atol=1e-9)


def test_equal_texts_get_equal_samples_beside_any_others(
    asked: tuple[list[Rated], dict[str, float], LevelModel],
) -> None:
    model = asked[2]
    texts = ("Anna river stone.", "Zelda foo.", "Anna river stone.")
    together = model.acceptance([Group("new", Place(), view("new"), texts)])[0]
    alone = model.acceptance([Group("new", Place(), view("new"), texts[:1])])[0]
    assert np.array_equal(together[:, 0], together[:, 2])
    np.testing.assert_allclose(together[:, :1], alone, atol=1e-12)


def test_lies_about_a_source_do_not_reach_its_own_dispersion() -> None:
    config = replace(CONFIG, members=8)
    honest, poisoned = rate(labels=10), rate(labels=10, flip="s3")
    a, b = fit(honest, READER, config, seed=0), fit(poisoned, READER, config, seed=0)
    fold = a.seen["s3"]
    np.testing.assert_allclose(a.dispersion[fold], b.dispersion[fold], atol=1e-4)
    assert np.abs(np.delete(a.dispersion - b.dispersion, fold, axis=0)).max(axis=1).min() > 1e-2
    group = next(row.request.group for row in honest if row.request.source == "s3")
    np.testing.assert_allclose(a.acceptance([group])[0], b.acceptance([group])[0], atol=1e-4)


def test_preferences_spread_too_and_keep_their_mean() -> None:
    rows = [row for row in people(1.5)[0] if isinstance(row.feedback.answer, Comparison)]
    model = fit(rows, READER, CONFIG, seed=0)
    assert not model.anchored
    rng = np.random.default_rng(2)
    group = Group("new", Place(), view("new"), (output("new", 3, rng), output("new", 1, rng)))
    rewards, found = model.rewards([group])[0], model.acceptance([group])[0]
    alone = logistic(rewards[:, 0] - rewards[:, 1])
    assert found[:, 0].mean() == pytest.approx(alone.mean(), abs=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found[:, 0].std() > 1.5 * alone.std()


def test_a_level_expects_its_outputs_to_differ_less_than_those_of_the_level_below() -> None:
    below = fit(rate(labels=10), READER, CONFIG, seed=0)
    few = [row for row in rate(comparisons=1) if row.request.source in ("s0", "s1")]
    above = fit(few, READER, CONFIG, seed=0, init=below, place=Place(level=1))
    np.testing.assert_allclose(above.dispersion, below.dispersion * [FALL, 1.0], rtol=0.03)


def test_a_level_without_ratings_expects_its_outputs_to_differ_less_and_says_so_in_intervals() -> None:
    below = fit(rate(labels=10), READER, CONFIG, seed=0)
    shared = LevelModel.shared(below, Place(level=2))
    np.testing.assert_allclose(shared.dispersion, below.dispersion * [FALL**2, 1.0], rtol=1e-12)
    group = Group("new", Place(level=2), view("new"), ("Anna river.", "Anna stone."))
    [here], [there] = shared.acceptance([group]), below.acceptance([group])
    np.testing.assert_allclose(here.mean(axis=0), there.mean(axis=0), atol=1e-9)
    assert (here.std(axis=0) < there.std(axis=0)).all()


@pytest.mark.parametrize(("level", "stands"), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 4), (6, 4)])
def test_a_level_without_ratings_is_known_by_the_next_below_that_has_some(level: int, stands: int) -> None:
    assert standing_in([4, 1], level) == stands


def test_below_the_level_that_stands_in_outputs_are_expected_to_differ_more_within_bounds() -> None:
    np.testing.assert_allclose(upward(Dispersion(1.2, 0.5), -1), (1.2 / FALL, 0.5))
    assert upward(Dispersion(8.0, 0.5), -3).output == 9.0


@pytest.mark.parametrize("level", [0, 2])
def test_a_single_source_gets_the_dispersion_that_is_thought_of_its_level_beforehand(level: int) -> None:
    rows = rate(sources=1, labels=5)
    model = fit(rows, READER, replace(CONFIG, members=8), seed=0, place=Place(level=level))
    np.testing.assert_allclose(model.dispersion[-1], (LEAVES.output * FALL**level, LEAVES.view))


@pytest.mark.parametrize("level", [1, 3])
def test_before_a_level_is_rated_it_is_thought_to_fall_by_as_many_levels_as_it_lies_above_the_last(level: int) -> None:
    """A model of criteria at the same level (see `ByCriterion`) is thought to differ as the overall one does."""
    below = fit(rate(sources=1, labels=5), READER, replace(CONFIG, members=8), seed=0, place=Place(level=1))
    one = fit(
        rate(sources=1, labels=5), READER, replace(CONFIG, members=8), seed=1, place=Place(level=level), init=below
    )
    np.testing.assert_allclose(one.dispersion[-1], (LEAVES.output * FALL**level, LEAVES.view))


def test_few_ratings_alone_run_up_and_are_held_by_what_is_thought_of_their_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five comparisons at each of six roots: what they say alone is four times the truth in the mean over worlds."""
    few = [ratings(0.5, 0.0, views=6, labels=0, comparisons=5, seed=seed) for seed in range(60)]
    held = [disperse(*each, Dispersion(0.5, 0.5)).output for each in few]
    monkeypatch.setattr("rrm.reward.disperse._PRIOR_INFORMATION", 1e-6)
    alone = [disperse(*each).output for each in few]
    assert np.mean(alone) > 2.0
    assert np.median(alone) == pytest.approx(0.56, abs=0.02)
    assert np.mean(held) == pytest.approx(0.62, abs=0.02)
