"""How good people write: the prior by hand, what is learned of many texts, and what few tell."""

import numpy as np
import pytest

from rrm.feedback.quality import PRIOR, learned, qualities


def test_beforehand_people_write_as_well_as_what_is_there() -> None:
    assert learned("demonstration", []) == PRIOR["demonstration"] == (0.0, 1.0, 0)
    assert learned("correction", []) == PRIOR["correction"] == (0.0, 0.5, 0)


def test_two_texts_by_hand() -> None:
    found = learned("demonstration", [2.0, 1.0])
    # the prior counts as four texts of mean 0 and variance 1: mean 3 / 6, squares 4 * 1.25 + 2.25 + 0.25
    assert found.mean == pytest.approx(0.5) and found.texts == 2
    assert found.sd**2 == pytest.approx((4 * 1.25 + 2.25 + 0.25) / 6 * (1 + 1 / 6))


def test_of_many_texts_their_own_mean_and_spread_are_found() -> None:
    better = np.random.default_rng(0).normal(1.5, 0.4, 2000)
    found = qualities({"correction": better.tolist()})
    assert found["correction"].mean == pytest.approx(1.5, abs=0.03)
    assert found["correction"].sd == pytest.approx(0.4, abs=0.03)
    assert found["demonstration"] == PRIOR["demonstration"]
