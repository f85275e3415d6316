"""The forecast of the peak and the stop: closed forms, policies that waste nats, and by role select alone."""

from collections.abc import Sequence
from math import inf, log

import numpy as np
import pytest
from scipy.stats import norm

from rrm.core.errors import InputError, RoleError
from rrm.core.place import Place
from rrm.core.roles import Final, Role, Select, Train
from rrm.core.values import Group, Passage, Prediction, View
from rrm.evaluate.stopping import EARLY, FEWEST, Rated, Stop, forecast, judged, stop

NORMAL = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
"""Scores of an anchor that are normal: a tilt moves them by d = sqrt(2 KL) and leaves their variance as it is."""


def moved(bend: float, kls: Sequence[float], times: float = 1.0) -> list[Rated]:
    """Policies whose outputs of score x are as good as x - bend x^2, so that the gain is d - bend d^2."""
    shifts = [(2 * kl) ** 0.5 for kl in kls]
    return [
        Rated(times * kl, NORMAL[::20] + d, (x := NORMAL[::20] + d) - bend * x**2)
        for kl, d in zip(kls, shifts, strict=True)
    ]


def test_a_tilt_of_normal_scores_has_the_peak_of_the_law_of_best_of_n() -> None:
    found = forecast(NORMAL, moved(0.25, (0.0, 0.5, 1.5)))
    assert found.peak == pytest.approx(2.0, rel=0.05)  # d - d^2 / 4 is greatest at d = 2
    for kl in (0.0, 0.5, 2.0, 3.0):
        assert found.quality(kl) == pytest.approx((2 * kl) ** 0.5 - 0.25 * 2 * kl, abs=0.06)


def test_the_best_of_n_of_exponential_scores_comes_to_the_harmonic_numbers() -> None:
    scores = -np.log1p(-(np.arange(20_000) + 0.5) / 20_000)
    drawn = [np.quantile(scores, np.linspace(0.001, 0.999, 500) ** (1 / n)) for n in (1, 4, 16)]
    rated = [Rated(log(n) - 1 + 1 / n, x, 3 * x - 0.25 * x**2) for n, x in zip((1, 4, 16), drawn, strict=True)]
    found = forecast(scores, rated, "best of n")

    def gain(n: int) -> float:  # of the greatest of n: mean H(n), variance the sum of 1 / k^2
        h, squares = (sum(k**-power for k in range(1, n + 1)) for power in (1, 2))
        return float(3 * (h - 1) - 0.25 * (h**2 + squares - 2))

    for n in (1, 4, 16, 64):
        assert found.quality(log(n) - 1 + 1 / n) == pytest.approx(gain(n), abs=0.06)
    best = max(range(1, 2000), key=gain)
    assert found.peak == pytest.approx(log(best) - 1, rel=0.1)


def test_a_policy_that_spends_twice_what_its_score_costs_gets_there_at_twice_the_nats() -> None:
    plain, twice = (forecast(NORMAL, moved(0.25, (0.0, 0.5, 1.5), times)).peak for times in (1.0, 2.0))
    assert twice == pytest.approx(2 * plain, rel=0.02)


def test_what_only_rises_has_its_peak_out_of_sight_and_what_only_falls_none() -> None:
    rising = [each._replace(judged=each.scores) for each in moved(0.0, (0.0, 0.5, 1.5))]
    found = stop(NORMAL, rising)
    assert found.forecast.peak == inf and not found.passed
    assert found.kl == pytest.approx(log(20_000 / FEWEST), rel=0.05)  # as far as 20,000 scores tell
    falling = [each._replace(judged=-each.scores) for each in rising]
    assert stop(NORMAL, falling)[:2] == (0.0, True)


def test_what_rests_on_a_handful_of_the_anchors_scores_is_out_of_sight() -> None:
    """The best of as many as there are scores is the highest one by 1 - 1/e: its quality says nothing of rare ones."""
    scores = np.arange(20_000.0)
    rated = [Rated(log(n) - 1 + 1 / n, scores[:: 20 // n], np.log1p(scores[:: 20 // n])) for n in (2, 4)]
    found = forecast(scores, rated, "best of n")
    assert found.kls[-1] == pytest.approx(log(20_000 / FEWEST), abs=0.1) and found.peak == inf
    few = [each._replace(scores=each.scores % FEWEST) for each in rated]
    assert forecast(np.arange(float(FEWEST)), few, "best of n").kls.tolist() == [0.0]


def test_only_the_early_part_is_used_and_a_peak_that_was_passed_is_said_to_be() -> None:
    early = moved(0.25, (0.0, 0.5, 1.5))
    late = Rated(EARLY + 0.1, NORMAL[:9], np.full(9, -50.0))
    assert forecast(NORMAL, [*early, late]).peak == forecast(NORMAL, early).peak
    assert isinstance(stop(NORMAL, early), Stop) and not stop(NORMAL, early).passed
    assert stop(NORMAL, moved(0.25, (0.0, 0.5, 3.0))).passed


def test_too_little_or_what_is_no_number_is_refused() -> None:
    rated = moved(0.25, (0.0, 0.5))
    with pytest.raises(InputError, match="rated outputs at two or more KLs up to 6 nats, got 1"):
        forecast(NORMAL, rated[:1])
    with pytest.raises(InputError, match="from finite scores and finite ratings"):
        forecast(NORMAL, [*rated, Rated(1.0, np.array([1.0]), np.array([np.nan]))])
    with pytest.raises(InputError, match="scores of the anchor that differ"):
        forecast(np.ones(9), rated)
    with pytest.raises(InputError, match="these spent nats for nothing"):
        forecast(NORMAL, [each._replace(scores=NORMAL[::20] - 1) for each in rated])


class Half:
    """A scorer of any role that accepts everything by half."""

    name = "half"

    def __init__(self, role: type[Role]) -> None:
        self.role = role

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        shape = [(2, len(group.outputs)) for group in groups]
        return [Prediction.overall(np.zeros(each), np.full(each, 0.5)) for each in shape]


def test_the_stop_reads_the_judge_of_role_select_and_no_other() -> None:
    groups = [Group("one", Place(), View("Tell.", (Passage("A. B."),), 9), ("A.", "B."))]
    [found] = judged(Half(Select), groups)  # type: ignore[arg-type]
    assert found.tolist() == [0.5, 0.5]
    for role in (Train, Final):
        with pytest.raises(RoleError, match="role select, not of role"):
            judged(Half(role), groups)  # type: ignore[arg-type]
