"""Sums of models: what several learners' models say, added up, each as much as held-out ratings say that it counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import isfinite, lcm
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.core.values import OVERALL, Group, Prediction, Rated
from rrm.feedback.table import FeedbackTable, tabulate
from rrm.reward.dispersed import undispersed
from rrm.reward.fit import ANCHOR_SD
from rrm.reward.heads import fit_heads
from rrm.reward.held import acceptance_logits, said_of
from rrm.reward.model import SEEN_BY_ALL, preferred
from rrm.reward.wrap import (
    Fold,
    by_fold,
    check_learner,
    checked,
    entry,
    fold_of,
    folds_to_fit,
    of_kind,
    read_facts,
    saved,
    share_of,
    shared,
)

PRIOR_SD = 0.5
"""Of each weight: with no ratings to tell otherwise the sum is the mean, or weighs as the sum of the level below.

In simulations with 10 to 300 comparisons, and true weights of two calibrated parts from 0 to 1.3, losses under .25, 1
and 2 were higher, or as high.
"""

MOST_MEMBERS = 240
"""Of a sum; so all pairs of members of the usual parts are in it, and several large parts make none of thousands."""


class Terms(NamedTuple):
    """How much each part counts, and what is added to their sum for the logit of acceptance."""

    weights: tuple[float, ...]
    intercept: float


@dataclass(frozen=True, eq=False)
class SummedModel:
    """Models whose rewards, in logits, are added up; implements `rrm.core.protocols.RewardModel`.

    `terms` by fold: those of a source's fold were fitted without it; None is for new sources. Sources are in one fold
    that all parts have in one fold each. What parts say of their own dispersion is left out. Members of the parts are
    taken in turn, each part's as often as the other members of it, or one time fewer where that made more than
    `MOST_MEMBERS` sums.
    """

    parts: tuple[RewardModel, ...] = field(repr=False)
    terms: Mapping[Fold, Terms]

    @property
    def anchored(self) -> bool:
        return all(part.anchored for part in self.parts)

    @property
    def digest(self) -> str:
        return content_id("summed", [part.digest for part in self.parts], by_fold(self.terms))

    def fold(self, source: str) -> Fold:
        """Return a number for the folds that the parts have a source in; -1 if one of them holds it out nowhere."""
        folds = [part.fold(source) for part in self.parts]
        if all(fold is None for fold in folds):
            return None
        if not self.holds_out(source):
            return SEEN_BY_ALL
        return reduce(_paired, (0 if fold is None else fold + 1 for fold in folds))

    def holds_out(self, source: str) -> bool:
        return all(part.holds_out(source) for part in self.parts)

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return the weighted sums of the parts' rewards, and of their logits of acceptance where all are anchored."""
        said = zip(*(undispersed(part).predict(groups) for part in self.parts), strict=True)
        return [self._summed(*each) for each in zip(groups, said, strict=True)]

    def _summed(self, group: Group, said: Sequence[Prediction]) -> Prediction:
        weights, intercept = entry(self, group.source, self.terms)
        rewards = _added(weights, [each.rewards[OVERALL] for each in said])
        if not self.anchored:
            return Prediction.overall(rewards, preferred(rewards, np.zeros_like(rewards), 0.0))
        logits = _added(weights, [acceptance_logits(each) for each in said])
        return Prediction.overall(rewards, expit(logits + intercept))

    def save(self, folder: Path) -> str:
        for at, part in enumerate(self.parts):
            part.save(folder / _folder(at))
        return saved(folder, self.digest, {"parts": len(self.parts), "terms": by_fold(self.terms)})


@dataclass(frozen=True)
class Summed:
    """Fits several learners' models to the same ratings, and adds them up.

    The weights are the most probable under what all kinds of ratings say by the one likelihood
    (`rrm.feedback.likelihood`), when the parts predict outputs about sources that they hold out, and a normal prior
    around equal shares, or around the weights of the level below; raters' own temperatures, leanings and lapses are
    fitted with them. For the sources of a fold they are fitted to the other folds' ratings. (The models that predict
    those were fitted on the fold: its ratings reach the weights that way and no other.) Each part starts from its own
    of the level below and of the round before.
    """

    learners: tuple[RewardLearner, ...]

    def __post_init__(self) -> None:
        for learner in self.learners:
            check_learner(learner, "Blend")  # as users call a sum
        names = [learner.name for learner in self.learners]
        if len(names) < 2:
            raise ConfigError(f"a sum of models is one of two learners or more, got {len(names)}")
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"a sum of models needs learners that differ, but {twice[0]} stands there twice")

    @property
    def name(self) -> str:
        return f"summed({', '.join(learner.name for learner in self.learners)})"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        """Fit all parts, then what each counts; without ratings the sum of the level below serves here, too."""
        rows = for_fitting(ratings).rows
        if not rows:
            return shared(start.below, place)
        below, before = (self._checked(of_kind(SummedModel, each)) for each in (start.below, start.before))
        parts = []
        for at, learner in enumerate(self.learners):
            begin = replace(start, below=below and below.parts[at], before=before and before.parts[at])
            progress = share_of(workspace.progress, at, len(self.learners))
            inside = replace(workspace, folder=workspace.folder / _folder(at), progress=progress)
            parts.append(learner.fit(ratings, begin, place, seed, inside))
        return self._weighed(tuple(parts), rows, below)

    def load(self, folder: Path) -> SummedModel:
        """Return a saved sum; raise InputError if files are missing or changed, or its parts are of other learners."""
        facts = read_facts(folder, ("parts", "terms"))
        if facts["parts"] != len(self.learners):
            raise InputError(f"{folder} holds a sum of {facts['parts']} models, not of {len(self.learners)}")
        parts = tuple(learner.load(folder / _folder(at)) for at, learner in enumerate(self.learners))
        terms = {fold_of(fold): _terms(**numbers) for fold, numbers in facts["terms"].items()}
        if not all(isfinite(each) for found in terms.values() for each in (*found.weights, found.intercept)):
            raise InputError(f"the weights of the sum of models in {folder} are not finite: the file is damaged")
        return checked(SummedModel(parts, terms), folder, facts)

    def _checked(self, model: SummedModel | None) -> SummedModel | None:
        if model is not None and len(model.parts) != len(self.learners):
            raise InputError(f"a sum of {len(self.learners)} models cannot start from one of {len(model.parts)}")
        return model

    def _weighed(self, parts: tuple[RewardModel, ...], rows: Sequence[Rated], below: SummedModel | None) -> SummedModel:
        """Return the sum, with weights fitted to what the parts say of ratings whose sources they hold out."""
        equal = Terms((1 / len(parts),) * len(parts), 0.0)
        known: Mapping[Fold, Terms] = {None: equal} if below is None else below.terms
        anchor_sd = ANCHOR_SD if below is not None and below.anchored else None
        model, feedback = SummedModel(parts, {None: equal}), tabulate(rows)
        folds = np.array([_held_fold(model, source) for source in feedback.sources], dtype=np.int64)
        columns = _columns(parts, feedback, model.anchored)
        fold = folds[feedback.row_source]
        # what is said of an output alone tells nothing where parts have no common zero
        used = (fold >= 0) & np.array([model.anchored or answer.accepted is None for answer in feedback.answers])
        found: dict[Fold, Terms] = {}
        for out in folds_to_fit(folds[folds >= 0].tolist(), known):
            prior = known.get(out, known[None])  # no source below was in a fold that is not known there
            kept = np.flatnonzero(used if out is None else used & (fold != out))
            found[out] = _fitted(*feedback.take(kept), columns, prior, anchor_sd) if len(kept) else prior
        return SummedModel(parts, found)


def _columns(parts: Sequence[RewardModel], feedback: FeedbackTable, anchored: bool) -> np.ndarray:
    """Return what each part's members say in the mean, [items, parts]; NaN of sources that it does not hold out."""
    columns = np.full((len(feedback.items), len(parts)), np.nan)
    for at, part in enumerate(parts):
        said = said_of(undispersed(part), feedback)
        values = said.accepted if anchored else said.rewards
        told = ~np.isnan(values).all(axis=1)
        columns[told, at] = np.nanmean(values[told], axis=1)
    return columns


def _fitted(
    feedback: FeedbackTable, items: np.ndarray, columns: np.ndarray, prior: Terms, anchor_sd: float | None
) -> Terms:
    """Return the most probable terms, given a table and which rows of `columns` [all items, parts] its items are."""
    found = fit_heads(
        columns[items], feedback, np.ones((1, len(feedback.sources))), np.array([prior.weights]),
        np.array([prior.intercept]), PRIOR_SD**-2, reliability=True, anchor_sd=anchor_sd,
    )  # fmt: skip
    return _terms(found.heads[0].tolist(), float(found.anchor[0]) if feedback.anchors else prior.intercept)


def _terms(weights: Sequence[float], intercept: float) -> Terms:
    return Terms(tuple(weights), intercept)


def _held_fold(model: SummedModel, source: str) -> int:
    """Return the fold of a source that is held out, -1 for any other."""
    fold = model.fold(source)
    return SEEN_BY_ALL if fold is None else fold


def _added(weights: Sequence[float], values: Sequence[np.ndarray]) -> np.ndarray:
    """Return the weighted sum of arrays [members, k], whose members are taken in turn until all have as many."""
    sizes = [len(each) for each in values]
    turns = np.arange(min(lcm(*sizes), max(MOST_MEMBERS, *sizes)))
    taken = [each[turns % size] for each, size in zip(values, sizes, strict=True)]
    return np.asarray(sum(weight * each for weight, each in zip(weights, taken, strict=True)))


def _paired(one: int, other: int) -> int:
    """Return a number for two from 0 up that no other two have (Cantor's pairing function)."""
    return (one + other) * (one + other + 1) // 2 + other


def _folder(at: int) -> str:
    return f"part-{at}"
