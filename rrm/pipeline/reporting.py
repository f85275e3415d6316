"""From where a run ended to what it has to say: composed scores, blame, and every node's candidates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from rrm.compose.composers import Joint, Learned, blame, compose, fit_composer
from rrm.core.protocols import Composer
from rrm.core.report import Candidate, Interval, NodeReport, TargetReport, TreeReport
from rrm.core.values import Comparison, Label, Output, Score
from rrm.pipeline.forest import Forest, Standing, Tree, by_source, coverage
from rrm.pipeline.recursion import Outcome

Own = Callable[[Output], np.ndarray | None]
"""An output's own probabilities of acceptance, [members]; None if it was not scored."""


@dataclass(frozen=True, eq=False)
class Composing:
    """How scores are composed, and whether ratings anchor them to probabilities of acceptance."""

    composer: Composer
    anchored: bool

    def tree(self, tree: Tree, standing: Standing, own: Own) -> dict[str, np.ndarray]:
        """Return every node's composed score, [members], for the chosen outputs; failed nodes are left out."""
        return compose(tree.graph, _chosen_scores(tree, standing, own), self.composer, anchored=self.anchored)

    def blame(self, tree: Tree, standing: Standing, own: Own) -> dict[str, float]:
        """Return how much the root's score would rise if a leaf's own were 1, leaf by leaf."""
        return blame(tree.graph, _chosen_scores(tree, standing, own), self.composer, anchored=self.anchored)

    def candidate(self, tree: Tree, node: str, own: np.ndarray, below: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the composed score, [members], that a node has with an output of this own score."""
        parts = [part for part in tree.graph.children(node) if part in below]
        if not parts:
            return own
        return self.composer.join(own, np.stack([below[part] for part in parts]), coverage(tree.graph, parts))


def learned_composer(outcome: Outcome, anchored: bool) -> Learned:
    """Fit the learned composer on the training sources' ratings above the leaves.

    Twice: first on the nodes right above the leaves, whose parts' scores need no composing, then
    on all, with the parts' scores composed by the first. Own scores are of members that were not
    fitted on the node's source. Raises InputError where there are no labels to fit to.
    """
    above_leaves = Composing(fit_composer(*_joints(outcome, None, {1}), anchored=anchored), anchored)
    levels = {level.level for level in outcome.levels if level.level > 0}
    return fit_composer(*_joints(outcome, above_leaves, levels), anchored=anchored)


def _joints(
    outcome: Outcome, composing: Composing | None, levels: set[int]
) -> tuple[list[tuple[Joint, bool]], list[tuple[Joint, Joint, int]]]:
    """Return what was said about outputs of these levels beside their own and their parts' scores."""
    standing, tree_of = outcome.standing, outcome.forest.tree_of
    outputs = {output.id: output for found in standing.outputs.values() for output in found}
    below: dict[int, dict[str, np.ndarray]] = {}

    def joint(output: str, node: str) -> Joint | None:
        tree = tree_of[node]
        if id(tree) not in below:
            scores = _chosen_scores(tree, standing, standing.acceptance)
            below[id(tree)] = scores if composing is None else composing.tree(tree, standing, standing.acceptance)
        parts = [part for part in tree.graph.children(node) if part in below[id(tree)]]
        own = standing.acceptance(outputs[output])
        if own is None or not parts:
            return None
        return Joint(own, np.stack([below[id(tree)][part] for part in parts]), coverage(tree.graph, parts))

    labels, comparisons = [], []
    for row in (row for level in outcome.levels if level.level in levels for row in level.rated):
        if row.request.node not in tree_of:
            continue
        shown = [joint(each.output, row.request.node) for each in row.request.shown]
        answer = row.feedback.answer
        if isinstance(answer, Label) and shown[0] is not None:
            labels.append((shown[0], answer.good))
        if isinstance(answer, Comparison) and answer.better is not None and shown[0] and shown[1]:
            comparisons.append((shown[0], shown[1], answer.better))
    return labels, comparisons


def target_reports(outcome: Outcome, composing: Composing) -> tuple[TargetReport, ...]:
    """Return the report of every target source, in the order of its trees."""
    forest, standing = outcome.forest, outcome.standing
    grown = by_source(tree for tree in forest.trees if forest.is_target(tree))
    return tuple(_target_report(forest, standing, source, trees, composing) for source, trees in grown.items())


def _target_report(
    forest: Forest, standing: Standing, source: str, trees: list[Tree], composing: Composing
) -> TargetReport:
    own = standing.acceptance if composing.anchored else _among_roots(standing, trees)
    reports = tuple(_tree_report(forest, standing, tree, own, composing) for tree in trees)
    roots = [(candidate, number) for number, tree in enumerate(reports) for candidate in tree.nodes[0].candidates]
    scored = [each for each in roots if each[0].composed is not None]
    chosen, number = max(scored, key=lambda each: each[0].composed or 0.0) if scored else (None, None)
    return TargetReport(source, forest.sources[source].title, reports, chosen, number)


def _among_roots(standing: Standing, trees: list[Tree]) -> Own:
    """Return own scores for rewards without a zero: a root output's are those of being preferred to
    another root output of the source, over all of its trees, which is the one scale that they share."""
    roots = [output for tree in trees for output in standing.outputs.get(tree.graph.root, ())]
    scored = [output for output in roots if output.id in standing.scores]
    found: dict[str, np.ndarray] = {}
    if len(scored) > 1:
        rewards = np.array([standing.scores[output.id].rewards for output in scored]).T  # [members, outputs]
        wins = expit(rewards[:, :, None] - rewards[:, None, :]).sum(axis=2) - 0.5
        found = {output.id: wins[:, at] / (len(scored) - 1) for at, output in enumerate(scored)}
    return lambda output: found[output.id] if output.id in found else standing.acceptance(output)


def _tree_report(forest: Forest, standing: Standing, tree: Tree, own: Own, composing: Composing) -> TreeReport:
    causes = {failure.subject: f"{failure.error}: {failure.cause}" for failure in standing.failures}
    scores = composing.tree(tree, standing, own)
    to_blame = composing.blame(tree, standing, own)
    nodes = []
    for node in tree.graph.in_order():
        span = tree.graph.task(node).span
        text = forest.sources[tree.source].read(span) if span else ""
        parts = tree.graph.children(node)
        nodes.append(
            NodeReport(
                id=node,
                level=tree.graph.height(node),
                depth=tree.graph.depth(node),
                title=" ".join(text.split()[:10]) or tree.graph.task(node).instruction,
                children=parts,
                source_text="" if parts else text,
                candidates=_candidates(standing, tree, node, own, scores, composing),
                failure=causes.get(node),
                blame=to_blame.get(node),
            )
        )
    return TreeReport(tree.number, tree.graph.root, tuple(nodes))


def _candidates(
    standing: Standing, tree: Tree, node: str, own: Own, scores: Mapping[str, np.ndarray], composing: Composing
) -> tuple[Candidate, ...]:
    """Return a node's candidates, best first.

    Equal texts stand once, as the chosen one where that is among them; but all of a root's, a sample of the policy.
    """
    outputs = standing.outputs.get(node, ())
    best = standing.chosen.get(node)
    if node != tree.graph.root:
        kept = {output.text: output for output in (*reversed(outputs), *((best,) if best else ()))}
        outputs = tuple(kept.values())[::-1]
    found = []
    for output in outputs:
        samples = own(output)
        if samples is None:
            found.append(Candidate(output.id, output.text))
            continue
        alone, whole = Score(samples), Score(composing.candidate(tree, node, samples, scores))
        found.append(
            Candidate(
                id=output.id,
                text=output.text,
                own=alone.mean,
                own_interval=Interval(*alone.interval()),
                composed=whole.mean,
                composed_interval=Interval(*whole.interval()),
                chosen=best is not None and output.id == best.id,
            )
        )
    return tuple(sorted(found, key=lambda each: -1.0 if each.composed is None else each.composed, reverse=True))


def _chosen_scores(tree: Tree, standing: Standing, own: Own) -> dict[str, np.ndarray]:
    found = {node: own(standing.chosen[node]) for node in tree.graph if node in standing.chosen}
    return {node: samples for node, samples in found.items() if samples is not None}
