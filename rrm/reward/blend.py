"""Several kinds of models added up, one sum a level: heads on a frozen encoder and a fine-tuned language model.

In a run file:

    [reward]
    plugin = "rrm.reward.blend:Blend"
    arguments = { backbone = "smollm", epochs = 2 }

or any learners:

    [reward]
    plugin = "rrm.reward.blend:Blend"
    arguments = { learners = ["rrm.reward.frozen:Frozen", { plugin = "mine:Mine", arguments = { folds = 4 } }] }
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rrm.core.arguments import plain_arguments
from rrm.core.errors import ConfigError
from rrm.core.machine import MachineTime, ReadingLoad, TellsTime
from rrm.core.place import Place
from rrm.core.protocols import Cache, RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.reward.belief import HeadsBelief
from rrm.reward.calibrated import Calibrated
from rrm.reward.dispersed import Dispersed
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint
from rrm.reward.last_layer import believe_models
from rrm.reward.summed import Summed


@plain_arguments
class Blend:
    """Adds up the models of several learners; implements `rrm.core.protocols.RewardLearner`.

    How much each counts is fitted to what they say of sources that they hold out (`rrm.reward.summed.Summed`); the sum
    is calibrated and dispersed as one model. Without `learners` they are a `Frozen`, which fits raters' `reliability`
    if it is told to, and a `Joint` with the `settings` of one: `backbone`, `epochs`, ...; `device`, `dtype` and `cache`
    are of these, too. Raises ConfigError for fewer than two learners, for one that stands there twice, and for settings
    beside `learners`.
    """

    def __init__(
        self,
        learners: Sequence[RewardLearner] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        cache: Cache | None = None,
        reliability: bool = False,
        **settings: Any,
    ) -> None:
        if learners is None:
            frozen = Frozen(device=device, dtype=dtype, cache=cache, reliability=reliability)
            learners = frozen, Joint(device=device, dtype=dtype, **settings)
        elif beside := [*settings, *(["reliability"] if reliability else [])]:
            raise ConfigError(
                f"[reward] arguments: {beside[0]} is a setting of the learners that Blend makes itself: where learners"
                " are named, it belongs among the arguments of one of them"
            )
        if not isinstance(learners, list | tuple):
            raise ConfigError(f"[reward] learners is a list of two learners or more, got one {type(learners).__name__}")
        self.learners = tuple(learners)
        self._stack = Dispersed(Calibrated(Summed(self.learners)))

    @property
    def name(self) -> str:
        """Covers every learner."""
        return self._stack.name

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        """Fit all parts and their sum; without ratings the sum of the level below serves here, too."""
        return self._stack.fit(ratings, start, place, seed, workspace)

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> HeadsBelief:
        """Return the belief of `rrm.reward.last_layer`: implements `rrm.core.asking.BelievingLearner`.

        What parts without a last layer say is in what the sum says; the belief's states are those of the others.
        """
        reliability = any(each.reliability for each in self._layered)
        return believe_models(models, [for_fitting(each).rows for each in ratings], reliability)

    @property
    def no_belief(self) -> str | None:
        if not self._layered:
            return "none of its learners has a last layer on a trunk: make rrm.reward.frozen:Frozen one of them"
        return next((each.no_belief for each in self._layered if each.no_belief), None)

    @property
    def _layered(self) -> list[Frozen | Joint]:
        return [each for each in self.learners if isinstance(each, Frozen | Joint)]

    def machine_time(self, load: ReadingLoad) -> MachineTime | None:
        """Return what all parts together take; None where one of them cannot say."""
        told = [learner.machine_time(load) if isinstance(learner, TellsTime) else None for learner in self.learners]
        known = [each for each in told if each is not None]
        if len(known) < len(told):
            return None
        return MachineTime(*map(sum, zip(*known, strict=True)))

    def load(self, folder: Path) -> RewardModel:
        """Return a saved sum; raise InputError if files are missing, changed, or of other learners."""
        return self._stack.load(folder)
