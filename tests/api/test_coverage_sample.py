"""Which outputs the coverage of intervals is measured on."""

from collections import Counter

from rrm.api.reports import evenly


def test_few_places_are_all_taken() -> None:
    assert evenly(3, 5, 0) == evenly(3, 3, 1) == [0, 1, 2]
    assert evenly(0, 5, 0) == []


def test_places_are_spread_over_all_and_each_is_as_likely() -> None:
    drawn = [evenly(1000, 200, seed) for seed in range(400)]
    for each in drawn:
        assert len(set(each)) == 200 and each == sorted(each)
        assert set(Counter(at // 250 for at in each).values()) == {50}  # of four rounds, a quarter each
    starts = Counter(each[0] for each in drawn)
    assert sorted(starts) == [0, 1, 2, 3, 4] and min(starts.values()) > 50  # 80 expected


def test_the_sample_is_the_same_for_the_same_seed() -> None:
    assert evenly(1000, 200, 7) == evenly(1000, 200, 7)
