"""Fine-tuned language models as reward models, one a level: source and output are read together.

In a run file:

    [reward]
    plugin = "rrm.reward.joint:Joint"
    arguments = { backbone = "smollm", tune = "lora" }
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from rrm.core.arguments import plain_arguments
from rrm.core.errors import ConfigError
from rrm.core.kinds.parts import is_count
from rrm.core.machine import MachineTime, ReadingLoad
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.reward.apart import Apart
from rrm.reward.belief import HeadsBelief
from rrm.reward.calibrated import Calibrated
from rrm.reward.cross_fit import CrossFitted
from rrm.reward.dispersed import Dispersed
from rrm.reward.last_layer import believe_models
from rrm.reward.train import refuse_ties
from rrm.reward.tuned import Tuned

Ensemble = Literal["heads", "adapters", "trunks"]
"""What the members of a model have of their own: a head, adapters with a head, or all weights."""

_TUNES: Mapping[Ensemble, str] = {"adapters": "lora", "trunks": "full"}
_APART = 5  # members; four or five are enough (Coste et al., 2023, arXiv:2310.02743)


@plain_arguments
class Joint:
    """Fine-tunes a language model for each level; implements `rrm.core.protocols.RewardLearner`.

    A model for each of `folds` folds is trained on the sources of the others, so that every source is scored by
    what never saw it: the next level reads such scores, and accuracy, calibration and intervals are fitted to
    them. With 2 folds all trainings together read each row once an epoch. A source is in the same fold at every
    level and in every round, and each fold's model starts from the same fold's of the round before, or else below.
    The `members` of the `ensemble` are "heads" on one trunk (8), or trained apart (5): "adapters" of their own on one
    backbone, or whole "trunks" (`rrm.reward.apart`).
    `settings` are those of `rrm.reward.tuned.Tuned`: `tune` ("lora" or "full"), `epochs`, `members`,
    `max_length`, `pooling`, ...
    """

    def __init__(
        self,
        backbone: str = "smollm",
        folds: int = 2,
        ensemble: Ensemble = "heads",
        device: str = "auto",
        dtype: str = "auto",
        **settings: Any,
    ) -> None:
        if folds < 2:
            raise ConfigError(f"[reward] folds must be 2 or more, got {folds}: a source is scored by what never saw it")
        if ensemble not in get_args(Ensemble):
            raise ConfigError(f"[reward] ensemble is one of {', '.join(get_args(Ensemble))}, got {ensemble!r}")
        self.folds, self.trainings = folds, 1
        if ensemble != "heads":
            self.trainings, settings = _apart(ensemble, settings)
        self.tuned = Tuned(backbone, device=device, dtype=dtype, **settings)
        one = self.tuned if ensemble == "heads" else Apart(self.tuned, self.trainings)
        self._stack: RewardLearner = Dispersed(Calibrated(CrossFitted(one, folds)))

    @property
    def name(self) -> str:
        """Covers the backbone, its precision, and every setting of the trainings."""
        return self._stack.name

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        """Fit the model of a place; without ratings that of the level below serves here, too.

        Raises InputError where no rating tells a better output from a worse one, and there is no earlier model.
        """
        if start.before is None and start.below is None:
            refuse_ties(for_fitting(ratings).rows, place.title)
        return self._stack.fit(ratings, start, place, seed, workspace)

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> HeadsBelief:
        """Return the belief of `rrm.reward.last_layer`: implements `rrm.core.asking.BelievingLearner`."""
        return believe_models(models, [for_fitting(each).rows for each in ratings], self.reliability)

    @property
    def reliability(self) -> bool:
        """Whether raters' reliability is fitted with the heads."""
        return self.tuned.config.reliability

    @property
    def no_belief(self) -> None:
        return None

    def machine_time(self, load: ReadingLoad) -> MachineTime:
        """Return what the trainings of all folds and the models' scores take.

        A source is trained on by all folds but its own and scored by one model, a target by all. A trunk that levels
        share learns from the ratings of all of them, and members that are trained apart all do. What is trained
        on counts three times, for the way back. What is predicted while fitting is among what is scored, and is
        remembered, but not by whole models (`tune = "full"`). Processes that share a training are not counted on.
        """
        rated = load.fitted + (load.others if self.tuned.shared else 0)
        fitted = self.trainings * (self.folds - 1) * self.tuned.config.epochs * rated
        again = 0 if self.tuned.config.tune == "lora" else 2 * load.fitted
        read = self.trainings * (load.scored + self.folds * load.targets + again)
        seconds = self.tuned.seconds_to_read(load.sample) / max(load.sample_tokens, 1)
        fitting = 3 * fitted + self.trainings * again
        return MachineTime(fitted + read, (3 * fitted + read) * seconds, fitting * seconds)

    def load(self, folder: Path) -> RewardModel:
        """Return a saved model; raise InputError if its files are missing, changed, or of another backbone."""
        return self._stack.load(folder)


def _apart(ensemble: Ensemble, settings: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return how many members are trained apart, and the settings of one; raise ConfigError where they do not fit."""
    members, tune = settings.get("members", _APART), _TUNES[ensemble]
    if not is_count(members) or members < 2:
        raise ConfigError(f"[reward] an ensemble of {ensemble} has 2 members or more, got {members!r}")
    if settings.get("tune", tune) != tune:
        raise ConfigError(f"[reward] an ensemble of {ensemble} needs tune = {tune!r}, got {settings['tune']!r}")
    return members, {**settings, "members": 1, "tune": tune}
