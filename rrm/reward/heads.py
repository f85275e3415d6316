"""Heads: the most probable weights of every ensemble member, found together by one convex optimiser."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rrm.feedback import comparison, label, ranking, rating

_AUXILIARY_PRECISION = 0.1  # a weak prior on intercepts, thresholds and the odds of a tie keeps them finite


@dataclass
class Rows:
    """Feedback as indices into `columns` [items, columns]; the last number of each row is its source."""

    columns: np.ndarray
    comparisons: list[tuple[int, int, int, int]] = field(default_factory=list)  # first, second, choice
    rankings: list[tuple[tuple[int, ...], tuple[int, ...], int]] = field(default_factory=list)  # items, best first
    labels: list[tuple[int, int, int]] = field(default_factory=list)  # item, good
    ratings: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)  # by points: item, value

    @property
    def count(self) -> int:
        return len(self.comparisons) + len(self.rankings) + len(self.labels) + sum(map(len, self.ratings.values()))

    @property
    def anchors(self) -> bool:
        """Whether anything says where zero is."""
        return bool(self.labels or self.ratings)

    def pairs(self) -> Iterator[tuple[int, int, int, int]]:
        """Comparisons, and the pairs that a ranking decides directly."""
        yield from self.comparisons
        for items, order, source in self.rankings:
            for better, worse in ranked_pairs(order, len(items)):
                yield items[better], items[worse], 0, source


def ranked_pairs(best_first: tuple[int, ...], shown: int) -> list[tuple[int, int]]:
    """Return each two neighbours of a ranking, and the last one named with each that is not."""
    unnamed = [place for place in range(shown) if place not in best_first]
    return [*pairwise(best_first), *((best_first[-1], place) for place in unnamed)]


def fit_heads(
    rows: Rows, weights: np.ndarray, prior: np.ndarray, anchor_prior: np.ndarray, precision: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return heads [members, columns] and anchors [members] at the mode of each member's posterior.

    `weights` [members, sources] multiply the log-likelihood of a source's rows; `prior` [members,
    columns] is where the Gaussian prior of this `precision` is centred, `anchor_prior` [members]
    where a weak one on the labels' intercept is. The members' problems are
    separate but alike: the Hessian that they share at zero is used to precondition L-BFGS, which
    then needs some fifty steps for all. In float64. The anchor is added to a reward to give the
    logit of acceptance: the labels' intercept, or else the middle of the rating scale; 0 without.
    """
    problem = _Problem(rows, weights, prior, anchor_prior, precision)
    optimiser = torch.optim.LBFGS(
        problem.parameters, max_iter=500, max_eval=1000, history_size=20, tolerance_grad=1e-9, tolerance_change=1e-13
    )
    optimiser.param_groups[0]["line_search_fn"] = "strong_wolfe"

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = problem.loss()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return problem.heads().numpy(), problem.anchor().numpy()


class _Problem:
    """The joint negative log-posterior of all members, in float64."""

    def __init__(
        self, rows: Rows, weights: np.ndarray, prior: np.ndarray, anchor_prior: np.ndarray, precision: float
    ) -> None:
        members = len(prior)
        self.columns = torch.from_numpy(rows.columns)
        self.weights = torch.from_numpy(weights)
        self.prior = torch.from_numpy(prior)
        self.precision = precision
        self.comparisons = _integers(rows.comparisons, 4)
        self.labels = _integers(rows.labels, 3)
        self.ratings = {points: _integers(found, 3) for points, found in sorted(rows.ratings.items())}
        self.rankings = _padded(rows.rankings)
        self.basis = _preconditioner(rows, precision, weights)
        self.offset = torch.zeros(members, rows.columns.shape[1], dtype=torch.float64, requires_grad=True)
        self.anchor_prior = torch.from_numpy(anchor_prior)
        self.shift = torch.zeros(members, dtype=torch.float64, requires_grad=True)
        self.log_tie = torch.full((members,), -1.0, dtype=torch.float64, requires_grad=True)
        self.firsts = {p: torch.full((members,), -1.0, dtype=torch.float64, requires_grad=True) for p in self.ratings}
        self.gaps = {p: torch.zeros(members, p - 2, dtype=torch.float64, requires_grad=True) for p in self.ratings}
        self.has_ties = bool((self.comparisons[:, 2] == comparison.TIE).any())

    @property
    def parameters(self) -> list[Tensor]:
        return [self.offset, self.shift, self.log_tie, *self.firsts.values(), *self.gaps.values()]

    def heads(self) -> Tensor:
        return self.prior + self.offset @ self.basis.T

    def anchor(self) -> Tensor:
        if len(self.labels) or not self.ratings:
            return self.anchor_prior + self.shift
        points = max(self.ratings, key=lambda each: len(self.ratings[each]))
        cuts = rating.thresholds(self.firsts[points], self.gaps[points])
        return -(cuts[:, (points - 2) // 2] + cuts[:, (points - 1) // 2]) / 2

    def loss(self) -> Tensor:
        rewards = self.heads() @ self.columns.T
        loss = 0.5 * self.precision * ((self.heads() - self.prior) ** 2).sum()
        loss = loss + 0.5 * _AUXILIARY_PRECISION * sum((p**2).sum() for p in self.parameters[1:])
        if len(self.comparisons):
            loss = loss - self._compared(rewards)
        if self.rankings is not None:
            items, present, order, source = self.rankings
            rows = ranking.log_prob(
                rewards[:, items],
                order.expand(len(rewards), *order.shape),
                present.expand(len(rewards), *present.shape),
            )
            loss = loss - (self.weights[:, source] * rows).sum()
        if len(self.labels):
            item, good, source = self.labels.T
            logits = rewards[:, item] + (self.anchor_prior + self.shift)[:, None]
            rows = label.log_prob(logits, good.bool().expand_as(logits))
            loss = loss - (self.weights[:, source] * rows).sum()
        for points, found in self.ratings.items():
            loss = loss - self._rated(rewards, points, found)
        return loss

    def _compared(self, rewards: Tensor) -> Tensor:
        first, second, choice, source = self.comparisons.T
        a, b = rewards[:, first], rewards[:, second]
        log_tie = self.log_tie[:, None].expand_as(a) if self.has_ties else None
        return (self.weights[:, source] * comparison.log_prob(a, b, choice.expand(a.shape), log_tie)).sum()

    def _rated(self, rewards: Tensor, points: int, found: Tensor) -> Tensor:
        item, value, source = found.T
        cuts = rating.thresholds(self.firsts[points], self.gaps[points])
        scores = rewards[:, item]
        cuts = cuts[:, None, :].expand(*scores.shape, points - 1)
        return (self.weights[:, source] * rating.log_prob(scores, value.expand(scores.shape), cuts)).sum()


def _integers(
    rows: list[tuple[int, ...]] | list[tuple[int, int, int]] | list[tuple[int, int, int, int]], width: int
) -> Tensor:
    return torch.tensor(rows, dtype=torch.long).reshape(len(rows), width)


def _padded(
    rankings: list[tuple[tuple[int, ...], tuple[int, ...], int]],
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Return items [rows, k], which are present [rows, k], order [rows, m] padded with -1, and sources."""
    if not rankings:
        return None
    k = max(len(items) for items, _, _ in rankings)
    m = max(len(order) for _, order, _ in rankings)
    items = torch.zeros(len(rankings), k, dtype=torch.long)
    present = torch.zeros(len(rankings), k, dtype=torch.bool)
    order = torch.full((len(rankings), m), -1, dtype=torch.long)
    for row, (shown, best_first, _) in enumerate(rankings):
        items[row, : len(shown)] = torch.tensor(shown)
        present[row, : len(shown)] = True
        order[row, : len(best_first)] = torch.tensor(best_first)
    return items, present, order, torch.tensor([source for _, _, source in rankings])


def _preconditioner(rows: Rows, precision: float, weights: np.ndarray) -> Tensor:
    """Return a matrix B [columns, columns] with B B' the inverse of the members' mean Hessian at zero."""
    mean_weight = weights.mean(axis=0)
    found = [(rows.columns[a] - rows.columns[b], mean_weight[s]) for a, b, _, s in rows.pairs()]
    single = [*rows.labels, *(row for each in rows.ratings.values() for row in each)]
    found += [(rows.columns[item], mean_weight[source]) for item, _, source in single]
    vectors = np.stack([vector for vector, _ in found])
    weight = np.array([each for _, each in found])
    hessian = 0.25 * (vectors * weight[:, None]).T @ vectors + precision * np.eye(vectors.shape[1])
    lower = np.linalg.cholesky(hessian)
    return torch.from_numpy(np.ascontiguousarray(np.linalg.inv(lower).T))
