"""Schedules: which nodes a round visits, in which order, and which schedules are none."""

from collections.abc import Sequence

import pytest

from rrm.core.errors import ConfigError
from rrm.core.graph import TaskGraph
from rrm.core.protocols import DrawnNode
from rrm.core.task import Source
from rrm.feedback.sample import FirstSubtree, UniformNodes
from rrm.pipeline.forest import Forest, Tree
from rrm.pipeline.schedule import Round, check_rounds
from tests.pipeline.hand_world import APART, OTHER, TARGET, TRAIN, thirds

SHORT = Source("short", "uno. dos. tres.")


def forest() -> Forest:
    """Heights 2, 1 and, the target, 2; a tree is taken from each of three training sources."""
    sources = (TRAIN, SHORT, APART, TARGET)
    trees = [Tree(source.id, 0, thirds(source, 0)) for source in sources]
    return Forest.of([TRAIN, SHORT, APART], [TARGET], trees, [APART.id])


@pytest.mark.parametrize(
    ("rounds", "message"),
    [
        ([], "one round or more"),
        ([Round(levels=())], "round 1 visits no level"),
        ([Round(levels=(-1,))], 'round 1: levels count from 0 .leaves. up, or are "root", got -1'),
        ([Round(levels=(1,)), Round()], "round 1 visits level 1 before level 0 was ever visited"),
        ([Round(levels=(0,)), Round(levels=(2,)), Round()], "round 2 visits level 2 before level 1 was ever visited"),
        ([Round(levels=(0, 1))], "the last round visits all levels and the targets"),
        ([Round(targets=False)], "the last round visits all levels and the targets"),
        ([Round(levels=(0, "root"))], "the last round visits all levels"),
    ],
)
def test_a_schedule_without_sense_is_refused_in_one_sentence(rounds: Sequence[Round], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        check_rounds(rounds)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "rounds",
    [
        [Round()],
        [Round(), Round(levels=(5,)), Round()],
        [Round(levels=(0,), targets=False), Round(levels=(0, 1), targets=False), Round()],
        [Round(levels=(1, 0)), Round()],
        [Round(levels=(0,)), Round(levels=(1,)), Round(levels=("root",)), Round()],
    ],
)
def test_a_schedule_from_below_that_ends_with_all_is_one(rounds: Sequence[Round]) -> None:
    check_rounds(rounds)


def test_levels_come_lowest_first_and_root_is_the_highest_there_is() -> None:
    assert Round().levels_of(forest()) == [0, 1, 2]
    assert Round(levels=("root", 0)).levels_of(forest()) == [0, 2]
    assert Round(levels=(7, 1)).levels_of(forest()) == [1]
    assert Round().levels_of(Forest({}, (), frozenset())) == []


def test_a_root_is_at_the_highest_level_whatever_its_height() -> None:
    trees = forest()
    short = trees.trees[1]
    assert short.graph.height(short.graph.root) == 1
    assert (short, short.graph.root) in trees.level(2)
    assert len(trees.level(1)) == 9 and len(trees.level(2)) == 4
    assert trees.level_of(short, short.graph.leaves[0]) == 0


def test_a_drawn_node_is_visited_with_all_that_lies_below_it_and_targets_with_all_they_have() -> None:
    trees = forest()
    visit = Round(nodes=FirstSubtree())
    order = visit.order(trees, 0, seed=0)
    visited = {level: visit.visited(trees, level, order) for level in range(3)}
    sources = {level: [tree.source for tree, _ in found] for level, found in visited.items()}
    assert sources[0] == [TRAIN.id] * 3 + [SHORT.id] * 3 + [APART.id] * 3 + [TARGET.id] * 9
    assert sources[1] == [TRAIN.id, APART.id] + [TARGET.id] * 3
    assert sources[2] == [SHORT.id, TARGET.id]  # the short tree's first node above the leaves is its root
    off = Round(nodes=FirstSubtree(), targets=False)
    assert TARGET.id not in {tree.source for level in range(3) for tree, _ in off.visited(trees, level, order)}


class Last:
    """Draws the root of the last tree alone, and remembers what it was given."""

    name = "last"

    def __init__(self) -> None:
        self.given: list[tuple[int, int, int]] = []

    def order(
        self, trees: Sequence[TaskGraph], targets: Sequence[TaskGraph], seed: int, draws: int | None = None
    ) -> list[DrawnNode]:
        self.given.append((len(trees), len(targets), seed))
        return [DrawnNode(len(trees) - 1, trees[-1].root)]


def test_a_sampler_is_given_training_and_target_trees_and_another_seed_every_round() -> None:
    trees, sampler = forest(), Last()
    visit = Round(nodes=sampler)
    assert [visit.order(trees, number, seed=3) for number in range(2)] == [[trees.trees[2].graph.root]] * 2
    assert [given[:2] for given in sampler.given] == [(3, 1), (3, 1)]
    assert sampler.given[0][2] != sampler.given[1][2]
    found = visit.visited(trees, 0, [trees.trees[2].graph.root])
    assert [tree.source for tree, _ in found] == [APART.id] * 9 + [TARGET.id] * 9  # with the root all of its tree


def test_without_training_trees_nothing_is_drawn() -> None:
    only = Forest.of([], [OTHER], [Tree(OTHER.id, 0, thirds(OTHER, 0))])
    visit = Round(nodes=UniformNodes())
    assert visit.order(only, 0, 0) == []
    assert len(visit.visited(only, 0, [])) == 9
