"""Which outputs the coverage of intervals is measured on."""

from collections import Counter

from rrm.api.reports import evenly, target_labels
from rrm.pipeline.flat import flat_baseline, root_outputs, whole_context
from rrm.pipeline.recursion import recursion
from tests.pipeline.hand_world import RUN, World, go


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


def test_it_is_measured_on_every_output_of_the_targets_with_the_view_that_it_was_judged_by() -> None:
    outcome = go(recursion(RUN), World())
    forest, state = outcome.forest, outcome.state
    for level in outcome.levels:
        at = level.place.level
        asked = target_labels(outcome, at, level.model)
        nodes = [node for tree, node in forest.level(at) if forest.is_target(tree)]
        assert {each.source for each in asked} == forest.targets
        assert [each.shown[0].output for each in asked] == [o.id for node in nodes for o in state.outputs[node]]
        assert all(each.view == state.view(each.node) and each.place.level == at for each in asked)


def test_the_flat_baselines_is_measured_on_whole_targets() -> None:
    world = World()
    outcome = go(recursion(RUN), world)
    flat = go(flat_baseline(outcome), world)
    assert flat is not None
    asked = target_labels(outcome, flat.model.place.level, flat.model)
    roots = {source: each for source, each in root_outputs(outcome).items() if source in outcome.forest.targets}
    assert [each.shown[0].output for each in asked] == [o.id for each in roots.values() for o in each]
    assert all(each.view == whole_context(outcome, each.source).view for each in asked)
