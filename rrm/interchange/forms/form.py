"""What a reader of one form is given and gives: a row of texts and a legend, judgements of the texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief
from rrm.core.values import Answer, Label
from rrm.interchange.columns import truth
from rrm.interchange.rows import Row


class EqualTexts(InputError):
    """A row that prefers a text to itself."""


@dataclass(frozen=True)
class Legend:
    """How columns are to be read; `RecordedPreferences` says what each means."""

    margin_scale: float | None = None
    aspect: str | None = None
    scale: tuple[int, int] | None = None
    votes: Literal["consensus", "each"] = "consensus"


class Judged(NamedTuple):
    """What was said of some texts, by their positions in the row.

    `context` is what stands before the texts, `copy` numbers independent askings, `rater` is a
    rater whom the form itself tells apart.
    """

    texts: tuple[str, ...]
    answer: Answer
    context: str = ""
    copy: int = 0
    rater: str | None = None


Reader = Callable[[Row, Legend], list[Judged]]
"""A row, without its null columns and with its prompt and outputs as texts, to what it says of them."""


def label_of(value: Any, column: str) -> Label:
    """Return true or false, or 1 or 0, as a label; raise InputError for anything else."""
    good = truth(value)
    if good is None:
        raise InputError(f"{column} must be true or false, got {brief(value)}")
    return Label(good)


def is_list(value: Any) -> bool:
    """Whether a value is a list, and not a text."""
    return isinstance(value, Sequence) and not isinstance(value, str)
