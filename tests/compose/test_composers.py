"""Composition by hand, on trees small enough to check and on one large enough to matter."""

from itertools import pairwise

import numpy as np
import pytest

from rrm.compose.composers import Joint, Learned, Mean, Minimum, Product, blame, compose, fit_composer
from rrm.core.errors import InputError, ShapeError
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.protocols import Composer
from rrm.core.task import Span, Task


def tree(*sizes: int) -> TaskGraph:
    """A root over leaves of these sizes."""
    ends = np.cumsum([0, *sizes])
    whole = Task("whole", "book", Span(0, int(ends[-1])))
    graph = TaskGraph.start(whole, "test", 0)
    parts = tuple(Task("part", "book", Span(int(a), int(b))) for a, b in pairwise(ends))
    graph = graph.grow(graph.root, Proposal(parts))
    for leaf in graph.children(graph.root):
        graph = graph.grow(leaf, Proposal())
    return graph


def wide(fan: int, depth: int) -> TaskGraph:
    def split(_: TaskGraph, node: object) -> Proposal:
        span = node.task.span  # type: ignore[attr-defined]
        step = (span.end - span.start) // fan
        if step == 0:
            return Proposal()
        return Proposal(tuple(Task("p", "b", Span(at, at + step)) for at in range(span.start, span.end, step)))

    return TaskGraph.start(Task("w", "b", Span(0, fan**depth)), "test", 0).grow_all(split)


def score(*samples: float) -> np.ndarray:
    return np.array(samples)


ALL = [Mean(), Mean(0.0), Minimum(), Product(), Learned(1.0, 0.5, 0.25, -0.1)]


def test_every_composer_keeps_the_protocol_and_has_a_name_of_its_own() -> None:
    assert all(isinstance(composer, Composer) for composer in ALL)
    assert len({composer.name for composer in ALL}) == len(ALL)


def test_thirteen_children_at_99_percent_multiply_to_878() -> None:
    graph = tree(*[1] * 13)
    own = {node: score(0.99) for node in graph} | {graph.root: score(1.0)}
    assert compose(graph, own, Product())[graph.root][0] == pytest.approx(0.878, abs=5e-4)
    assert compose(graph, own, Minimum())[graph.root][0] == pytest.approx(0.99)


def test_the_mean_weighs_children_by_the_source_that_they_cover() -> None:
    graph = tree(3, 1)
    a, b = graph.children(graph.root)
    own = {graph.root: score(0.6, 0.2), a: score(0.8, 0.4), b: score(0.4, 0.0)}
    found = compose(graph, own, Mean(0.5))[graph.root]
    assert found.tolist() == pytest.approx([0.5 * 0.6 + 0.5 * 0.7, 0.5 * 0.2 + 0.5 * 0.3])
    equal = compose(graph, own, Mean(0.5), weights={a: 1, b: 1})[graph.root]
    assert equal.tolist() == pytest.approx([0.5 * 0.6 + 0.5 * 0.6, 0.5 * 0.2 + 0.5 * 0.2])


def test_composition_acts_sample_by_sample() -> None:
    graph = tree(1, 1)
    own = {node: np.random.default_rng(at).random(5) for at, node in enumerate(graph)}
    for composer in ALL:
        together = compose(graph, own, composer)[graph.root]
        apart = [compose(graph, {n: s[m : m + 1] for n, s in own.items()}, composer)[graph.root][0] for m in range(5)]
        np.testing.assert_allclose(together, apart)


@pytest.mark.parametrize("composer", ALL, ids=lambda composer: composer.name)
def test_no_better_child_makes_a_worse_parent(composer: Composer) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        own, children = rng.random(1), rng.random((3, 1))
        weights = rng.dirichlet(np.ones(3))
        before = composer.join(own, children, weights)
        children[rng.integers(3)] += 0.1 * rng.random()
        after = composer.join(own, np.clip(children, 0, 1), weights)
        assert 0 <= before[0] <= after[0] + 1e-12 <= 1 + 1e-9


def test_a_failed_child_is_left_out_and_its_weight_shared() -> None:
    graph = tree(2, 1, 1)
    a, b, c = graph.children(graph.root)
    own = {graph.root: score(0.5), b: score(0.8), c: score(0.4)}
    found = compose(graph, own, Mean(0.0))
    assert a not in found
    assert found[graph.root][0] == pytest.approx(0.6)


def test_a_node_whose_children_all_failed_keeps_its_own_score() -> None:
    graph = tree(1, 1)
    assert compose(graph, {graph.root: score(0.3)}, Mean())[graph.root][0] == 0.3
    assert compose(graph, {}, Mean()) == {}


@pytest.mark.parametrize("composer", [Product(), Minimum(), Learned(1, 0, 0, 0)], ids=lambda composer: composer.name)
def test_unanchored_scores_are_refused_where_they_have_no_meaning(composer: Composer) -> None:
    graph = tree(1, 1)
    own = {node: score(0.5) for node in graph}
    with pytest.raises(InputError, match="comparisons alone"):
        compose(graph, own, composer, anchored=False)
    assert compose(graph, own, Mean(), anchored=False)[graph.root][0] == pytest.approx(0.5)


def test_scores_of_different_ensembles_are_refused() -> None:
    graph = tree(1, 1)
    own = {node: score(0.5) for node in graph} | {graph.root: score(0.5, 0.6)}
    with pytest.raises(ShapeError, match="alike"):
        compose(graph, own, Mean())


def test_blame_is_the_rise_of_the_root_if_the_leaf_were_perfect() -> None:
    graph = tree(3, 1)
    a, b = graph.children(graph.root)
    own = {graph.root: score(0.6), a: score(0.8), b: score(0.4)}
    assert blame(graph, own, Mean(0.5)) == pytest.approx({a: 0.5 * 0.75 * 0.2, b: 0.5 * 0.25 * 0.6})
    assert blame(graph, own, Minimum()) == pytest.approx({a: 0.0, b: 0.2})
    assert blame(graph, own, Product()) == pytest.approx({a: 0.6 * 0.4 * 0.2, b: 0.6 * 0.8 * 0.6})


@pytest.mark.parametrize("composer", ALL, ids=lambda composer: composer.name)
def test_blame_equals_composing_everything_again(composer: Composer) -> None:
    graph = wide(3, 3)
    rng = np.random.default_rng(0)
    own = {node: rng.random(4) for node in graph}
    before = compose(graph, own, composer)[graph.root].mean()
    found = blame(graph, own, composer)
    assert set(found) == set(graph.leaves) and len(found) == 27
    for leaf in graph.leaves[::5]:
        again = compose(graph, own | {leaf: np.ones(4)}, composer)[graph.root].mean()
        assert found[leaf] == pytest.approx(again - before, abs=1e-12)


def test_blame_below_an_inner_node_counts_only_its_leaves() -> None:
    graph = wide(2, 2)
    inner = graph.children(graph.root)[0]
    own = {node: score(0.5) for node in graph}
    assert set(blame(graph, own, Mean(), inner)) == set(graph.children(inner))
    assert blame(graph, {leaf: score(0.5) for leaf in graph.leaves}, Mean()) == {}


def test_a_leaf_under_a_failed_node_is_not_to_blame() -> None:
    graph = wide(2, 2)
    failed = graph.children(graph.root)[0]
    own = {node: score(0.5) for node in graph if node != failed}
    found = blame(graph, own, Mean())
    assert {found[leaf] for leaf in graph.children(failed)} == {0.0}


def test_a_chain_of_thousands_needs_no_recursion() -> None:
    def split(_: TaskGraph, node: object) -> Proposal:
        rank = node.task.rank  # type: ignore[attr-defined]
        return Proposal((Task("t", rank=rank - 1),) if rank else ())

    graph = TaskGraph.start(Task("t", rank=3000), "test", 0).grow_all(split)
    own = {node: score(0.5) for node in graph}
    assert compose(graph, own, Mean())[graph.root][0] == pytest.approx(0.5)
    assert blame(graph, own, Minimum())[graph.leaves[0]] == 0


def _joint(rng: np.random.Generator, members: int = 2) -> Joint:
    children = rng.uniform(0.05, 0.95, (3, members))
    return Joint(rng.uniform(0.05, 0.95, members), children, rng.dirichlet(np.ones(3)))


def test_the_learned_composer_finds_a_known_rule() -> None:
    rng = np.random.default_rng(0)
    truth = Learned(0.8, 0.0, 1.2, 0.3)
    joints = [_joint(rng, members=1) for _ in range(4000)]
    labels = [(joint, bool(rng.random() < truth.join(*joint).mean())) for joint in joints]
    found = fit_composer(labels, anchored=True)
    for joint in joints[:50]:
        assert found.join(*joint) == pytest.approx(truth.join(*joint), abs=0.08)


def test_the_learned_composer_is_monotone_even_if_ratings_say_otherwise() -> None:
    rng = np.random.default_rng(0)
    joints = [_joint(rng) for _ in range(300)]
    perverse = [(joint, bool(joint.own.mean() < 0.5)) for joint in joints]
    found = fit_composer(perverse, anchored=True)
    assert (found.weights >= 0).all()


def test_comparisons_teach_the_learned_composer_its_weights() -> None:
    rng = np.random.default_rng(1)
    pairs = [(_joint(rng), _joint(rng)) for _ in range(400)]
    compared = [(a, b, 0 if a.children.min(axis=0).mean() > b.children.min(axis=0).mean() else 1) for a, b in pairs]
    labels = [(_joint(rng), True), (_joint(rng), False)]
    found = fit_composer(labels, compared, anchored=True)
    assert found.weights[2] > 2 * found.weights[0]


def test_the_learned_composer_refuses_what_has_no_scale() -> None:
    joint = _joint(np.random.default_rng(0))
    with pytest.raises(InputError, match="comparisons alone"):
        fit_composer([(joint, True)], anchored=False)
    with pytest.raises(InputError, match="labels"):
        fit_composer([], [(joint, joint, 0)], anchored=True)
    with pytest.raises(InputError, match="monotone"):
        Learned(-1, 0, 0, 0)
