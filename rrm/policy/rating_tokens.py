"""Trains a language model on outputs of all ratings, each behind its rating, and then asks for a high one.

The rating is written in front of the output, a quantile of those seen, dropped now and then so that the model writes
without it, too. Chen et al. (2021), Decision transformer, arXiv:2106.01345; quantiles as tokens, rated anew as the
policy moves: Lu et al. (2022), Quark, arXiv:2205.13636, whose bins by rank set equal scores apart: here ties stay
together. Written as text, as in SteerLM (Dong et al. 2023, arXiv:2310.05344), a rating needs no new token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

import numpy as np

from rrm.backbone.tune import Row, fit, learner
from rrm.core.errors import InputError
from rrm.policy.conditioning import bins
from rrm.policy.finite import Finite
from rrm.policy.scoring import require_spread
from rrm.policy.tuned import Candidates, Learned, Lesson, Tuned, writing

Loss = Literal["reply", "all"]


@dataclass(frozen=True)
class RatingTokens(Tuned):
    """Learns `samples` candidates a node, each behind its rating, one of `quantiles`; then writes behind a high rating.

    `rating` is the mean acceptance asked for: its quantile stands in front from then on. None asks for the highest
    quantile whose KL is within the budget. One above all that were seen is refused unless `beyond` allows it: then it
    is the highest quantile. The share `drop` of the training is without a rating. `loss` is that of the reply alone
    (conditional likelihood), or of "all", the rating too (next token). With `rounds` above 1 the policy's outputs
    behind the rating asked for are rated and added, and all are put in quantiles anew; the sources stay the same.
    """

    rating: float | None = None
    quantiles: int = 5
    samples: int = 16
    drop: float = 0.1
    loss: Loss = "reply"
    rounds: int = 1
    beyond: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rating is not None and not 0 <= self.rating <= 1:
            raise InputError(f"the rating asked for is a mean acceptance in [0, 1], got {self.rating}")
        if self.quantiles < 2 or self.samples < 2 or self.rounds < 1 or not 0 <= self.drop < 1:
            raise InputError("ratings need quantiles >= 2, samples >= 2, rounds >= 1 and a drop in [0, 1)")
        if self.loss not in ("reply", "all"):
            raise InputError(f"the loss is one of reply, all, got {self.loss!r}")

    def train(self, lesson: Lesson) -> Learned:
        """Return the start, trained on ratings and what was rated so; its notes are the ratings to ask for."""
        pool = lesson.candidates(self.samples)
        require_spread([each.scores for each in pool])
        writer, steps = lesson.start.writer, 0
        model = learner(writer, self.tuning, lesson.seed)
        for round_ in range(self.rounds):
            notes = self._notes(pool)
            if round_:
                fresh = lesson.written(writing(writer, model), notes[0], self.samples, round_)
                pool = [_together(old, new) for old, new in zip(pool, fresh, strict=True)]
                notes = self._notes(pool)
            rows = self._rows(lesson, pool)
            steps += fit(
                model, rows, self.tuning, pad=writer.pad, temperature=writer.temperature, seed=lesson.seed + round_,
                stop=lesson.progress(self.tuning.steps),
            )  # fmt: skip
        return Learned(model, notes, steps)

    def _notes(self, pool: Sequence[Candidates]) -> tuple[str, ...]:
        """Return what may stand in front of outputs: the quantile of the rating asked for, or all, the best first."""
        every, rated = np.concatenate([each.scores for each in pool]), self._bins(pool)
        if self.rating is None:
            return tuple(self._note(int(each)) for each in np.unique(rated)[::-1])
        if self.rating > every.max() and not self.beyond:
            raise InputError(
                f"a rating of {self.rating:g} was never seen, the highest was {every.max():.3f}: ask for less, or set "
                "beyond = true"
            )
        nearest = int(np.abs(every - self.rating).argmin())
        return (self._note(int(rated[nearest])),)

    def _bins(self, pool: Sequence[Candidates]) -> np.ndarray:
        every = np.concatenate([each.scores for each in pool])
        return bins(Finite.uniform(len(every)), every, self.quantiles)

    def _note(self, quantile: int) -> str:
        return f" (Rating: {quantile + 1} of {self.quantiles}.)"

    def _rows(self, lesson: Lesson, pool: Sequence[Candidates]) -> list[Row]:
        rated, reply, rows = iter(self._bins(pool)), lesson.start.writer.reply, []
        for each in pool:
            plain = lesson.prompt(each.seen)
            for text in each.texts:
                said = reply(text)
                behind = lesson.prompt(each.seen, self._note(int(next(rated))))
                shared = len(behind) if self.loss == "reply" else _in_common(plain, behind)
                rated_so = Row(behind[:shared], [*behind[shared:], *said])
                rows += [rated_so._replace(weight=1 - self.drop), Row(plain, said, self.drop)]
        return rows


def _in_common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two prompts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def _together(old: Candidates, new: Candidates) -> Candidates:
    scores: Any = np.concatenate([old.scores, new.scores])
    return Candidates(old.seen, (*old.texts, *new.texts), scores)
