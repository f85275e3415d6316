"""Joint and frozen models of every level on generated books, fitted to equal ratings; used by `benchmarks.quality`.

Books, decomposition, proposals and simulated raters are those of `rrm demo`, in one round. A run fits frozen models;
the joint ones are then fitted to the very ratings of that run, level by level, so that both read the same views (in
which passages bear the frozen models' scores). The simulation knows how probable each answer was: that gives the
ceiling, and the coverage of 90 % intervals.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

import rrm
from benchmarks.people import number
from rrm.api.front import demo_file
from rrm.api.reports import estimated, labels
from rrm.api.wiring import Parts
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import KnownRater, RewardLearner, RewardModel, Start, Workspace
from rrm.core.report import Interval
from rrm.core.roles import Ratings, Train
from rrm.core.values import Rated
from rrm.evaluate.held_out import held_out
from rrm.evaluate.levels import HeldOut, level_report
from rrm.evaluate.metrics import cluster_interval, hits
from rrm.evaluate.outcomes import outcome_of
from rrm.reward.blend import Blend
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint
from rrm.store.record import open_store

SEED = 9000
HEAD = (
    "| level | model | ratings | comparisons held out | accuracy | 95 % interval | ceiling | longer wins | bag of words"
    " | NLL | ECE | coverage of 90 % intervals | seconds | CPU seconds |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class BookSizes:
    """How many books are trained on, and how joint models learn."""

    books: int = 10
    epochs: int = 1
    folds: int = 2
    backbone: str = "smollm"
    batch_tokens: int | None = None


class Results(Protocol):
    """Keeps results in a folder, as `benchmarks.quality.Kept` does."""

    folder: Path

    def get(self, key: str, about: object, make: Callable[[], object]) -> Any: ...


class Rating(NamedTuple):
    """The ratings of all levels of a run, by level, and the simulated rater who gave them."""

    levels: dict[int, tuple[Rated, ...]]
    rater: KnownRater


def rate(sizes: BookSizes, folder: Path) -> Rating:
    """Run the demo's first round on so many books, or go on with it, and return its ratings."""
    settings = demo_file(SEED)
    assert settings.train is not None
    train = replace(settings.train, arguments={**settings.train.arguments, "count": sizes.books})
    settings = replace(settings, train=train, rounds=1, select=None, improve=None, flat=False)
    rrm.run(settings, folder, quiet=True)
    found: dict[int, list[Rated]] = defaultdict(list)
    with open_store(folder, "read") as record:
        for row in record.load(Rated):
            found[row.request.place.level].append(row)
        rater: object = Parts(settings, record).rater
    assert isinstance(rater, KnownRater)
    return Rating({level: tuple(found[level]) for level in sorted(found)}, rater)


def fitted(learner: RewardLearner, ratings: Rating, folder: Path) -> Iterator[tuple[int, RewardModel, float, float]]:
    """Yield each level, the lowest first, its model, and the seconds of its fit, of the wall and of the processor."""
    below: RewardModel | None = None
    for level, rows in ratings.levels.items():
        began, cpu = time.perf_counter(), time.process_time()
        place = Place(0, "answer", level)
        workspace = Workspace(folder / f"level-{level}", _tell(level))
        below = learner.fit(Ratings(Train, rows), Start(below), place, SEED, workspace)
        yield level, below, time.perf_counter() - began, time.process_time() - cpu


def _tell(level: int) -> Callable[[int, int], None]:
    began = time.perf_counter()

    def tell(done: int, total: int) -> None:
        if done % 5 == 0:
            print(f"{time.perf_counter() - began:6.0f} s level {level}: {done} of {total}", flush=True)

    return tell


def report(level: int, model: RewardModel, ratings: Rating, seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """Return a level's figures as plain values, and its held-out comparisons by which models can be compared."""
    rows = ratings.levels[level]
    held = [HeldOut(row.probability, row.rated) for row in held_out(rows, model) if row.kind == "comparison"]
    folds = {row.request.source: fold for row in rows if (fold := model.fold(row.request.source)) is not None}
    found = level_report(
        level, held, len(rows), rows, folds, lambda request: float(ratings.rater.probability(request)[0]), SEED,
        estimated=estimated(model, labels(rows), ratings.rater, SEED),
    )  # fmt: skip
    shown = ("n_train", "n_test", "accuracy", "interval", "noise_ceiling", "longer_wins", "bag_of_words", "nll", "ece")
    figures = {name: getattr(found, name) for name in (*shown, "coverage", "coverage_n", "coverage_interval")}
    # the demo's simulated raters give no ties
    outcome = np.array([outcome_of(each.rated) for each in held], dtype=float)
    right = hits(np.array([each.probability for each in held]), outcome)
    return {
        "level": level,
        "figures": figures,
        "right": right.tolist(),
        "sources": [each.rated.request.source for each in held],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }


def table(models: Sequence[str], sizes: BookSizes, kept: Results) -> Iterator[str]:
    """Yield the rows of the table and by how much the models differ, level by level."""
    ratings = rate(sizes, kept.folder / f"books-{sizes.books}")
    settings = {"folds": sizes.folds, "epochs": sizes.epochs, "batch_tokens": sizes.batch_tokens}
    learners: dict[str, RewardLearner] = {
        "frozen": Frozen(),
        "joint": Joint(sizes.backbone, **settings),
        "sum": Blend(backbone=sizes.backbone, **settings),
    }
    right: dict[str, dict[int, tuple[np.ndarray, list[str]]]] = defaultdict(dict)
    for name in (each for each in learners if each in models):
        learner = learners[name]
        rated = [[row.feedback.id for row in rows] for rows in ratings.levels.values()]
        key = content_id("books", learner.name, rated)

        def make(learner: RewardLearner = learner, key: str = key) -> object:
            folder = kept.folder / f"books-{key[-12:]}"
            return [
                report(level, model, ratings, seconds, cpu_seconds)
                for level, model, seconds, cpu_seconds in fitted(learner, ratings, folder)
            ]

        for each in kept.get(key, ["synthetic", name, asdict(sizes)], make):
            right[name][each["level"]] = np.array(each["right"]), each["sources"]
            yield line(name, each)
    for one, other in (("joint", "frozen"), ("sum", "frozen"), ("sum", "joint")):
        for level in sorted(right[one].keys() & right[other].keys()):
            hits_of, sources = right[one][level]
            off = hits_of - right[other][level][0]
            found = cluster_interval(off, sources, lambda rows: float(rows.mean()))
            if found is not None:
                yield f"level {level}: {one} less {other} {off.mean():+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def line(model: str, each: dict[str, Any]) -> str:
    """Return a row of the table."""
    figures = each["figures"]
    low, high = figures["interval"] or (None, None)
    cells = [str(each["level"]), model, str(figures["n_train"]), str(figures["n_test"])]
    cells += [number(figures["accuracy"]), f"{number(low)} to {number(high)}"]
    cells += [number(figures[name]) for name in ("noise_ceiling", "longer_wins", "bag_of_words", "nll", "ece")]
    cells += [_coverage(figures["coverage"], figures["coverage_interval"], figures["coverage_n"])]
    cells += [f"{each['seconds']:.0f}", f"{each['cpu_seconds']:.0f}"]
    return "| " + " | ".join(cells) + " |"


def _coverage(share: float | None, interval: Sequence[float] | Interval | None, count: int) -> str:
    if share is None:
        return "–"
    low, high = interval or (None, None)
    return f"{share:.0%} ({number(low)} to {number(high)}) of {count}"
