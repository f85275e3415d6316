"""How strongly heads are shrunk: a known precision comes back, and the curvature is that of the likelihood."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit

from rrm.core.values import Comparison, Label, Rated
from rrm.feedback.table import FeedbackTable, tabulate
from rrm.reward.evidence import SPREAD, USUAL, Shrinkage, averaged, evidence
from rrm.reward.heads import curvatures, fit_heads
from rrm.reward.marginal import more_probable
from tests.reward.reward_problems import items, told


def compared(columns: np.ndarray, head: np.ndarray, rows: int, rng: np.random.Generator) -> FeedbackTable:
    """Comparisons of random items by a known head."""
    names, reward = items(len(columns)), columns @ head
    asked: list[Rated] = []
    for a, b in rng.integers(len(columns), size=(rows, 2)):
        better = rng.random() < expit(reward[a] - reward[b])
        asked.append(told(Comparison(0 if better else 1), names[a], names[b]))
    return tabulate(asked)


def own_columns(columns: np.ndarray, feedback: FeedbackTable) -> np.ndarray:
    return columns[[int(item.text.split()[1]) for item in feedback.items]]


@pytest.mark.parametrize("precision", [2.0, 20.0, 200.0])
def test_the_precision_that_heads_were_drawn_with_comes_back(precision: float) -> None:
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        centre = rng.normal(size=40)
        head = centre + rng.normal(scale=precision**-0.5, size=40)
        columns = rng.normal(size=(800, 40)) * 0.5
        feedback = compared(columns, head, 3000, rng)
        [shrinkage] = evidence(
            own_columns(columns, feedback), feedback, np.ones((1, 1)), centre[None, :], np.zeros(1)
        ).shrinkages
        found.append(shrinkage.precision)
    assert np.exp(np.mean(np.log(found))) == pytest.approx(precision, rel=0.35)


def test_raters_are_found_beside_fitted_heads_that_stay_as_they_are() -> None:
    columns = np.random.default_rng(2).normal(size=(30, 4))
    feedback = compared_by({"dull": 2.0, "sharp": 0.5}, columns, np.ones(4), 60, 2)
    own, one = own_columns(columns, feedback), np.ones((1, 1))
    fitted = fit_heads(own, feedback, one, np.zeros((1, 4)), np.zeros(1), 1.0, reliability=True)
    before = fitted.scales.rater_parameters
    found = more_probable(own, feedback, one, fitted, np.eye(4)[None])
    assert found.temperature.tolist() != before.temperature.tolist()
    assert fitted.scales.rater_parameters.temperature.tolist() == before.temperature.tolist()


def test_with_hardly_any_ratings_the_usual_precision_stands() -> None:
    columns = np.random.default_rng(0).normal(size=(10, 5))
    feedback = compared(columns, np.zeros(5), 2, np.random.default_rng(1))
    [found] = evidence(
        own_columns(columns, feedback), feedback, np.ones((1, 1)), np.zeros((1, 5)), np.zeros(1)
    ).shrinkages
    assert found.precision == pytest.approx(USUAL, rel=0.2)
    assert found.own < 0.1


def test_the_precision_is_the_most_probable_one_by_integration_over_a_single_weight() -> None:
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(60, 1))
    feedback = compared(columns, np.array([1.5]), 400, rng)
    own = own_columns(columns, feedback)
    [found] = evidence(own, feedback, np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1)).shrinkages
    margins = np.array([(own[p.first, 0] - own[p.second, 0]) * (1 if p.choice == 0 else -1) for p in feedback.pairs()])

    def log_likelihood(weight: float) -> float:
        return float(-np.logaddexp(0, -weight * margins).sum())

    best = max(log_likelihood(each) for each in np.linspace(0, 4, 401))

    def negative(log_precision: float) -> float:
        precision = np.exp(log_precision)
        inside, _ = quad(lambda w: np.exp(log_likelihood(w) - best - 0.5 * precision * w * w), -1, 5, points=[1.5])
        evidence = 0.5 * log_precision + np.log(inside)
        return float(0.5 * ((log_precision - np.log(USUAL)) / SPREAD) ** 2 - evidence)

    grid = np.linspace(-2, 8, 2001)
    exact = float(np.exp(grid[int(np.argmin([negative(each) for each in grid]))]))
    assert found.precision == pytest.approx(exact, rel=0.1)  # Laplace's approximation, and three rounds


def test_the_share_of_own_ratings_is_by_hand_in_one_dimension() -> None:
    rng = np.random.default_rng(4)
    columns = rng.normal(size=(60, 1))
    feedback = compared(columns, np.array([1.0]), 200, rng)
    own = own_columns(columns, feedback)
    arguments = own, feedback, np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1)
    [found] = evidence(*arguments, fixed=7.0).shrinkages
    head = fit_heads(*arguments, 7.0)
    [[[information]]] = curvatures(own, feedback, np.ones((1, 1)), head)
    assert found == pytest.approx(Shrinkage(7.0, information / (information + 7.0)))


def test_the_curvature_of_labels_and_comparisons_is_that_of_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    columns, names = rng.normal(size=(50, 3)), items(50)
    rows = [told(Comparison(int(rng.integers(2))), names[a], names[b]) for a, b in rng.integers(50, size=(40, 2))]
    rows += [told(Label(bool(rng.integers(2))), names[at]) for at in range(30)]
    feedback = tabulate(rows)
    own = own_columns(columns, feedback)
    weights = np.array([[1.0], [2.0]])
    fitted = fit_heads(own, feedback, weights, np.zeros((2, 3)), np.zeros(2), 4.0)
    found = curvatures(own, feedback, weights, fitted)
    for member, weight in enumerate(weights[:, 0]):
        pairs = np.array([own[p.first] - own[p.second] for p in feedback.pairs()])
        single = np.array([own[item] for item, _, _ in feedback.valued()])
        p = expit(np.concatenate([pairs @ fitted.heads[member], single @ fitted.heads[member] + fitted.anchor[member]]))
        vectors = np.concatenate([pairs, single])
        np.testing.assert_allclose(found[member], weight * (vectors.T * (p * (1 - p))) @ vectors, rtol=1e-9)


def test_precisions_are_averaged_geometrically() -> None:
    assert averaged([Shrinkage(10.0, 0.2), Shrinkage(40.0, 0.4)]) == pytest.approx(Shrinkage(20.0, 0.3))


def compared_by(raters: dict[str, float], columns: np.ndarray, head: np.ndarray, rows: int, seed: int) -> FeedbackTable:
    """Comparisons of random items by a known head, each rater in turn with a temperature of their own."""
    rng, names, reward = np.random.default_rng(seed), items(len(columns)), columns @ head
    asked: list[Rated] = []
    for at, (a, b) in enumerate(rng.integers(len(columns), size=(rows, 2))):
        name, temperature = list(raters.items())[at % len(raters)]
        better = rng.random() < expit((reward[a] - reward[b]) / temperature)
        asked.append(told(Comparison(0 if better else 1), names[a], names[b], rater=name))
    return tabulate(asked)


def test_raters_are_not_told_apart_by_what_many_weights_get_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.feedback.scales.TEMPERATURE_SD", 2.0)  # so that no prior draws raters to each other
    columns, raters = np.random.default_rng(5).normal(size=(400, 40)) / 4, {"dull": 1 / 0.6, "sharp": 0.6}
    ratios = []
    for seed in range(4):
        head = np.random.default_rng([seed, 1]).normal(size=40)
        feedback = compared_by(raters, columns, head, 500, seed)
        own = own_columns(columns, feedback)
        about = own, feedback, np.ones((1, 1)), np.zeros((1, 40)), np.zeros(1)
        found = evidence(*about, reliability=True, fixed=1.0).raters
        for each in (None, found):
            dull, sharp = fit_heads(*about, 1.0, reliability=True, raters=each).raters
            ratios.append(np.log(dull.temperature / sharp.temperature))
    beside, integrated = np.reshape(ratios, (4, 2)).T
    assert (beside - integrated > 0.1).all()
    true = np.log(raters["dull"] / raters["sharp"])
    assert abs(integrated.mean() - true) < 0.2 < beside.mean() - true


def test_raters_of_a_set_of_sources_hang_on_these_alone() -> None:
    columns = np.random.default_rng(7).normal(size=(50, 3))
    rows = []
    for source in ("a", "b"):
        rng = np.random.default_rng(ord(source))
        for at, (one, other) in enumerate(rng.integers(50, size=(60, 2))):
            row = told(
                Comparison(int(rng.integers(2))), *(items(50)[each] for each in (one, other)), rater=f"r{at % 2}"
            )
            rows.append(replace(row, request=replace(row.request, source=source)))
    both, alone = tabulate(rows), tabulate(rows[:60])
    found = [
        evidence(own_columns(columns, feedback), feedback, weights, np.zeros((len(weights), 3)),
                 np.zeros(len(weights)), reliability=True, fixed=1.0)
        for feedback, weights in ((both, np.array([[1.0, 0.0], [1.0, 1.0]])), (alone, np.ones((1, 1))))
    ]  # fmt: skip
    of_both, of_one = (each.raters.temperature.numpy() for each in found if each.raters is not None)
    np.testing.assert_allclose(of_both[0], of_one[0], atol=1e-3)
    assert np.abs(of_both[1] - of_one[0]).max() > 0.01
