"""What a report says of peeks: how often claims are wrong that raters above the leaves could not check."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rrm.agreement.estimates import JEFFREYS, jeffreys
from rrm.ask.unseen import Sight
from rrm.core.claims import Chain
from rrm.core.report import PeekedClaims, PeeksReport, TargetReport
from rrm.core.values import Label
from rrm.pipeline.peeks import SURE, claims_of, peeked_trees, surety_class
from rrm.pipeline.steps import Run


def peeks_report(run: Run, targets: Sequence[TargetReport], minutes: float) -> PeeksReport | None:
    """Return what peeks told, for the outputs chosen for targets, too; None where no rater looked at anything."""
    if not run.peeks:
        return None
    train = Counter(_class(chain) for tree in peeked_trees(run) for chain in claims_of(run, tree))
    chosen = Counter(_class(chain) for target in targets for chain in target.claims)
    found = np.zeros((len(SURE), 2))
    by_value = np.zeros(2, dtype=np.int64)
    for each in run.peeks:
        if isinstance(each.rated.feedback.answer, Label):
            wrong_ = 0 if each.rated.feedback.answer.good else 1
            if each.chosen:
                by_value[wrong_] += 1
            else:
                found[surety_class(each.surety), wrong_] += 1
    wrong = Sight.of_peeks(found, JEFFREYS).belief[:, 1]
    rows = []
    for at, high in enumerate(SURE):
        right, missed = found[at]
        low, upper = jeffreys(missed, right + missed, 0.9)
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
    told = int(by_value.sum()), int(by_value[1])
    return PeeksReport(tuple(rows), train[None], chosen[None], minutes, *told)


def _class(chain: Chain) -> int | None:
    return surety_class(chain.score) if chain.grounded else None
