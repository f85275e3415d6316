"""Node samplers: the published phases node by node, and the shares with which the random ones draw."""

from collections import Counter
from dataclasses import dataclass

import pytest

from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.protocols import DrawnNode, NodeSampler
from rrm.core.task import Task
from rrm.feedback.sample import FirstLeaves, FirstSubtree, Matched, UniformDepths, UniformNodes, draws_by_level


def tree(name: str, *fan: int) -> TaskGraph:
    """A tree whose nodes at depth d have fan[d] parts; instructions tell each node's path, as in "a.1.0"."""

    def split(_: TaskGraph, node: Node) -> Proposal:
        depth = node.task.instruction.count(".")
        parts = fan[depth] if depth < len(fan) else 0
        rank = node.task.rank - 1
        return Proposal(tuple(Task(f"{node.task.instruction}.{part}", rank=rank) for part in range(parts)))

    return TaskGraph.start(Task(name, rank=len(fan)), "toy", 0).grow_all(split)


TREES = (tree("a", 3, 2), tree("b", 2, 4), tree("c"))
TARGETS = (tree("t", 2, 2, 2),)
SAMPLERS: tuple[NodeSampler, ...] = (
    *(FirstLeaves(), FirstLeaves(2), FirstSubtree(), FirstSubtree(2)),
    *(UniformDepths(), UniformNodes(), Matched()),
)


def paths(order: list[DrawnNode], trees: tuple[TaskGraph, ...] = TREES) -> list[str]:
    return [trees[number].task(node).instruction for number, node in order]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_every_sampler_is_deterministic_by_seed_and_gives_as_many_draws_as_asked_for(sampler: NodeSampler) -> None:
    order = sampler.order(TREES, TARGETS, 3, 40)
    assert order == sampler.order(TREES, TARGETS, 3, 40)
    assert len(order) == 40 and all(node in TREES[number] for number, node in order)
    default = sampler.order(TREES, TARGETS, 3)
    assert default == order[: len(default)]
    assert any(sampler.order(TREES, TARGETS, seed, 40) != order for seed in range(10))
    assert sampler.order((), TARGETS, 3) == [] == sampler.order(TREES, TARGETS, 3, 0)
    with pytest.raises(ConfigError, match="draws must be 0 or more, got -1"):
        sampler.order(TREES, TARGETS, 3, -1)


def test_names_differ_with_every_setting() -> None:
    assert len({sampler.name for sampler in SAMPLERS}) == len(SAMPLERS)


def test_the_first_leaves_are_those_of_the_first_subtree_or_as_many_as_told() -> None:
    found = paths(FirstLeaves().order(TREES, (), 0))
    assert sorted(found) == ["a.0.0", "a.0.1", "b.0.0", "b.0.1", "b.0.2", "b.0.3", "c"]
    for name in "ab":  # in the order of reading, so that the outputs before are there as context
        mine = [path for path in found if path.startswith(name)]
        assert mine == sorted(mine)
    assert {path[:1] for path in found[:3]} == {"a", "b", "c"}  # the trees by turns
    assert sorted(paths(FirstLeaves(3).order(TREES, (), 0))) == [
        *("a.0.0", "a.0.1", "a.1.0", "b.0.0", "b.0.1", "b.0.2", "c")
    ]


def test_the_first_subtree_is_its_leaves_and_then_their_composition() -> None:
    (first,) = {tuple(path for path in paths(FirstSubtree().order(TREES[:1], (), seed))) for seed in range(5)}
    assert first == ("a.0.0", "a.0.1", "a.0")
    found = paths(FirstSubtree(1).order(TREES, (), 0))
    assert sorted(found) == ["a.0", "a.0.0", "a.0.1", "b.0", "b.0.0", "b.0.1", "b.0.2", "b.0.3", "c"]
    whole = paths(FirstSubtree(9).order(TREES[:1], (), 0))
    assert whole == ["a.0.0", "a.0.1", "a.1.0", "a.1.1", "a.2.0", "a.2.1", "a.0", "a.1", "a.2", "a"]


def test_fixed_orders_begin_again_when_more_draws_are_asked_for() -> None:
    assert paths(FirstSubtree().order(TREES[:1], (), 0, 5)) == ["a.0.0", "a.0.1", "a.0", "a.0.0", "a.0.1"]


def test_uniform_nodes_takes_every_node_once_before_any_again() -> None:
    nodes = sum(map(len, TREES))
    order = UniformNodes().order(TREES, (), 1, 3 * nodes)
    assert set(Counter(order).values()) == {3}
    assert {len(set(order[start : start + nodes])) for start in (0, nodes, 2 * nodes)} == {nodes}
    firsts = Counter(paths(UniformNodes().order(TREES, (), seed, 1))[0] for seed in range(2200))
    # 22 nodes, so 100 of 2,200 each with a standard deviation of 9.8; five of them either way
    assert len(firsts) == nodes == 22 and all(51 <= count <= 149 for count in firsts.values())


def test_uniform_depths_draws_each_depth_equally_often_and_each_node_at_it() -> None:
    counts = Counter(paths(UniformDepths().order(TREES, (), 1, 3000)))
    depths = Counter(dict.fromkeys(range(3), 0))
    for path, count in counts.items():
        depths[path.count(".")] += count
    # a third each, standard deviation 25.8
    assert all(abs(count - 1000) < 130 for count in depths.values())
    for depth in range(3):
        at = [count for path, count in counts.items() if path.count(".") == depth]
        assert max(at) - min(at) <= 1  # by turns
    assert len(counts) == 22


def test_matched_draws_levels_as_the_targets_have_them() -> None:
    order = Matched().order(TREES, TARGETS, 1, 7000)
    # the targets have 8, 4, 2 and 1 nodes of heights 0 to 3; no training tree has height 3: 8, 4 and 2 of 14
    counts = draws_by_level(order, TREES)
    assert list(counts) == [0, 1, 2]
    for level, share in {0: 8 / 14, 1: 4 / 14, 2: 2 / 14}.items():
        assert counts[level] == pytest.approx(7000 * share, abs=5 * (7000 * share * (1 - share)) ** 0.5)
    with pytest.raises(InputError, match="no target trees"):
        Matched().order(TREES, (), 1)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="got 0"):
        FirstLeaves(0)
    with pytest.raises(ConfigError, match="got -1"):
        FirstSubtree(-1)


def test_a_part_of_two_parents_stands_in_a_subtree_once() -> None:
    root = Task("root", rank=3)
    graph = TaskGraph.start(root, "toy", 0)
    graph = graph.grow(graph.root, Proposal((Task("left", rank=2), Task("right", rank=2))))
    left, right = graph.children(graph.root)
    graph = graph.grow(left, Proposal((Task("shared", rank=1),)))
    (shared,) = graph.children(left)
    graph = graph.grow(right, Proposal((shared, Task("own", rank=1))))
    own = graph.children(right)[1]
    closed = graph.grow_each({shared: Proposal(), own: Proposal()})
    assert paths(FirstSubtree(2).order((closed,), (), 0), (closed,)) == ["shared", "own", "left", "right", "root"]


@dataclass(frozen=True)
class _Nothing:
    name: str = "nothing"


def test_the_protocol_tells_a_sampler_from_what_is_none() -> None:
    assert isinstance(UniformNodes(), NodeSampler)
    assert not isinstance(_Nothing(), NodeSampler)
