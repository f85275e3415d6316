"""A run's scores as a reward function, for anybody's TRL script."""

from pathlib import Path
from typing import Any

from rrm.api.loaded import Loaded
from rrm.api.recorded import seen_in_training
from rrm.api.scorers import composed_scorer
from rrm.api.worker import ModelScorer
from rrm.core.place import Place
from rrm.core.roles import Scorer, Train
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
        scorer: Scorer[Train]
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
