"""Composers: rules that join an output's own score with the scores of the parts that it was made from."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.special import expit, logit

from rrm.core.errors import InputError
from rrm.core.graph import Node
from rrm.core.protocols import ScoredPart
from rrm.core.values import Output, Prediction

EDGE = 1e-6
"""Probabilities are kept this far from 0 and 1 where their logits are joined."""


class Join(Protocol):
    """A rule for one output: own score [members], parts' composed scores [parts, members], shares [parts]."""

    def join(self, own: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Return the composed probabilities, [members]; the shares sum to one."""
        ...


class Mean:
    """The own score and the parts' mean, weighted by the source they cover: own_weight against the rest."""

    needs_anchor = False
    reads_back = False
    checks_claims = False

    def __init__(self, own_weight: float = 0.5) -> None:
        if not 0 <= own_weight <= 1:
            raise InputError(f"own_weight lies between 0 and 1, got {own_weight}")
        self.own_weight = own_weight
        self.name = f"mean(own_weight={own_weight:g})"

    def join(self, own: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Return own_weight * own + (1 - own_weight) * the weighted mean of the parts."""
        return np.asarray(self.own_weight * own + (1 - self.own_weight) * (shares @ parts))

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        return joined(self, scores, parts)


class Minimum:
    """As good as the worst of the node and its parts: one failure anywhere below spoils the whole."""

    name = "minimum"
    needs_anchor = True
    reads_back = False
    checks_claims = False

    def join(self, own: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Return the minimum over own score and parts; shares do not matter."""
        return np.asarray(np.minimum(own, parts.min(axis=0)))

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        return joined(self, scores, parts)


class Product:
    """The probability that the node and all below are accepted, were they independent.

    As process reward models multiply their steps: Lightman et al. (2023), arXiv:2305.20050.
    """

    name = "product"
    needs_anchor = True
    reads_back = False
    checks_claims = False

    def join(self, own: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Return own score times the parts'; shares do not matter."""
        return np.asarray(own * parts.prod(axis=0))

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        return joined(self, scores, parts)


class Informed:
    """What is said of an output beside the source's own words that its view comes to rest on.

    A rater of the root sees what the children say, and not whether it is so. Read back to the source, sentence by
    sentence (`rrm.compose.provenance.read_back`), the view shows the level's model every departure from the text that
    was made below as if it were made here. With `claims` that is joined with what a model of claims says, fitted to the
    ratings of all levels (`rrm.reward.claimwise`): it knows a claim's errors better, and measures what an output covers
    against the whole source. So the composed score tells apart candidates of one tree: it is meant as how probably a
    rater accepts an output who knows the source. Parts' scores do not matter; where nothing leads to the source it is
    the output's own score.
    """

    needs_anchor = False
    reads_back = True

    def __init__(self, claims: bool = True) -> None:
        self.checks_claims = claims
        self.name = "informed" if claims else "informed(claims=False)"

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        """Return the scores as they are: they were made beside the view read back."""
        return scores


class LogLinear:
    """A monotone rule, as `rrm.compose.learned:LearnedJoin` fits it.

    The composed logit is `intercept` plus non-negative weights times the logit of the own score,
    the weighted mean of the parts' logits, and the least of the parts' logits.
    """

    needs_anchor = True
    reads_back = False
    checks_claims = False

    def __init__(self, own: float, mean: float, minimum: float, intercept: float) -> None:
        if min(own, mean, minimum) < 0:
            raise InputError("a log-linear composer is monotone: its weights are not negative")
        self.weights = np.array([own, mean, minimum])
        self.intercept = intercept
        self.name = f"log-linear({own:.6g}, {mean:.6g}, {minimum:.6g}, {intercept:.6g})"

    def join(self, own: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Return the logistic of the weighted logits."""
        return np.asarray(expit(np.tensordot(self.weights, logits(own, parts, shares), axes=1) + self.intercept))

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        return joined(self, scores, parts)


def joined(rule: Join, scores: Prediction, parts: Sequence[ScoredPart]) -> Prediction:
    """Return the k outputs' composed scores under a rule, criterion by criterion; without parts, their own.

    A criterion by which some part was not judged keeps the outputs' own scores.
    """
    if not parts:
        return scores
    shares = np.array([part.share for part in parts])
    shares = shares / shares.sum()
    acceptance = {}
    for criterion, own in scores.acceptance.items():
        below = [part.acceptance.get(criterion) for part in parts]
        known = [samples for samples in below if samples is not None]
        if len(known) < len(below):
            acceptance[criterion] = own
        else:
            columns = [rule.join(own[:, at], np.stack(known), shares) for at in range(own.shape[1])]
            acceptance[criterion] = np.clip(np.stack(columns, axis=1), 0.0, 1.0)
    return Prediction({each: logit(np.clip(p, EDGE, 1 - EDGE)) for each, p in acceptance.items()}, acceptance)


def logits(own: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the logits of own score, parts' mean and parts' minimum, [3, ...]; parts are [parts, ...]."""
    below = logit(np.clip(parts, EDGE, 1 - EDGE))
    return np.stack([logit(np.clip(own, EDGE, 1 - EDGE)), np.tensordot(shares, below, axes=1), below.min(axis=0)])
