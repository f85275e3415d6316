"""What can be done next: a stage's actions, each once and only after all that it reads."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Failure

J = TypeVar("J")
V = TypeVar("V")
Values = tuple[Any, ...]


@dataclass(frozen=True)
class Action(Generic[J]):
    """One piece of work: `step` says what is done with the job, `slot` for which node or request.

    The id is derived from all that determines the result, so an action on record is never done again.
    """

    id: str
    step: str
    slot: str
    place: Place
    job: J = field(repr=False, compare=False)


class Done(NamedTuple, Generic[J, V]):
    """A slot's job and what its action made of it: values, or failures."""

    job: J
    values: tuple[V, ...]
    failures: tuple[Failure, ...] = ()

    @classmethod
    def of(cls, job: J, values: Values) -> "Done[J, V]":
        failures = [value for value in values if isinstance(value, Failure)]
        if not failures:  # as nearly always
            return cls(job, values)
        return cls(job, tuple(value for value in values if not isinstance(value, Failure)), tuple(failures))


@dataclass(frozen=True)
class Stage(Generic[J, V]):
    """Like actions, one for each slot, that may be done in any order that `after` allows.

    `make(slot, done)` returns the slot's action once the slots in `after[slot]` are done; `done` holds
    what they made. `step` names the worker's verb, `J` the jobs and `V` the values. `about` says in words what the
    stage is about; left out, it is the place.
    """

    step: str
    place: Place
    slots: tuple[str, ...]
    make: Callable[[str, Mapping[str, Done[J, V]]], Action[J]]
    after: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: str = ""

    @property
    def title(self) -> str:
        return f"{self.step} · {self.about or self.place.title}"


Results = dict[str, Done[J, V]]
"""What each slot's action made, in the order of the slots."""

AnyStage = Stage[Any, Any]
AnyAction = Action[Any]
AnyResults = dict[str, Done[Any, Any]]


def carried_out(stage: Stage[J, V]) -> Generator[AnyStage, AnyResults, Results[J, V]]:
    """Yield a stage to the driver, and return its results under their own types."""
    return (yield stage) if stage.slots else {}


class Plan:
    """Ready and done, for one stage: hands out each action once, when all that it reads is done.

        plan = Plan(stage, recorded)
        while ready := plan.ready():
            for action in ready:
                plan.done(action, ...)

    `recorded` holds values by action id: those actions count as done and are not handed out, and
    two slots with the same action share it. Raises InputError for a slot named twice, for an
    unknown slot in `after`, and for a cycle.
    """

    def __init__(self, stage: AnyStage, recorded: Mapping[str, Values]) -> None:
        self.stage = stage
        self.left = len(stage.slots)
        self._known = dict(recorded)
        self._later = _followers(stage)
        self._unmet = {slot: len(set(stage.after.get(slot, ()))) for slot in stage.slots}
        self._fresh = deque(slot for slot, count in self._unmet.items() if count == 0)
        self._under_way: dict[str, list[tuple[str, Any]]] = {}
        self._results: AnyResults = {}

    @property
    def finished(self) -> bool:
        return self.left == 0

    @property
    def results(self) -> AnyResults:
        """What each slot's action made, in the order of the slots; only once all are done."""
        if not self.finished:
            raise ValueError(f"{self.stage.title}: {self.left} of {len(self.stage.slots)} slots are not done yet")
        return {slot: self._results[slot] for slot in self.stage.slots}

    def ready(self) -> list[AnyAction]:
        """Return the actions that can be done now and were not handed out before."""
        actions = []
        while self._fresh:
            slot = self._fresh.popleft()
            read = {earlier: self._results[earlier] for earlier in self.stage.after.get(slot, ())}
            action = self.stage.make(slot, read)
            if action.id in self._known:
                self._finish(slot, action.job, self._known[action.id])
            elif action.id in self._under_way:
                self._under_way[action.id].append((slot, action.job))
            else:
                self._under_way[action.id] = [(slot, action.job)]
                actions.append(action)
        return actions

    def done(self, action: AnyAction, values: Sequence[Any]) -> None:
        """Say what an action handed out by `ready` has made."""
        if action.id not in self._under_way:
            raise ValueError(f"{action.id} is not being worked on")
        self._known[action.id] = tuple(values)
        for slot, job in self._under_way.pop(action.id):
            self._finish(slot, job, self._known[action.id])

    def _finish(self, slot: str, job: Any, values: Values) -> None:
        self._results[slot] = Done.of(job, values)
        self.left -= 1
        for later in self._later.get(slot, ()):
            self._unmet[later] -= 1
            if self._unmet[later] == 0:
                self._fresh.append(later)


def _followers(stage: AnyStage) -> dict[str, list[str]]:
    """Return for each slot those that read it; raise InputError unless `after` is an order of `slots`."""
    slots = set(stage.slots)
    if len(slots) < len(stage.slots):
        twice = [slot for slot, count in Counter(stage.slots).items() if count > 1]
        raise InputError(f"{stage.title}: named twice among the slots: {', '.join(twice)}")
    later: dict[str, list[str]] = defaultdict(list)
    for slot, earlier in stage.after.items():
        if unknown := {slot, *earlier} - slots:
            raise InputError(f"{stage.title}: `after` names {', '.join(sorted(unknown))}, which are no slots of it")
        for each in dict.fromkeys(earlier):
            later[each].append(slot)
    _refuse_cycle(stage, later)
    return later


def _refuse_cycle(stage: AnyStage, later: Mapping[str, Sequence[str]]) -> None:
    unmet = {slot: len(set(stage.after.get(slot, ()))) for slot in stage.slots}
    free = [slot for slot, count in unmet.items() if count == 0]
    while free:
        slot = free.pop()
        del unmet[slot]
        for each in later.get(slot, ()):
            unmet[each] -= 1
            if unmet[each] == 0:
                free.append(each)
    if not unmet:
        return
    # every slot left waits for another one that is left, so walking back must come round
    path: dict[str, int] = {}
    at = next(iter(unmet))
    while at not in path:
        path[at] = len(path)
        at = next(each for each in stage.after[at] if each in unmet)
    cycle = [*list(path)[path[at] :], at]
    raise InputError(f"{stage.title}: each of these slots waits for the next: {' -> '.join(cycle)}")
