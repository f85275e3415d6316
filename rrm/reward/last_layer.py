"""What is believed of models whose trunks were learned, too: their scores, and what a last layer adds to them.

A head a level weighs what the level's own model says of an output, by one beforehand, beside the states that its trunk
gives, by nothing beforehand: so ratings say in which directions of the trunk models are wrong. Sources that were
learned from are scored and read by the trunks that never saw them, so that their ratings do not count twice.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.protocols import RewardModel
from rrm.core.values import OVERALL, Group, Prediction, Rated
from rrm.feedback.table import tabulate
from rrm.reward.belief import HeadsBelief, Layer, believe, item_groups
from rrm.reward.calibrate import IDENTITY
from rrm.reward.dispersed import DispersedModel, undispersed
from rrm.reward.evidence import USUAL
from rrm.reward.fit import ANCHOR_SD
from rrm.reward.held import acceptance_logits
from rrm.reward.states import States, states_of
from rrm.reward.trunk import CLIP

COMPONENTS = 64
"""Principal directions of a trunk's states that are weighed at most; the rest is among what states do not tell."""


class _Directions(NamedTuple):
    """The principal directions of a trunk's states: `centre` [size], `along` [size, d], a `limit` [d] for each."""

    centre: np.ndarray
    along: np.ndarray
    limit: np.ndarray

    def __call__(self, states: np.ndarray) -> np.ndarray:
        return np.asarray(np.clip((states - self.centre) @ self.along, -self.limit, self.limit))


class _Reader:
    """Reads columns with a level's model: what the model says of an output, and its states along directions.

    What was read is remembered.
    """

    def __init__(self, model: DispersedModel, directions: Sequence[_Directions]) -> None:
        self._model, self._directions = model, directions
        self._known: dict[tuple[str, str, str], np.ndarray] = {}

    def __call__(self, groups: Sequence[Group]) -> list[np.ndarray]:
        new = [each for each in groups if any(key not in self._known for key in _keys(each))]
        said, states = undispersed(self._model), states_of(self._model, new) if new else []
        for group, told, own in zip(new, said.predict(new) if new else [], states, strict=True):
            found = [_reward(told, self._model.anchored)[:, None]]
            found += [directions(each) for directions, each in zip(self._directions, own, strict=True)]
            self._known.update(zip(_keys(group), np.concatenate(found, axis=1), strict=True))
        return [np.array([self._known[key] for key in _keys(group)]) for group in groups]


def believe_models(
    models: Sequence[RewardModel], rated: Sequence[Sequence[Rated]], reliability: bool = False
) -> HeadsBelief:
    """Return the belief of levels' models, lowest first, and all ratings of each (`rrm.reward.belief.believe`).

    The intercept of acceptance is a model's own, give or take half a logit; what neither scores nor states tell of
    outputs and views has the variances that the models found in held-out ratings. Raises InputError
    without a usable rating, for models that are of another kind, and for states that are not finite.
    """
    own = {
        rows[0].request.place.level: (_dispersed(model), rows)
        for model, rows in zip(models, rated, strict=True)
        if rows and tabulate(rows).rows
    }
    directions = _directions(own)
    width = 1 + sum(each.along.shape[1] for each in directions)
    layers = [
        Layer(
            level=level,
            read=_Reader(model, directions),
            centre=np.eye(1, width)[0],
            follows=at > 0,
            precision=None,
            anchored=model.anchored,
            anchor_sd=ANCHOR_SD,
            calibration=IDENTITY,
            dispersion=model.dispersions[None],
        )
        for at, (level, (model, _)) in enumerate(own.items())
    ]
    return believe(layers, [rows for _, rows in own.values()], reliability)


def _dispersed(model: RewardModel) -> DispersedModel:
    if isinstance(model, DispersedModel):
        return model
    raise InputError(f"what a {type(model).__name__} leaves open is not known: its learner has no Dispersed around it")


def _directions(own: Mapping[int, tuple[DispersedModel, Sequence[Rated]]]) -> list[_Directions]:
    """Return the directions of each trunk's states over the outputs that were rated, those of all levels together."""
    read: list[States] = []
    for model, rows in own.values():
        read += states_of(model, [group for group, _ in item_groups(tabulate(rows))])
    kinds = [np.concatenate(states) for states in zip(*read, strict=True)]
    return [_principal(states, USUAL / len(kinds)) for states in kinds]


def _principal(states: np.ndarray, square: float) -> _Directions:
    """Return at most `COMPONENTS` directions of states [outputs, size], of this mean square length along all of them.

    Under the usual precision that is a variance of one, in squared logits, of all kinds of trunks together. No state
    lies farther out along a direction than five standard deviations.
    """
    centre = states.mean(axis=0)
    _, lengths, rows = np.linalg.svd(states - centre, full_matrices=False)
    kept = min(COMPONENTS, int((lengths > 1e-6 * max(float(lengths.max(initial=0.0)), 1e-9)).sum()))
    spread = lengths[:kept] / np.sqrt(len(states))
    scale = np.sqrt(square / max(float((spread**2).sum()), 1e-12))
    return _Directions(centre, scale * rows[:kept].T, scale * CLIP * spread)


def _reward(said: Prediction, anchored: bool) -> np.ndarray:
    """Return what a model's members say in the mean, [k]: logits of acceptance where it is anchored."""
    return np.asarray((acceptance_logits(said) if anchored else said.rewards[OVERALL]).mean(axis=0))


def _keys(group: Group) -> list[tuple[str, str, str]]:
    return [(group.source, group.view.id, text) for text in group.outputs]
