"""What a run decides between: root candidates, by composed scores or by their own rewards, beside which view."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from scipy.special import expit

from rrm.api.deciding import alternatives
from rrm.compose.composers import Mean
from rrm.core.asking import Asking
from rrm.core.graph import TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import PromptContext
from rrm.core.task import Span, Task
from rrm.core.values import Group, Output, Prediction, View
from rrm.pipeline.forest import State, Tree
from rrm.pipeline.stages import AskJob


@dataclass
class Known:
    """Believes outputs by number: their rewards are that, with a variance of 2 and nothing shared."""

    seen: list[Group] = field(default_factory=list)

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        self.seen += groups
        return np.array([float(text) for group in groups for text in group.outputs])

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        mine, theirs = (np.array([float(t) for group in each for t in group.outputs]) for each in (groups, others))
        return 2.0 * (mine[:, None] == theirs)


def lone_root(number: int, *texts: str) -> tuple[Tree, State]:
    """A tree of a root alone, with these candidates."""
    task = Task(f"Tell {number}.", "s", Span(0, 9), max_tokens=9)
    graph = TaskGraph.start(task, "whole", number)
    root = graph.root
    graph = graph.close(root)
    outputs = tuple(Output(root, text, "p", at) for at, text in enumerate(texts))
    samples = np.full((2, len(texts)), 0.5)
    context = PromptContext(root, task, View(f"Tell {number}.", (), 9))
    said = Prediction.overall(np.zeros_like(samples), samples)
    return Tree("s", number, graph), State({root: context}, {root: outputs}, {root: said}, {root: 0}, {root: 0})


def job(*trees: tuple[Tree, State], anchored: bool = True) -> AskJob:
    state = State()
    for _, each in trees:
        state = replace(
            state,
            prompt_contexts={**state.prompt_contexts, **each.prompt_contexts},
            outputs={**state.outputs, **each.outputs},
            predictions={**state.predictions, **each.predictions},
            read={**state.read, **each.read},
        )
    return AskJob(Asking((), (), {}, Place(0, "answer", 2)), (), tuple(tree for tree, _ in trees), state, anchored)


def test_roots_without_parts_are_accepted_as_expected_over_what_is_not_known() -> None:
    [found] = alternatives(Known(), job(lone_root(0, "1", "-2")), Mean())
    flat = 1 / np.sqrt(1 + np.pi * 2 / 8)
    assert found.scores == pytest.approx(expit(flat * np.array([1.0, -2.0])))
    sd = flat * np.sqrt(2)
    up, down = (expit(flat * np.array([1.0, -2.0]) + each) for each in (sd, -sd))
    assert found.slopes == pytest.approx(np.diag(flat * (up - down) / (2 * sd)))


def test_candidates_of_all_trees_of_a_target_stand_beside_each_other() -> None:
    trees = lone_root(0, "1", "2"), lone_root(1, "3")
    belief = Known()
    [found] = alternatives(belief, job(*trees), Mean())
    assert len(found.outputs) == 3 and found.slopes.shape == (3, 3)
    assert np.count_nonzero(found.slopes) == 3
    assert {group.place.level for group in belief.seen} == {2}


def test_without_an_anchor_candidates_are_compared_with_each_other() -> None:
    [found] = alternatives(Known(), job(lone_root(0, "1", "2"), lone_root(1, "3"), anchored=False), Mean())
    assert found.scores == pytest.approx(expit(np.array([-1.0, 0.0, 1.0])))
    assert found.slopes.sum(axis=1) == pytest.approx(np.zeros(3))  # one reward more for all changes nothing
    step = 1e-5
    moved = expit(np.array([-1.0 + 2 / 3 * step, -step / 3, 1.0 - step / 3]))
    assert found.slopes[:, 0] == pytest.approx((moved - found.scores) / step, rel=1e-4)


def test_outputs_are_believed_beside_the_view_that_they_are_composed_beside() -> None:
    tree, state = lone_root(0, "1", "2")
    belief, other = Known(), View("Tell 0.", (), 9, "the source's own words")
    alternatives(belief, replace(job((tree, state)), views={tree.graph.root: other}), Mean())
    assert {group.view for group in belief.seen} == {other}
