"""What engines promise, checked on made-up work: whoever does it and however often, what is on record is the same."""

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import anyio

from rrm.core.errors import BudgetError, InputError
from rrm.core.ids import content_id, seed_for
from rrm.core.place import Place
from rrm.core.protocols import PromptContext, ProposeJob
from rrm.core.roles import Train
from rrm.core.task import Task
from rrm.core.values import Failure, Fitted, Output, View
from rrm.engines.crossing import Answered, message, read_actions, read_message, write_results
from rrm.engines.seats import Doing
from rrm.pipeline.driver import Engine, drive
from rrm.pipeline.plan import Action, AnyAction, AnyResults, AnyStage, Done, Stage, Values
from rrm.pipeline.stages import FitJob, OutputsJob
from rrm.verify.held import Checks, Held, checking

FAILS, ENDS, STAYS = "fails", "ends", "stays"
"""How the slots of actions begin that fail by themselves, that end the run, and that need this process."""

FILE_PART = 20
"""Made-up files cross in parts of so many bytes."""


class MadeUpWorker:
    """Proposes made-up outputs and fits made-up models, here; implements `rrm.engines.here.Worker`.

    `done` counts actions by slot, and `files` are those of the models that are here, by their paths.
    """

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.files: dict[str, bytes] = {}

    def limit(self, step: str) -> int:
        return 0

    def vital(self, step: str) -> bool:
        return False

    def gains(self, step: str) -> bool:
        return False

    def compute(self, actions: Sequence[AnyAction]) -> list[Values | Exception]:
        self.done.update(action.slot for action in actions)
        results = [made_of(action) for action in actions]
        self.files |= {fitted.path: file_of(fitted.path) for fitted in _fitted(results)}
        return results

    async def call(self, action: AnyAction) -> Values:
        raise NotImplementedError("nothing waits here")


class MadeUpElsewhere:
    """The same worker at the other end of messages; it needs to be given the word `lantern` before it begins."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._has: set[str] = set()
        self._opened = False

    def sign(self) -> bytes:
        return message({})

    def answer(self, asked: bytes) -> bytes:
        head, body = read_message(asked)
        with self._turn:
            if "open" in head:
                self._opened = True
                return message({"opened": {}})
            if not self._opened:
                return message({"error": {"kind": "InputError", "ours": True, "said": "it was not opened"}})
            if "has" in head:
                self._has.add(head["has"])
                return message({"kept": True})
            if "send" in head:
                at = head["at"]
                return message(head, file_of(head["send"])[at : at + FILE_PART])
            if "lantern" not in self._has:
                return message({"needs": ["lantern"]})
        actions = read_actions(head["step"], body)
        return message(
            {"done": head["do"], "log": []}, write_results(head["step"], [made_of(each) for each in actions])
        )


class MadeUpSupplies:
    """What a made-up worker elsewhere is told; implements `rrm.engines.seats.Supplies`.

    The files of models that are fitted elsewhere come to those of the worker that is `here`. `noted` is what workers
    were said to do.
    """

    worker = "rrm.verify.engines:MadeUpElsewhere"
    steps = frozenset({"propose", "fit"})

    def __init__(self, here: MadeUpWorker) -> None:
        self._here = here
        self.noted: list[list[Doing]] = []

    def opening(self, threads: int, calls: bool) -> bytes:
        return message({"open": threads})

    def check(self, seat: str, facts: Mapping[str, str]) -> None:
        """All are alike."""

    def stays(self, action: AnyAction) -> bool:
        return action.slot.startswith(STAYS)

    def parts(self, name: str) -> Iterator[bytes]:
        yield message({"has": name})

    def fetch(self, values: Values) -> Generator[bytes, Answered, None]:
        for fitted in _fitted([values]):
            parts = []
            for at in range(0, len(file_of(fitted.path)), FILE_PART):
                asked = {"send": fitted.path, "at": at}
                head, part = yield message(asked)
                if head != asked:
                    raise InputError(f"{head} answers something else than {asked}")
                parts.append(part)
            self._here.files[fitted.path] = b"".join(parts)

    def parts_of(self, folder: str, content: object) -> Iterator[bytes]:
        raise NotImplementedError("no made-up fit is shared")

    def state(self, fit: str, ranks: int) -> None:
        """There is none."""

    def keep_state(self, fit: str, ranks: int, content: object) -> Generator[bytes, Answered, None]:
        raise NotImplementedError("no made-up fit is shared")

    def forget_state(self, fit: str) -> None:
        """There is none."""

    def check_calls(self) -> None:
        """Calls are made without keys."""

    def lend(self, call: Callable[[str], Awaitable[str]] | None) -> None:
        """No made-up action asks a model."""

    def note(self, doing: Sequence[Doing]) -> None:
        self.noted.append(list(doing))


def _fitted(results: Iterable[Values | Exception]) -> list[Fitted]:
    return [each for values in results if isinstance(values, tuple) for each in values if isinstance(each, Fitted)]


def file_of(path: str) -> bytes:
    """Return what stands in the file of a made-up model."""
    return f"The model of {path}.".encode() * 3


def made_of(action: AnyAction) -> Values | Exception:
    """Return what comes of a made-up action, the same wherever it is done."""
    if isinstance(action.job, FitJob):
        return (Fitted(action.place, f"model-{action.slot}", content_id("model", action.slot), 0),)
    job: OutputsJob = action.job
    if action.slot.startswith(FAILS):
        return ValueError(f"nothing can be said of {action.slot}")
    if action.slot.startswith(ENDS):
        return BudgetError("nothing is left to spend")
    context = job.ask.prompt_context.context
    return (Output(action.slot, f"Of {action.slot}, {len(context)} before: ŵ.", "made-up", job.ask.seed, (), context),)


def stage_of(slots: Sequence[str], chains: int = 0, level: int = 0) -> AnyStage:
    """Return a stage that proposes at made-up nodes, each by itself or in chains in which each reads the one before."""
    place = Place(level=level)
    after = {slots[at]: (slots[at - chains],) for at in range(chains, len(slots))} if chains else {}
    view, task = View("Say it.", (), 24), Task("Say it.", rank=1)

    def make(slot: str, done: Mapping[str, Done[Any, Any]]) -> AnyAction:
        context = tuple(output.id for each in done.values() for output in each.values)
        job = OutputsJob(ProposeJob(PromptContext(slot, task, view, (), context, place), 1, seed_for(slot)))
        return Action(content_id("action", "propose", slot, level, context), "propose", slot, place, job)

    return Stage("propose", place, tuple(slots), make, after)


def fits_of(slots: Sequence[str]) -> AnyStage:
    """Return a stage that fits made-up models."""
    place = Place(level=4)

    def make(slot: str, _: Mapping[str, Done[Any, Any]]) -> AnyAction:
        return Action(content_id("fit", slot), "fit", slot, place, FitJob(place, False, Train, (), seed_for(slot)))

    return Stage("fit", place, tuple(slots), make)


class Kept:
    """A record in memory that counts how often each action is recorded; implements `rrm.pipeline.driver.Record`.

    `too_early` are models that were recorded while their `files` were not there.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.values: dict[tuple[str, Place], dict[str, Values]] = {}
        self.times: Counter[str] = Counter()
        self.too_early: list[str] = []
        self._files = {} if files is None else files

    def complete(self, results: Sequence[tuple[AnyAction, Values]]) -> None:
        for action, values in results:
            self.values.setdefault((action.step, action.place), {})[action.id] = values
            self.times[action.id] += 1
            fitted = [each.path for each in _fitted([values])]
            self.too_early += [path for path in fitted if self._files.get(path) != file_of(path)]

    def check(self, values: Sequence[Any]) -> None:
        """Anything can be kept."""

    def results(self, step: str, place: Place) -> dict[str, Values]:
        return dict(self.values.get((step, place), {}))

    def hasten(self) -> None:
        """Memory is never away."""


def check_engine(engine: Engine, worker: MadeUpWorker, nodes: int = 150) -> Held:
    """Check an engine that was made for a made-up `worker` and, where it has workers elsewhere, `MadeUpSupplies`.

    The engine is closed at the end. Raises ContractError.
    """
    with checking("engine", engine) as checks:
        try:
            anyio.run(_check_all, checks, engine, worker, nodes)
        finally:
            engine.close()
    return checks.held


async def _check_all(checks: Checks, engine: Engine, worker: MadeUpWorker, nodes: int) -> None:
    record = Kept(worker.files)
    slots = [f"node-{number}" for number in range(nodes)]
    here = [f"{STAYS}-1", f"{STAYS}-2"]
    apart, chained = stage_of([*slots, *here]), stage_of(slots[:40], 4, 1)
    worker.done.clear()
    await _check_stage(checks, engine, record, apart)
    stayed = all(worker.done[slot] == 1 for slot in here)
    checks.require(stayed, "does here what must stay", "what needs this process was done elsewhere")
    await _check_stage(checks, engine, record, chained)
    await _check_stage(checks, engine, record, fits_of(["one", "two", "three"]))
    early = f"a model was on record before its files were there: {', '.join(record.too_early)}"
    checks.require(not record.too_early, "has a model's files before it is on record", early)
    before = Counter(record.times), Counter(worker.done)
    await drive(_only(apart), engine, record)
    again = "what was on record was done, or recorded, again"
    checks.require(before == (record.times, worker.done), "does nothing that is on record", again)
    await _check_failing(checks, engine, record, slots[:30])
    await _check_ending(checks, engine, record, slots[:60])


async def _check_stage(checks: Checks, engine: Engine, record: Kept, stage: AnyStage) -> None:
    """Check that a stage's results are those of its actions, on record, and were recorded once."""
    results = await drive(_only(stage), engine, record)
    made = {slot: done.values for slot, done in results.items()}
    same = all(made[slot] == _expected(stage, slot, made) for slot in stage.slots)
    other = "what came of an action is not what its worker makes of it"
    checks.require(same, "gives what its worker would make here", other)
    kept = sorted(map(repr, record.results(stage.step, stage.place).values()))
    whole = kept == sorted(map(repr, made.values()))
    checks.require(whole, "has a stage on record before it goes on", "a result is not on record")
    _require_once(checks, record)


async def _check_failing(checks: Checks, engine: Engine, record: Kept, slots: Sequence[str]) -> None:
    """Check that one action's failure is its own."""
    name = f"{FAILS}-1"
    stage = stage_of([*slots[:20], name, *slots[20:]], 0, 2)
    results = await drive(_only(stage), engine, record)
    told = Failure(name, "propose", "ValueError", f"nothing can be said of {name}")
    goes_on = results[name].failures == (told,) and all(results[slot].values for slot in slots)
    found = f"one action failed, and what came of it is {results[name].failures}"
    checks.require(goes_on, "records what failed with its cause, and goes on", found)


async def _check_ending(checks: Checks, engine: Engine, record: Kept, slots: Sequence[str]) -> None:
    """Check that what ends a run ends it, and that the same engine then does the rest."""
    try:
        await drive(_only(stage_of([f"{ENDS}-1", *slots], 0, 3)), engine, record)
        ended = False
    except BudgetError:
        ended = True
    checks.require(ended, "ends a run that cannot go on", "an action had nothing left to spend, and the run went on")
    results = await drive(_only(stage_of(slots, 0, 3)), engine, record)
    rest = "what an ended run left was not done afterwards"
    checks.require(all(results[slot].values for slot in slots), "goes on where a run ended", rest)
    _require_once(checks, record)


def _require_once(checks: Checks, record: Kept) -> None:
    once = all(times == 1 for times in record.times.values())
    checks.require(once, "records each action once", "an action was recorded twice")


def _expected(stage: AnyStage, slot: str, made: Mapping[str, Values]) -> Values | Exception:
    return made_of(stage.make(slot, {each: Done(None, made[each]) for each in stage.after.get(slot, ())}))


def _only(stage: AnyStage) -> Generator[AnyStage, AnyResults, AnyResults]:
    return (yield stage)
