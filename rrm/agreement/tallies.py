"""What is counted of every rater, for all raters at once, from columns."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from rrm.agreement.answer_table import NOTHING, AnswerTable
from rrm.core.kinds import KINDS, Comparison

LEAST_OTHERS = 20
"""With fewer answers by others to items of a place and kind, they are no measure for one rater's."""


class Agreeing(NamedTuple):
    """Agreement with others on the same work items: `items` shared with them, `pairs` of an own and another's answer.

    `share` of the pairs are equal; `beyond_chance` is the part of what chance leaves that is agreed on,
    where chance is that others give this answer to items of this place and kind at all: 1 is always, 0
    as by chance. None where there are no pairs, or where chance leaves nothing.
    """

    items: int
    pairs: int
    share: float | None
    beyond_chance: float | None


class Run(NamedTuple):
    """The least probable of a rater's longest runs of the same position or answer, by place and kind.

    `share` is how often others give this answer, or the rater does where others gave too few.
    """

    length: int
    share: float
    p: float


class Tally(NamedTuple):
    """One rater's counts, practice left out; of `answers` those that stand are `done`.

    `known` counts answers to gold items and attention checks, `checks` only the latter. `median_position`,
    from 0 to 1, is the median of the shares of others' answers, to items of one place and kind, that took
    less time. None where there is nothing to tell it from.
    """

    done: int
    answers: int
    timed: int
    median_seconds: float | None
    median_position: float | None
    known: int
    known_right: int
    checks: int
    checks_right: int
    first: int
    decided: int
    agreeing: Agreeing
    run: Run | None


NO_PAIRS = Agreeing(0, 0, None, None)
NO_TALLY = Tally(0, 0, 0, None, None, 0, 0, 0, 0, 0, 0, NO_PAIRS, None)


def tally_raters(table: AnswerTable, assistants: Iterable[str] = ()) -> dict[str, Tally]:
    """Return the tally of every rater in the table; assistants' seconds set no pace."""
    raters, person = len(table.persons), table.person
    every = np.ones(table.rows, dtype=bool)
    known = table.of("gold", "attention") & ~np.isnan(table.right)
    right, checks = table.right == 1, known & table.of("attention")
    first, decided = _sides(table)
    timed = ~np.isnan(table.seconds)
    seconds = _medians(person[timed], table.seconds[timed], raters)
    hasty = timed & ~np.isin(person, [at for at, name in enumerate(table.persons) if name in set(assistants)])
    rows, position = _positions(table, hasty)
    positions = _medians(person[rows], position, raters)

    def count(chosen: np.ndarray) -> list[int]:
        found: list[int] = np.bincount(person[chosen], minlength=raters).tolist()
        return found

    columns = zip(
        *(count(rows) for rows in (table.stands, every, timed)),
        seconds,
        positions,
        *(count(rows) for rows in (known, known & right, checks, checks & right, first, decided)),
        _agreeing(table),
        _runs(table),
        strict=True,
    )
    return {name: Tally(*each) for name, each in zip(table.persons, columns, strict=True)}


def run_probability(share: float, run: int, answers: int) -> float:
    """Return a bound on the probability of `run` equal answers in a row among `answers` independent ones.

    `share` is how probable that one answer is. A first run begins at the first answer, or after another
    answer, so the bound is share^run (1 + (answers - run) (1 - share)), by adding the probabilities.
    """
    if run > answers:
        return 0.0
    return min(1.0, share**run * (1 + (answers - run) * (1 - share)))


def _sides(table: AnswerTable) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows chose the output shown first, and which chose a side at all, of comparisons."""
    compared = np.array([issubclass(KINDS[kind], Comparison) for _, kind, _ in table.groups], dtype=bool)[table.group]
    first, second = (compared & _is(table, table.pick, side) for side in (0, 1))
    return first, first | second


def _is(table: AnswerTable, column: np.ndarray, value: int) -> np.ndarray:
    return np.asarray(column == table.meanings.index(value)) if value in table.meanings else np.zeros(table.rows, bool)


def _positions(table: AnswerTable, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows with enough others to measure them by, and the share of others' answers that took less time.

    Equal times count half. Others are those of the same place and kind, within `rows`.
    """
    at = np.flatnonzero(rows)
    group, seconds = table.group[at], table.seconds[at]
    own = group * len(table.persons) + table.person[at]
    others = np.bincount(group)[group] - _sizes(own)
    below = _below(group, seconds) - _below(own, seconds)
    enough = others >= LEAST_OTHERS
    return at[enough], below[enough] / others[enough]


def _below(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return how many entries of the same group are less, [entries]; equal ones, itself too, count half."""
    order = np.lexsort((value, group))
    group, value = group[order], value[order]
    new_group = np.r_[True, np.diff(group) != 0][: len(group)]
    new_value = new_group | np.r_[True, np.diff(value) != 0][: len(group)]
    starts = np.flatnonzero(new_value)
    tie = np.cumsum(new_value) - 1
    group_start = np.flatnonzero(new_group)[np.cumsum(new_group) - 1]
    found = np.empty(len(group))
    found[order] = starts[tie] + np.bincount(tie)[tie] / 2 - group_start
    return found


def _medians(group: np.ndarray, value: np.ndarray, groups: int) -> list[float | None]:
    """Return the median value of each group, [groups], None without any."""
    order = np.lexsort((value, group))
    ordered, size = value[order], np.bincount(group, minlength=groups)
    start = np.cumsum(size) - size
    found: list[float | None] = [None] * groups
    for at in np.flatnonzero(size).tolist():
        low, high = start[at] + (size[at] - 1) // 2, start[at] + size[at] // 2
        found[at] = float(ordered[low] + ordered[high]) / 2
    return found


def _agreeing(table: AnswerTable) -> list[Agreeing]:
    """Return each rater's agreement with others on work items, [raters]."""
    raters = len(table.persons)
    rows = table.stands & table.of("work") & (table.meaning != NOTHING)
    rows[rows] = _sizes(table.item[rows]) > 1
    person, group = table.person[rows], table.group[rows]
    item, answer = table.item[rows], group * len(table.meanings) + table.meaning[rows]
    others = _sizes(item) - 1
    same = _sizes(item * (answer.max(initial=0) + 1) + answer) - 1
    own_answer, own_group = (_sizes(each * raters + person) for each in (answer, group))
    chance = _share(_sizes(answer) - own_answer, _sizes(group) - own_group)

    totals = np.stack(
        [
            np.bincount(person, weights=each, minlength=raters)
            for each in (np.ones(len(item)), others, same, others * chance)
        ]
    )
    return [_agreed(*each) for each in totals.T.tolist()]


def _agreed(items: float, pairs: float, equal: float, expected: float) -> Agreeing:
    if not pairs:
        return NO_PAIRS
    left = pairs - expected
    return Agreeing(int(items), int(pairs), equal / pairs, (equal - expected) / left if left > 1e-9 * pairs else None)


def _runs(table: AnswerTable) -> list[Run | None]:
    """Return each rater's least probable run, [raters]."""
    raters = len(table.persons)
    at = np.flatnonzero(table.pick != NOTHING)
    at = at[np.lexsort((table.at[at], table.group[at], table.person[at]))]
    person, group = table.person[at], table.group[at]
    answer = group * len(table.meanings) + table.pick[at]
    own_answers, own_same = _sizes(group * raters + person), _sizes(answer * raters + person)
    others, others_same = _sizes(group) - own_answers, _sizes(answer) - own_same
    # one answer of each kind is added, so that what nobody else said is rare and not impossible
    share = np.where(others >= LEAST_OTHERS, (others_same + 1) / (others + 2), _share(own_same, own_answers))
    begins = np.r_[True, (np.diff(answer) != 0) | (np.diff(person) != 0)][: len(at)]
    start = np.flatnonzero(begins)
    length = np.diff(np.r_[start, len(at)])
    found: list[Run | None] = [None] * raters
    for first, run in zip(start[length > 1].tolist(), length[length > 1].tolist(), strict=True):
        p = run_probability(float(share[first]), run, int(own_answers[first]))
        best = found[person[first]]
        if best is None or p < best.p:
            found[person[first]] = Run(run, float(share[first]), p)
    return found


def _sizes(key: np.ndarray) -> np.ndarray:
    """Return how many entries have each entry's key, [entries]."""
    _, place, size = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(size[place])


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the quotients, 0 where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0))
