"""Direct preference optimisation by TRL: of each node's outputs those that score better are preferred to worse ones.

Rafailov et al. (2023), arXiv:2305.18290; its optimum is that of KL-anchored RL with the same beta where the scores are
log-odds of preference. TRL knows neither ties nor weights: pairs that tie are left out.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from rrm.backbone.tune import learner
from rrm.core.errors import InputError
from rrm.policy.scoring import require_spread
from rrm.policy.trl_trainers import arguments, dataset, quietly, require_plain, require_trl, trained
from rrm.policy.tuned import Candidates, Learned, Lesson, Tuned


@dataclass(frozen=True)
class DPO(Tuned):
    """Learns from pairs of `samples` candidates a node: the best with the worst, the second with the last but one, ...

    `beta` is the weight of the KL to the anchor, which is given to TRL as a model. Needs `rrm[trl]`.
    """

    beta: float = 0.1
    samples: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2 or not 0 < self.beta < inf:
            raise InputError(f"DPO needs samples >= 2 and a beta above 0, got {self.samples} and {self.beta}")
        require_trl("DPO")

    def train(self, lesson: Lesson) -> Learned:
        """Return the start trained by `trl.DPOTrainer`."""
        writer = lesson.start.writer
        require_plain("DPO", writer)
        candidates = lesson.candidates(self.samples)
        require_spread([each.scores for each in candidates])
        rows = _pairs(lesson, candidates)
        longest = max(2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows)
        model = learner(writer, self.tuning, lesson.seed)
        with quietly():
            from trl import DPOConfig, DPOTrainer

            class Tokenised(DPOTrainer):  # type: ignore[misc]
                """Takes rows of tokens as they are: TRL's own way joins tokens across the end of a prompt."""

                def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
                    return dataset

            trainer = Tokenised(
                model=model,
                ref_model=deepcopy(lesson.anchor.writer.model),
                args=DPOConfig(beta=self.beta, max_length=None, **arguments(self.tuning, lesson, writer, longest)),
                train_dataset=dataset(rows),
                processing_class=writer.tokenizer,
            )
            steps = trained(trainer, len(rows), lesson, self.check_every, self.steps, writer)
        return Learned(trainer.model, ("",), steps)


def _pairs(lesson: Lesson, candidates: Sequence[Candidates]) -> list[dict[str, list[int]]]:
    reply, rows = lesson.start.writer.reply, []
    for each in candidates:
        prompt, order = lesson.prompt(each.seen), np.argsort(each.scores, kind="stable")
        for worse, better in zip(order, order[::-1], strict=True):
            if each.scores[better] > each.scores[worse]:
                chosen, rejected = reply(each.texts[better]), reply(each.texts[worse])
                rows.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    return rows
