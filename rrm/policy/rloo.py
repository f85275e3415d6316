"""KL-anchored RL by TRL: REINFORCE with a leave-one-out baseline on fresh outputs, scored as they come.

Ahmadian et al. (2024), arXiv:2402.14740. TRL's penalty is beta times k1 summed over the sequence, in the reward.
"""

from copy import deepcopy
from dataclasses import dataclass
from math import inf
from typing import Any

from rrm.backbone.tune import learner
from rrm.core.errors import InputError
from rrm.policy.kl_anchored import REWARDS, Reward
from rrm.policy.local import chat_of
from rrm.policy.reward_function import RewardFunction
from rrm.policy.scoring import require_spread
from rrm.policy.trl_trainers import anchored_to, arguments, dataset, prompt_text, quietly, require_trl, trained
from rrm.policy.tuned import Learned, Lesson, Tuned


@dataclass(frozen=True)
class RLOO(Tuned):
    """Follows the gradient of the reward less `beta` times the KL to the anchor, from `generations` outputs a prompt.

    A step reads `batch` outputs, a multiple of `generations`. The anchor is given to TRL, whatever the path in the
    sampler's config. `samples` candidates of the anchor a node are scored before, so that a scorer by which all
    outputs are alike is refused at once. Needs `rrm[trl]`.
    """

    beta: float = 0.05
    generations: int = 4
    reward: Reward = "acceptance"
    samples: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.generations < 2 or self.samples < 2 or not 0 <= self.beta < inf:
            raise InputError("RLOO needs generations >= 2, samples >= 2 and beta >= 0")
        if self.batch % self.generations:
            raise InputError(f"a batch of {self.batch} outputs is no multiple of {self.generations} generations")
        if self.reward not in REWARDS:
            raise InputError(f"the reward is one of {', '.join(REWARDS)}, got {self.reward!r}")
        require_trl("RLOO")

    def train(self, lesson: Lesson) -> Learned:
        """Return the start trained by `trl.RLOOTrainer`."""
        require_spread([each.scores for each in lesson.candidates(self.samples)])
        writer, anchor = lesson.start.writer, lesson.anchor.writer
        reward = RewardFunction(lesson.scorer, lesson.seen, self.reward)
        chats = [chat_of(each.prompt_context) for each in lesson.seen]
        rows = [{**row, "prompt": prompt_text(writer, chat)} for row, chat in zip(reward.rows(), chats, strict=True)]
        model = learner(writer, self.tuning, lesson.seed)
        anchored_to(model, anchor.checkpoint.folder)
        replies = max(each.prompt_context.task.max_tokens for each in lesson.seen)
        longest = replies + max(len(writer.prompt_ids(chat)) for chat in chats)
        with quietly():
            from trl import RLOOConfig, RLOOTrainer

            trainer = RLOOTrainer(
                model=model,
                reward_funcs=reward,
                args=RLOOConfig(
                    beta=self.beta, num_generations=self.generations, temperature=writer.temperature,
                    max_completion_length=replies, **arguments(self.tuning, lesson, writer, longest),
                ),
                train_dataset=dataset(rows),
                processing_class=writer.tokenizer,
            )  # fmt: skip
            # with adapters TRL anchors to the weights that they are added to
            if self.beta and trainer.ref_model is None:
                _anchor(trainer, deepcopy(anchor.model), writer.temperature)
            steps = trained(trainer, len(rows), lesson, self.check_every, self.steps, writer)
        return Learned(trainer.model, ("",), steps)


def _anchor(trainer: Any, model: Any, temperature: float) -> None:
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(model, temperature=temperature)
    trainer.ref_model = trainer.accelerator.prepare_model(model, evaluation_mode=True)
