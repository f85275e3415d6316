"""What is told of a reward model of decompositions: its accuracy on sources held out, beside two plain rules."""

from collections.abc import Callable, Sequence

import numpy as np

from rrm.core.report import SplitsReport
from rrm.core.splits import OutlinePart, leaves_of, read_outline
from rrm.core.values import Request
from rrm.evaluate.figures import figures
from rrm.evaluate.levels import HeldOut
from rrm.evaluate.metrics import accuracy
from rrm.evaluate.outcomes import outcome_of


def splits_report(
    held_out: Sequence[HeldOut],
    n_train: int,
    ceiling_probability: Callable[[Request], float] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> SplitsReport:
    """Return how well a model predicts comparisons of outlines that it was not fitted on; `n_train` ratings taught it.

    `ceiling_probability` is how likely a simulated rater was to choose the first outline shown.
    """
    probability, rated = np.array([row.probability for row in held_out]), [row.rated for row in held_out]
    found = figures(probability, rated, None, ceiling_probability, seed, resamples=resamples)
    requests, outcome = [row.request for row in rated], np.array([outcome_of(row) for row in rated], dtype=float)
    rules = [accuracy(rule(requests), outcome).value for rule in (more_even_wins, fewer_parts_win)]
    return SplitsReport(n_train, found, *rules)


def more_even_wins(requests: Sequence[Request]) -> np.ndarray:
    """Return 1 where the first decomposition shown has parts of more even sizes, 0 if less, 0.5 if alike, [n]."""
    return _smaller_wins(requests, lambda parts: float(np.log([max(1, part.words) for part in parts]).std()))


def fewer_parts_win(requests: Sequence[Request]) -> np.ndarray:
    """Return 1 where the first decomposition shown has fewer parts, 0 if more, 0.5 if as many, [n]."""
    return _smaller_wins(requests, len)


def _smaller_wins(requests: Sequence[Request], size: Callable[[Sequence[OutlinePart]], float]) -> np.ndarray:
    pairs = [[size(leaves_of(read_outline(shown.text))) for shown in request.shown[:2]] for request in requests]
    table = np.array(pairs, dtype=float).reshape(-1, 2)
    return np.asarray((1 + np.sign(np.round(table[:, 1] - table[:, 0], 9))) / 2)
