"""How well each criterion's head tells answers that it was not fitted on."""

from collections.abc import Sequence

import numpy as np

from rrm.core.report import CriterionAccuracy, HeldOutShare
from rrm.evaluate.held_out import Predicted
from rrm.evaluate.metrics import share_interval


def by_criterion(predicted: Sequence[Predicted], seed: int = 0, resamples: int = 1000) -> tuple[CriterionAccuracy, ...]:
    """Return the accuracy by criterion, in alphabetical order; nothing where all answers are by one criterion.

    Ties, and ratings in the middle of their scale, are left out; a probability of one half is half right.
    """
    rows: dict[str, list[Predicted]] = {}
    for each in predicted:
        if each.outcome is not None:
            rows.setdefault(each.rated.feedback.criterion, []).append(each)
    if len(rows) < 2:
        return ()

    def share(some: Sequence[Predicted]) -> HeldOutShare:
        right = np.array(
            [0.5 if each.probability == 0.5 else float((each.probability > 0.5) == each.outcome) for each in some]
        )
        sources = [each.source for each in some]
        interval = share_interval(right, sources, resamples=resamples, seed=seed) if some else None
        return HeldOutShare(len(some), float(right.mean()) if some else None, interval)

    return tuple(
        CriterionAccuracy(
            criterion,
            share([each for each in rows[criterion] if each.pair[0] != each.pair[1]]),
            share([each for each in rows[criterion] if each.pair[0] == each.pair[1]]),
        )
        for criterion in sorted(rows)
    )
