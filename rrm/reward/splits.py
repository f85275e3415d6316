"""Reward models of decompositions: a linear head on what their outlines say."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings
from rrm.core.splits import begins_anew, leaves_of, outline, points_back, read_outline, split_group
from rrm.core.task import Source
from rrm.core.text import words
from rrm.core.values import OVERALL, Group, Rated
from rrm.feedback.table import tabulate
from rrm.reward.calibrated import Calibrated
from rrm.reward.cross_fit import CrossFitted
from rrm.reward.heads import fit_heads
from rrm.reward.plain import PlainLearner

FEATURES = (
    "parts",  # log of how many lowest parts there are
    "size",  # log of their mean size in words
    "uneven",  # standard deviation of the logs of their sizes
    "largest",  # log of the largest over the mean
    "smallest",
    "levels",
    "uneven above",  # the same as uneven for the root's parts
    "at chapters",  # share of the parts behind the first that begin at one
    "at paragraphs",
    "inside sentences",
    "begin anew",  # with words of time or place
    "point back",
    "begin with speech",
    "break off",  # the last sentence of the part before has no end
    "go on",  # share of what a part is about that the part before is about too
    "repeat",  # share of the first sentence's words that the last sentence before has too
)


@lru_cache(maxsize=20_000)
def outline_features(text: str) -> tuple[float, ...]:
    """Return the features of an outline, in the order of FEATURES; raise InputError for a text that is none."""
    parts = read_outline(text)
    leaves = leaves_of(parts)
    sizes = np.log([max(1, part.words) for part in leaves])
    top = np.log([max(1, part.words) for part in parts if part.depth == 1])
    later, pairs = leaves[1:], list(pairwise(leaves))

    def share(flags: Sequence[float]) -> float:
        return sum(map(float, flags)) / len(later) if later else 0.0

    return (
        float(np.log(len(leaves))),
        float(sizes.mean()) - 6,
        float(sizes.std()),
        float(sizes.max() - np.log(np.exp(sizes).mean())),
        float(sizes.min() - np.log(np.exp(sizes).mean())),
        float(max(part.depth for part in parts)),
        float(top.std()),
        share([part.begins == "a chapter" for part in later]),
        share([part.begins == "a paragraph" for part in later]),
        share([part.begins == "no sentence" for part in later]),
        share([begins_anew(part.first) for part in later]),
        share([points_back(part.first) for part in later]),
        share([part.first[:1] in '"“«' for part in later]),
        share([not before.last.rstrip("\"'”’»)]").endswith((".", "!", "?", "…")) for before, _ in pairs]),
        share([_shared(after.about, before.about) for before, after in pairs]),
        share([_shared(_telling(after.first), _telling(before.last)) for before, after in pairs]),
    )


@dataclass(frozen=True)
class OutlineHead(PlainLearner):
    """A linear reward of an outline's features, learned from any kind of feedback by the one likelihood.

    The weights have a normal prior of this `precision`. It has seen what it was fitted on: see `SplitRewards`.
    """

    precision: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.precision < float("inf"):
            raise ConfigError(f"the precision of the weights' prior is a number above 0, got {self.precision}")

    @property
    def name(self) -> str:  # type: ignore[override]  # read alone, as every part's is
        return f"outline-head:{self.precision:g}"

    def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
        """Return a weight for each feature, and the logit of acceptance at reward 0."""
        table = tabulate(rated)
        columns = np.array([outline_features(item.text) for item in table.items])
        ones, zeros = np.ones((1, len(table.sources))), np.zeros((1, columns.shape[1]))
        found = fit_heads(columns, table, ones, zeros, np.zeros(1), self.precision)
        return np.append(found.heads[0], found.anchor[0])

    def rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        features = np.array([outline_features(text) for text in group.outputs])
        return np.asarray(features @ weights[:-1] + weights[-1])


@dataclass(frozen=True)
class SplitRewards:
    """Reward models of decompositions whose scores are held out by source and calibrated.

    Implements `rrm.core.protocols.RewardLearner`: `OutlineHead`, cross-fitted over `folds` of the sources.
    """

    precision: float = 1.0
    folds: int = 4

    @property
    def name(self) -> str:
        return f"split-rewards({self._whole.name})"

    @property
    def _whole(self) -> Calibrated:
        return Calibrated(CrossFitted(OutlineHead(self.precision), self.folds))

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        return self._whole.fit(ratings, start, place, seed, workspace)

    def load(self, folder: Path) -> RewardModel:
        return self._whole.load(folder)


@dataclass(frozen=True)
class FittedSplits:
    """Tells better splits from worse ones by a model that a run's `SplitRewards` fitted, whose folder `path` is.

    Implements `rrm.core.protocols.SplitScorer`: a split is as good as the outline of its whole tree is accepted.
    Raises InputError for a folder that holds no such model.
    """

    path: str | Path

    @cached_property
    def _model(self) -> RewardModel:
        try:
            return SplitRewards().load(Path(self.path))
        except (OSError, KeyError, ValueError) as error:
            told = (
                f"{self.path} holds no reward model of decompositions: name a folder in `models` that [splits] fitted"
            )
            raise InputError(told) from error

    @property
    def name(self) -> str:
        return f"fitted-splits({self._model.digest})"

    def score_splits(self, source: Source, node: str, graphs: Sequence[TaskGraph]) -> list[float]:
        """Return the mean acceptance of each tree's outline, from 0 to 1."""
        group = split_group(source, [outline(graph, source) for graph in graphs], Place(0, "split"))
        [found] = self._model.predict([group])
        means: list[float] = found.acceptance[OVERALL].mean(axis=0).tolist()
        return means


def _shared(ours: Sequence[str], theirs: Sequence[str]) -> float:
    return len(set(ours) & set(theirs)) / len(set(ours)) if ours else 0.0


def _telling(sentence: str) -> list[str]:
    return [word.lower() for word in words(sentence) if len(word) > 3]
