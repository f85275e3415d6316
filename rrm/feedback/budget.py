"""What raters may be asked in all, in minutes or questions, and which questions that pays for."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, isfinite
from typing import Any, NamedTuple

from rrm.core.errors import ConfigError
from rrm.core.place import Place
from rrm.core.values import KINDS, OVERALL, Output, Request, View
from rrm.feedback.minutes import RATES, Currency, Meter, written_words
from rrm.feedback.select import asked_of, parsed, select, select_new

ROOT = "root"
"""The highest level of a run's trees, as a key of `Budget.by_level`."""


@dataclass(frozen=True)
class Allowance:
    """What may be asked now: minutes of all raters together, or questions, from 0 up; None is no limit."""

    minutes: float | None = None
    questions: int | None = None


NOTHING = Allowance(0.0, 0)


class Spent(NamedTuple):
    """What was spent at a level: the minutes of all who answered, as the report counts them, and questions put."""

    minutes: float = 0.0
    questions: int = 0


@dataclass(frozen=True)
class Budget:
    """What one pass over the levels may ask: `minutes` of raters, or `questions`, or a budget for each of some levels.

    `by_level` has numbers from 0 (leaves) up and "root" as keys; a level without an entry is asked
    nothing. Raises ConfigError unless exactly one of the three is given, and it is positive.
    """

    minutes: float | None = None
    questions: int | None = None
    by_level: dict[int | str, "Budget"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {"minutes": self.minutes, "questions": self.questions, "by_level": self.by_level or None}
        named = [name for name, value in given.items() if value is not None]
        if len(named) != 1:
            said = " and ".join(named) or "nothing"
            raise ConfigError(f"a budget says one of minutes, questions and by_level, this one says {said}")
        for name, value in (("minutes", self.minutes), ("questions", self.questions)):
            if value is not None and not (isfinite(value) and value > 0):
                raise ConfigError(f"a budget's {name} must be more than 0, got {value}")
        if any(entry.by_level for entry in self.by_level.values()):
            raise ConfigError("a level's budget says minutes or questions, and has no levels of its own")
        object.__setattr__(self, "by_level", {_level(key): entry for key, entry in self.by_level.items()})

    def share(self, fraction: float, overlap: int = 1) -> "Budget":
        """Return the budget that is due once this share of the rounds has begun; questions are rounded down.

        Where `overlap` raters answer each question, that many fewer questions are put; minutes are those of all.
        """
        if self.by_level:
            return Budget(by_level={level: entry.share(fraction, overlap) for level, entry in self.by_level.items()})
        if self.minutes is not None:
            return Budget(minutes=self.minutes * fraction)
        assert self.questions is not None
        return Budget(questions=max(1, int(self.questions * fraction / overlap + 1e-9)))

    def among(self, overlap: int) -> "Budget":
        """Return what each of so many raters has of it, where all of them answer every question."""
        if self.by_level:
            return Budget(by_level={level: entry.among(overlap) for level, entry in self.by_level.items()})
        if self.minutes is not None:
            return Budget(minutes=self.minutes / overlap)
        return self.share(1.0, overlap)

    def allowance(
        self, level: int, top: int, draws: Mapping[int, int], spent: Mapping[int, Spent] | None = None
    ) -> Allowance:
        """Return what may be asked at a level, `top` being the highest one.

        A budget for the whole run is shared among this level and those above it in proportion to
        their `draws` (see `rrm.feedback.sample.draws_by_level`), so that what a level leaves over goes
        to those above. `spent` is what went before in this pass, by level.
        """
        before = spent or {}
        if self.by_level:
            entry = self.by_level.get(ROOT) if level == top else None
            entry = entry or self.by_level.get(level)
            return _left(entry, [before.get(level, Spent())], 1, 1) if entry else NOTHING
        above = sum(count for at, count in draws.items() if at >= level)
        return _left(self, before.values(), draws.get(level, 0), above)


@dataclass(frozen=True)
class Askable:
    """What can be asked about a node: each visit puts `wanted` questions of what is asked (see `select`)."""

    source: str
    place: Place
    view: View
    outputs: tuple[Output, ...]
    wanted: Mapping[str, int]


def drawn(
    order: Sequence[str],
    at: Mapping[str, Askable],
    seed: int,
    *,
    asked: Collection[Request] = (),
    unanswered: Collection[str] = (),
    stale: Collection[str] = (),
    repeats: bool = True,
) -> Iterator[Request]:
    """Yield the questions to put, in the order of the visits, as many as there are.

    Nodes are visited in `order`, as a sampler gives it; those that `at` does not know are passed over.
    Each visit of a node puts its next round of questions that were not all `asked` before, without those that
    were, and copies once no different question is left. With `repeats` False raters are not asked again: a visit
    puts the next questions that have no answer yet (see `select_new`; the `unanswered` of those asked, by their
    ids, have none), fewer where there are fewer. `stale` nodes, whose ratings are about inputs that have changed,
    come first, whether the order has them or not. Equal arguments give equal requests.
    """
    visits = _stale_first([node for node in order if node in at], at, frozenset(stale))
    times = Counter(visits)
    rounds: dict[str, list[list[Request]]] = {}
    before = frozenset(request.id for request in asked)
    earlier: dict[str, list[Request]] = defaultdict(list)
    for request in asked:
        earlier[request.node].append(request)
    for node in visits:
        if node not in rounds:
            if repeats:
                found = _rounds(node, at[node], times[node], seed, before)
            else:
                found = _new_rounds(node, at[node], times[node], seed, earlier[node], unanswered)
            rounds[node] = found[::-1]
        yield from (request for request in rounds[node].pop() if request.id not in before)


def fitting(
    questions: Iterable[Request],
    allowance: Allowance,
    overlap: int = 1,
    rates: Currency = RATES,
    skipped: Collection[str] = (),
) -> list[Request]:
    """Return the first questions, up to the first that does not fit in an allowance whoever answers it.

    Where one that has a text written does not fit, which takes many times as long as a choice, or one that may be
    `skipped`, by its id, those behind it go on.

    Who will answer is not known, and each rater reads for themselves: a question counts with its view read anew,
    by each of the `overlap` raters that answer it. What was answered takes that long or less (see
    `rrm.feedback.minutes.minutes_of_raters`), so more may fit once that is known.
    """
    found: list[Request] = []
    meter = Meter(rates, anew=True)
    for request in questions:
        if not _fits(allowance, overlap * meter.minutes_with(request), len(found) + 1):
            if request.id in skipped or written_words(request):
                continue
            break
        meter.add(request)
        found.append(request)
    return found


def by_view(questions: Iterable[Request]) -> list[Request]:
    """Return questions with those about one view next to each other, in the order of their first ones."""
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in questions:
        groups[request.view.id].append(request)
    return [each for requests in groups.values() for each in requests]


def ask(
    order: Sequence[str],
    at: Mapping[str, Askable],
    allowance: Allowance,
    seed: int,
    *,
    asked: Collection[Request] = (),
    unanswered: Collection[str] = (),
    stale: Collection[str] = (),
    repeats: bool = True,
) -> list[Request]:
    """Return the questions (see `drawn`) that fit in an allowance whoever answers, those about one view together."""
    found = drawn(order, at, seed, asked=asked, unanswered=unanswered, stale=stale, repeats=repeats)
    return by_view(fitting(found, allowance))


def read_budget(table: Mapping[str, Any], where: str = "budget") -> Budget:
    """Make a budget from a run file's table; raise ConfigError, naming the key, for what is unknown or mistyped."""
    known = tuple(Budget.__dataclass_fields__)
    for key in table:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in {where}; there are {', '.join(known)}")
    _number(table, "minutes", int | float, where)
    _number(table, "questions", int, where)
    levels = table.get("by_level", {})
    if not isinstance(levels, Mapping) or not all(isinstance(entry, Mapping) for entry in levels.values()):
        raise ConfigError(f"{where}.by_level must be a table of budgets by level, got {levels!r}")
    by_level = {key: read_budget(entry, f"{where}.by_level.{key}") for key, entry in levels.items()}
    try:
        return Budget(table.get("minutes"), table.get("questions"), by_level)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _left(budget: Budget, spent: Iterable[Spent], share: int, of: int) -> Allowance:
    """Return a share of what a budget has left."""
    if not share:
        return NOTHING
    before = list(spent)
    if budget.minutes is not None:
        left = budget.minutes - fsum(each.minutes for each in before)
        return Allowance(minutes=max(0.0, left * (share / of)))
    assert budget.questions is not None
    return Allowance(questions=max(0, budget.questions - sum(each.questions for each in before)) * share // of)


def _rounds(node: str, askable: Askable, visits: int, seed: int, before: frozenset[str]) -> list[list[Request]]:
    """Return the questions of each visit of a node: as `select` draws them, the rounds asked entirely before passed."""
    more = 0
    while True:
        rounds = _drawn(node, askable, visits + more, seed)
        fresh = [each for each in rounds if not each or not before.issuperset(request.id for request in each)]
        if len(fresh) >= visits:
            return fresh[:visits]
        more = 2 * more + visits - len(fresh)


def _drawn(node: str, askable: Askable, visits: int, seed: int) -> list[list[Request]]:
    wanted = {kind: count * visits for kind, count in askable.wanted.items()}
    by_kind: dict[str, list[Request]] = defaultdict(list)
    for request in select(node, askable.source, askable.place, askable.view, askable.outputs, wanted, seed):
        by_kind[asked_of(request)].append(request)
    return _dealt(by_kind, askable.wanted, visits)


def _new_rounds(
    node: str, askable: Askable, visits: int, seed: int, asked: Iterable[Request], unanswered: Collection[str]
) -> list[list[Request]]:
    """Return the questions of each visit of a node where none is put again that has an answer."""
    about = (askable.source, askable.place, askable.view, askable.outputs)
    return _dealt(select_new(node, *about, askable.wanted, seed, asked, unanswered), askable.wanted, visits)


def _dealt(by_kind: Mapping[str, Sequence[Request]], wanted: Mapping[str, int], visits: int) -> list[list[Request]]:
    """Deal questions out to visits, as many of each kind as each one wants, and mixed in each.

    Wherever a budget ends a visit, each kind has about its share of what was put. First of all comes a question whose
    answer says what is accepted, where any is wanted: of a level that few questions fell to, comparisons alone would
    anchor nothing.
    """
    dealt: list[list[tuple[float, Request]]] = [[] for _ in range(visits)]
    for asked, count in wanted.items():
        kind, criterion = parsed(asked)
        anchors = KINDS[kind].anchors and criterion == OVERALL
        for number, request in enumerate(by_kind[asked][: visits * count]):
            dealt[number // count].append(((number % count + (0 if anchors else 0.5)) / count, request))
    return [[request for _, request in sorted(visit, key=lambda each: each[0])] for visit in dealt]


def _stale_first(order: Sequence[str], at: Mapping[str, Askable], stale: frozenset[str]) -> list[str]:
    drawn = set(order)
    first = [node for node in order if node in stale]
    undrawn = [node for node in at if node in stale and node not in drawn]
    return [*first, *undrawn, *(node for node in order if node not in stale)]


def _fits(allowance: Allowance, minutes: float, questions: int) -> bool:
    in_time = allowance.minutes is None or minutes <= allowance.minutes
    return in_time and (allowance.questions is None or questions <= allowance.questions)


def _level(key: int | str) -> int | str:
    """Return a level's key as a number or "root"; TOML has only text for keys."""
    if key == ROOT:
        return key
    text = str(key)
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f'a budget\'s levels are numbers from 0 up or "root", got {key!r}')
    return int(text)


def _number(table: Mapping[str, Any], key: str, kind: Any, where: str) -> None:
    value = table.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
        raise ConfigError(f"{where}.{key} must be a {'whole ' if kind is int else ''}number, got {value!r}")
