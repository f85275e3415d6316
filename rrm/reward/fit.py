"""Fitting the reward model of a level: all heads at once, each on a bootstrap of sources that leaves one fold out.

The likelihoods of all kinds of feedback multiply (Jeon et al., 2020, arXiv:2002.04833): they are
independent given the rewards. With the trunk frozen a head is linear, the posterior is log-concave
but for the spacing of rating thresholds, and a fit of all members takes about a second.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import generator, seed_for
from rrm.core.place import Place
from rrm.core.protocols import Encoder
from rrm.core.values import Group, Rated, View
from rrm.feedback.table import FeedbackTable, Item, tabulate
from rrm.reward.calibrate import IDENTITY, HeldLogits, cross_calibrate
from rrm.reward.disperse import LEAVES, Dispersion, cross_disperse, upward
from rrm.reward.evidence import Evidence, Shrinkage, averaged, evidence
from rrm.reward.features import FeatureReader, Features
from rrm.reward.model import SEEN_BY_ALL, LevelModel, nothing_to_fit, settings_of
from rrm.reward.trunk import fit_trunk

ANCHOR_SD, SLOPE_SD = 0.5, 0.35
"""How much levels differ beforehand: in logits, raters' readiness to accept, and the logarithm of the temperature."""


@dataclass(frozen=True)
class FitConfig:
    """How a level is fitted.

    `l2` is the precision of the Gaussian prior on every weight of a head without one below it;
    `shrink` that of the prior centred on the head below, of which each member follows its own. None is as
    strong as the level's ratings say (see `rrm.reward.evidence`). `separate` fits a level
    on its own: no shared trunk, no shrinking. `components` principal directions of the outputs'
    contents count `component_weight` as much, on average, as a feature, and the length in distinct words
    `length_weight` times as much: its prior is as much wider, since length alone tells more of people's choices than
    any other feature, and under the prior of the others it would be drowned by their number. With `reliability` each
    rater's temperature, leanings and lapses are fitted, the heads integrated out, once for all heads that leave out the
    same folds.
    """

    members: int = 24
    folds: int = 4
    l2: float | None = 50.0
    shrink: float | None = None
    separate: bool = False
    components: int = 32
    component_weight: float = 0.7
    length_weight: float = 3.0
    reliability: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.folds <= self.members:
            raise InputError(f"a fit needs 1 <= folds <= members, got folds = {self.folds}, members = {self.members}")
        weights = (self.l2, self.shrink, self.component_weight, self.length_weight)
        if not (min(each for each in weights if each is not None) > 0 and self.components >= 0):
            raise InputError("l2, shrink, component_weight and length_weight are above 0, components at least 0")


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
    place: Place | None = None,
    fold_of: Callable[[str], int] | None = None,
) -> LevelModel:
    """Fit one level's reward model, starting from the model of the level below where there is one.

    Member m leaves out the sources of fold `m % folds` and weighs each other source by an
    exponential variate (the Bayesian bootstrap: Rubin, 1981, doi:10.1214/aos/1176345338), so for
    every training source members / folds heads never saw it: cross-fitting without refits.
    `fold_of` must be the same at all levels of a run; by default folds are dealt by
    `balanced_folds`. With a single source nothing is held out, and `holds_out` says so; a split
    within a source is out of scope here. How each kind of feedback is read is in
    `rrm.feedback.table.tabulate`; what says nothing about rewards is counted in `unused`.

    Raises InputError without a single usable rating, or for answers that do not fit their requests.
    """
    from rrm.reward.heads import fit_heads  # with torch, whose import takes seconds

    place = place or Place()
    lower = None if config.separate else init
    reader = _reader(encoder, lower)
    if lower is not None and lower.members != config.members:
        raise InputError(f"the model below has {lower.members} members, so this level cannot have {config.members}")
    feedback = tabulate(rated)
    if not feedback.rows:
        raise nothing_to_fit(place)
    features = item_features(feedback.items, reader)
    trunk = (
        fit_trunk(features, config.components, config.component_weight, config.length_weight)
        if lower is None
        else lower.trunk
    )
    columns = trunk(features)
    folds, seen = _folds(feedback.sources, lower, config, seed, fold_of)
    anchored = feedback.anchors
    left_out = leaves_out(config.members, folds)
    prior = np.zeros((len(left_out), trunk.columns)), np.zeros(len(left_out))
    if lower is not None:
        prior = np.concatenate([lower.heads, lower.pair_heads]), np.concatenate([lower.anchor, lower.pair_anchor])
    anchor_sd = ANCHOR_SD if lower is not None and lower.anchored else None
    chosen = _evidence(columns, feedback, seen, left_out, prior, config, lower is not None, anchor_sd)
    precision = np.array([each.precision for each in chosen.shrinkages])
    weights = _weights(feedback.sources, seen, left_out, seed)
    found = fit_heads(columns, feedback, weights, *prior, precision, config.reliability, anchor_sd, chosen.raters)
    settings = settings_of(config, seed)
    if config.reliability:
        settings["raters"] = [rater._asdict() for rater in found.raters]
    held = _held_logits(columns, feedback, found.heads, found.anchor, seen, anchored)
    (heads, pair_heads), (anchor, pair_anchor) = (
        np.split(each, [config.members]) for each in (found.heads, found.anchor)
    )
    if lower is None:
        calibration = cross_calibrate(held, left_out, np.tile(IDENTITY, (folds + 1, 1)))
    else:
        calibration = cross_calibrate(held, left_out, lower.calibration, SLOPE_SD, ANCHOR_SD)
    fitted = dict(lower.seen) | seen if lower is not None else seen
    return LevelModel(
        place=place,
        reader=reader,
        encoder=reader.encoder.name,
        trunk=trunk,
        heads=heads,
        anchor=anchor,
        pair_heads=pair_heads,
        pair_anchor=pair_anchor,
        calibration=calibration,
        dispersion=cross_disperse(held, left_out, calibration, _thought(place.level, lower, len(calibration))),
        folds=folds,
        seen=dict(sorted(fitted.items())),
        anchored=anchored,
        shrinkage=None if lower is None else averaged(chosen.shrinkages[: config.members]),
        ratings=feedback.rows,
        unused=feedback.unused,
        settings=settings,
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


def _thought(level: int, lower: LevelModel | None, entries: int) -> list[Dispersion]:
    """Return what is thought of a level's dispersion before its ratings, by what the model below found at its own."""
    if lower is None:
        return [upward(LEAVES, level)] * entries
    return [upward(Dispersion(*row), level - lower.place.level) for row in lower.dispersion]


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


def _evidence(
    columns: np.ndarray,
    feedback: FeedbackTable,
    seen: Mapping[str, int],
    left_out: np.ndarray,
    prior: tuple[np.ndarray, np.ndarray],
    config: FitConfig,
    above: bool,
    anchor_sd: float | None,
) -> Evidence:
    """Return each head's, chosen once for all heads that leave out the same folds, from the other folds' ratings."""
    fixed = config.shrink if above else config.l2
    if fixed is not None and not above and not config.reliability:
        return Evidence([Shrinkage(fixed, 1.0)] * len(left_out), None)
    sets, set_of = np.unique(left_out, axis=0, return_inverse=True)
    set_of = set_of.ravel()
    weights = np.ones((len(sets), len(feedback.sources)))
    for column, source in enumerate(feedback.sources):
        if seen[source] != SEEN_BY_ALL:
            weights[sets[:, seen[source]], column] = 0.0
    centres = [np.stack([each[set_of == at].mean(axis=0) for at in range(len(sets))]) for each in prior]
    found = evidence(columns, feedback, weights, centres[0], centres[1], config.reliability, anchor_sd, fixed)
    raters = None if found.raters is None else found.raters.take(set_of)
    return Evidence([found.shrinkages[at] for at in set_of], raters)


def _weights(sources: Sequence[str], seen: Mapping[str, int], left_out: np.ndarray, seed: int) -> np.ndarray:
    """Return how much each head weighs each source, [heads, sources]: 0 for those it leaves out."""
    count = len(left_out)
    drawn = np.stack([generator(seed, "bootstrap", source).exponential(size=count) for source in sources], axis=1)
    for column, source in enumerate(sources):
        if seen[source] != SEEN_BY_ALL:
            drawn[left_out[:, seen[source]], column] = 0.0
    return drawn


def item_features(items: Sequence[Item], reader: FeatureReader) -> Features:
    """Return the features of all items, one row each."""
    texts: dict[str, tuple[View, list[str]]] = {}
    for item in items:
        texts.setdefault(item.view.id, (item.view, []))[1].append(item.text)
    read = reader.read([Group("", Place(), view, tuple(found)) for view, found in texts.values()])
    row = {
        (id_, text): (features.numbers[at], features.contents[at])
        for (id_, (_, found)), features in zip(texts.items(), read, strict=True)
        for at, text in enumerate(found)
    }
    rows = [row[item.view.id, item.text] for item in items]
    return Features(np.stack([numbers for numbers, _ in rows]), np.stack([contents for _, contents in rows]))


def _held_logits(
    columns: np.ndarray,
    feedback: FeedbackTable,
    heads: np.ndarray,
    anchor: np.ndarray,
    seen: Mapping[str, int],
    anchored: bool,
) -> HeldLogits:
    """Collect what every head says about sources held out: differences, and acceptance where anchored.

    A head that had nothing to learn from is zero, and its logits count as unknown (NaN).
    """
    rewards = columns @ heads.T
    rows = [(pair.first, pair.second, (1.0, 0.0, 0.5)[pair.choice], pair.source) for pair in feedback.pairs()]
    if anchored:
        rows += [(item, -1, good, source) for item, good, source in feedback.valued()]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    first, second, source = table[:, [0, 1, 3]].astype(np.int64).T
    is_anchor = second < 0
    logits = rewards[first] - np.where(is_anchor[:, None], -anchor[None, :], rewards[second])
    logits[:, ~heads.any(axis=1)] = np.nan
    at = np.array([seen[name] for name in feedback.sources])[source]
    views = np.unique([item.view.id for item in feedback.items], return_inverse=True)[1].ravel()
    held = HeldLogits(logits, table[:, 2], is_anchor.astype(np.float64), at, first, second, views[first])
    return held.where(at != SEEN_BY_ALL)
