"""Claim marks: which claims of an output nothing supports, which are wrong in detail, and what is missing."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from rrm.core.claims import about, claim_spans
from rrm.core.errors import InputError
from rrm.core.kinds.answer import Answer, Metric, check_text
from rrm.core.kinds.parts import is_spans, is_texts, part
from rrm.core.task import Span

Marks = tuple[tuple[int, int], ...]
"""(start, end) characters of an output."""

MOST_MARKS = 200
"""Marks that one answer may have."""


@dataclass(frozen=True)
class ClaimMarks(Answer):
    """What a rater marks of an output, claim by claim; a claim without a mark is found right.

    `unsupported` and `wrong` (in detail) are (start, end) characters of the output: whole claims as the page marks
    them, or any others. `missing` quotes, or says in the rater's words, what is important and not there. Read as
    choices, a claim is right or not, and the output would be better with each piece that is missing.
    """

    kind: ClassVar[str] = "claims"
    shows: ClassVar[tuple[int, int]] = (1, 1)
    metrics: ClassVar[tuple[Metric, ...]] = ("nominal",)
    unsupported: Marks = field(default=(), metadata=part(is_spans, "a list of [start, end] characters"))
    wrong: Marks = field(default=(), metadata=part(is_spans, "a list of [start, end] characters"))
    missing: tuple[str, ...] = field(default=(), metadata=part(is_texts, "a list of texts that are not empty"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(len(span) != 2 for span in self.marks):
            raise InputError(f"marks on claims are pairs of start and end, got {self.marks}")
        if len(set(self.marks)) < len(self.marks):
            raise InputError(f"a claim is unsupported or wrong in detail and is marked once, got {sorted(self.marks)}")
        if len(self.marks) + len(self.missing) > MOST_MARKS:
            raise InputError(f"an answer has up to {MOST_MARKS} marks, got {len(self.marks) + len(self.missing)}")

    @property
    def marks(self) -> Marks:
        """All marks on what the output says."""
        return self.unsupported + self.wrong

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        if len(texts) != 1:
            raise InputError(f"claims are marked in one output, the item shows {len(texts)}")
        for start, end in self.marks:
            if not 0 <= start < end <= len(texts[0]):
                raise InputError(
                    f"a mark lies within the output's {len(texts[0])} characters, got {start} to {end}: was it made on"
                    " another version of the output?"
                )
        for each in self.missing:
            check_text(each, "what is missing")

    def permuted(self, order: Sequence[int]) -> Self:
        return self

    def coding(self, detail: Mapping[str, Any]) -> Hashable:
        """Return whether anything is marked as not right; which claims is compared by `difference`."""
        return bool(self.marks)

    def difference(self, other: Self) -> float:
        """Return the share of marked characters that one has marked and the other has not (Jaccard's distance)."""
        one, two = ({at for start, end in each.marks for at in range(start, end)} for each in (self, other))
        return 1 - len(one & two) / len(one | two) if one | two else 0.0

    def agrees(self, expected: Self) -> bool:
        """Whether every known fault was touched, and nothing is marked where none is known."""
        return bool(self.marks) == bool(expected.marks) and all(
            any(start < high and low < end for start, end in self.marks) for low, high in expected.marks
        )

    def brief(self, name: Callable[[int], str]) -> str:
        counts = ((len(self.unsupported), "unsupported"), (len(self.wrong), "wrong"), (len(self.missing), "missing"))
        return ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing marked"

    def sentence(self, name: Callable[[int], str]) -> str:
        return f"marked claims of {name(0)}: {self.brief(name)}"

    # ---- as choices ----

    def texts(self, shown: tuple[str, ...]) -> tuple[str, ...]:
        """Return the claims that marks are about, one text a mark; if anything is missing the output and it with

        each piece added; and the claims that no mark is about.
        """
        [text] = shown
        spans = claim_spans(text)
        touched: set[int] = set()
        found = []
        for mark in self.marks:
            meant = about(text, Span(*mark))
            touched.update(meant)
            start, end = (spans[meant[0]].start, spans[meant[-1]].end) if meant else mark
            found.append(text[start:end])
        if self.missing:
            found += [text, *(f"{text}\n{piece}" if text else piece for piece in self.missing)]
        return (*found, *(text[start:end] for at, (start, end) in enumerate(spans) if at not in touched))

    @property
    def added(self) -> range:
        """The places, among the `texts`, of the output with a missing piece; the output itself stands before them."""
        first = len(self.marks) + 1
        return range(first, first + len(self.missing))

    @property
    def unmarked(self) -> int:
        """The place, among the `texts`, of the first claim without a mark."""
        return self.added.stop if self.missing else len(self.marks)

    def pairs(self, count: int) -> list[tuple[int, int]]:
        """Return each claim without a mark over each with one, and the output with what is missing over it as it is."""
        if count < self.unmarked:
            return []
        found = [(fine, marked) for marked in range(len(self.marks)) for fine in range(self.unmarked, count)]
        return found + [(place, self.added.start - 1) for place in self.added]
