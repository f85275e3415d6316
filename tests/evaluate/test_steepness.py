"""Whether fits of chosen questions mislead: a world in which they do raises the flag, and one in which not does not."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import expit

from rrm.core.report import AskedSlope, Interval, UnweightedFits
from rrm.evaluate.steepness import LEAST, answer_slope, lapse_of, pooled, unweighted_fits

_SOURCES, _FOLDS, _WIDTH = 12, 6, 12


class Answered(NamedTuple):
    """Questions of a run: what the first output has more than the second, answers, sources, which were chosen."""

    directions: np.ndarray
    answers: np.ndarray
    sources: np.ndarray
    chosen: np.ndarray


def weights_of(directions: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mode and the covariance of the weights of linear rewards, whose prior is standard normal (Laplace)."""
    weights, prior = np.zeros(_WIDTH), np.eye(_WIDTH)
    for _ in range(8):
        likely = expit(directions @ weights)
        curvature = (directions.T * (likely * (1 - likely))) @ directions + prior
        weights = weights + np.linalg.solve(curvature, directions.T @ (answers - likely) - weights)
    return weights, np.linalg.inv(curvature)


def asked(seed: int, noise_of_loud: float) -> Answered:
    """Ask 60 questions a wave of those whose answer is least known, and 30 drawn at random, after an even first wave.

    Outputs of half of the questions differ twice as loudly: that is what the choice goes for, and raters are so much
    noisier about these, of which the linear model knows nothing.
    """
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=_WIDTH)
    waves: list[Answered] = []
    for wave in range(22):
        loud = rng.random(200) < 0.5
        directions = rng.normal(size=(200, _WIDTH)) * np.where(loud, 1.2, 0.6)[:, None]
        drawn = rng.permutation(200)[:30]
        rest = np.setdiff1d(np.arange(200), drawn)
        if wave:
            believed = np.concatenate([each.chosen if at else ~each.chosen for at, each in enumerate(waves)])
            told, said = (np.concatenate([getattr(each, name) for each in waves]) for name in ("directions", "answers"))
            _, covariance = weights_of(told[believed], said[believed])
            variance = ((directions[rest] @ covariance) * directions[rest]).sum(axis=1)
            chosen = rest[np.argsort(-variance)[:60]]
        else:
            chosen = rest[:0]
        ids = np.r_[chosen, drawn]
        along = directions[ids] @ truth / np.where(loud[ids], noise_of_loud, 1.0)
        answers = (rng.random(len(ids)) < expit(along)).astype(float)
        waves.append(
            Answered(directions[ids], answers, rng.integers(_SOURCES, size=len(ids)), np.arange(len(ids)) < len(chosen))
        )
    return Answered(*(np.concatenate(each) for each in zip(*waves, strict=True)))


def checked(found: Answered) -> UnweightedFits:
    """Fit all questions alike, predict each by models that never saw its source, calibrated on all, and compare."""
    logits = np.empty(len(found.answers))
    for fold in range(_FOLDS):
        out = found.sources % _FOLDS == fold
        weights, covariance = weights_of(found.directions[~out], found.answers[~out])
        ahead = found.directions[out]
        logits[out] = ahead @ weights / np.sqrt(1 + np.pi / 8 * ((ahead @ covariance) * ahead).sum(axis=1))
    calibration = answer_slope(expit(logits), found.answers, found.sources.tolist())
    assert calibration is not None
    likely = expit(calibration.slope * logits)
    lapse = lapse_of(likely, found.answers)
    chosen, drawn = (
        answer_slope(likely[some], found.answers[some], found.sources[some].tolist(), lapse=lapse)
        for some in (found.chosen, ~found.chosen)
    )
    fits = unweighted_fits([(chosen, drawn)])
    assert fits is not None
    return fits


def test_raters_who_are_noisier_about_what_is_chosen_raise_the_flag_and_others_do_not() -> None:
    """By chance one of twenty sound worlds raises it: of twelve, four or more do so once in 450 times."""
    wrong, right = ([checked(asked(seed, noise)) for seed in range(12)] for noise in (6.0, 1.0))
    assert sum(each.misleads for each in wrong) >= 9
    assert sum(each.misleads for each in right) <= 3
    assert all(each.difference < 0 for each in wrong)  # too sure of what was chosen
    assert abs(np.mean([each.difference for each in right])) < 0.15 < np.mean([each.seen for each in right])


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_a_known_slope_is_found(slope: float) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=4000)
    outcome = (rng.random(4000) < expit(slope * logits)).astype(float)
    found = answer_slope(expit(logits), outcome, list(range(4000)))
    assert found is not None and found.n == 4000
    assert found.interval.low < slope < found.interval.high and found.interval.high - found.interval.low < 0.35


def test_answers_of_a_source_that_go_together_widen_the_interval() -> None:
    rng = np.random.default_rng(4)
    logits = np.repeat(rng.normal(size=40), 20)
    outcome = np.repeat((rng.random(40) < expit(logits[::20])).astype(float), 20)
    together = answer_slope(expit(logits), outcome, np.repeat(np.arange(40), 20).tolist())
    apart = answer_slope(expit(logits), outcome, list(range(800)))
    assert together is not None and apart is not None and together.slope == apart.slope
    assert together.interval.high - together.interval.low > 2 * (apart.interval.high - apart.interval.low)


def test_of_few_answers_and_of_no_prediction_nothing_is_told() -> None:
    few = np.full(LEAST - 1, 0.7)
    assert answer_slope(few, np.ones(len(few)), ["a"] * len(few)) is None
    assert answer_slope(np.full(50, 0.5), np.ones(50), ["a"] * 50) is None
    all_right = answer_slope(expit(np.ones(LEAST)), np.ones(LEAST), list(range(LEAST)))
    assert all_right is not None and np.isfinite(all_right.slope) and np.isfinite(all_right.interval.high)
    one = AskedSlope(30, 1.0, Interval(0.5, 1.5))
    assert unweighted_fits([(None, one), (one, None)]) is None and pooled([None]) is None


def test_a_difference_is_told_where_its_interval_has_no_zero() -> None:
    fits = unweighted_fits([(AskedSlope(900, 0.8, Interval(0.7, 0.9)), AskedSlope(500, 1.2, Interval(1.0, 1.4)))])
    assert fits is not None and fits.misleads and fits.difference == pytest.approx(-0.4)
    assert fits.interval.high - fits.interval.low == pytest.approx(2 * np.hypot(0.1, 0.2))
    assert fits.seen == pytest.approx(2.8 / 1.96 * np.hypot(0.1, 0.2))


def test_kinds_of_which_one_is_harder_do_not_mislead_however_they_are_mixed() -> None:
    def slope(n: int, slope: float, half: float) -> AskedSlope:
        return AskedSlope(n, slope, Interval(slope - half, slope + half))

    easy, hard = (slope(900, 1.5, 0.1), slope(30, 1.5, 0.5)), (slope(30, 0.5, 0.5), slope(900, 0.5, 0.1))
    fits = unweighted_fits([easy, hard])
    assert fits is not None and fits.difference == pytest.approx(0.0) and fits.chosen.n == fits.drawn.n == 930
    both = pooled([easy[0], hard[1]])
    assert both is not None and both.slope == pytest.approx(1.0)


def test_raters_who_are_stricter_than_predicted_are_no_less_steep() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(1.0, 1.0, size=4000)
    outcome = (rng.random(4000) < expit(logits - 1.5)).astype(float)
    sources = list(range(4000))
    level, through = (answer_slope(expit(logits), outcome, sources, each) for each in (True, False))
    assert level is not None and level.interval.low < 1 < level.interval.high
    assert through is not None and through.interval.high < 0.5


def lapsing(seed: int, lapse: float, fitted: bool = True) -> UnweightedFits:
    """Compare 1,200 answers to chosen questions, which are close, with 600 to drawn ones, given as well and blindly."""
    rng = np.random.default_rng(seed)
    logits = [rng.normal(size=n) * sd for n, sd in ((1200, 0.7), (600, 2.5))]
    likely = [expit(each) for each in logits]
    outcomes = [(rng.random(len(each)) < lapse / 2 + (1 - lapse) * each).astype(float) for each in likely]
    shared = lapse_of(np.concatenate(likely), np.concatenate(outcomes)) if fitted else 0.0
    chosen, drawn = (
        answer_slope(one, other, list(range(len(one))), lapse=shared)
        for one, other in zip(likely, outcomes, strict=True)
    )
    fits = unweighted_fits([(chosen, drawn)])
    assert fits is not None
    return fits


@pytest.mark.parametrize("lapse", [0.0, 0.1])
def test_blind_answers_which_flatten_what_is_sure_raise_no_flag(lapse: float) -> None:
    """Of a hundred sound worlds five raise it by chance, eleven or more do so once in 90 times."""
    told = [lapsing(seed, lapse) for seed in range(100)]
    assert sum(each.misleads for each in told) <= 10
    assert abs(np.mean([each.difference for each in told])) < 0.08
    if lapse:
        assert np.mean([lapsing(seed, lapse, fitted=False).difference for seed in range(30)]) > 0.08


def test_a_share_of_blind_answers_is_found_where_logits_differ_in_size() -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(size=4000) * 2.5
    outcome = (rng.random(4000) < 0.04 + 0.92 * expit(logits)).astype(float)
    assert lapse_of(expit(logits), outcome) == pytest.approx(0.08, abs=0.03)
    assert lapse_of(expit(logits[:5]), outcome[:5]) == 0.0
