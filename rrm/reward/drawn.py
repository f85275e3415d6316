"""A learner of one's own with draws beside its model: what is asked next goes by what they leave open.

In a run file:

    [reward]
    plugin = "rrm.reward.drawn:Drawn"
    arguments = { learner = "mine:Mine", draws = 1000 }
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from rrm.core.arguments import plain_arguments
from rrm.core.draws import Draws
from rrm.core.errors import ConfigError, InputError, PluginError
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.core.values import Group, Prediction, Rated
from rrm.files import durable
from rrm.reward.calibrated import Calibrated, CalibratedModel
from rrm.reward.cross_fit import CrossFitted
from rrm.reward.disperse import standing_in, steepness, upward
from rrm.reward.dispersed import Dispersed, DispersedModel
from rrm.reward.plain import PlainLearner
from rrm.reward.wrap import INNER, checked, inside, of_kind, read_facts, saved

_TENSORS = "draws.safetensors"


@dataclass(frozen=True, eq=False)
class DrawnModel:
    """A model that reports, and `weights` [draws, ...] of as many fits beside it; implements `RewardModel`.

    `told` are the ids of the feedback that the draws were fitted to; without any there are no draws.
    """

    reported: RewardModel = field(repr=False)
    learner: PlainLearner = field(repr=False)
    weights: np.ndarray = field(repr=False)
    told: frozenset[str] = field(repr=False)

    @property
    def anchored(self) -> bool:
        return self.reported.anchored

    @property
    def digest(self) -> str:
        weights = blake2b(np.ascontiguousarray(self.weights).tobytes(), digest_size=16).hexdigest()
        return content_id("drawn", self.reported.digest, list(self.weights.shape), weights, sorted(self.told))

    def fold(self, source: str) -> int | None:
        return self.reported.fold(source)

    def holds_out(self, source: str) -> bool:
        return self.reported.holds_out(source)

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        return self.reported.predict(groups)

    def drawn(self, group: Group) -> np.ndarray:
        """Return the rewards of a group's very outputs by every draw, [draws, k], in logits of acceptance.

        They are calibrated as the model that reports is, and lie around what the learner tells as far as held-out
        ratings showed outputs and views to do (at another level, as these let expect), each draw's by a number of its
        own for every output and view. These hang on view and text alone, so of a single output a fit anew keeps only
        what the learner makes of it.
        """
        top = self.reported
        assert isinstance(top, DispersedModel) and isinstance(top.inner, CalibratedModel)
        calibration = top.inner.calibrations[None]
        dispersion = upward(top.dispersions[None], group.place.level - top.level)
        count = len(self.weights)
        raw = self.learner.drawn_rewards(self.weights, group)
        if raw.shape != (count, len(group.outputs)):
            wanted = f"rewards [{count} draws, {len(group.outputs)} outputs]"
            raise PluginError(f"{self.learner.name} must return {wanted}, got an array of shape {raw.shape}")
        logits = calibration.slope * raw + (calibration.intercept if self.anchored else 0.0)
        view = generator("draws", group.view.id).normal(size=count)
        own = np.array([generator("draws", group.view.id, text).normal(size=count) for text in group.outputs]).T
        beside = np.sqrt(dispersion.output) * own + np.sqrt(dispersion.view) * view[:, None]
        return np.asarray(steepness(dispersion.total) * logits + beside)

    def save(self, folder: Path) -> str:
        from safetensors.numpy import save

        self.reported.save(folder / INNER)
        durable(folder / _TENSORS, save({"weights": np.ascontiguousarray(self.weights)}))
        return saved(folder, self.digest, {"told": sorted(self.told)})


@plain_arguments
class Drawn:
    """Fits a learner's model as `Dispersed(Calibrated(CrossFitted(learner)))` does, and `draws` of it beside that.

    Each draw is learned from as many ratings as there are, drawn with replacement (the bootstrap: given the rewards
    ratings are independent, so it is of single ones). They are for asking, from all ratings but those of questions
    drawn `at_random` beside the chosen ones (`Start`), and score nothing; what is said until the next fit weighs them
    (`rrm.core.draws.Draws`). Implements `rrm.core.asking.BelievingLearner`. Draws of different levels have nothing in
    common but what the learner itself takes over, so answers move the rewards of their own level. Raises ConfigError
    for fewer than two draws, and for a learner that is no `PlainLearner`.
    """

    def __init__(self, learner: PlainLearner, draws: int = 1000, folds: int = 4) -> None:
        if not isinstance(learner, PlainLearner):
            raise ConfigError(
                f"[reward] Drawn takes a learner of rrm.reward.plain:PlainLearner, got a {type(learner).__name__}:"
                " others have no weights to draw"
            )
        if draws < 2:
            raise ConfigError(f"[reward] draws must be 2 or more, got {draws}")
        self.learner, self.draws = learner, draws
        self._reported = Dispersed(Calibrated(CrossFitted(learner, folds)))

    @property
    def name(self) -> str:
        return f"drawn({self._reported.name}, {self.draws})"

    @property
    def no_belief(self) -> None:
        return None

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        """Fit the model that reports and the draws; without ratings that of the level below serves here, too."""
        rows = for_fitting(ratings).rows
        below, before = of_kind(DrawnModel, start.below), of_kind(DrawnModel, start.before)
        begin = replace(start, below=below and below.reported, before=before and before.reported)
        reported = self._reported.fit(ratings, begin, place, seed, inside(workspace))
        if below is not None and not rows:
            return replace(below, reported=reported)
        believed = [row for row in rows if row.request.question not in start.at_random]
        drawn = []
        for at in range(self.draws if believed else 0):
            places = generator(seed, "draw", at).integers(len(believed), size=len(believed))
            weights = self.learner.learned([believed[each] for each in places], seed_for(seed, "draw", at))
            drawn.append(np.asarray(weights, dtype=np.float64))
            workspace.progress(at + 1, self.draws)
        found = np.array(drawn)
        if not np.isfinite(found).all():
            raise PluginError(f"the weights that {self.learner.name} learned are not finite")
        return DrawnModel(reported, self.learner, found, frozenset(row.feedback.id for row in believed))

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> Draws:
        """Return the draws of all levels, lowest first, by how likely each has what was said since they were fitted.

        Levels without ratings, or with none but of questions drawn at random, are believed to be as the one below that
        has some, but for how far outputs differ (`rrm.reward.disperse`). Raises InputError without a rating.
        """
        by_level: dict[int, DrawnModel] = {}
        since: list[Rated] = []
        for model, given in zip(models, ratings, strict=True):
            own = of_kind(DrawnModel, model)
            if own is not None and given.rows:
                if own.told:
                    by_level[given.rows[0].request.place.level] = own
                since += [row for row in for_fitting(given).rows if row.feedback.id not in own.told]
        if not by_level:
            raise InputError("nothing is believed yet: no rating says anything about rewards")
        return Draws(_Rewards(by_level), np.zeros(self.draws)).after(since)

    def load(self, folder: Path) -> DrawnModel:
        """Return a saved model; raise InputError if its files are missing or changed."""
        from safetensors.numpy import load

        facts = read_facts(folder, ("told",))
        try:
            weights = load((folder / _TENSORS).read_bytes())["weights"]
        except Exception as error:  # a damaged file fails in several ways
            raise InputError(f"{folder / _TENSORS} cannot be read: {error}") from error
        model = DrawnModel(self._reported.load(folder / INNER), self.learner, weights, frozenset(facts["told"]))
        return checked(model, folder, facts)


class _Rewards:
    """Every draw's rewards of any outputs, by the models of their levels; what was drawn is remembered."""

    def __init__(self, models: Mapping[int, DrawnModel]) -> None:
        self._models = models
        self._known: dict[tuple[int, str, tuple[str, ...]], np.ndarray] = {}

    def __call__(self, groups: Sequence[Group]) -> np.ndarray:
        count = len(next(iter(self._models.values())).weights)
        return np.concatenate([np.empty((count, 0)), *map(self._of, groups)], axis=1)

    def _of(self, group: Group) -> np.ndarray:
        key = group.place.level, group.view.id, group.outputs
        if key not in self._known:
            self._known[key] = self._models[standing_in(self._models, group.place.level)].drawn(group)
        return self._known[key]
