"""Laws of over-optimisation: found again with their intervals, and what cannot be fitted is refused."""

from math import exp, inf, log

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.evaluate.overoptimisation import choose_law, fit_law

KL = [log(n) - (n - 1) / n for n in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)]


def gold(kl: list[float], alpha: float, beta: float, seed: int, noise: float = 0.01) -> list[float]:
    d = np.sqrt(kl)
    return list(d * (alpha - beta * d) + np.random.default_rng(seed).normal(0, noise, len(d)))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = [
        (law.alpha_interval.low < 0.49 < law.alpha_interval.high, law.beta_interval.low < 0.12 < law.beta_interval.high)
        for law in (fit_law(KL, gold(KL, 0.49, 0.12, seed), "best_of_n") for seed in range(400))
    ]
    for share in np.mean(held, axis=0):  # 95 % of 400, within four standard errors
        assert 0.906 < share < 0.994


def test_peaks_and_gold_are_those_of_the_forms() -> None:
    law = fit_law(KL, gold(KL, 0.49, 0.12, 0, noise=0.0), "best_of_n")
    assert law.peak == pytest.approx((0.49 / 0.24) ** 2) and law.gold(law.peak) == pytest.approx(0.49**2 / 0.48)
    assert law.gold(0.0) == 0.0
    d = np.linspace(0.5, 8, 12)
    rl = fit_law(list(d**2), list(d * (0.35 - 0.14 * np.log(d))), "rl")
    assert rl.peak == pytest.approx(exp(2 * (0.35 / 0.14 - 1))) and rl.gold(rl.peak) == pytest.approx(0.14 * exp(1.5))
    assert fit_law(KL, [kl**0.5 for kl in KL], "best_of_n").peak > 1e6  # it never falls
    assert fit_law(KL, [0.3 * kl**0.5 + 0.1 * kl for kl in KL], "best_of_n").peak == inf
    assert fit_law(KL, [-kl for kl in KL], "best_of_n").peak == pytest.approx(0, abs=1e-12)


def test_the_form_that_made_the_points_is_chosen() -> None:
    assert choose_law(KL, gold(KL, 0.6, 0.09, 1, noise=0.003)).form == "best_of_n"


@pytest.mark.parametrize(
    ("kl", "points"), [([1.0, 2.0], [0.1, 0.2]), ([1.0, 1.0, 1.0], [0.1, 0.2, 0.3]), ([1.0, 2.0], [0.1])]
)
def test_too_few_points_are_refused(kl: list[float], points: list[float]) -> None:
    with pytest.raises(InputError, match="three points or more"):
        fit_law(kl, points, "rl")


@pytest.mark.parametrize(("kl", "last"), [(0.0, 0.3), (-1.0, 0.3), (inf, 0.3), (1.0, inf)])
def test_points_that_are_no_numbers_are_refused(kl: float, last: float) -> None:
    with pytest.raises(InputError, match="finite gold at finite KLs above 0"):
        fit_law([2.0, 3.0, 4.0, kl], [0.1, 0.2, 0.3, last], "rl")
