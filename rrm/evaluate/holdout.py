"""A holdout that may be looked at again and again: Thresholdout.

Whoever chooses by a holdout, looks, and chooses again fits the holdout in the end. Here a look is answered by the
estimate that was optimised against, as long as the holdout does not contradict it by more than a noisy threshold; only
then is the holdout's own answer given, with noise, and one of a limited number of such answers is used up. Dwork,
Feldman, Hardt, Pitassi, Reingold and Roth (2015), The reusable holdout, doi:10.1126/science.aaa9375, figure 1.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from rrm.core.errors import InputError
from rrm.core.ids import generator


class Answer(NamedTuple):
    """What a look is told: a value, and whether it is the holdout's, which uses up one of its answers."""

    value: float
    by_holdout: bool


@dataclass(frozen=True)
class Thresholdout:
    """Answers looks at a holdout: `threshold` and `noise` are in the unit of what is asked, such as a share.

    The threshold is moved by Laplace noise of scale 2 `noise`, anew after each answer of the holdout, and by 4 `noise`
    at each look; the answer has noise of scale `noise`. For means of n values in [0, 1], thresholds of 3 / sqrt(n) and
    noise of 0.1 / sqrt(n) keep what is told near the truth. `answers` is how often the holdout may answer.
    """

    threshold: float
    noise: float
    answers: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.threshold < inf and 0 <= self.noise < inf and self.answers >= 1):
            raise InputError(
                f"a reusable holdout needs a threshold and a noise of 0 or more and one answer or more, got "
                f"{self.threshold}, {self.noise} and {self.answers}"
            )

    def look(self, number: int, used: int, optimised: float, held_out: float) -> Answer:
        """Answer look `number`, `used` answers of the holdout having been given before.

        `optimised` is the value by what was optimised against, `held_out` the holdout's. Equal looks are answered
        alike. Raises InputError once all answers are used up: nothing more may be chosen by this holdout.
        """
        if used >= self.answers:
            raise InputError(f"all {self.answers} answers of the holdout are used up: nothing more is chosen by it")
        moved = generator("thresholdout", self.seed, used).laplace(0.0, 2 * self.noise)
        random = generator("look", self.seed, number)
        bound = self.threshold + moved + random.laplace(0.0, 4 * self.noise)
        if abs(held_out - optimised) <= bound:
            return Answer(optimised, False)
        return Answer(held_out + float(random.laplace(0.0, self.noise)), True)
