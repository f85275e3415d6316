"""What the wrappers of learners share: the model below, their facts on disk, and numbers by fold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from rrm.core.errors import ConfigError, InputError
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.values import OVERALL, Prediction
from rrm.files import read_json, write_json
from rrm.reward.calibrate import HeldLogits
from rrm.reward.model import nothing_to_fit

FACTS, INNER = "wrapped.json", "inner"

Fold = int | None
"""A fold, or None for new sources."""

T = TypeVar("T")
M = TypeVar("M", bound=RewardModel)


def check_learner(learner: object, wrapper: str) -> None:
    """Raise ConfigError for what is no learner."""
    if not isinstance(learner, RewardLearner):
        raise ConfigError(f"{wrapper} wraps a reward learner (name, fit, load), got {type(learner).__name__}")


def shared(below: M | None, place: Place) -> M:
    """Return the model below, for a place without ratings; raise InputError where there is none."""
    if below is None:
        raise nothing_to_fit(place)
    return below


def of_kind(kind: type[M], below: RewardModel | None) -> M | None:
    """Return the model below as the wrapper's own kind; raise InputError if it is another."""
    if below is None or isinstance(below, kind):
        return below
    raise InputError(f"a {kind.__name__} starts from its own kind, not from a {type(below).__name__}")


class _Wrapper(RewardModel, Protocol):
    @property
    def inner(self) -> RewardModel: ...


def unwrapped(kind: type[_Wrapper], start: Start) -> Start:
    """Return what the learner that is wrapped starts from; raise InputError for models of another kind."""
    below, before = of_kind(kind, start.below), of_kind(kind, start.before)
    return replace(start, below=below and below.inner, before=before and before.inner)


def inside(workspace: Workspace) -> Workspace:
    """Return the workspace of the learner that is wrapped."""
    return replace(workspace, folder=workspace.folder / INNER)


def together(said: Sequence[Prediction]) -> Prediction:
    """Return one prediction by the members of several."""
    return Prediction.overall(
        np.concatenate([each.rewards[OVERALL] for each in said]),
        np.concatenate([each.acceptance[OVERALL] for each in said]),
    )


def share_of(progress: Callable[[int, int], None], at: int, count: int) -> Callable[[int, int], None]:
    """Return what is told how far one of several fits is, and tells how far all of them are together."""
    return lambda done, total: progress(at * total + done, count * total)


# ---- numbers by fold ----


def folds_to_fit(folds: Iterable[int], below: Iterable[Fold]) -> list[Fold]:
    """Return the folds that have numbers of their own, None last: those of a level's rows, and those known below.

    Numbers for new sources are fitted around those below, and so to the ratings that a source may have there alone.
    """
    return [*sorted({*folds, *(fold for fold in below if fold is not None)}), None]


def by_others(held: HeldLogits, below: Iterable[Fold]) -> list[tuple[Fold, HeldLogits]]:
    """Return for each fold, also those known below, the rows of all others, and for new sources all rows."""
    folds = folds_to_fit(held.fold.tolist(), below)
    return [(fold, held if fold is None else held.where(held.fold != fold)) for fold in folds]


def entry(model: RewardModel, source: str, known: Mapping[Fold, T]) -> T:
    """Return what is known for a source's fold, or else for new sources."""
    fold = model.fold(source)
    return known[fold if fold in known else None]


class _Numbers(Protocol):
    def _asdict(self) -> dict[str, Any]: ...


def by_fold(known: Mapping[Fold, _Numbers]) -> dict[str, dict[str, Any]]:
    """Return numbers by fold as JSON takes them, of which `fold_of` makes the folds again."""
    return {"new" if fold is None else str(fold): numbers._asdict() for fold, numbers in known.items()}


def fold_of(key: str) -> Fold:
    return None if key == "new" else int(key)


# ---- files ----


def saved(folder: Path, digest: str, facts: Mapping[str, Any]) -> str:
    """Write a wrapper's facts, once what it wraps is saved; return the digest."""
    write_json(folder / FACTS, {**facts, "digest": digest})
    return digest


def read_facts(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return a wrapper's facts; raise InputError where there are none, or not these."""
    facts = read_json(folder / FACTS)
    missing = [name for name in (*names, "digest") if name not in facts]
    if missing:
        told = f"{folder / FACTS} does not say {', '.join(missing)}"
        raise InputError(f"{told}: it is no such model, or another version of rrm wrote it; fit it again")
    return facts


def checked(model: M, folder: Path, facts: Mapping[str, Any]) -> M:
    """Return a model that was read; raise InputError if it is not the one that was saved."""
    if model.digest != facts["digest"]:
        raise InputError(f"{folder} was changed after it was written: its digest does not match")
    return model
