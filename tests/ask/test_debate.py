"""Debate: minimax and obfuscation are oracles of `rrm verify`; here what is refused, and what a stake has to be."""

import numpy as np
import pytest

from rrm.ask.debate import Argument, Claim, attacked, debated, estimated
from rrm.core.errors import InputError, ShapeError


def test_a_false_claim_falls_however_it_is_argued_for() -> None:
    holds, fails = Claim(True), Claim(False)
    deep = Claim(False, ((holds, Claim(False, ((holds, fails), (fails,)))), (fails, holds)))
    assert debated(deep) == 0 and debated(deep, 0.2) == 0.2


def test_what_is_no_argument_is_refused() -> None:
    with pytest.raises(InputError, match="cannot follow"):
        Claim(False, ((Claim(True),),))
    with pytest.raises(InputError, match="needs parts"):
        Claim(True, ((),))
    with pytest.raises(InputError, match=r"\[0, \.5\], got 0.7"):
        debated(Claim(True), 0.7)
    with pytest.raises(ShapeError, match=r"prior \[worlds\]"):
        Argument(np.ones((2, 3)), np.ones(3) / 3)
    with pytest.raises(InputError, match="sum to one"):
        Argument(np.ones((2, 3)), np.array([0.5, 0.6]))
    with pytest.raises(InputError, match="stake"):
        estimated(Argument.obfuscated(3), 0.0)


@pytest.mark.parametrize("parts", [2, 5, 40])
def test_the_more_parts_the_surer_an_obfuscated_argument_stands_against_who_must_name_one(parts: int) -> None:
    flawed = Argument.obfuscated(parts)
    assert flawed.sound == 0 and attacked(flawed) == pytest.approx(1 - 1 / parts)
    said = estimated(flawed, 100.0)
    assert not said.accepted and said.parts == pytest.approx(flawed.parts)


def test_an_estimator_that_accepts_gives_no_part_less_than_one_half() -> None:
    doubtful = Argument(np.array([[True, True], [True, False]]), np.array([0.45, 0.55]))
    accepted, parts, cost = estimated(doubtful, 1.0)
    assert not accepted and cost == 0 and parts == pytest.approx([1.0, 0.45])
    sure = Argument(np.ones((1, 2)), np.ones(1))
    assert estimated(sure, 4.0).accepted and not estimated(sure, 3.9).accepted
    assert estimated(sure, 3.9).parts == pytest.approx([0.75, 0.75])
