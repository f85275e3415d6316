"""Judgements: feedback as a table of rows about items, checked once, that every likelihood reads.

An item is a text beside a view. What the rows of each kind hold is in `Blocks`, as arrays.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from rrm.core.errors import InputError
from rrm.core.values import (
    Answer,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Label,
    Ranking,
    Rated,
    Rating,
    Reject,
    View,
)

_Kind = TypeVar("_Kind")

FIRST, SECOND, TIE = 0, 1, 2
MOST_POINTS = 20
"""A scale with more points than this, such as 0 to 100, is read as a quantity and not point by point."""


class Item(NamedTuple):
    """A text, and the view beside which it was judged."""

    view: View
    text: str


class Scale(NamedTuple):
    """A rating scale: read point by point (`ordinal`), or as a quantity where means or many points are on it."""

    points: int
    ordinal: bool


class Pair(NamedTuple):
    """Two items that a judgement compares: the first is better (0), the second (1), or they tie (2)."""

    first: int
    second: int
    choice: int
    source: int


class Compared(NamedTuple):
    """Comparisons: items, choice, and the grade of its strength from 0 up (-1: not asked); all [rows]."""

    row: np.ndarray
    first: np.ndarray
    second: np.ndarray
    choice: np.ndarray
    grade: np.ndarray


class Ranked(NamedTuple):
    """Rankings: items and which are present [rows, k]; places best first [rows, m], padded with -1."""

    row: np.ndarray
    items: np.ndarray
    present: np.ndarray
    best_first: np.ndarray


class Valued(NamedTuple):
    """Ratings on one scale, or labels (1 good, 0 bad): items and values, [rows]."""

    row: np.ndarray
    item: np.ndarray
    value: np.ndarray


class Chosen(NamedTuple):
    """Choices of one among several: items and which are present, [rows, k]; the first was chosen."""

    row: np.ndarray
    items: np.ndarray
    present: np.ndarray


class Critiqued(NamedTuple):
    """Critiques: items, which are present, and which the critique speaks for, [rows, k]."""

    row: np.ndarray
    items: np.ndarray
    present: np.ndarray
    consistent: np.ndarray


class Blocks(NamedTuple):
    """The rows by kind; `rated` has one entry for each of the table's scales. `row` numbers the table's rows."""

    compared: Compared
    ranked: Ranked
    rated: tuple[Valued, ...]
    labelled: Valued
    corrected: Chosen
    demonstrated: Chosen
    critiqued: Critiqued
    rejected: Chosen


@dataclass(frozen=True, eq=False)
class Judgements:
    """What raters said, as rows about `items`, which are distinct and in order of first appearance.

    `origin` [rows] is each row's place in the feedback that was tabulated; `row_source` and
    `row_rater` [rows] are places in `sources` and `raters`, `item_source` [items] in `sources`.
    `row_items` are the items of each row: as shown, but for corrections and demonstrations first the
    rater's own text and then what it was preferred to. `unused` counts feedback that says nothing
    about rewards, such as critiques that nobody has grounded. `ties`, `grades` (of a comparison's
    strength; 0 where no strength is known) and `scales` say which answers the table allows: they stay
    when rows are taken.
    """

    items: tuple[Item, ...] = field(repr=False)
    sources: tuple[str, ...] = field(repr=False)
    raters: tuple[str, ...] = field(repr=False)
    item_source: np.ndarray = field(repr=False)
    origin: np.ndarray = field(repr=False)
    row_source: np.ndarray = field(repr=False)
    row_rater: np.ndarray = field(repr=False)
    confidence: np.ndarray = field(repr=False)
    row_items: tuple[tuple[int, ...], ...] = field(repr=False)
    answers: tuple[Answer, ...] = field(repr=False)
    unused: int = 0
    ties: bool = False
    grades: int = 0
    scales: tuple[Scale, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.answers)

    @cached_property
    def anchors(self) -> bool:
        """Whether anything says where zero is: labels or ratings.

        Rejections alone do not: where nothing was ever accepted, zero may lie anywhere above.
        """
        return any(isinstance(answer, (Label, Rating)) for answer in self.answers)

    def take(self, rows: Sequence[int] | np.ndarray) -> tuple["Judgements", np.ndarray]:
        """Return these rows alone, their items renumbered, and the old numbers of the items kept, in new order.

        Sources, raters, scales and grades keep their numbers; `unused` becomes 0.
        """
        kept = np.asarray(rows, dtype=np.int64)
        renumbered: dict[int, int] = {}
        row_items = tuple(
            tuple(renumbered.setdefault(item, len(renumbered)) for item in self.row_items[row]) for row in kept.tolist()
        )
        old = np.fromiter(renumbered, dtype=np.int64, count=len(renumbered))
        taken = replace(
            self,
            items=tuple(self.items[item] for item in renumbered),
            item_source=self.item_source[old],
            origin=self.origin[kept],
            row_source=self.row_source[kept],
            row_rater=self.row_rater[kept],
            confidence=self.confidence[kept],
            row_items=row_items,
            answers=tuple(self.answers[row] for row in kept.tolist()),
            unused=0,
        )
        return taken, old

    def pairs(self) -> Iterator[Pair]:
        """Yield what the rows say about two items at a time.

        Comparisons as they are; of a ranking its neighbours, and its last one against each that is not
        named; a correction or demonstration against each of its alternatives; what a critique speaks
        for against the rest.
        """
        for answer, items, source in zip(self.answers, self.row_items, self.row_source.tolist(), strict=True):
            if isinstance(answer, Comparison):
                yield Pair(items[0], items[1], _choice(answer), source)
            for better, worse in _preferred(answer, items):
                yield Pair(better, worse, FIRST, source)

    def valued(self) -> Iterator[tuple[int, Label | Rating, int]]:
        """Yield item, answer and source of every label and rating."""
        for answer, items, source in zip(self.answers, self.row_items, self.row_source.tolist(), strict=True):
            if isinstance(answer, (Label, Rating)):
                yield items[0], answer, source

    @cached_property
    def blocks(self) -> Blocks:
        """The same rows by kind, as arrays."""
        row_of: dict[type, list[int]] = {}
        for row, answer in enumerate(self.answers):
            row_of.setdefault(type(answer), []).append(row)
        labels = row_of.get(Label, [])
        return Blocks(
            self._compared(row_of.get(Comparison, [])),
            self._ranked(row_of.get(Ranking, [])),
            tuple(self._rated(row_of.get(Rating, []), scale) for scale in self.scales),
            self._valued(labels, [float(answer.good) for answer in _only(Label, self.answers)]),
            self._chosen(row_of.get(Correction, [])),
            self._chosen(row_of.get(Demonstration, [])),
            self._critiqued(row_of.get(Critique, [])),
            self._chosen(row_of.get(Reject, [])),
        )

    def _compared(self, rows: list[int]) -> Compared:
        items = np.array([self.row_items[row] for row in rows], dtype=np.int64).reshape(-1, 2)
        answers = _only(Comparison, self.answers)
        choice = np.array([_choice(answer) for answer in answers], dtype=np.int64)
        grade = np.array([_grade(answer, self.grades) for answer in answers], dtype=np.int64)
        return Compared(_integers(rows), items[:, 0].copy(), items[:, 1].copy(), choice, grade)

    def _ranked(self, rows: list[int]) -> Ranked:
        items, present = _padded([self.row_items[row] for row in rows])
        best_first, named = _padded([answer.best_first for answer in _only(Ranking, self.answers)])
        return Ranked(_integers(rows), items, present, np.where(named, best_first, -1))

    def _rated(self, rows: list[int], scale: Scale) -> Valued:
        every = zip(rows, _only(Rating, self.answers), strict=True)
        found = [(row, answer.value) for row, answer in every if answer.points == scale.points]
        return self._valued([row for row, _ in found], [value for _, value in found])

    def _valued(self, rows: list[int], values: list[float]) -> Valued:
        return Valued(_integers(rows), _integers([self.row_items[row][0] for row in rows]), np.array(values, float))

    def _chosen(self, rows: list[int]) -> Chosen:
        return Chosen(_integers(rows), *_padded([self.row_items[row] for row in rows]))

    def _critiqued(self, rows: list[int]) -> Critiqued:
        items, present = _padded([self.row_items[row] for row in rows])
        consistent = np.zeros_like(present)
        for place, answer in enumerate(_only(Critique, self.answers)):
            consistent[place, list(answer.consistent or ())] = True
        return Critiqued(_integers(rows), items, present, consistent)


def tabulate(rated: Sequence[Rated], grades: int = 3) -> Judgements:
    """Put feedback into a table; texts that raters wrote become items beside those that were shown.

    A correction is a choice among its text, the originals, and the other corrections of the same
    originals; a demonstration among its text and every other text judged beside the same view. The
    strengths of comparisons, from 0 to 1, are cut into this many equal `grades`; with 0 they are
    ignored. Feedback that leaves no choice (an edit that changes nothing, a critique that nobody has
    grounded or that speaks for all or none) counts as unused.

    Raises InputError for an answer that does not fit its request.
    """
    numbers: dict[tuple[str, str], int] = {}
    items: list[Item] = []
    item_source: list[str] = []
    shown: list[tuple[int, ...]] = []
    for each in rated:
        place = []
        for text in _texts(each):
            key = (each.request.view.id, text)
            if key not in numbers:
                numbers[key] = len(items)
                items.append(Item(each.request.view, text))
                item_source.append(each.request.source)
            place.append(numbers[key])
        shown.append(tuple(place))
    row_items = _choice_sets(rated, shown)
    kept = [place for place, found in enumerate(row_items) if found]
    sources = tuple(sorted({each.request.source for each in rated}))
    raters = tuple(sorted({each.feedback.rater for each in rated}))
    answers = tuple(rated[place].feedback.answer for place in kept)
    source_at, rater_at = _places(sources), _places(raters)
    given = [rated[place].feedback.confidence for place in kept]
    return Judgements(
        items=tuple(items),
        sources=sources,
        raters=raters,
        item_source=_integers([source_at[source] for source in item_source]),
        origin=_integers(kept),
        row_source=_integers([source_at[rated[place].request.source] for place in kept]),
        row_rater=_integers([rater_at[rated[place].feedback.rater] for place in kept]),
        confidence=np.array([1.0 if each is None else each for each in given], dtype=np.float64),
        row_items=tuple(row_items[place] for place in kept),
        answers=answers,
        unused=len(rated) - len(kept),
        ties=any(answer.better is None for answer in _only(Comparison, answers)),
        grades=grades if any(_has_strength(answer) for answer in _only(Comparison, answers)) else 0,
        scales=_scales(answers),
    )


def ranked_pairs(best_first: tuple[int, ...], shown: int) -> list[tuple[int, int]]:
    """Return each two neighbours of a ranking, and the last one named with each that is not."""
    unnamed = [place for place in range(shown) if place not in best_first]
    return [*pairwise(best_first), *((best_first[-1], place) for place in unnamed)]


def accepted(answer: Label | Rating) -> float:
    """Return 1 for a good label or a rating above the middle of its scale, 0.5 for the middle itself."""
    if isinstance(answer, Label):
        return float(answer.good)
    middle = (answer.points + 1) / 2
    return 0.5 if answer.value == middle else float(answer.value > middle)


def _texts(row: Rated) -> tuple[str, ...]:
    """Return the texts that a row is about, once its answer is found to fit; the rater's own stands first."""
    request, answer = row.request, row.feedback.answer
    shown = tuple(each.text for each in request.shown)
    fits = True
    if isinstance(answer, (Comparison, Label, Rating)):
        fits = len(shown) == (2 if isinstance(answer, Comparison) else 1)
    elif isinstance(answer, Ranking):
        fits = bool(answer.best_first) and max(answer.best_first) < len(shown)
    elif isinstance(answer, Critique):
        fits = max(answer.consistent or (), default=-1) < len(shown)
    if not fits:
        raise InputError(
            f"request {request.id} shows {len(shown)} outputs, which a {answer.kind} {answer} does not fit"
        )
    if isinstance(answer, (Correction, Demonstration)):
        return (answer.text, *shown)
    if isinstance(answer, Critique) and not answer.consistent:
        return ()
    return shown


def _choice_sets(rated: Sequence[Rated], shown: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return each row's items with all that could have been chosen; nothing where there was no choice."""
    beside: dict[str, dict[int, None]] = {}
    edits: dict[int, dict[int, None]] = {}
    for row, items in zip(rated, shown, strict=True):
        beside.setdefault(row.request.view.id, {}).update(dict.fromkeys(items))
        if isinstance(row.feedback.answer, Correction):
            for original in items[1:]:
                edits.setdefault(original, {})[items[0]] = None
    return [_choice_set(row, items, beside, edits) for row, items in zip(rated, shown, strict=True)]


def _choice_set(
    row: Rated, items: tuple[int, ...], beside: Mapping[str, Iterable[int]], edits: Mapping[int, Iterable[int]]
) -> tuple[int, ...]:
    answer = row.feedback.answer
    if isinstance(answer, Correction):
        others = [edit for original in items[1:] for edit in edits[original]]
        items = tuple(dict.fromkeys((*items, *others)))
    elif isinstance(answer, Demonstration):
        items = tuple(dict.fromkeys((*items, *beside[row.request.view.id])))
    elif isinstance(answer, Critique) and len(answer.consistent or ()) == len(items):
        return ()
    return () if isinstance(answer, (Correction, Demonstration)) and len(items) < 2 else items


def _scales(answers: Sequence[Answer]) -> tuple[Scale, ...]:
    whole: dict[int, bool] = {}
    for answer in _only(Rating, answers):
        whole[answer.points] = whole.get(answer.points, True) and float(answer.value).is_integer()
    return tuple(Scale(points, whole[points] and points <= MOST_POINTS) for points in sorted(whole))


def _preferred(answer: Answer, items: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the pairs of items (better, worse) of an answer that is no comparison."""
    if isinstance(answer, Ranking):
        return [(items[better], items[worse]) for better, worse in ranked_pairs(answer.best_first, len(items))]
    if isinstance(answer, (Correction, Demonstration)):
        return [(items[0], other) for other in items[1:]]
    if isinstance(answer, Critique):
        named = answer.consistent or ()
        rest = [item for place, item in enumerate(items) if place not in named]
        return [(items[place], other) for place in named for other in rest]
    return []


def _choice(answer: Comparison) -> int:
    return TIE if answer.better is None else answer.better


def _grade(answer: Comparison, grades: int) -> int:
    """Return the grade, from 0 up, of a strength from 0 to 1, -1 where none was asked; 0 for a tie among grades."""
    if not grades or not (_has_strength(answer) or answer.better is None):
        return -1
    return min(int((answer.strength or 0.0) * grades), grades - 1)


def _has_strength(answer: Comparison) -> bool:
    if answer.strength is not None and not 0 <= answer.strength <= 1:
        raise InputError(f"a comparison's strength lies between 0 and 1, got {answer.strength!r}")
    return answer.strength is not None and answer.better is not None


def _only(kind: type[_Kind], answers: Sequence[Answer]) -> list[_Kind]:
    return [answer for answer in answers if isinstance(answer, kind)]


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _integers(values: Sequence[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def _padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows as one array [rows, longest], padded with 0, and which entries are there."""
    width = max(map(len, rows), default=0)
    values = np.zeros((len(rows), width), dtype=np.int64)
    present = np.arange(width)[None, :] < np.array([len(row) for row in rows], dtype=np.int64)[:, None]
    values[present] = np.array([value for row in rows for value in row], dtype=np.int64)
    return values, present
