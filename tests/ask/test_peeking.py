"""Which claims are looked at: by what a look is worth to the choice of an output, and some drawn at random."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rrm.ask.peeking import choose_looks, gains
from rrm.core.asking import AT_RANDOM, BY_VALUE, Claimed, Peeking
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Passage, Request, Shown, View


def claim(number: int, support: float = 0.5, slope: float = 0.2, output: int = 0, **more: Any) -> Claimed:
    view = View("Is this right?", (Passage(f"The source, {number}."),), 9)
    request = Request(
        "root", "s", Place(subject="claims"), "label", view, (Shown(f"claim-{number}", f"It is {number}."),)
    )
    return Claimed(request, more.pop("minutes", 0.5), more.pop("root", 0), output, support, slope)


def peeking(*claims: Claimed, scores: Any = ((0.6, 0.5),), **more: Any) -> Peeking:
    known = {"minutes": 100.0, "random": 0.2, "seed": 3, **more}
    return Peeking(claims, tuple(np.array(each) for each in scores), **known)


def test_what_a_look_gains_by_hand() -> None:
    scores = [np.array([0.6, 0.5])]
    some = [claim(0, 0.75, 0.4), claim(1, 0.75, 0.4, output=1), claim(2, 0.75, 0.05), claim(3, 1.0, 9.0)]
    # the best is .6: found wrong it falls to .3, and .5 is had; found right it rises to .7
    first = 0.75 * 0.7 + 0.25 * 0.5 - 0.6
    # the other rises to .6 at most
    assert gains(some, scores).tolist() == pytest.approx([first, 0.0, 0.0, 0.0], abs=1e-12)
    assert gains([claim(0, 0.5, 0.4)], [np.array([0.6])]).tolist() == [0.0]  # of one output nothing is chosen


def test_a_look_is_worth_what_many_worlds_say() -> None:
    rng = np.random.default_rng(0)
    scores = [rng.uniform(size=4) for _ in range(3)]
    some = [
        claim(at, rng.uniform(), rng.uniform(-1, 1), int(rng.integers(4)), root=int(rng.integers(3)))
        for at in range(40)
    ]
    for each, gain in zip(some, gains(some, scores), strict=True):
        found = rng.random(200_000) < each.support
        own = scores[each.root][each.output] + each.slope * (found - each.support)
        best = np.maximum(own, np.delete(scores[each.root], each.output).max())
        assert gain == pytest.approx(best.mean() - scores[each.root].max(), abs=5e-3) and gain >= 0


def test_what_could_change_the_choice_comes_first_by_the_minute() -> None:
    sure = [claim(at, 0.99, 0.2) for at in range(8)]
    open_ = [claim(10, 0.5, 0.4), claim(11, 0.5, 0.4, minutes=2.0), claim(12, 0.5, 0.4, output=1)]
    asked = choose_looks(peeking(*sure, *open_, random=0.01))
    ids = [each.request for each in asked if each.stream == BY_VALUE]
    assert ids.index(open_[0].request.id) < ids.index(open_[1].request.id)
    assert set(ids[:3]) == {each.request.id for each in open_}
    values = {each.request: each.value for each in asked}
    assert values[open_[0].request.id] == pytest.approx(4 * values[open_[1].request.id], rel=0.5)
    assert all(each.propensity == 1 and each.pool.startswith("pool-") for each in asked if each.stream == BY_VALUE)


def test_drawn_looks_have_their_share_of_any_part_and_are_set_aside_by_the_seed_alone() -> None:
    some = [claim(at, 0.5, 0.1 + at / 1000) for at in range(300)]
    asked = choose_looks(peeking(*some, random=0.25, minutes=40.0))
    streams = Counter(each.stream for each in asked)
    assert streams == {BY_VALUE: 60, AT_RANDOM: 20}
    assert Counter(each.stream for each in asked[:20])[AT_RANDOM] == 5
    drawn = [each.request for each in asked if each.stream == AT_RANDOM]
    believed = [each._replace(support=0.01 + 0.9 * (at % 2), slope=3.0) for at, each in enumerate(some)]
    again = choose_looks(peeking(*believed, random=0.25, minutes=40.0))
    assert [each.request for each in again if each.stream == AT_RANDOM] == drawn  # whatever is believed
    chosen = {each.request for each in asked if each.stream == BY_VALUE}
    left = [each for each in some if each.request.id not in chosen]  # a later round, without those looked at
    later = choose_looks(peeking(*left, random=0.25, minutes=40.0))
    assert [each.request for each in later if each.stream == AT_RANDOM] == drawn
    assert all(0 < each.propensity <= 1 for each in asked)


def test_all_are_drawn_where_the_share_is_one_and_nothing_is_had_for_no_minutes() -> None:
    some = [claim(at) for at in range(20)]
    assert {each.stream for each in choose_looks(peeking(*some, random=1.0))} == {AT_RANDOM}
    assert choose_looks(peeking(*some, minutes=0.1)) == ()
    assert choose_looks(peeking()) == ()


def test_where_no_look_is_worth_anything_the_seed_decides() -> None:
    some = [claim(at, 1.0, 0.3) for at in range(30)]
    orders = {seed: [each.request for each in choose_looks(peeking(*some, random=0.01, seed=seed))] for seed in (1, 2)}
    assert sorted(orders[1]) == sorted(each.request.id for each in some) and orders[1] != orders[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"random": 0.0}, "lies above 0 and up to 1"),
        ({"random": float("nan")}, "lies above 0"),
        ({"claims": (claim(0, support=1.5),)}, "support is a probability"),
        ({"claims": (claim(0, support=float("nan")),)}, "support is a probability"),
        ({"claims": (claim(0, slope=float("inf")),)}, "slope a number"),
        ({"claims": (claim(0, minutes=0.0),)}, "costs some minutes"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_looks(replace(peeking(claim(1)), **change))
