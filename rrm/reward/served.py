"""A saved model of any kind, as a server of scores needs it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rrm.core.place import Place
from rrm.core.serving import TextMarks
from rrm.core.values import Group
from rrm.reward.committee import Committee
from rrm.reward.model import LevelModel, finite
from rrm.reward.open import Model, forgetting


@dataclass(frozen=True, eq=False)
class ServedModel:
    """Scores texts that clients send; implements `rrm.core.serving.TextScorer`."""

    model: Model = field(repr=False)

    @property
    def place(self) -> Place:
        return self.model.place

    @property
    def members(self) -> int:
        return self.model.members

    @property
    def needs_prompts(self) -> bool:
        return isinstance(self.model, LevelModel)

    @property
    def marks(self) -> TextMarks:
        if isinstance(self.model, LevelModel):
            return TextMarks((), ())
        joint = self.model.models[0] if isinstance(self.model, Committee) else self.model
        pad, end = joint.classifier.tokenizer.pad_token, joint.classifier.tokenizer.eos_token
        return TextMarks(tuple(filter(None, (pad,))), tuple(filter(None, (pad, end))))

    def rewards(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group its rewards [members, k]; raise InputError if some are not finite."""
        return finite(self.model.rewards(groups))

    def forgetting(self) -> "ServedModel":
        return ServedModel(forgetting(self.model))
