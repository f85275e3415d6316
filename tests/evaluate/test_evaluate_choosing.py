"""What choosing is worth is found again from nodes that read outputs drawn at random."""

import numpy as np
import pytest

from rrm.evaluate.choosing import Made, choosing


def test_by_hand_it_is_the_slope_within_levels() -> None:
    nodes = [
        Made("a", 1, 0.0, 0.6), Made("b", 1, 1.0, 0.4), Made("c", 1, 0.5, 0.5),  # slope .2
        Made("a", 2, 0.0, 0.1), Made("b", 2, 0.0, 0.3),  # nothing moves here, and another level's mean does not count
    ]  # fmt: skip
    found = choosing(nodes)
    assert found is not None
    assert found.effect == pytest.approx(0.2) and (found.others, found.nodes) == (2, 5)


def test_an_effect_that_was_put_in_is_found_and_its_interval_holds_it() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(40):
        nodes = []
        for source in range(12):
            ease = random.normal(0, 0.1)
            for level in (1, 1, 1, 2):
                others = float(random.choice([0, 0, 0, 0.2, 0.4]))
                accepted = 0.5 + ease - 0.1 * level - 0.3 * others + random.normal(0, 0.05)
                nodes.append(Made(f"s{source}", level, others, accepted))
        found = choosing(nodes, resamples=300)
        assert found is not None and found.interval is not None
        held += found.interval.low <= 0.3 <= found.interval.high
    assert held >= 34  # of 40, at 95 %


def test_without_other_reads_or_within_one_source_little_is_said() -> None:
    assert choosing([]) is None
    assert choosing([Made("a", 1, 0.0, 0.5), Made("b", 1, 0.0, 0.7)]) is None
    alone = choosing([Made("a", 1, 0.0, 0.5), Made("a", 1, 0.5, 0.4)])
    assert alone is not None and alone.interval is None and alone.effect == pytest.approx(0.2)
