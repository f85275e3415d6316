"""What is believed of outputs' rewards, and what is asked next because of it."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from rrm.core.protocols import RewardLearner, RewardModel
from rrm.core.roles import R, Ratings
from rrm.core.values import Group


@runtime_checkable
class Belief(Protocol):
    """What is believed of the rewards of any outputs at any level, all ratings that it was made of included.

    Rewards are in logits and those of these very outputs, what features do not tell of them included: the logistic of
    one is the probability that a rater accepts that output, the logistic of a difference that it is preferred.
    Outputs are those of the groups one after another.
    """

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        """Return the expected reward of every output, float64 [n]."""
        ...

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        """Return the covariance of every output's reward with every other's, float64 [n, m]."""
        ...


@runtime_checkable
class BelievingLearner(RewardLearner, Protocol):
    """A learner that says what is believed once its models are fitted."""

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> Belief:
        """Return the belief over all levels, from each level's model, lowest first, and the ratings to believe.

        Raises InputError where no rating says anything.
        """
        ...
