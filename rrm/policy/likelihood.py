"""Fits a language model to what a rule keeps of its own outputs: the forward KL to the rule's target, by likelihood.

With a `Quantilizer` that is filtered imitation and quantilized fine-tuning; with `KLAnchored` the forward KL to the
optimum of KL-anchored RL; with `Matching` distribution matching, anchor exp(lambda . features) / Z with lambda by
damped Newton on the anchor's own samples, as in Khalifa et al. (2021), arXiv:2012.11635, whose gradient, the
expectation over the anchor of target / anchor times that of the log-likelihood, is the weighted likelihood's here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rrm.backbone.tune import Row, fit, learner
from rrm.core.errors import InputError
from rrm.policy.finite import Finite
from rrm.policy.quantilizer import Quantilizer
from rrm.policy.reweighted import Reweighting
from rrm.policy.scoring import require_spread
from rrm.policy.tuned import Candidates, Learned, Lesson, Tuned, writing


@dataclass(frozen=True)
class Likelihood(Tuned):
    """Fits the weights to `samples` candidates a node, each counted as the rule `of` weighs it.

    Candidates are the anchor's. The rule may go `target_kl` nats, as a model falls short of a target; the policy keeps
    its own budget. A rule that keeps everything, `Quantilizer(q=1)`, is imitation of the anchor itself.
    """

    of: Reweighting = field(default_factory=lambda: Quantilizer(q=0.25))
    samples: int = 16
    target_kl: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2 or not self.target_kl > 0:
            raise InputError(f"a fit needs samples >= 2 and target_kl > 0, got {self.samples} and {self.target_kl}")

    def train(self, lesson: Lesson) -> Learned:
        """Return the start fitted to the weighted candidates."""
        candidates = lesson.candidates(self.samples)
        require_spread([each.scores for each in candidates])
        writer = lesson.start.writer
        rows = self._rows(lesson, candidates)
        model = learner(writer, self.tuning, lesson.seed)
        steps = fit(
            model, rows, self.tuning, pad=writer.pad, temperature=writer.temperature, seed=lesson.seed,
            stop=lesson.stopper(writing(writer, model), self.check_every, self.tuning.steps),
        )  # fmt: skip
        return Learned(model, ("",), steps)

    def _rows(self, lesson: Lesson, candidates: Sequence[Candidates]) -> list[Row]:
        rule, reply = self.of.rule(self.target_kl), lesson.start.writer.reply
        rows = []
        for each in candidates:
            prompt = lesson.prompt(each.seen)
            weights = rule(Finite.uniform(len(each.texts)), each.scores, each.texts).probs
            rows += [Row(prompt, reply(text), float(w)) for text, w in zip(each.texts, weights, strict=True)]
        return rows
