"""Supervised fine-tuning by TRL on what a rule keeps of a language model's own outputs: (filtered) imitation.

The same target as `rrm.policy.likelihood`, of which outputs are drawn here and weighed there: TRL's loss is the mean
over tokens of a batch, so long outputs count more, and rows have no weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rrm.backbone.tune import learner
from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.policy.finite import Finite
from rrm.policy.quantilizer import Quantilizer
from rrm.policy.reweighted import Reweighting
from rrm.policy.scoring import require_spread
from rrm.policy.trl_trainers import arguments, dataset, quietly, require_plain, require_trl, trained
from rrm.policy.tuned import Candidates, Learned, Lesson, Tuned


@dataclass(frozen=True)
class SFT(Tuned):
    """Fine-tunes on `kept` outputs a node, drawn from what the rule `of` makes of `samples` candidates.

    `Quantilizer(q=0.25)` is filtered imitation, `Quantilizer(q=1)` imitation of the anchor. Needs `rrm[trl]`.
    """

    of: Reweighting = field(default_factory=lambda: Quantilizer(q=0.25))
    samples: int = 16
    kept: int = 4
    target_kl: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2 or self.kept < 1 or not self.target_kl > 0:
            raise InputError("fine-tuning needs samples >= 2, kept >= 1 and target_kl > 0")
        require_trl("SFT")

    def train(self, lesson: Lesson) -> Learned:
        """Return the start fine-tuned by `trl.SFTTrainer`."""
        writer = lesson.start.writer
        require_plain("SFT", writer)
        candidates = lesson.candidates(self.samples)
        require_spread([each.scores for each in candidates])
        rows = self._rows(lesson, candidates)
        longest = max(len(row["input_ids"]) for row in rows)
        model = learner(writer, self.tuning, lesson.seed)
        with quietly():
            from trl import SFTConfig, SFTTrainer

            trainer = SFTTrainer(
                model=model,
                args=SFTConfig(max_length=None, packing=False, **arguments(self.tuning, lesson, writer, longest)),
                train_dataset=dataset(rows),
                processing_class=writer.tokenizer,
            )
            steps = trained(trainer, len(rows), lesson, self.check_every, self.steps, writer)
        return Learned(trainer.model, ("",), steps)

    def _rows(self, lesson: Lesson, candidates: Sequence[Candidates]) -> list[dict[str, Any]]:
        """Return rows of tokens, so that TRL tokenises nothing otherwise; the loss is of the reply."""
        rule, rows = self.of.rule(self.target_kl), []
        for each in candidates:
            target = rule(Finite.uniform(len(each.texts)), each.scores, each.texts)
            random = generator("kept", lesson.seed, each.seen.prompt_context.node)
            prompt = lesson.prompt(each.seen)
            for at in target.draw(random, self.kept):
                reply = lesson.start.writer.reply(each.texts[int(at)])
                rows.append({"input_ids": [*prompt, *reply], "labels": [*[-100] * len(prompt), *reply]})
        return rows
