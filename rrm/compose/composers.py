"""Composition: node scores to the score of every ancestor, sample by sample, and which leaf is to blame."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from rrm.core.errors import InputError, ShapeError
from rrm.core.graph import TaskGraph
from rrm.core.protocols import Composer

_EDGE = 1e-6


class Mean:
    """The own score and the children's mean, weighted by the source they cover: own_weight against the rest."""

    needs_anchor = False

    def __init__(self, own_weight: float = 0.5) -> None:
        if not 0 <= own_weight <= 1:
            raise InputError(f"own_weight lies between 0 and 1, got {own_weight}")
        self.own_weight = own_weight
        self.name = f"mean(own_weight={own_weight:g})"

    def join(self, own: np.ndarray, children: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return own_weight * own + (1 - own_weight) * the weighted mean of the children."""
        return np.asarray(self.own_weight * own + (1 - self.own_weight) * (weights @ children))


class Minimum:
    """As good as the worst of the node and its children: one failure anywhere below spoils the whole."""

    name = "minimum"
    needs_anchor = True

    def join(self, own: np.ndarray, children: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the minimum over own score and children; weights do not matter."""
        return np.asarray(np.minimum(own, children.min(axis=0)))


class Product:
    """The probability that the node and all below are accepted, were they independent.

    As process reward models multiply their steps: Lightman et al. (2023), arXiv:2305.20050.
    """

    name = "product"
    needs_anchor = True

    def join(self, own: np.ndarray, children: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return own score times the children's; weights do not matter."""
        return np.asarray(own * children.prod(axis=0))


class Learned:
    """A monotone rule fitted on ratings of whole subtrees (see `fit_composer`).

    The composed logit is `intercept` plus non-negative weights times the logit of the own score,
    the weighted mean of the children's logits, and the least of the children's logits.
    """

    needs_anchor = True

    def __init__(self, own: float, mean: float, minimum: float, intercept: float) -> None:
        if min(own, mean, minimum) < 0:
            raise InputError("a learned composer is monotone: its weights are not negative")
        self.weights = np.array([own, mean, minimum])
        self.intercept = intercept
        self.name = f"learned({own:.6g}, {mean:.6g}, {minimum:.6g}, {intercept:.6g})"

    def join(self, own: np.ndarray, children: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the logistic of the weighted logits."""
        parts = _parts(own, children, weights)
        return np.asarray(expit(np.tensordot(self.weights, parts, axes=1) + self.intercept))


class Joint(NamedTuple):
    """A node's own score [members], its children's composed ones [children, members], and their weights."""

    own: np.ndarray
    children: np.ndarray
    weights: np.ndarray


def fit_composer(
    labels: Sequence[tuple[Joint, bool]],
    comparisons: Sequence[tuple[Joint, Joint, int]] = (),
    *,
    anchored: bool,
    precision: float = 1.0,
) -> Learned:
    """Fit a `Learned` composer to what raters said about nodes whose children's scores are known.

    A label says whether the node's output is accepted; a comparison (first, second, better: 0 or
    1) that one is better. The likelihood is averaged over the members; a Gaussian prior of this
    precision is centred on taking the own score as it is. Scores should be of members that were
    not fitted on the node's source. Raises InputError for unanchored scores, which have no common
    scale to join, or without a label, for then nothing says what the composed probability means.
    """
    require_anchored(Learned(1, 0, 0, 0), anchored)
    if not labels:
        raise InputError("a learned composer needs labels of inner or root outputs: use the composer `mean`")
    signs = [1.0 if good else -1.0 for _, good in labels] + [1.0 if b == 0 else -1.0 for *_, b in comparisons]
    design = [_with_intercept(joint, 1.0) for joint, _ in labels]
    design += [_with_intercept(a, 0.0) - _with_intercept(b, 0.0) for a, b, _ in comparisons]
    rows = np.stack(design) * np.array(signs)[:, None, None]  # [rows, 4, members]
    centre = np.array([1.0, 0.0, 0.0, 0.0])

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        margin = np.einsum("rpm,p->rm", rows, at)
        members = margin.shape[1]
        value = np.logaddexp(0.0, -margin).sum() / members + 0.5 * precision * float(((at - centre) ** 2).sum())
        gradient = -np.einsum("rpm,rm->p", rows, expit(-margin)) / members + precision * (at - centre)
        return float(value), gradient

    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=[(0, None)] * 3 + [(None, None)])
    return Learned(*(round(float(number), 9) + 0.0 for number in found.x))


def compose(
    graph: TaskGraph,
    own: Mapping[str, np.ndarray],
    composer: Composer,
    *,
    anchored: bool = True,
    weights: Mapping[str, float] | None = None,
) -> dict[str, np.ndarray]:
    """Return every node's composed score, [members], from the nodes' own scores, bottom-up.

    A leaf's composed score is its own. `weights` says how much of the source each node covers, by
    default the characters of its span (its rank, for a task without one); a node's children share
    their weights to one. A node without an own score (it failed) has no composed score: it is left
    out, and its siblings share its weight; it is never scored zero. Raises InputError where the
    composer needs anchored scores and they are not, ShapeError for differing numbers of members.
    """
    require_anchored(composer, anchored)
    _check(own)
    composed: dict[str, np.ndarray] = {}
    walk = graph.walk()
    while ready := walk.ready():
        for node in ready:
            if node in own:
                composed[node] = _join(graph, node, own, composed, composer, weights)
            walk.done(node)
    return composed


def blame(
    graph: TaskGraph,
    own: Mapping[str, np.ndarray],
    composer: Composer,
    root: str | None = None,
    *,
    anchored: bool = True,
    weights: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Return for each leaf below `root` how much the root's mean score would rise if the leaf's own were 1.

    Exact: the leaf's ancestors are composed again, and nothing else. Leaves without a score are
    left out; without a score at the root the result is empty.
    """
    top = graph.root if root is None else root
    composed = compose(graph, own, composer, anchored=anchored, weights=weights)
    if top not in composed:
        return {}
    inside = _below(graph, top)
    before = float(composed[top].mean())
    result = {}
    for leaf in graph.leaves:
        if leaf in inside and leaf in own:
            changed = {leaf: np.ones_like(composed[leaf])}
            for node in _above(graph, leaf, inside):
                if node in own:
                    changed[node] = _join(graph, node, own, ChainMap(changed, composed), composer, weights)
            result[leaf] = float(changed.get(top, composed[top]).mean()) - before
    return result


def _join(
    graph: TaskGraph,
    node: str,
    own: Mapping[str, np.ndarray],
    composed: Mapping[str, np.ndarray],
    composer: Composer,
    weights: Mapping[str, float] | None,
) -> np.ndarray:
    score = np.asarray(own[node], dtype=np.float64)
    children = [child for child in graph.children(node) if child in composed]
    if not children:
        return score
    sizes = np.array([_size(graph, child) if weights is None else weights[child] for child in children], dtype=float)
    total = sizes.sum()
    shares = sizes / total if total > 0 else np.full(len(children), 1 / len(children))
    return composer.join(score, np.stack([composed[child] for child in children]), shares)


def _size(graph: TaskGraph, node: str) -> int:
    task = graph.task(node)
    return task.rank if task.span is None else task.span.end - task.span.start


def _below(graph: TaskGraph, top: str) -> set[str]:
    seen, waiting = {top}, [top]
    while waiting:
        for child in graph.children(waiting.pop()):
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return seen


def _above(graph: TaskGraph, leaf: str, inside: set[str]) -> list[str]:
    """Return the leaf's ancestors among `inside`, lowest first."""
    seen: set[str] = set()
    waiting = [leaf]
    while waiting:
        for parent in graph.parents(waiting.pop()):
            if parent in inside and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return sorted(seen, key=lambda node: (graph.height(node), node))


def _parts(own: np.ndarray, children: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the logits of own score, children's mean and children's minimum, [3, members]."""
    below = logit(np.clip(children, _EDGE, 1 - _EDGE))
    return np.stack([logit(np.clip(own, _EDGE, 1 - _EDGE)), weights @ below, below.min(axis=0)])


def _with_intercept(joint: Joint, intercept: float) -> np.ndarray:
    parts = _parts(*joint)
    return np.concatenate([parts, np.full((1, parts.shape[1]), intercept)])


def require_anchored(composer: Composer, anchored: bool) -> None:
    """Raise InputError if the composer joins probabilities and the scores are not anchored at every level."""
    if getattr(composer, "needs_anchor", False) and not anchored:
        name = composer.name.split("(")[0]
        raise InputError(
            f"the composer `{name}` needs probabilities of acceptance, but some level has comparisons alone:"
            " add labels or ratings at every level, or use the composer `mean`"
        )


def _check(own: Mapping[str, np.ndarray]) -> None:
    shapes = {np.shape(score) for score in own.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise ShapeError(f"own scores are [members], alike at every node, got shapes {sorted(shapes)}")
