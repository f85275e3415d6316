"""What known answers say about how much a rater's other answers count for."""

import pytest
from scipy.integrate import quad

from rrm.agreement.attention import attentiveness


def by_quadrature(right: int, total: int) -> float:
    """Posterior over prior mean, with scipy's quadrature in the place of a grid."""

    def density(share: float) -> float:
        p = 0.95 * share + (1 - share) / 2
        return float(share**0.8 * (1 - share) ** -0.8 * p**right * (1 - p) ** (total - right))

    return quad(lambda share: share * density(share), 0, 1)[0] / quad(density, 0, 1)[0] / 0.9


@pytest.mark.parametrize(("right", "total"), [(0, 1), (0, 3), (3, 6), (7, 9), (18, 20)])
def test_the_attentive_share_is_the_posterior_mean_over_that_of_the_prior(right: int, total: int) -> None:
    assert attentiveness(right, total) == pytest.approx(min(1.0, by_quadrature(right, total)), abs=3e-3)


def test_a_rater_who_was_asked_nothing_known_or_failed_nothing_counts_in_full() -> None:
    assert attentiveness(0, 0) == 1.0
    assert attentiveness(20, 20) == 1.0


def test_every_failed_check_makes_the_answers_count_for_less() -> None:
    values = [attentiveness(10 - failed, 10) for failed in range(11)]
    assert values == sorted(values, reverse=True) and values[0] == 1.0 and values[10] < 0.3


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be right"):
        attentiveness(3, 2)
