"""What a kind of feedback is: one class, whose instances are answers, with all that follows from the kind.

Only the likelihood stands elsewhere, in `rrm/feedback/` under the kind's name, because it needs torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

import numpy as np

from rrm.core.errors import InputError
from rrm.core.kinds.parts import TEXT, FormPart, brief

Metric = Literal["nominal", "ordinal", "interval"]
"""Equal or not / squared difference of ranks, as in Krippendorff's ordinal metric / squared difference of values."""

Pool = Literal["shown", "edits", "view"]
"""What else could have been chosen: what was shown / and other edits of it / and all texts beside the same view."""

LONGEST_TEXT = 200_000
"""Characters that one text of an answer may have."""

_LONGEST_BRIEF = 80


@dataclass(frozen=True)
class Answer(ABC):
    """An answer of one kind: a frozen dataclass whose fields are what a rater says.

    A subclass names its `kind`, as records, requests and pages do, and says how few and how many outputs a
    question of it `shows`. Two answers are compared by their `coding` under each of `metrics`; a kind without
    metrics is words, neither right nor wrong. Read as a choice, an answer is one among those of its `pool`. A kind
    `anchors` scores where its answers say what is `accepted`.
    Places count from 0, among the outputs in one order: as asked, or as shown. Every field has a part of the
    form (`rrm.core.kinds.parts`) as metadata.
    """

    kind: ClassVar[str]
    shows: ClassVar[tuple[int, int]]
    metrics: ClassVar[tuple[Metric, ...]]
    pool: ClassVar[Pool] = "shown"
    anchors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Make numpy's numbers and truth values, which raters compute with, plain ones, as records hold them."""
        for name, value in vars(self).items():
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())
            elif isinstance(value, tuple) and any(isinstance(each, np.generic) for each in value):
                plain = tuple(each.item() if isinstance(each, np.generic) else each for each in value)
                object.__setattr__(self, name, plain)

    # ---- the form ----

    @classmethod
    def takes(cls) -> tuple[str, ...]:
        """Return the kinds of answers that a question of this kind takes: its own, or its rejection."""
        return cls.kind, "reject"

    @classmethod
    def read(cls, told: Mapping[str, object]) -> Self:
        """Return the answer that a JSON object's parts tell.

        A part that is None may be there though the kind has none of that name, as in a table with all kinds'
        columns. Raises InputError naming a part that is missing, of another type or not of this kind.
        """
        needed = {each.name: each.default is MISSING for each in fields(cls)}
        for name, value in told.items():
            if name not in needed and value is not None:
                raise InputError(f"a {cls.kind} has {', '.join(needed)}, and no {name!r}")
        if missing := [name for name, is_needed in needed.items() if is_needed and name not in told]:
            raise InputError(f"a {cls.kind} needs {', '.join(missing)}")
        known = {name: told[name] for name in needed if name in told}
        for name, value in known.items():
            if not (part := cls.parts()[name]).fits(value):
                raise InputError(f"{name!r} must be {part.words}, got {brief(value)}")
        return cls.of_json(known)

    @classmethod
    def of_json(cls, held: Mapping[str, Any]) -> Self:
        """Return the answer that was recorded as JSON, whose lists are tuples; unchecked but for what `cls` checks."""
        return cls(**{name: _tuples(value) for name, value in held.items()})

    @classmethod
    def parts(cls) -> dict[str, FormPart]:
        """Return what each field must be in a form."""
        return {each.name: each.metadata["part"] for each in fields(cls)}

    @classmethod
    def words(cls) -> str | None:
        """Return the name of the field that holds a rater's own words, None where there is none."""
        return next((name for name, part in cls.parts().items() if part == TEXT["part"]), None)

    @abstractmethod
    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        """Raise InputError unless this answers a question that shows outputs of these texts.

        `points` is the length of the rating scale, None where any will do.
        """

    # ---- places ----

    @abstractmethod
    def permuted(self, order: Sequence[int]) -> Self:
        """Return the same answer where place i has become place `order[i]`."""

    # ---- agreement ----

    @property
    def first(self) -> int | None:
        """The place of the one output that is put before all others, None if there is none."""
        return None

    @abstractmethod
    def coding(self, detail: Mapping[str, Any]) -> Hashable | None:
        """Return what two raters who agree say alike; None for what is not compared.

        `detail` is what was kept beside the answer.
        """

    @abstractmethod
    def difference(self, other: Self) -> float:
        """Return from 0 to 1 how much another answer of this kind differs."""

    def agrees(self, expected: Self) -> bool:
        """Whether this is as right as the known answer, which is of this kind."""
        return self == expected

    # ---- words ----

    @abstractmethod
    def brief(self, name: Callable[[int], str]) -> str:
        """Return the answer in a few words; `name` names the output at a place."""

    @abstractmethod
    def sentence(self, name: Callable[[int], str]) -> str:
        """Return the answer as a statement about the outputs; `name` names the output at a place."""

    # ---- as a choice ----

    def texts(self, shown: tuple[str, ...]) -> tuple[str, ...]:
        """Return the texts among which the answer chooses, as far as it knows them, the rater's own first."""
        return shown

    def decides(self, count: int) -> bool:
        """Whether the answer tells anything about rewards, as a choice that concerns so many texts."""
        return count > 0

    @property
    def accepted(self) -> float | None:
        """1 if the output is good, 0 if it is not, 0.5 in the middle; None if the answer has no place for zero."""
        return None

    @abstractmethod
    def pairs(self, count: int) -> list[tuple[int, int]]:
        """Return the pairs (better, worse) of places, among `count` texts, that the answer decides directly."""


@dataclass(frozen=True)
class Written(Answer):
    """An answer in a rater's own words, which are not compared with another's; by default chosen over what is shown."""

    metrics: ClassVar[tuple[Metric, ...]] = ()
    text: str = field(metadata=TEXT)

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        check_text(self.text, f"a {self.kind}")

    def permuted(self, order: Sequence[int]) -> Self:
        return self

    def coding(self, detail: Mapping[str, Any]) -> None:
        return None

    def difference(self, other: Self) -> float:
        return 0.0

    def brief(self, name: Callable[[int], str]) -> str:
        return beginning(self.text)

    def texts(self, shown: tuple[str, ...]) -> tuple[str, ...]:
        return self.text, *shown

    def decides(self, count: int) -> bool:
        return count > 1

    def pairs(self, count: int) -> list[tuple[int, int]]:
        return [(0, other) for other in range(1, count)]


def check_text(text: str, what: str) -> None:
    """Raise InputError for what is no text, or too long a one."""
    if not isinstance(text, str):
        raise InputError(f"{what} is a text, got {text!r:.40}")
    if len(text) > LONGEST_TEXT:
        raise InputError(f"{what} has up to {LONGEST_TEXT:,} characters, got {len(text):,}")


def beginning(text: str) -> str:
    """Return the beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_BRIEF else line[: _LONGEST_BRIEF - 1] + "…"


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
