"""Composition along a tree and blame, by hand on small trees and by composing again on a larger one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rrm.compose.composers import LogLinear, Mean, Minimum, Product
from rrm.compose.tree import Blame, blame, check_composer, compose, slopes
from rrm.core.errors import PluginError
from rrm.core.graph import Node, TaskGraph
from rrm.core.protocols import Composer, ScoredPart
from rrm.core.values import OVERALL, Output, Prediction
from tests.compose.compose_problems import chain, every, judged, tree, wide

ALL = [Mean(), Minimum(), Product(), LogLinear(1.0, 0.5, 0.25, -0.1)]


def root(graph: TaskGraph, composed: dict[str, Prediction]) -> list[float]:
    """The composed scores of the root's first output, by member."""
    return [float(each) for each in composed[graph.root].acceptance[OVERALL][:, 0]]


def test_thirteen_parts_at_99_percent_multiply_to_878() -> None:
    graph = tree(*[1] * 13)
    own = every(dict.fromkeys(graph, 0.99) | {graph.root: 1.0})
    assert root(graph, compose(graph, own, Product())) == pytest.approx([0.878], abs=5e-4)
    assert root(graph, compose(graph, own, Minimum())) == pytest.approx([0.99])


def test_parts_count_by_the_source_that_they_cover() -> None:
    graph = tree(3, 1)
    a, b = graph.children(graph.root)
    own = every({graph.root: [0.6, 0.2], a: [0.8, 0.4], b: [0.4, 0.0]})
    assert root(graph, compose(graph, own, Mean(0.5))) == pytest.approx([0.3 + 0.35, 0.1 + 0.15])


def test_the_parents_outputs_are_composed_over_the_output_that_was_read() -> None:
    graph = chain(1)
    [part] = graph.children(graph.root)
    own = {graph.root: judged(graph.root, [[0.2, 0.6]]), part: judged(part, [[0.1, 0.9, 0.5]], read=1)}
    found = compose(graph, own, Mean(0.5))
    assert found[graph.root].acceptance[OVERALL].tolist() == [pytest.approx([0.55, 0.75])]
    assert found[part].acceptance[OVERALL].tolist() == [[0.1, 0.9, 0.5]]


def test_a_failed_part_is_left_out_and_its_share_goes_to_the_others() -> None:
    graph = tree(2, 1, 1)
    a, b, c = graph.children(graph.root)
    found = compose(graph, every({graph.root: 0.5, b: 0.8, c: 0.4}), Mean(0.0))
    assert a not in found
    assert root(graph, found) == pytest.approx([0.6])


def test_a_node_whose_parts_all_failed_keeps_its_own_score() -> None:
    graph = tree(1, 1)
    assert root(graph, compose(graph, every({graph.root: 0.3}), Mean())) == [0.3]
    assert compose(graph, {}, Mean()) == {}


def test_scores_of_different_ensembles_are_repeated_until_all_have_as_many() -> None:
    graph = tree(1, 1)
    a, b = graph.children(graph.root)
    own = every({graph.root: [0.2, 0.4, 0.6], a: [0.5, 0.7], b: 0.9})
    found = compose(graph, own, Mean(0.5))
    below = [(0.5 + 0.9) / 2, (0.7 + 0.9) / 2] * 3
    assert root(graph, found) == pytest.approx(
        [0.5 * x + 0.5 * y for x, y in zip([0.2, 0.4, 0.6] * 2, below, strict=True)]
    )
    assert found[a].acceptance["overall"][:, 0].mean() == pytest.approx(0.6)


# ---- blame ----


def test_blame_of_leaves_and_of_the_root_by_hand() -> None:
    graph = tree(3, 1)
    a, b = graph.children(graph.root)
    own = every({graph.root: 0.6, a: 0.8, b: 0.4})
    mean = blame(graph, own, Mean(0.5))
    assert mean[a] == pytest.approx(Blame(0.5 * 0.75 * 0.2, 0.5 * 0.75 * 0.2))
    assert mean[b] == pytest.approx(Blame(0.5 * 0.25 * 0.6, 0.5 * 0.25 * 0.6))
    assert mean[graph.root] == pytest.approx(Blame(0.5 * 0.4, 1 - (0.3 + 0.35)))
    assert {node: each.own for node, each in blame(graph, own, Minimum()).items()} == pytest.approx(
        {a: 0.0, b: 0.2, graph.root: 0.0}
    )
    product = blame(graph, own, Product())
    assert product[a].own == pytest.approx(0.6 * 0.4 * 0.2) and product[b].own == pytest.approx(0.6 * 0.8 * 0.6)


def test_slopes_by_hand() -> None:
    graph = tree(3, 1)
    a, b = graph.children(graph.root)
    own = every({graph.root: 0.6, a: 0.8, b: 0.4})
    assert slopes(graph, own, Mean(0.5)) == pytest.approx({graph.root: 0.5, a: 0.375, b: 0.125})
    assert slopes(graph, own, Product()) == pytest.approx({graph.root: 0.32, a: 0.24, b: 0.48})
    assert slopes(graph, every({graph.root: 0.6, a: 1.0, b: 0.4}), Mean(0.5)).keys() == {graph.root, b}
    assert slopes(graph, every({a: 0.8}), Mean(0.5)) == {}


def test_an_inner_node_is_to_blame_for_itself_and_its_subtree_for_all_below_it() -> None:
    graph = wide(2, 2)
    inner, other = graph.children(graph.root)
    leaf, sibling = graph.children(inner)
    scores = dict.fromkeys(graph, 1.0) | {graph.root: 0.5, inner: 0.6, leaf: 0.2, sibling: 0.8, other: 0.9}
    found = blame(graph, every(scores), Mean(0.5))
    # inner is composed to 0.5 * 0.6 + 0.5 * (0.2 + 0.8) / 2 = 0.55, and counts a quarter at the root
    assert found[inner] == pytest.approx(Blame(0.25 * 0.5 * 0.4, 0.25 * 0.45))
    assert found[leaf] == pytest.approx(Blame(0.25 * 0.25 * 0.8, 0.25 * 0.25 * 0.8))
    assert found[other] == pytest.approx(Blame(0.25 * 0.5 * 0.1, 0.25 * 0.5 * 0.1))


@pytest.mark.parametrize("composer", ALL, ids=lambda composer: composer.name)
def test_blame_equals_composing_everything_again(composer: Composer) -> None:
    graph = wide(3, 3)
    rng = np.random.default_rng(0)
    own = {node: rng.random(4) for node in graph}
    before = np.mean(root(graph, compose(graph, every(own), composer)))
    found = blame(graph, every(own), composer)
    assert set(found) == set(graph)
    for node in list(graph)[::5]:
        again = compose(graph, every(own | {node: np.ones(4)}), composer)
        assert found[node].own == pytest.approx(np.mean(root(graph, again)) - before, abs=1e-12)


def test_blame_of_a_subtree_under_the_product_is_that_of_perfect_scores_all_through_it() -> None:
    graph = wide(2, 3)
    rng = np.random.default_rng(1)
    own = {node: rng.random(3) for node in graph}
    inner = graph.children(graph.root)[0]
    below = {inner, *graph.children(inner), *(leaf for part in graph.children(inner) for leaf in graph.children(part))}
    again = compose(graph, every(own | {node: np.ones(3) for node in below}), Product())
    before = compose(graph, every(own), Product())
    rise = np.mean(root(graph, again)) - np.mean(root(graph, before))
    assert blame(graph, every(own), Product())[inner].subtree == pytest.approx(rise, abs=1e-12)


def test_without_a_score_at_the_root_nothing_is_to_blame() -> None:
    graph = wide(2, 2)
    assert blame(graph, every(dict.fromkeys(graph.leaves, 0.5)), Mean()) == {}


def test_a_leaf_under_a_failed_node_is_not_to_blame() -> None:
    graph = wide(2, 2)
    failed = graph.children(graph.root)[0]
    found = blame(graph, every({node: 0.5 for node in graph if node != failed}), Mean())
    assert failed not in found
    assert {found[leaf] for leaf in graph.children(failed)} == {(0.0, 0.0)}


def test_a_chain_of_thousands_needs_no_recursion() -> None:
    graph = chain(3000)
    assert root(graph, compose(graph, every(dict.fromkeys(graph, 0.5)), Mean())) == pytest.approx([0.5])


# ---- composers that go wrong ----


class Odd:
    """A composer that returns anything at all."""

    needs_anchor = False
    reads_back = False
    checks_claims = False
    name = "odd"

    def __init__(self, says: Any) -> None:
        self.says = says

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        return self.says(scores)  # type: ignore[no-any-return]


def failing(scores: Prediction) -> Prediction:
    raise ValueError("no idea")


def times(factor: float) -> Any:
    return lambda scores: Prediction.overall(scores.rewards[OVERALL], factor * scores.acceptance[OVERALL])


WRONG: dict[str, tuple[Any, str]] = {
    "out of [0, 1]": (times(5.0), r"failed: InputError: a model's acceptance by overall must lie in \[0, 1\]"),
    "not a number": (times(float("nan")), "failed: InputError: .* must be finite"),
    "a scalar": (lambda scores: 0.5, "must return a Prediction, got float"),
    "nothing": (lambda scores: None, "must return a Prediction, got NoneType"),
    "one output of many": (
        lambda scores: Prediction.overall(scores.rewards[OVERALL][:, :1], scores.acceptance[OVERALL][:, :1]),
        r"\[members, k\]",
    ),
    "one member of many": (
        lambda scores: Prediction.overall(scores.rewards[OVERALL][:1], scores.acceptance[OVERALL][:1]),
        r"\[members, k\]",
    ),
    "another criterion": (
        lambda scores: Prediction({"style": scores.rewards[OVERALL]}, {"style": scores.acceptance[OVERALL]}),
        r"\[members, k\]",
    ),
    "raises": (failing, "failed: ValueError: no idea"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_composer_that_goes_wrong_is_refused_in_one_sentence_that_names_it(wrong: str) -> None:
    says, sentence = WRONG[wrong]
    with pytest.raises(PluginError, match=f"the composer odd .*{sentence}") as beforehand:
        check_composer(Odd(says))
    assert "\n" not in str(beforehand.value)
    graph = tree(1, 1)
    own = {node: judged(node, [[0.4, 0.6], [0.5, 0.5]]) for node in graph}
    with pytest.raises(PluginError, match=f"the composer odd .*{sentence}"):
        compose(graph, own, Odd(says))


@pytest.mark.parametrize("composer", ALL, ids=lambda composer: composer.name)
def test_composers_of_our_own_pass_the_check(composer: Composer) -> None:
    check_composer(composer)
