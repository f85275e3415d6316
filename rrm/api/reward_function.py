"""A run's scores as a reward function, for anybody's TRL script."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rrm.api.composed import ComposedScorer
from rrm.api.loaded import Loaded
from rrm.api.recorded import seen_in_training
from rrm.api.worker import ModelScorer
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import Seen
from rrm.core.roles import Scorer, Train
from rrm.core.values import Fitted
from rrm.policy.kl_anchored import Reward
from rrm.policy.reward_function import RewardFunction


def reward_function(
    directory: str | Path, place: Place | str | None = None, reward: Reward = "acceptance", **parts: Any
) -> RewardFunction:
    """Return a run's scores as a reward function for TRL's trainers: those of a place's model, or the composed ones.

    `place` is a `Place` or its text, such as "0/answer/0", whose model of role train scores. None gives the composed
    score: of the completion in the place of its node's output, over the outputs that were read below. `rows()` gives
    the rows to train on: the nodes of training sources that questions were put about, of the place's level or of all.
    Each source is scored by members that were not fitted on it. `parts` are objects that the run was given, as in
    `rrm.load`.

    Raises InputError where the run has no such model of role train: no judge of another role is optimised against.
    """
    run = Loaded(Path(directory), parts)
    try:
        if place is None:
            scorer, seen = composed_scorer(run)
        else:
            at = Place.parse(place) if isinstance(place, str) else place
            fitted = run.model(at).fitted
            scorer = ModelScorer[Train]((fitted,), run.worker.models)
            seen = seen_in_training(run.record, run.trees, at.level)
    except BaseException:
        run.close()
        raise
    return RewardFunction(scorer, seen, reward)


def composed_scorer(run: Loaded) -> tuple[Scorer[Train], Sequence[Seen]]:
    """Return who gives the composed scores of a run's training nodes, and these nodes."""
    fitted: list[Fitted] = [each for each in run.models() if each.role == Train.name and each.place.subject == "answer"]
    if not fitted:
        raise InputError(f"{run.directory} has no reward model of role train yet: wait until its first level is fitted")
    models = {each.place.level: (each, run.worker.models.load(each)) for each in fitted}
    seen = seen_in_training(run.record, run.trees)
    return ComposedScorer(run.record, run.trees, models, run.composer(), seen), seen
