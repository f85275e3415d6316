"""What the last layers of models read: the states of their trunks, whatever the models are wrapped in."""

from collections.abc import Sequence

import numpy as np

from rrm.core.errors import InputError
from rrm.core.protocols import RewardModel
from rrm.core.values import Group
from rrm.reward.adapted import AdaptedModel
from rrm.reward.apart import ApartModel
from rrm.reward.calibrated import CalibratedModel
from rrm.reward.cross_fit import CrossFittedModel
from rrm.reward.dispersed import DispersedModel
from rrm.reward.joint_model import JointModel
from rrm.reward.model import LevelModel
from rrm.reward.summed import SummedModel

States = tuple[np.ndarray, ...]
"""Of the k outputs of a group, one array [k, size] for each kind of trunk that reads them."""


def states_of(model: RewardModel, groups: Sequence[Group]) -> list[States]:
    """Return what the last layer of a model reads of each group's outputs; nothing of models without such a layer.

    Of a source that was learned from, those trunks tell that did not see it, as they score it. Where several trunks
    that began as one read a group, their mean; of models of several kinds added up, the states of each kind.
    """
    if isinstance(model, DispersedModel | CalibratedModel):
        return states_of(model.inner, groups)
    if isinstance(model, CrossFittedModel):
        return [_mean(each) for each in model.each(groups, states_of)]
    if isinstance(model, ApartModel):
        return [_mean(each) for each in zip(*(states_of(one, groups) for one in model.models), strict=True)]
    if isinstance(model, SummedModel):
        parts = zip(*(states_of(part, groups) for part in model.parts), strict=True)
        return [tuple(state for part in each for state in part) for each in parts]
    if isinstance(model, AdaptedModel | JointModel):
        return [(_finite(each),) for each in model.states(groups)]
    if isinstance(model, LevelModel):
        return [(_finite(model.trunk(each)),) for each in model.reader.read(groups)]
    return [()] * len(groups)


def _mean(several: Sequence[States]) -> States:
    return tuple(np.mean(each, axis=0) for each in zip(*several, strict=True))


def _finite(states: np.ndarray) -> np.ndarray:
    if not np.isfinite(states).all():
        raise InputError("a model's trunk gives states that are not finite: its weights diverged or are damaged")
    return states
