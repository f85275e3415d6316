"""What any model says of ratings whose sources it holds out, as calibration and dispersion are fitted to."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logit

from rrm.core.place import Place
from rrm.core.protocols import RewardModel
from rrm.core.values import OVERALL, Group, Prediction, Rated
from rrm.feedback.table import FeedbackTable, tabulate
from rrm.reward.calibrate import HeldLogits

EDGE = 1e-6
"""Acceptance is kept this far from 0 and 1 where its logit is taken."""


class Said(NamedTuple):
    """Rewards and logits of acceptance of all items, [items, members]; NaN where nobody who may speak knows."""

    rewards: np.ndarray
    accepted: np.ndarray


def held_logits(model: RewardModel, rated: Sequence[Rated]) -> HeldLogits:
    """Return a model's logits [rows, members] of ratings about sources that it holds out, each with its fold.

    Comparisons and rankings give differences of rewards; labels and ratings, where the model is anchored, logits
    of acceptance. Where a source has fewer members than another the rest is NaN.
    """
    feedback = tabulate(rated)
    said = said_of(model, feedback)
    rows = [(pair.first, pair.second, (1.0, 0.0, 0.5)[pair.choice], pair.source) for pair in feedback.pairs()]
    if model.anchored:
        rows += [(item, -1, good, source) for item, good, source in feedback.valued()]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    first, second, source = table[:, [0, 1, 3]].astype(np.int64).T
    alone = second < 0
    logits = np.where(alone[:, None], said.accepted[first], said.rewards[first] - said.rewards[second])
    folds = np.array([_fold(model, each) for each in feedback.sources], dtype=np.int64)
    views = np.unique([item.view.id for item in feedback.items], return_inverse=True)[1].ravel()
    fold = folds[source]
    held = HeldLogits(logits, table[:, 2], alone.astype(np.float64), fold, first, second, views[first])
    return held.where((fold >= 0) & np.isfinite(logits).any(axis=1))


def acceptance_logits(said: Prediction) -> np.ndarray:
    """Return the logits of a prediction's acceptance, [members, k]."""
    return np.asarray(logit(np.clip(said.acceptance[OVERALL], EDGE, 1 - EDGE)))


def _fold(model: RewardModel, source: str) -> int:
    """Return the fold of a source that was fitted on and is held out, -1 for any other."""
    fold = model.fold(source)
    return fold if fold is not None and model.holds_out(source) else -1


def said_of(model: RewardModel, feedback: FeedbackTable) -> Said:
    """Ask a model once about every item of a table whose source it holds out."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, item in enumerate(feedback.items):
        source = feedback.sources[feedback.item_source[at]]
        if _fold(model, source) >= 0:
            groups[source, item.view.id].append(at)
    asked = [
        Group(source, Place(), feedback.items[places[0]].view, tuple(feedback.items[at].text for at in places))
        for (source, _), places in groups.items()
    ]
    found = model.predict(asked) if asked else []
    members = max((each.rewards[OVERALL].shape[0] for each in found), default=1)
    rewards = np.full((len(feedback.items), members), np.nan)
    acceptance = rewards.copy()
    for each, places in zip(found, groups.values(), strict=True):
        own = each.rewards[OVERALL].shape[0]
        rewards[places, :own] = each.rewards[OVERALL].T
        acceptance[places, :own] = acceptance_logits(each).T
    return Said(rewards, acceptance)
