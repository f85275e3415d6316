"""Reliability data: which rater gave which value to which unit, as arrays."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from rrm.core.errors import InputError


class Patterns(NamedTuple):
    """The units with two values or more, equal ones taken together: what alpha and Fleiss' kappa see of a unit.

    `counts` [patterns, values] says how often each value was given to a unit of the pattern, `of`
    [pairable units] which pattern a unit has, `cluster` [pairable units] its cluster.
    """

    counts: csr_array
    of: np.ndarray
    cluster: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Codings:
    """Values that raters gave to units; what is missing has no entry.

    `unit`, `rater` and `value` [entries] are places among the units, the raters and the distinct
    `values`, which are sorted: numbers by size, all else by their text. Units of one `cluster` [units],
    such as the items of one source, depend on each other; None if each unit is its own.
    """

    units: int
    raters: int
    values: tuple[Hashable, ...]
    unit: np.ndarray
    rater: np.ndarray
    value: np.ndarray
    cluster: np.ndarray | None = None

    @cached_property
    def answers(self) -> np.ndarray:
        """How many values each unit has, [units]."""
        return np.bincount(self.unit, minlength=self.units)

    @cached_property
    def pairable(self) -> np.ndarray:
        """Which units have two values or more, boolean [units]: only they tell of agreement."""
        return self.answers >= 2

    @property
    def pairing_raters(self) -> int:
        """How many raters gave a value to a pairable unit."""
        return len(np.unique(self.rater[self.pairable[self.unit]]))

    @cached_property
    def unanimous(self) -> int:
        """How many pairable units have one value only."""
        counts = self.patterns.counts
        return int((np.diff(counts.indptr) == 1)[self.patterns.of].sum())

    @cached_property
    def patterns(self) -> Patterns:
        kept = self.pairable[self.unit]
        place = np.cumsum(self.pairable) - 1
        unit, value = place[self.unit[kept]], self.value[kept]
        order = np.lexsort((value, unit))
        unit, value = unit[order], value[order]
        of, first = _equal_units(unit, value, int(self.pairable.sum()), len(self.values))
        chosen = np.full(len(of), -1)
        chosen[first] = np.arange(len(first))
        row = chosen[unit]
        entries = np.ones(int((row >= 0).sum()))
        counts = csr_array((entries, (row[row >= 0], value[row >= 0])), shape=(len(first), len(self.values)))
        counts.sum_duplicates()
        cluster = None if self.cluster is None else np.unique(self.cluster[self.pairable], return_inverse=True)[1]
        return Patterns(counts, of, cluster)

    def numbers(self) -> np.ndarray:
        """Return the distinct values as floats; InputError if they are no numbers, and so have no distances."""
        if not all(_is_number(each) for each in self.values):
            raise InputError("ordinal and interval agreement need numbers as values; take the nominal one")
        found = np.array(self.values, dtype=np.float64)
        if not np.isfinite(found).all():
            raise InputError("values to compare must be finite; leave out what is missing")
        return found


def codings(
    entries: Iterable[tuple[Hashable, Hashable, Hashable]], cluster_of: Mapping[Hashable, Hashable] | None = None
) -> Codings:
    """Return reliability data of entries (unit, rater, value), in any order.

    `cluster_of` gives each unit's cluster. Raises InputError where a rater gave a unit two values.
    """
    units: dict[Hashable, int] = {}
    raters: dict[Hashable, int] = {}
    values: dict[Hashable, int] = {}
    table: list[int] = []
    for unit, rater, value in entries:
        table.append(units.setdefault(unit, len(units)))
        table.append(raters.setdefault(rater, len(raters)))
        table.append(values.setdefault(value, len(values)))
    unit_at, rater_at, value_at = np.array(table, dtype=np.int64).reshape(-1, 3).T
    if len(np.unique(unit_at * max(len(raters), 1) + rater_at)) != len(unit_at):
        raise InputError("a rater gave two values to one unit; keep the one that counts")
    cluster = None
    if cluster_of is not None:
        names: dict[Hashable, int] = {}
        of_unit = [names.setdefault(cluster_of[unit], len(names)) for unit in units]
        cluster = np.array(of_unit, dtype=np.int64)[unit_at]
    return coded(unit_at, rater_at, value_at, tuple(values), cluster)


def coded(
    unit: np.ndarray,
    rater: np.ndarray,
    value: np.ndarray,
    values: Sequence[Hashable],
    cluster: np.ndarray | None = None,
) -> Codings:
    """Return reliability data of integer columns [entries]; `cluster` is that of an entry's unit.

    `value` is a place in `values`, of which some may not occur.
    """
    unit_names, first, unit = np.unique(unit, return_index=True, return_inverse=True)
    rater_names, rater = np.unique(rater, return_inverse=True)
    used, value = np.unique(value, return_inverse=True)
    given = [values[at] for at in used]
    key: Callable[[int], Any] = given.__getitem__ if all(map(_is_number, given)) else lambda at: repr(given[at])
    order = np.array(sorted(range(len(given)), key=key), dtype=np.int64)
    return Codings(
        units=len(unit_names),
        raters=len(rater_names),
        values=tuple(given[at] for at in order),
        unit=unit,
        rater=rater,
        value=np.argsort(order)[value],
        cluster=None if cluster is None else cluster[first],
    )


def matrix_codings(matrix: Sequence[Sequence[Hashable | None]]) -> Codings:
    """Return reliability data of a matrix [units][raters] with None for what is missing."""
    return codings(
        (unit, rater, value) for unit, row in enumerate(matrix) for rater, value in enumerate(row) if value is not None
    )


def _equal_units(unit: np.ndarray, value: np.ndarray, units: int, values: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which pattern each unit has, [units], and one unit of each pattern; entries are sorted by unit, value."""
    size = np.bincount(unit, minlength=units)
    place = np.arange(len(unit)) - np.repeat(np.cumsum(size) - size, size)
    key = np.zeros(units, dtype=np.int64)
    for column in range(int(size.max(initial=0))):
        here = place == column
        step = np.zeros(units, dtype=np.int64)
        step[unit[here]] = value[here] + 1
        # renumbered at every step, so that keys stay exact however many values there are
        key = np.unique(key * (values + 1) + step, return_inverse=True)[1].ravel()
    first = np.unique(key, return_index=True)[1]
    return key, first


def _is_number(value: Hashable) -> bool:
    return isinstance(value, Real)
