"""What a report says of peeks: how often claims are wrong that raters above the leaves could not check."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.special import betaincinv

from rrm.ask.unseen import Sight
from rrm.core.claims import Chain
from rrm.core.report import PeekedClaims, PeeksReport, TargetReport
from rrm.core.values import Label
from rrm.pipeline.peeks import claims_of, peeked_trees
from rrm.pipeline.steps import Run

SURE = (0.5, 0.8, 1.0)
"""Ways to the source are told apart by how sure they are: up to each of these."""

_PRIOR = 0.5
_TAIL = 0.05


def peeks_report(run: Run, targets: Sequence[TargetReport], minutes: float) -> PeeksReport | None:
    """Return what peeks told, for the outputs chosen for targets, too; None where no rater looked at anything."""
    if not run.peeks:
        return None
    train = Counter(_class(chain) for tree in peeked_trees(run) for chain in claims_of(run, tree))
    chosen = Counter(_class(chain) for target in targets for chain in target.claims)
    found = np.zeros((len(SURE), 2))
    for each in run.peeks:
        if isinstance(each.rated.feedback.answer, Label):
            found[bisect_left(SURE, min(each.surety, 1.0)), 0 if each.rated.feedback.answer.good else 1] += 1
    wrong = Sight.of_peeks(found, _PRIOR).belief[:, 1]
    rows = []
    for at, high in enumerate(SURE):
        right, missed = found[at]
        low, upper = (float(betaincinv(missed + _PRIOR, right + _PRIOR, tail)) for tail in (_TAIL, 1 - _TAIL))
        rows.append(
            PeekedClaims(
                low=SURE[at - 1] if at else 0.0,
                high=high,
                claims=train[at],
                peeked=int(right + missed),
                wrong=int(missed),
                share=float(wrong[at]),
                share_low=low,
                share_high=upper,
                chosen=chosen[at],
            )
        )
    return PeeksReport(tuple(rows), train[None], chosen[None], minutes)


def _class(chain: Chain) -> int | None:
    return bisect_left(SURE, min(chain.score, 1.0)) if chain.grounded else None
