"""Gold against composed: what the choice among root outputs was worth, where the truth is known.

This is the one place that is handed a gold function; nothing here is fitted, and nothing goes back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rrm.core.errors import ShapeError
from rrm.core.report import Candidate, Correlation, Interval, TargetReport, TreeReport
from rrm.evaluate.metrics import cluster_interval, spearman

Gold = Callable[[str], float]
"""The true quality, in [0, 1], of a text as the output for a target's whole source."""


class Root(NamedTuple):
    """A root candidate with its mean scores: composed, the root model's own, and the flat baseline's."""

    id: str
    text: str
    composed: float | None = None
    own: float | None = None
    flat: float | None = None


class Judged(NamedTuple):
    """The gold of every candidate, in their order, and what `TargetReport` says of it."""

    gold: tuple[float, ...]
    of_chosen: float | None
    mean: float | None
    best: float | None
    composed: Correlation
    own: Correlation
    flat: Correlation


class Gain(NamedTuple):
    """Mean gain of the chosen over the mean candidate, with its interval, and in how many of n targets it won."""

    mean: float
    interval: Interval | None
    wins: int
    n: int


def against_gold(
    candidates: Sequence[Root], gold: Gold, chosen: str | None, seed: int = 0, resamples: int = 1000
) -> Judged:
    """Return the candidates' gold, that of the chosen one (by id), and each score's rank correlation with it.

    Candidates without a score are left out of that score's correlation, not of the mean.
    """
    truth = np.array([gold(each.text) for each in candidates])
    of_chosen = next((float(value) for value, each in zip(truth, candidates, strict=True) if each.id == chosen), None)
    composed, own, flat = (
        _correlation([getattr(each, score) for each in candidates], truth, seed, resamples)
        for score in ("composed", "own", "flat")
    )
    mean, best = (float(truth.mean()), float(truth.max())) if len(truth) else (None, None)
    return Judged(tuple(map(float, truth)), of_chosen, mean, best, composed, own, flat)


def with_gold(
    target: TargetReport, gold: Gold, flat: Mapping[str, float] | None = None, seed: int = 0, resamples: int = 1000
) -> TargetReport:
    """Return the report of a target with the gold of its root candidates over all trees.

    `flat` holds the flat baseline's mean scores by output id. Gold is asked once a text; a candidate that was
    proposed several times counts as often in the mean and in the correlations.
    """
    asked = lru_cache(maxsize=None)(gold)
    found = [each for tree in target.trees for each in _candidates(tree)]
    roots = [
        Root(each.id, each.text, each.composed, each.own, (flat or {}).get(each.id))
        for each in found
        for _ in range(each.times)
    ]
    judged = against_gold(roots, asked, target.chosen.id if target.chosen else None, seed, resamples)
    return replace(
        target,
        trees=tuple(_tree_with_gold(tree, asked) for tree in target.trees),
        chosen=replace(target.chosen, gold=asked(target.chosen.text)) if target.chosen else None,
        gold_of_chosen=judged.of_chosen,
        gold_mean=judged.mean,
        gold_best=judged.best,
        composed_correlation=judged.composed,
        own_correlation=judged.own,
        flat_correlation=judged.flat,
    )


def gain(chosen: Sequence[float], mean: Sequence[float], seed: int = 0, resamples: int = 1000) -> Gain:
    """Return how much better the chosen outputs are than the mean candidates, over targets.

    One pair of gold values a target; the 95 % interval is a bootstrap over targets. A win is a
    strict one. Raises ShapeError unless the lists are equally long and not empty.
    """
    gains = np.asarray(chosen, dtype=float) - np.asarray(mean, dtype=float) if len(chosen) == len(mean) else np.zeros(0)
    if not len(gains):
        raise ShapeError(f"one chosen and one mean gold per target are needed, got {len(chosen)} and {len(mean)}")
    interval = cluster_interval(gains, np.arange(len(gains)), lambda rows: float(rows.mean()), 0.95, resamples, seed)
    return Gain(float(gains.mean()), interval, int((gains > 0).sum()), len(gains))


def _correlation(scores: Sequence[float | None], truth: np.ndarray, seed: int, resamples: int) -> Correlation:
    known = [index for index, score in enumerate(scores) if score is not None]
    return spearman(np.array([scores[index] for index in known], dtype=float), truth[known], resamples, seed)


def _candidates(tree: TreeReport) -> tuple[Candidate, ...]:
    return next((node.candidates for node in tree.nodes if node.id == tree.root), ())


def _tree_with_gold(tree: TreeReport, gold: Gold) -> TreeReport:
    nodes = tuple(
        replace(node, candidates=tuple(replace(each, gold=gold(each.text)) for each in node.candidates))
        if node.id == tree.root
        else node
        for node in tree.nodes
    )
    return replace(tree, nodes=nodes)
