"""What a server of scores needs of a reward model."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rrm.core.place import Place
from rrm.core.values import Group


class TextMarks(NamedTuple):
    """The tokens that may stand before a text, and those that may stand behind it, and mean nothing."""

    before: tuple[str, ...]
    behind: tuple[str, ...]


class TextScorer(Protocol):
    """A reward model that scores texts from elsewhere."""

    @property
    def place(self) -> Place: ...

    @property
    def members(self) -> int: ...

    @property
    def needs_prompts(self) -> bool:
        """Whether it compares outputs with their prompts, so that a text without one cannot be scored."""
        ...

    @property
    def marks(self) -> TextMarks:
        """What a client's tokenizer leaves around a text: padding, and the end of a sequence."""
        ...

    def rewards(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group its rewards, finite float64 [members, k], in logits.

        Raises InputError for texts that cannot be scored, and for rewards that are not finite.
        """
        ...

    def forgetting(self) -> "TextScorer":
        """Return the same scorer without what it remembers of texts, which grows with all that it reads."""
        ...
