"""The feedback table: rows about items, checked once, that every likelihood reads.

An item is a text beside a view.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

from rrm.core.errors import InputError
from rrm.core.values import KINDS, Answer, Comparison, Rated, Rating, View

Kind = TypeVar("Kind", bound=Answer)

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


@dataclass(frozen=True, eq=False)
class AnswerBlock:
    """The rows of one kind, and of ratings those on one `scale`, a place among the table's (-1: no ratings).

    `row` [rows] numbers the table's rows. `items` [rows, k] are those that each answer chooses among, and
    `present` says which are there: where a row has fewer, it is padded with 0.
    """

    kind: str
    scale: int
    row: np.ndarray
    items: np.ndarray
    present: np.ndarray
    answers: tuple[Answer, ...]
    _arrays: dict[Callable[["AnswerBlock"], np.ndarray], np.ndarray] = field(default_factory=dict, repr=False)

    def array(self, of: Callable[["AnswerBlock"], np.ndarray]) -> np.ndarray:
        """Return what a function makes of this block; it is called once, however often the block is read."""
        if of not in self._arrays:
            self._arrays[of] = of(self)
        return self._arrays[of]


@dataclass(frozen=True, eq=False)
class FeedbackTable:
    """What raters said, as rows about `items`, which are distinct and in order of first appearance.

    `origin` [rows] is each row's place in the feedback that was tabulated; `row_source` and
    `row_rater` [rows] are places in `sources` and `raters`, `item_source` [items] in `sources`.
    `row_items` are the items of each row: as shown, but for corrections and demonstrations first the
    rater's own text and then what it was preferred to. `weight` [rows] multiplies a row's
    log-likelihood. `unused` counts feedback that says nothing
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
    weight: np.ndarray = field(repr=False)
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
        return any(answer.accepted is not None for answer in self.answers)

    def take(self, rows: Sequence[int] | np.ndarray) -> tuple["FeedbackTable", np.ndarray]:
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
            weight=self.weight[kept],
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
                yield Pair(items[0], items[1], TIE if answer.better is None else answer.better, source)
            else:
                for better, worse in answer.pairs(len(items)):
                    yield Pair(items[better], items[worse], FIRST, source)

    def valued(self) -> Iterator[tuple[int, float, int]]:
        """Yield item, acceptance (1, 0, or 0.5 in the middle) and source of every label and rating."""
        for answer, items, source in zip(self.answers, self.row_items, self.row_source.tolist(), strict=True):
            if (good := answer.accepted) is not None:
                yield items[0], good, source

    @cached_property
    def blocks(self) -> tuple[AnswerBlock, ...]:
        """The same rows by kind, in the order of `KINDS`, as far as there are any."""
        scale_at = {scale.points: at for at, scale in enumerate(self.scales)}
        rows: dict[tuple[str, int], list[int]] = {}
        for row, answer in enumerate(self.answers):
            scale = scale_at[answer.points] if isinstance(answer, Rating) else -1
            rows.setdefault((answer.kind, scale), []).append(row)
        order = {kind: at for at, kind in enumerate(KINDS)}
        return tuple(self._block(*key, rows[key]) for key in sorted(rows, key=lambda key: (order[key[0]], key[1])))

    def _block(self, kind: str, scale: int, rows: list[int]) -> AnswerBlock:
        items, present = padded([self.row_items[row] for row in rows])
        return AnswerBlock(kind, scale, _integers(rows), items, present, tuple(self.answers[row] for row in rows))


def tabulate(rated: Sequence[Rated], grades: int = 3) -> FeedbackTable:
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
    return FeedbackTable(
        items=tuple(items),
        sources=sources,
        raters=raters,
        item_source=_integers([source_at[source] for source in item_source]),
        origin=_integers(kept),
        row_source=_integers([source_at[rated[place].request.source] for place in kept]),
        row_rater=_integers([rater_at[rated[place].feedback.rater] for place in kept]),
        confidence=np.array([1.0 if each is None else each for each in given], dtype=np.float64),
        weight=np.array([rated[place].weight for place in kept], dtype=np.float64),
        row_items=tuple(row_items[place] for place in kept),
        answers=answers,
        unused=len(rated) - len(kept),
        ties=any(answer.better is None for answer in only(Comparison, answers)),
        grades=grades if any(_is_graded(answer) for answer in only(Comparison, answers)) else 0,
        scales=_scales(answers),
    )


def only(kind: type[Kind], answers: Sequence[Answer]) -> list[Kind]:
    """Return the answers of one kind."""
    return [answer for answer in answers if isinstance(answer, kind)]


def padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows as one array [rows, longest], padded with 0, and which entries are there."""
    width = max(map(len, rows), default=0)
    values = np.zeros((len(rows), width), dtype=np.int64)
    present = np.arange(width)[None, :] < np.array([len(row) for row in rows], dtype=np.int64)[:, None]
    values[present] = np.array([value for row in rows for value in row], dtype=np.int64)
    return values, present


def _texts(row: Rated) -> tuple[str, ...]:
    """Return the texts that a row is about, once its answer is found to fit; the rater's own stands first."""
    request, answer = row.request, row.feedback.answer
    shown = tuple(each.text for each in request.shown)
    try:
        answer.check(shown)
    except InputError as error:
        raise InputError(
            f"request {request.id} shows {len(shown)} outputs, which a {answer.kind} does not fit: {error}"
        ) from error
    return answer.texts(shown)


def _choice_sets(rated: Sequence[Rated], shown: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return each row's items with all that could have been chosen; nothing where there was no choice."""
    beside: dict[str, dict[int, None]] = {}
    edits: dict[int, dict[int, None]] = {}
    for row, items in zip(rated, shown, strict=True):
        beside.setdefault(row.request.view.id, {}).update(dict.fromkeys(items))
        if row.feedback.answer.pool == "edits":
            for original in items[1:]:
                edits.setdefault(original, {})[items[0]] = None
    return [_choice_set(row, items, beside, edits) for row, items in zip(rated, shown, strict=True)]


def _choice_set(
    row: Rated, items: tuple[int, ...], beside: Mapping[str, Iterable[int]], edits: Mapping[int, Iterable[int]]
) -> tuple[int, ...]:
    answer = row.feedback.answer
    others: Iterable[int] = ()
    if answer.pool == "edits":
        others = [edit for original in items[1:] for edit in edits[original]]
    elif answer.pool == "view":
        others = beside[row.request.view.id]
    if others:
        items = tuple(dict.fromkeys((*items, *others)))
    return items if answer.decides(len(items)) else ()


def _scales(answers: Sequence[Answer]) -> tuple[Scale, ...]:
    whole: dict[int, bool] = {}
    for answer in only(Rating, answers):
        whole[answer.points] = whole.get(answer.points, True) and float(answer.value).is_integer()
    return tuple(Scale(points, whole[points] and points <= MOST_POINTS) for points in sorted(whole))


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _integers(values: Sequence[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def _is_graded(answer: Comparison) -> bool:
    return answer.strength is not None and answer.better is not None
