"""The forecast of the peak and the stop: by hand, from noisy curves, and by role select alone."""

from collections.abc import Sequence
from math import inf, sqrt

import numpy as np
import pytest

from rrm.core.errors import InputError, RoleError
from rrm.core.place import Place
from rrm.core.roles import Final, Role, Select, Train
from rrm.core.values import Group, Passage, Prediction, View
from rrm.evaluate.stopping import FURTHEST, forecast, judged, stop

KLS = np.linspace(0.2, 6.0, 16)


def curve(alpha: float, beta: float, gamma: float, kl: np.ndarray = KLS) -> np.ndarray:
    d = np.sqrt(kl)
    return np.asarray(d * (alpha - beta * d - gamma * d * d))


def test_the_law_of_best_of_n_has_its_peak_where_it_is_known_to_be() -> None:
    found = forecast(KLS, curve(0.49, 0.12, 0.0))
    assert (found.alpha, found.beta, found.gamma) == pytest.approx((0.49, 0.12, 0.0), abs=1e-9)
    assert found.peak == pytest.approx((0.49 / 0.24) ** 2) and found.quality(4.0) == pytest.approx(2 * (0.49 - 0.24))


def test_a_cubic_peak_is_where_the_derivative_is_zero() -> None:
    found = forecast(KLS, curve(1.0, -0.2, 0.15))
    d = (0.2 + sqrt(0.04 + 3 * 0.15)) / (3 * 0.15)  # 1 + 0.4 d - 0.45 d^2 = 0
    assert found.peak == pytest.approx(d * d)


def test_what_only_rises_has_its_peak_out_of_sight_and_what_only_falls_none() -> None:
    assert forecast(KLS, np.sqrt(KLS)).peak == inf
    assert stop(KLS, np.sqrt(KLS)).kl == FURTHEST and not stop(KLS, np.sqrt(KLS)).passed
    assert forecast(KLS, -np.sqrt(KLS)).peak == 0.0 and stop(KLS, -np.sqrt(KLS)).kl == 0.0


def test_only_the_early_part_is_used_and_a_peak_that_was_passed_is_said_to_be() -> None:
    late = np.append(KLS, 30.0)
    assert forecast(late, np.append(curve(0.9, 0.3, 0.0), -50.0)) == forecast(KLS, curve(0.9, 0.3, 0.0))
    assert stop(KLS, curve(0.9, 0.3, 0.0)).passed  # the peak is at 2.25 nats
    assert not stop(KLS[:6], curve(0.9, 0.22, 0.0)[:6]).passed


@pytest.mark.parametrize(
    ("kl", "quality"), [([1, 2, 3], [1, 2, 3]), ([1, 2, 3, 4], [1, 2, 3, float("nan")]), ([7, 8, 9, 10], [1, 2, 3, 4])]
)
def test_too_little_or_what_is_no_number_is_refused(kl: list[float], quality: list[float]) -> None:
    with pytest.raises(InputError, match="a forecast"):
        forecast(kl, quality)


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
    assert judged(Half(Select), groups) == 0.5  # type: ignore[arg-type]
    for role in (Train, Final):
        with pytest.raises(RoleError, match="role select, not of role"):
            judged(Half(role), groups)  # type: ignore[arg-type]
