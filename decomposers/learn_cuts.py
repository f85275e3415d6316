"""How a segmenter learns: by imitation of trees, from comparisons of trees, or from scores of trees that it draws.

A tree's log-probability is linear in the sums of its parts' features, less a log-partition. So imitation is a concave
problem with an exact gradient. Where preferences of trees are linear in those sums too, the policy gradient that is
anchored by KL needs no steps: the maximum of E[reward] - b KL(.||anchor) has the anchor's weights plus the reward's
over b, and b follows from the budget of KL. Other rewards are known by score alone: then the natural gradient is the
regression of scores on features over trees drawn from the segmenter (Kakade 2001; Peters and Schaal 2008, Natural
actor-critic), each measured against the mean of its source's others.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import anyio
import numpy as np
import torch
from scipy.optimize import brentq, minimize
from scipy.special import expit
from torch import Tensor

from decomposers.cut_features import NAMES, PartFeatures
from decomposers.segmenter import LevelCut, Segmenter, Weights, read_weights
from decomposers.semi_markov import Ends
from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import TaskGraph
from rrm.core.growth import checked_graph
from rrm.core.ids import content_id, seed_for
from rrm.core.place import Place
from rrm.core.protocols import AsyncDecomposer, Decomposer, ImprovedSplits, SplitSampler, TreeOutcome, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.core.splits import outline, split_group
from rrm.core.task import Source
from rrm.core.values import OVERALL, Comparison, Rated
from rrm.files import write_json

_BATCH = 4_000_000  # parts in a batch, padding included
_FURTHEST = 100.0  # times as sure as the comparisons make it: a cut that is certain can spend no more KL
_ANY = 1e9  # scores may be small numbers: how far to go is said by the length of a step


class Example(NamedTuple):
    """A text's features at one level, and a cut of it."""

    features: PartFeatures
    ends: Ends


@dataclass(frozen=True, eq=False)
class Preferred:
    """What somebody said of two trees of a source: `better`, and `worse`."""

    source: Source
    better: TaskGraph
    worse: TaskGraph


@dataclass(frozen=True, eq=False)
class LearnedCuts:
    """A segmenter, and its exact KL from the anchor, in nats a cut: the mean over sources, largest and by level."""

    segmenter: Segmenter
    kl: float
    by_level: tuple[float, ...] = field(default=())


def imitate(
    segmenter: Segmenter, trees: Sequence[tuple[Source, TaskGraph]], strength: float = 1.0, most_steps: int = 200
) -> Segmenter:
    """Return the segmenter whose weights make these trees most probable, every level on its own.

    `strength` pulls each weight towards the segmenter's own like one normal prior of variance 1 / strength.
    A feature that nothing tells about keeps its weight. Cuts inside
    a sentence are moved to its nearer end. Raises InputError for a tree beyond the segmenter's limits.
    """
    found = [segmenter.cuts_of(source, graph, nearest=True) or [] for source, graph in trees]
    return _imitated(segmenter, found, strength, most_steps)


def _imitated(
    segmenter: Segmenter, trees: Sequence[Sequence[LevelCut]], strength: float = 1.0, most_steps: int = 200
) -> Segmenter:
    """Return the segmenter that makes trees most probable, of which some may have cuts of their lower levels alone."""
    by_level: list[list[Example]] = [[] for _ in range(max(map(len, trees), default=0))]
    for cuts in trees:
        for height, (text, ends) in enumerate(cuts):
            by_level[height].append(Example(segmenter.features(text, height), ends))
    return segmenter.with_weights(
        [
            _table(most_probable(examples, segmenter.weights_at(height), strength, most_steps))
            for height, examples in enumerate(by_level)
        ]
    )


def _within_limits(segmenter: Segmenter, source: Source, tree: TaskGraph) -> list[LevelCut]:
    """Return the cuts of a tree's levels, from the leaves up to the first one that the segmenter's limits rule out.

    Cuts inside a sentence are moved to its nearer end. Other decomposers' trees may be as uneven as they like.
    """
    found = []
    for height, (text, ends) in enumerate(segmenter.cuts_of(source, tree, nearest=True) or ()):
        if bool(segmenter.distribution(text, height).log_prob([ends]).isneginf().any()):
            break
        found.append(LevelCut(text, ends))
    return found


def learn_from_comparisons(
    segmenter: Segmenter, comparisons: Sequence[Preferred], kl_budget: float, prior: float = 1.0
) -> LearnedCuts:
    """Return the best segmenter within `kl_budget` nats a cut of this one, by what comparisons say of trees.

    The reward is a weight for each feature and level, fitted by Bradley and Terry (1952) with a normal prior of
    standard deviation `prior` for a feature's effect over one standard deviation of its difference. Raises
    InputError without comparisons, for equal trees, and for trees that are not the segmenter's kind.
    """
    if not comparisons:
        raise InputError("there are no comparisons of decompositions to learn from")
    for each in comparisons:
        if _spans(each.better) == _spans(each.worse):
            raise InputError(f"{each.source.title}: two equal decompositions were compared, which tells nothing")
    better, worse = (
        [_sums(segmenter, each.source, graph) for each, graph in zip(comparisons, graphs, strict=True)]
        for graphs in ([each.better for each in comparisons], [each.worse for each in comparisons])
    )
    levels = max(map(len, [*better, *worse]))
    rows = _stacked(better, levels) - _stacked(worse, levels)
    rewards = _bradley_terry(rows.reshape(len(rows), -1), prior).reshape(levels, -1)
    sources = {each.source.id: each.source for each in comparisons}
    return along(segmenter, segmenter, rewards, list(sources.values()), kl_budget)


def preferred(rated: Sequence[Rated], drawn: Sequence[tuple[Source, TaskGraph]]) -> list[Preferred]:
    """Return what comparisons of outlines say of the trees that were drawn, without ties and other kinds of feedback.

    Raises InputError for a comparison of an outline that none of the trees has.
    """
    trees = {(source.id, outline(tree, source)): (source, tree) for source, tree in drawn}
    found = []
    for row in rated:
        answer = row.feedback.answer
        if not isinstance(answer, Comparison) or answer.better is None:
            continue
        texts = [row.request.shown[at].text for at in (answer.better, 1 - answer.better)]
        if missing := [text for text in texts if (row.request.source, text) not in trees]:
            raise InputError(f"no tree that was drawn has the outline that was compared: {missing[0][:80]!r}")
        (source, better), (_, worse) = (trees[row.request.source, text] for text in texts)
        found.append(Preferred(source, better, worse))
    return found


def learn_from_scores(
    segmenter: Segmenter,
    anchor: Segmenter,
    sources: Sequence[Source],
    score: "Score",
    kl_budget: float,
    seed: int,
    draws: int = 16,
    steps: int = 4,
    ridge: float = 1.0,
) -> LearnedCuts:
    """Return a segmenter whose trees score higher, within `kl_budget` nats a cut of the anchor.

    Each step draws `draws` trees of every source, regresses their scores, less the mean of the source's others, on
    their features' sums, and goes along the coefficients, sqrt(2 budget) / step far in the metric of the Fisher
    information and not past the budget. `ridge` is how many trees a prior of no effect is worth.
    """
    if not sources or draws < 2 or steps < 1:
        raise InputError("learning from scores needs sources, two draws of each or more, and a step or more")
    now = LearnedCuts(segmenter, inf)
    for step in range(steps):
        drawn = []
        for source in sources:
            trees = now.segmenter.draw(source, draws, seed_for(seed, step, source.id))
            drawn.append(Drawn(source, trees, score(source, trees)))
        length = (2 * kl_budget) ** 0.5 / (step + 1)
        now = improved_by(now.segmenter, anchor, drawn, kl_budget, length, ridge)
    return now


@dataclass(frozen=True, eq=False)
class Drawn:
    """Trees of a source that a segmenter drew, and how good each one is."""

    source: Source
    trees: Sequence[TaskGraph]
    scores: Sequence[float]


def improved_by(
    segmenter: Segmenter, anchor: Segmenter, drawn: Sequence[Drawn], kl_budget: float, length: float, ridge: float = 1.0
) -> LearnedCuts:
    """Return the segmenter after a step of natural gradient by the scores of trees that it drew.

    The step is `length` long in the metric of the Fisher information, and ends within `kl_budget` nats a cut of the
    anchor. A score is measured against the mean of its source's others. Raises InputError for a source with fewer
    than two trees, and for scores that are not as many finite numbers.
    """
    sums, rewards = [], []
    for source, trees, scores in ((each.source, each.trees, np.asarray(each.scores, dtype=float)) for each in drawn):
        if len(trees) < 2:
            raise InputError(f"{source.title}: a tree is measured against others of its source, and there is one alone")
        if scores.shape != (len(trees),) or not np.isfinite(scores).all():
            raise InputError(f"{source.title}: {len(trees)} trees need as many finite scores, got {scores}")
        sums.append([_sums(segmenter, source, tree) for tree in trees])
        rewards.append((scores - scores.mean()) * len(trees) / (len(trees) - 1))  # less the mean of the others
    levels = max(len(tree) for trees in sums for tree in trees)
    stacked = [_stacked(trees, levels) for trees in sums]
    rows = np.concatenate([each - each.mean(0) for each in stacked])
    direction = _ridge(rows.reshape(len(rows), -1), np.concatenate(rewards), ridge).reshape(levels, -1)
    return along(segmenter, anchor, direction, [each.source for each in drawn], kl_budget, length, most=_ANY)


Score = Callable[[Source, Sequence[TaskGraph]], Sequence[float]]
"""(source, trees) -> how good each tree is."""

WEIGHTS = "segmenter.json"
"""The file in a workspace's folder that an improved segmenter is saved in."""


class _Saved:
    """What is common to optimisers of segmenters: their weights are what is saved."""

    def load_splits(self, folder: Path, anchor: SplitSampler) -> SplitSampler:
        return _segmenter(anchor).with_weights(read_weights(folder / WEIGHTS))


@dataclass(frozen=True)
class FromScores(_Saved):
    """Improves a segmenter by `learn_from_scores`; implements `rrm.core.protocols.SplitOptimiser`.

    The score of a tree is the mean acceptance of its outline by the reward model of decompositions.
    """

    draws: int = 16
    steps: int = 4
    ridge: float = 1.0

    @property
    def name(self) -> str:
        return content_id("cuts-from-scores", self.draws, self.steps, self.ridge)

    def improve_splits(
        self,
        sampler: SplitSampler,
        anchor: SplitSampler,
        sources: Sequence[Source],
        score: Scorer[Train],
        place: Place,
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> ImprovedSplits:
        """Return the better segmenter; raise InputError for what is no segmenter."""
        judge = accepted(for_improving(score), place)
        ours, theirs = _segmenter(sampler), _segmenter(anchor)
        found = learn_from_scores(ours, theirs, sources, judge, kl_budget, seed, self.draws, self.steps, self.ridge)
        return _saved(found, workspace)


@dataclass(frozen=True)
class FromOutcomes(_Saved):
    """Improves a segmenter by what came of its trees; implements `rrm.core.protocols.OutcomeOptimiser`.

    A tree is worth `root` times its composed acceptance, `agreement` times its raters' agreement at leaves (the mean
    of the source's others where that is unknown), less `minutes` times what a leaf takes them. A round is one step of
    natural gradient (`improved_by`), as long as the budget is from the anchor. The run draws `train.trees` trees, 2 or
    more, of each training source at temperature 1; targets are split as the segmenter splits by itself.
    """

    root: float = 1.0
    agreement: float = 0.0
    minutes: float = 0.0
    ridge: float = 1.0

    def __post_init__(self) -> None:
        weights = self.root, self.agreement, self.minutes
        if not all(0 <= weight < inf for weight in weights) or not any(weights):
            raise ConfigError(
                f"the weights of root, agreement and minutes are 0 or above, and not all 0: got {weights}"
            )
        if not 0 < self.ridge < inf:
            raise ConfigError(f"ridge is a number above 0, got {self.ridge}")

    @property
    def name(self) -> str:
        return content_id("cuts-from-outcomes", self.root, self.agreement, self.minutes, self.ridge)

    def improve_by_outcomes(
        self,
        sampler: SplitSampler,
        anchor: SplitSampler,
        outcomes: Sequence[TreeOutcome],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> ImprovedSplits:
        """Return the better segmenter; raise InputError for what is no segmenter, and without outcomes."""
        ours, theirs = _segmenter(sampler), _segmenter(anchor)
        if not outcomes:
            raise InputError("there are no outcomes of decompositions to learn from")
        by_source: dict[str, list[TreeOutcome]] = {}
        for each in outcomes:
            by_source.setdefault(each.source.id, []).append(each)
        drawn = [Drawn(each[0].source, [tree.graph for tree in each], self._worth(each)) for each in by_source.values()]
        return _saved(improved_by(ours, theirs, drawn, kl_budget, (2 * kl_budget) ** 0.5, self.ridge), workspace)

    def _worth(self, outcomes: Sequence[TreeOutcome]) -> list[float]:
        """Return what the trees of a source are worth."""
        agreed = _filled([each.agreement for each in outcomes])
        took = _filled([each.minutes for each in outcomes])
        return [
            self.root * each.root + self.agreement * agreement - self.minutes * minutes
            for each, agreement, minutes in zip(outcomes, agreed, took, strict=True)
        ]


def _filled(values: Sequence[float | None]) -> list[float]:
    """Return numbers, the mean of those known in the place of one that is not; all 0 where none is."""
    known = [value for value in values if value is not None]
    mean = fmean(known) if known else 0.0
    return [mean if value is None else value for value in values]


@dataclass(frozen=True)
class Distil(_Saved):
    """Makes a segmenter imitate the best of `of` trees of each source; implements `rrm.core.protocols.SplitOptimiser`.

    The trees are drawn from the segmenter, or proposed under as many seeds by any other `teacher` that splits a source
    at once: a language model's proposals, say, of which the reward model chooses. Of a tree as many levels are
    imitated, from the leaves up, as the segmenter's limits allow, and one whose leaves are beyond them is passed over.
    Of the way to the imitation as much is gone as the budget of KL allows.
    """

    of: int = 8
    teacher: Decomposer | AsyncDecomposer | None = None

    def __post_init__(self) -> None:
        if self.of < 1:
            raise ConfigError(f"`of`, the trees of each source of which the best is imitated, is 1 or more: {self.of}")
        teacher: object = self.teacher
        if not isinstance(teacher, Decomposer | AsyncDecomposer | None):
            told = "is a decomposer that splits a source at once (decompose, decompose_async)"
            raise ConfigError(f"the teacher of cuts {told}, got {type(teacher).__qualname__}")

    @property
    def name(self) -> str:
        return content_id("distilled-cuts", self.of, self.teacher.name if self.teacher else None)

    def improve_splits(
        self,
        sampler: SplitSampler,
        anchor: SplitSampler,
        sources: Sequence[Source],
        score: Scorer[Train],
        place: Place,
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> ImprovedSplits:
        """Return the segmenter that was distilled.

        Raises InputError for what is no segmenter, and where none of the trees can be imitated.
        """
        judge = accepted(for_improving(score), place)
        ours, theirs = _segmenter(sampler), _segmenter(anchor)
        best = []
        for source in sources:
            trees = self._proposed(ours, source, seed_for(seed, source.id))
            possible = [(tree, cuts) for tree in trees if (cuts := _within_limits(ours, source, tree))]
            if possible:
                said = judge(source, [tree for tree, _ in possible])
                best.append(possible[max(range(len(possible)), key=lambda at: said[at])][1])
        if not best:
            raise InputError(
                f"none of the teacher's {self.of} trees of each source has leaves that the segmenter's limits allow:"
                " give both the same leaf_tokens"
            )
        student = _imitated(ours, best)
        levels = range(len(student.tables))
        way = torch.stack([student.weights_at(height) - theirs.weights_at(height) for height in levels])
        return _saved(along(theirs, theirs, way.numpy(), sources, kl_budget, most=1.0), workspace)

    def _proposed(self, ours: Segmenter, source: Source, seed: int) -> list[TaskGraph]:
        if self.teacher is None:
            return ours.draw(source, self.of, seed)
        teacher, seeds = self.teacher, [seed_for(seed, number) for number in range(self.of)]
        if isinstance(teacher, Decomposer):
            found = [teacher.decompose(source, each) for each in seeds]
        else:
            with ThreadPoolExecutor(1) as thread:  # which has no event loop, as the caller's may have
                found = thread.submit(anyio.run, _asked, teacher, source, seeds).result()
        return [checked_graph(teacher.name, tree) for tree in found]


async def _asked(teacher: AsyncDecomposer, source: Source, seeds: Sequence[int]) -> list[TaskGraph]:
    """Return a tree for each seed, one after the other: a decomposer asks about many nodes at once by itself."""
    return [await teacher.decompose_async(source, each) for each in seeds]


def accepted(score: Scorer[Train], place: Place) -> Score:
    """Return a score of trees: the mean acceptance of their outlines by a reward model of decompositions."""

    def said(source: Source, trees: Sequence[TaskGraph]) -> Sequence[float]:
        [found] = score.score([split_group(source, [outline(tree, source) for tree in trees], place)])
        means: list[float] = found.acceptance[OVERALL].mean(axis=0).tolist()
        return means

    return said


def along(
    segmenter: Segmenter,
    anchor: Segmenter,
    direction: np.ndarray,
    sources: Sequence[Source],
    kl_budget: float,
    step: float | None = None,
    most: float = _FURTHEST,
) -> LearnedCuts:
    """Return the segmenter moved along a direction of weights [levels, features], within the budget of KL.

    Without a `step` it is moved until the budget is used up, or by `most` times the direction; with one until the KL
    from where it was is half of step squared, as a step of that length in the metric of the Fisher information has
    it, and then back towards the anchor as far as the budget asks. Raises InputError unless the budget is a positive
    number.
    """
    if not 0 < kl_budget < inf:
        raise InputError(f"the budget of KL is a number of nats above 0, got {kl_budget}")
    distances = _Distances.of(segmenter, anchor, sources)
    levels = range(max(len(direction), distances.levels))
    start, origin = ([each.weights_at(height) for height in levels] for each in (segmenter, anchor))
    moves = [torch.as_tensor(_row(direction, height)) for height in levels]
    reached = [] if step is None else start
    budget = kl_budget if step is None else step**2 / 2
    share = _furthest(lambda part: max(distances.kl(_moved(start, moves, part), reached or origin)), budget, most)
    weights = _moved(start, moves, share)
    back = [ours - theirs for ours, theirs in zip(weights, origin, strict=True)]
    part = _furthest(lambda part: max(distances.kl(_moved(origin, back, part), origin)), kl_budget, most=1.0)
    weights = _moved(origin, back, part)
    kls = distances.kl(weights, origin)
    return LearnedCuts(segmenter.with_weights([_table(each) for each in weights]), max(kls), tuple(kls))


def kl_by_level(segmenter: Segmenter, anchor: Segmenter, sources: Sequence[Source]) -> list[float]:
    """Return the exact KL of each level's cut, in nats, mean over sources; below it stands the anchor's best cut."""
    distances = _Distances.of(segmenter, anchor, sources)
    levels = range(distances.levels)
    return distances.kl(*([each.weights_at(height) for height in levels] for each in (segmenter, anchor)))


@dataclass(frozen=True, eq=False)
class _Distances:
    """The features of every level of some sources, in batches [levels][batches], to measure distances on."""

    batches: Sequence[Sequence[PartFeatures]]

    @classmethod
    def of(cls, segmenter: Segmenter, anchor: Segmenter, sources: Sequence[Source]) -> "_Distances":
        cuts = [segmenter.with_weights(anchor.tables).cuts(source) for source in sources]
        found = []
        for height in range(max(map(len, cuts), default=0)):
            here = [segmenter.features(each[height].text, height) for each in cuts if height < len(each)]
            found.append([PartFeatures.batch([here[at] for at in batch]) for batch in _batches(here)])
        return cls(found)

    @property
    def levels(self) -> int:
        return len(self.batches)

    def kl(self, weights: Sequence[Tensor], origin: Sequence[Tensor]) -> list[float]:
        """Return the mean KL, in nats, of each level's cut under two sequences of weights."""
        found = []
        for ours, theirs, batches in zip(weights, origin, self.batches, strict=False):
            kls = [batch.cuts(ours).kl(batch.cuts(theirs)) for batch in batches]
            found.append(float(torch.cat(kls).clamp(min=0).mean()))  # rounding may take a KL of 0 below
        return found


def _segmenter(sampler: SplitSampler) -> Segmenter:
    if not isinstance(sampler, Segmenter):
        raise InputError(
            f"weights of cuts are those of decomposers.segmenter:Segmenter, not of {type(sampler).__name__}"
        )
    return sampler


def _saved(found: LearnedCuts, workspace: Workspace) -> ImprovedSplits:
    write_json(workspace.folder / WEIGHTS, {"levels": [dict(table) for table in found.segmenter.tables]})
    return ImprovedSplits(found.segmenter, found.kl, "exact")


def _levels(segmenter: Segmenter, source: Source, graph: TaskGraph) -> list[LevelCut]:
    """Return the cuts of a tree's levels; raise InputError for a tree that the segmenter could never draw."""
    found = segmenter.cuts_of(source, graph)
    if found is None:
        raise InputError(
            f"{source.title}: a segmenter learns from trees that cut between sentences, level by level;"
            " this decomposition cuts inside a sentence or has leaves of several depths"
        )
    return found


def _sums(segmenter: Segmenter, source: Source, graph: TaskGraph) -> list[Tensor]:
    """Return the sums of the features of a tree's parts, [levels][features]; 0 where there is nothing to choose."""
    return [
        torch.zeros(len(NAMES), dtype=torch.float64)
        if segmenter.roots(text, height)
        else segmenter.features(text, height).total(ends)
        for height, (text, ends) in enumerate(_levels(segmenter, source, graph))
    ]


def _stacked(sums: Sequence[Sequence[Tensor]], levels: int) -> np.ndarray:
    """Return sums of features of trees as a table [trees, levels, features]; a level that a tree lacks sums to 0."""
    table = np.zeros((len(sums), levels, len(NAMES)))
    for row, each in enumerate(sums):
        table[row, : len(each)] = torch.stack(list(each)).numpy()
    return table


def most_probable(examples: Sequence[Example], start: Tensor, strength: float, most_steps: int) -> Tensor:
    """Return the weights that maximise the log-probability of cuts less strength / 2 times their squared way."""
    indices = _batches([each.features for each in examples])
    batches = [
        (PartFeatures.batch([examples[at].features for at in batch]), [examples[at].ends for at in batch])
        for batch in indices
    ]
    for features, cuts in batches:
        if bool(features.cuts(start).log_prob(cuts).isneginf().any()):
            raise InputError("a tree to imitate has a part that the segmenter's limits rule out: raise its limits")

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        ours = torch.tensor(weights, requires_grad=True)
        total = strength / 2 * ((ours - start) ** 2).sum()
        for features, cuts in batches:
            total = total - features.cuts(ours).log_prob(cuts).sum()
        total.backward()  # type: ignore[no-untyped-call]
        assert ours.grad is not None
        return float(total.detach()), ours.grad.numpy()

    best = minimize(loss, start.numpy(), jac=True, method="L-BFGS-B", options={"maxiter": most_steps})
    return torch.as_tensor(best.x)


def _bradley_terry(differences: np.ndarray, prior: float) -> np.ndarray:
    """Return the weights [features] of the reward whose differences [comparisons, features] were all preferred."""
    scale = _spread(differences)
    rows = differences / scale

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = rows @ weights
        total = np.logaddexp(0, -margins).sum() + (weights @ weights) / (2 * prior**2)
        return float(total), weights / prior**2 - rows.T @ expit(-margins)

    best = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(best.x / scale)


def _ridge(features: np.ndarray, rewards: np.ndarray, ridge: float) -> np.ndarray:
    """Return the coefficients [features] of a regression without a constant, the features in their own spread."""
    scale = _spread(features)
    rows = features / scale
    return np.asarray(np.linalg.solve(rows.T @ rows + ridge * np.eye(rows.shape[1]), rows.T @ rewards) / scale)


def _spread(rows: np.ndarray) -> np.ndarray:
    """Return each column's root mean square, 1 where it is 0."""
    spread = np.sqrt((rows**2).mean(0))
    return np.where(spread > 1e-12, spread, 1.0)


def _furthest(kl: Callable[[float], float], budget: float, most: float = _FURTHEST) -> float:
    """Return the largest share from 0 to `most` whose KL keeps the budget, within a thousandth and never above.

    The root of the KL is nearly linear in the share, so few steps find it.
    """
    share = min(1.0, most)
    while share < most and kl(share) <= budget:
        share = min(most, 2 * share)
    if kl(share) <= budget:
        return share
    root = float(brentq(lambda part: kl(part) ** 0.5 - budget**0.5, 0.0, share, xtol=share * 1e-9, rtol=1e-4))
    while kl(root) > budget:
        root *= 1 - 1e-3
    return root


def _moved(start: Sequence[Tensor], moves: Sequence[Tensor], share: float) -> list[Tensor]:
    return [weights + share * move for weights, move in zip(start, moves, strict=True)]


def _row(direction: np.ndarray, height: int) -> np.ndarray:
    return np.asarray(direction[height]) if height < len(direction) else np.zeros(len(NAMES))


def _table(weights: Tensor) -> Weights:
    return {name: weight for name, weight in zip(NAMES, weights.tolist(), strict=True) if weight}


def _batches(features: Sequence[PartFeatures]) -> list[list[int]]:
    """Put texts of like size together, so many that a batch with its padding stays small."""
    order = sorted(range(len(features)), key=lambda at: features[at].allowed.shape[1:])
    batches: list[list[int]] = []
    for at in order:
        units, longest = features[at].allowed.shape[1:]
        if batches and (len(batches[-1]) + 1) * units * longest <= _BATCH:
            batches[-1].append(at)
        else:
            batches.append([at])
    return batches


def _spans(graph: TaskGraph) -> list[tuple[int, tuple[int, ...]]]:
    return sorted((graph.depth(node), tuple(graph.task(node).span or ())) for node in graph)
