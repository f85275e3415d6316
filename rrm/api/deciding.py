"""What a run decides: of every target one of its root candidates, by scores that the composer joins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import block_diag
from scipy.special import expit, logit

from rrm.compose.sensitivity import root_scores
from rrm.core.asking import Alternatives, Belief
from rrm.core.place import Place
from rrm.core.protocols import Composer, KnownRater
from rrm.core.values import Group, Label, Output, Request, Shown
from rrm.pipeline.forest import State, Tree, by_source
from rrm.pipeline.stages import AskJob

_EDGE = 1e-6


def alternatives(belief: Belief, job: AskJob, composer: Composer) -> tuple[Alternatives, ...]:
    """Return the root candidates of every target, over all of its trees, as they are believed to be accepted.

    An output is accepted as expected over what is not known of it: of a normal logit, the logistic of its mean divided
    by sqrt(1 + pi variance / 8) (MacKay 1992, doi:10.1162/neco.1992.4.5.720). The composer joins these. Where nothing
    anchors acceptance, candidates are compared with each other by their own rewards alone. Nodes that were composed
    beside the source's words are believed beside these; what a model of claims would say of them is left out.
    """
    made = _anchored if job.anchored else _compared
    return tuple(
        replace(
            made(belief, trees, job, composer),
            weight=job.weights.get(source, 1.0),
            left=_places(trees, job.state, job.left.get(source, ())),
        )
        for source, trees in by_source(job.trees).items()
    )


@dataclass(frozen=True)
class Known:
    """What unlimited answers of a simulation would leave believed: rewards by which its raters accept as they do.

    Implements `rrm.core.asking.Belief`.
    """

    rater: KnownRater

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        asked = [
            Request("", group.source, group.place, Label.kind, group.view, (Shown("", text),))
            for group in groups
            for text in group.outputs
        ]
        accepted = np.array([float(self.rater.probability(each)[0]) for each in asked])
        return np.asarray(logit(np.clip(accepted, _EDGE, 1 - _EDGE)))

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        mine, theirs = (sum(len(group.outputs) for group in each) for each in (groups, others))
        return np.zeros((mine, theirs))


def _anchored(belief: Belief, trees: Sequence[Tree], job: AskJob, composer: Composer) -> Alternatives:
    groups: list[Group] = []
    scores, slopes = [], []
    for tree in trees:
        outputs = _read(tree, job.state)
        own = [_group(tree, node, found, job) for node, found in outputs.items()]
        variance = np.maximum(np.diagonal(belief.covariance(own, own)), 0.0)
        flat = 1 / np.sqrt(1 + np.pi * variance / 8)
        found = root_scores(tree.graph, outputs, flat * belief.means(own), flat * np.sqrt(variance), composer)
        groups += own
        scores.append(found.scores)
        slopes.append(found.slopes * flat)
    return Alternatives(_ids(trees, job.state), np.concatenate(scores), tuple(groups), block_diag(*slopes))


def _compared(belief: Belief, trees: Sequence[Tree], job: AskJob, _: Composer) -> Alternatives:
    roots = [(tree, tree.graph.root) for tree in trees]
    groups = [_group(tree, root, job.state.outputs[root], job) for tree, root in roots]
    means = belief.means(groups)
    scores = expit(means - means.mean())
    k = len(means)
    slopes = (scores * (1 - scores))[:, None] * (np.eye(k) - 1 / k)
    return Alternatives(_ids(trees, job.state), scores, tuple(groups), slopes)


def _places(trees: Sequence[Tree], state: State, texts: Sequence[str]) -> tuple[int, ...]:
    """Return the places of these texts among the root outputs of a target's trees."""
    every = [output.text for tree in trees for output in state.outputs[tree.graph.root]]
    return tuple(every.index(text) for text in texts)


def _ids(trees: Sequence[Tree], state: State) -> tuple[str, ...]:
    return tuple(output.id for tree in trees for output in state.outputs[tree.graph.root])


def _read(tree: Tree, state: State) -> dict[str, tuple[Output, ...]]:
    """Return of every judged node the output that its parents read, and all of the root's."""
    return {
        node: state.outputs[node] if node == tree.graph.root else (state.handed_up(node),)
        for node in tree.graph.in_order()
        if node in state.read
    }


def _group(tree: Tree, node: str, outputs: Sequence[Output], job: AskJob) -> Group:
    level = job.asking.place.level if node == tree.graph.root else tree.graph.height(node)
    view = job.views[node] if node in job.views else job.state.view(node)
    return Group(tree.source, Place(level=level), view, tuple(each.text for each in outputs))
