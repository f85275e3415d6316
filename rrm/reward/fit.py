"""Fitting the reward model of a level: all heads at once, each on a bootstrap of sources that leaves one fold out.

The likelihoods of all kinds of feedback multiply (Jeon et al., 2020, arXiv:2002.04833): they are
independent given the rewards. With the trunk frozen a head is linear, the posterior is log-concave
but for the spacing of rating thresholds, and a fit of all members takes about a second.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import generator, seed_for
from rrm.core.protocols import Encoder
from rrm.core.values import (
    Answer,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Group,
    Label,
    Ranking,
    Rated,
    Rating,
    Reject,
)
from rrm.reward.calibrate import IDENTITY, HeldLogits, cross_calibrate
from rrm.reward.disperse import cross_disperse
from rrm.reward.features import FeatureReader, Features
from rrm.reward.heads import Rows, fit_heads
from rrm.reward.model import SEEN_BY_ALL, LevelModel, accepted, settings_of
from rrm.reward.trunk import Trunk, fit_trunk


@dataclass(frozen=True)
class FitConfig:
    """How a level is fitted.

    `l2` is the precision of the Gaussian prior on every weight of a head without one below it;
    `shrink` that of the prior centred on the head below, of which each member follows its own.
    With fewer than `min_labels` ratings the lower head is used as it is. `separate` fits a level
    on its own: no shared trunk, no shrinking. `components` principal directions of the outputs'
    contents count `component_weight` as much, on average, as a feature.
    """

    members: int = 24
    folds: int = 4
    l2: float = 50.0
    shrink: float = 50.0
    min_labels: int = 200
    separate: bool = False
    components: int = 32
    component_weight: float = 0.7

    def __post_init__(self) -> None:
        if not 1 <= self.folds <= self.members:
            raise InputError(f"a fit needs 1 <= folds <= members, got folds = {self.folds}, members = {self.members}")
        if not (self.l2 > 0 and self.shrink > 0 and self.component_weight > 0 and self.components >= 0):
            raise InputError("l2, shrink and component_weight are above 0, components at least 0")


def balanced_folds(sources: Iterable[str], seed: int, folds: int) -> dict[str, int]:
    """Deal sources, in a seeded order, to folds that differ by at most one source.

    There are no more folds than sources.
    """
    order = sorted(set(sources), key=lambda source: (seed_for(seed, "fold", source), source))
    return {source: place % min(folds, len(order)) for place, source in enumerate(order)}


def fit(
    rated: Sequence[Rated],
    encoder: Encoder | FeatureReader,
    config: FitConfig,
    seed: int,
    init: LevelModel | None = None,
    level: int = 0,
    fold_of: Callable[[str], int] | None = None,
) -> LevelModel:
    """Fit one level's reward model, starting from the model of the level below where there is one.

    Member m leaves out the sources of fold `m % folds` and weighs each other source by an
    exponential variate (the Bayesian bootstrap: Rubin, 1981, doi:10.1214/aos/1176345338), so for
    every training source members / folds heads never saw it: cross-fitting without refits.
    `fold_of` must be the same at all levels of a run; by default folds are dealt by
    `balanced_folds`. With a single source nothing is held out, and `holds_out` says so; a split
    within a source is out of scope here. A correction or demonstration counts as preferred to what
    was shown; critiques and rejections are counted in `unused`.

    Raises InputError without a single usable rating, or for answers that do not fit their requests.
    """
    lower = None if config.separate else init
    reader = _reader(encoder, lower)
    if lower is not None and lower.members != config.members:
        raise InputError(f"the model below has {lower.members} members, so this level cannot have {config.members}")
    table = _Table.of(rated, reader, lower, config)
    if not table.rows.count:
        raise InputError(f"level {level} has no ratings to fit on: let it share the head below (LevelModel.shared)")
    folds, seen = _folds(table.sources, lower, config, seed, fold_of)
    share = lower is not None and table.rows.count < config.min_labels
    anchored = lower.anchored if lower is not None and share else table.rows.anchors
    left_out = leaves_out(config.members, folds)
    prior = np.zeros((len(left_out), table.trunk.columns)), np.zeros(len(left_out))
    if lower is not None:
        prior = np.concatenate([lower.heads, lower.pair_heads]), np.concatenate([lower.anchor, lower.pair_anchor])
    every = prior
    if not share:
        weights = _weights(table.sources, seen, left_out, seed)
        every = fit_heads(table.rows, weights, *prior, config.l2 if lower is None else config.shrink)
    held = _held_logits(table, *every, seen, anchored)
    (heads, pair_heads), (anchor, pair_anchor) = (np.split(each, [config.members]) for each in every)
    start = lower.calibration if lower is not None and share else np.tile(IDENTITY, (folds + 1, 1))
    calibration = cross_calibrate(held, left_out, start)
    fitted = dict(lower.seen) | seen if lower is not None else seen
    return LevelModel(
        level=level,
        reader=reader,
        encoder=reader.encoder.name,
        trunk=table.trunk,
        heads=heads,
        anchor=anchor,
        pair_heads=pair_heads,
        pair_anchor=pair_anchor,
        calibration=calibration,
        dispersion=cross_disperse(held, left_out, calibration, None if lower is None else lower.dispersion),
        folds=folds,
        seen=dict(sorted(fitted.items())),
        anchored=anchored,
        shared_head=share,
        ratings=table.rows.count,
        unused=table.unused,
        settings=settings_of(config, seed),
    )


def _reader(encoder: Encoder | FeatureReader, lower: LevelModel | None) -> FeatureReader:
    if isinstance(encoder, FeatureReader):
        reader = encoder
    elif lower is not None and encoder in (lower.reader.encoder, lower.reader.encoder.inner):
        reader = lower.reader
    else:
        reader = FeatureReader(encoder)
    if lower is not None and reader.encoder.name != lower.encoder:
        raise InputError(f"the model below was fitted with {lower.encoder}, not {reader.encoder.name}")
    return reader


def _folds(
    sources: Sequence[str],
    lower: LevelModel | None,
    config: FitConfig,
    seed: int,
    fold_of: Callable[[str], int] | None,
) -> tuple[int, dict[str, int]]:
    """Return the number of folds and each source's; what the level below decided stands."""
    dealt = balanced_folds(sources, seed, config.folds)
    folds = config.folds if fold_of is not None else max(dealt.values()) + 1
    if lower is not None:
        folds = lower.folds
    fold = {source: (fold_of(source) if fold_of is not None else dealt[source]) % folds for source in sources}
    if folds < 2 or (lower is None and len(set(fold.values())) < 2):
        return folds, dict.fromkeys(sources, SEEN_BY_ALL)
    return folds, fold if lower is None else {source: lower.seen.get(source, fold[source]) for source in sources}


def leaves_out(members: int, folds: int) -> np.ndarray:
    """Return which folds each head leaves out, boolean [members + pair heads, folds].

    Member m leaves out fold `m % folds`. After the members come heads that leave out two folds, a
    few for each pair. They score nothing: they predict one of their folds to calibrate scores of the
    other, so that not even the temperature of a source's held-out score has seen its ratings.
    """
    single = np.arange(folds) == (np.arange(members) % folds)[:, None]
    few = max(1, members // folds // 2)
    pairs = [np.isin(np.arange(folds), pair) for pair in combinations(range(folds), 2) for _ in range(few)]
    return np.concatenate([single, np.array(pairs, dtype=bool).reshape(len(pairs), folds)])


def _weights(sources: Sequence[str], seen: Mapping[str, int], left_out: np.ndarray, seed: int) -> np.ndarray:
    """Return how much each head weighs each source, [heads, sources]: 0 for those it leaves out."""
    count = len(left_out)
    drawn = np.stack([generator(seed, "bootstrap", source).exponential(size=count) for source in sources], axis=1)
    for column, source in enumerate(sources):
        if seen[source] != SEEN_BY_ALL:
            drawn[left_out[:, seen[source]], column] = 0.0
    return drawn


@dataclass
class _Table:
    """Ratings as index arrays over the distinct (view, text) pairs that they are about."""

    rows: Rows
    trunk: Trunk
    sources: list[str]
    unused: int
    view: np.ndarray  # of each item, [items]
    accepted: list[tuple[int, float, int]] = field(default_factory=list)  # item, outcome, source

    @classmethod
    def of(cls, rated: Sequence[Rated], reader: FeatureReader, lower: LevelModel | None, config: FitConfig) -> "_Table":
        groups = [_group(row) for row in rated]
        read = reader.read(groups)
        item: dict[tuple[str, str], int] = {}
        numbers: list[np.ndarray] = []
        contents: list[np.ndarray] = []
        places: list[list[int]] = []
        for group, features in zip(groups, read, strict=True):
            at = []
            for row, text in enumerate(group.outputs):
                key = (group.view.id, text)
                if key not in item:
                    item[key] = len(item)
                    numbers.append(features.numbers[row])
                    contents.append(features.contents[row])
                at.append(item[key])
            places.append(at)
        if not item:
            raise InputError("there are no ratings to fit on")
        every = Features(np.stack(numbers), np.stack(contents))
        trunk = fit_trunk(every, config.components, config.component_weight) if lower is None else lower.trunk
        sources = sorted({row.request.source for row in rated})
        index = {source: place for place, source in enumerate(sources)}
        views = np.unique([view for view, _ in item], return_inverse=True)[1].ravel()
        table = cls(Rows(trunk(every)), trunk, sources, 0, views)
        for each, at in zip(rated, places, strict=True):
            table._add(each.feedback.answer, at, index[each.request.source])
        return table

    def _add(self, answer: Answer, at: list[int], source: int) -> None:
        rows = self.rows
        if isinstance(answer, Comparison):
            choice = 2 if answer.better is None else answer.better
            rows.comparisons.append((at[0], at[1], choice, source))
        elif isinstance(answer, Ranking):
            rows.rankings.append((tuple(at), answer.best_first, source))
        elif isinstance(answer, Label):
            rows.labels.append((at[0], int(answer.good), source))
        elif isinstance(answer, Rating):
            rows.ratings.setdefault(answer.points, []).append((at[0], answer.value, source))
        elif isinstance(answer, (Correction, Demonstration)):
            rows.comparisons.extend((at[-1], other, 0, source) for other in at[:-1] if other != at[-1])
        else:
            self.unused += 1
        if isinstance(answer, (Label, Rating)):
            self.accepted.append((at[0], accepted(answer), source))


def _group(row: Rated) -> Group:
    """Return what a rating is about, checked; a text that the rater wrote stands last."""
    group, answer = row.request.group, row.feedback.answer
    shown = len(group.outputs)
    if isinstance(answer, (Correction, Demonstration)):
        return Group(group.source, group.level, group.view, (*group.outputs, answer.text))
    wanted = {Comparison: shown == 2, Label: shown == 1, Rating: shown == 1}.get(type(answer), True)
    if isinstance(answer, Ranking):
        wanted = bool(answer.best_first) and max(answer.best_first) < shown
    if not wanted:
        raise InputError(f"request {row.request.id} shows {shown} outputs, which a {answer.kind} {answer} does not fit")
    if isinstance(answer, (Critique, Reject)):
        return Group(group.source, group.level, group.view, ())
    return group


def _held_logits(
    table: _Table, heads: np.ndarray, anchor: np.ndarray, seen: Mapping[str, int], anchored: bool
) -> HeldLogits:
    """Collect what every head says about sources held out: differences, and acceptance where anchored.

    A head that had nothing to learn from is zero, and its logits count as unknown (NaN).
    """
    rewards = table.rows.columns @ heads.T
    fold = np.array([seen[source] for source in table.sources])
    logits, outcome, source, items = [], [], [], []
    for first, second, choice, place in table.rows.pairs():
        logits.append(rewards[first] - rewards[second])
        outcome.append((1.0, 0.0, 0.5)[choice])
        source.append(place)
        items.append((first, second))
    for item, good, place in table.accepted if anchored else ():
        logits.append(rewards[item] + anchor)
        outcome.append(good)
        source.append(place)
        items.append((item, -1))
    first_item, second_item = np.array(items, dtype=np.int64).reshape(-1, 2).T
    at = fold[np.array(source, dtype=np.int64)]
    found = np.array(logits).reshape(len(logits), len(heads))
    found[:, ~heads.any(axis=1)] = np.nan
    is_anchor = (second_item < 0).astype(np.float64)
    held = HeldLogits(found, np.array(outcome), is_anchor, at, first_item, second_item, table.view[first_item])
    return held.where(at != SEEN_BY_ALL)
