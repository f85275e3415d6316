"""The driver carries a process out, keeps every result, and goes on where it was broken off."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from rich.console import Console

from rrm.core.errors import AssistantError, BudgetError, InputError, StoreError, Waiting
from rrm.core.ids import content_id
from rrm.core.values import Comparison, Failure, Feedback, Output, Rating, Request, Shown, View
from rrm.engines.local import Concurrently, FromPeople, InThread
from rrm.pipeline import driver
from rrm.pipeline.driver import Executor, Record, Work, drive, failed
from rrm.pipeline.plan import Action, Plan, Results, Stage, Values
from rrm.pipeline.progress import RichProgress
from rrm.store import SqlStore, open_store

Process = Generator[Stage, Results, Any]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with open_store(tmp_path / "run") as opened:
        yield opened


def ids(values: Sequence[Any]) -> list[str]:
    return [value.id for value in values]


def propose(nodes: int, chains: int = 0, level: int = 0) -> Stage:
    """So many nodes, each by itself or in so many chains in which each reads the one before."""
    slots = tuple(f"node-{number}" for number in range(nodes))
    after = {slots[at]: (slots[at - chains],) for at in range(chains, nodes)} if chains else {}

    def make(slot: str, results: Mapping[str, Values]) -> Action:
        context = [each for values in results.values() for each in ids(values)]
        return Action(content_id("action", slot, level, context), "propose", slot, level, context)

    return Stage("propose", level, slots, make, after)


def only(stage: Stage) -> Generator[Stage, Results, Results]:
    return (yield stage)


def output(action: Action) -> Output:
    return Output(action.slot, f"text of {action.slot}", "test", action.level, context=tuple(action.payload or ()))


class Counting:
    """A policy that counts how often it is asked for each slot, and first does as it is told."""

    def __init__(self, first: Callable[[Action], None] = lambda action: None) -> None:
        self.calls: Counter[str] = Counter()
        self._first = first

    def __call__(self, action: Action) -> list[Output]:
        self.calls[action.slot] += 1
        self._first(action)
        return [output(action)]

    async def later(self, action: Action) -> list[Output]:
        await anyio.lowlevel.checkpoint()
        return self(action)


def raising(slot: str, error: Exception) -> Callable[[Action], None]:
    def first(action: Action) -> None:
        if action.slot == slot:
            raise error

    return first


def at_once(policy: Counting) -> list[Executor]:
    return [InThread(policy, batch=4), InThread(policy, batch=1), Concurrently(policy.later, limit=3)]


EXECUTORS = pytest.mark.parametrize("which", [0, 1, 2], ids=["batches", "one by one", "concurrently"])


# ---- going through ----


@EXECUTORS
@pytest.mark.parametrize("chains", [0, 1, 3])
@pytest.mark.asyncio
async def test_each_action_is_done_once_and_results_come_in_the_order_of_slots(
    store: SqlStore, which: int, chains: int
) -> None:
    policy = Counting()
    results = await drive(only(propose(20, chains)), {"propose": at_once(policy)[which]}, store)
    assert list(results) == [f"node-{number}" for number in range(20)]
    assert all(values[0].text == f"text of {slot}" for slot, values in results.items())
    if chains:
        assert results["node-19"][0].context == (results[f"node-{19 - chains}"][0].id,)
    assert set(policy.calls.values()) == {1}
    assert len(policy.calls) == 20


@EXECUTORS
@pytest.mark.asyncio
async def test_a_finished_run_started_again_gives_the_same_and_does_nothing(store: SqlStore, which: int) -> None:
    first = await drive(only(propose(20, 2)), {"propose": InThread(Counting())}, store)
    policy = Counting()
    assert await drive(only(propose(20, 2)), {"propose": at_once(policy)[which]}, store) == first
    assert policy.calls == {}


@pytest.mark.asyncio
async def test_a_process_builds_a_stage_from_the_results_of_the_one_before(store: SqlStore) -> None:
    def process() -> Process:
        leaves = yield propose(3)
        read = [each for values in leaves.values() for each in ids(values)]

        def make(slot: str, results: Mapping[str, Values]) -> Action:
            return Action(content_id("action", slot, read), "propose", slot, 1, read)

        top = yield Stage("propose", 1, ("root",), make)
        return top["root"][0].context == tuple(read)

    assert await drive(process(), {"propose": InThread(Counting())}, store) is True


@pytest.mark.asyncio
async def test_a_process_without_stages_and_stages_without_slots_are_fine(store: SqlStore) -> None:
    def none() -> Process:
        yield from ()
        return 7

    assert await drive(none(), {}, store) == 7
    for executor in at_once(Counting()):
        assert await drive(only(propose(0)), {"propose": executor}, store) == {}


@pytest.mark.asyncio
async def test_a_step_that_nobody_carries_out_is_named(store: SqlStore) -> None:
    with pytest.raises(InputError, match="nobody carries out the step propose: there are rate, fit"):
        await drive(only(propose(1)), {"rate": InThread(Counting()), "fit": InThread(Counting())}, store)


@pytest.mark.asyncio
async def test_never_more_than_the_limit_are_under_way_at_once(store: SqlStore) -> None:
    under_way, most = 0, 0

    async def policy(action: Action) -> list[Output]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.002)
        under_way -= 1
        return [output(action)]

    await drive(only(propose(40)), {"propose": Concurrently(policy, limit=5)}, store)
    assert most == 5
    with pytest.raises(InputError, match="at least 1, got 0"):
        Concurrently(policy, limit=0)


class Recorder:
    """Passes everything on to a store, and notes how much is recorded at once."""

    def __init__(self, store: SqlStore, fail_at: int | None = None) -> None:
        self.store, self.fail_at = store, fail_at
        self.batches: list[int] = []

    def complete(self, results: Sequence[tuple[Action, Values]]) -> None:
        if len(self.batches) == self.fail_at:
            raise StoreError("the disk is full; make room and resume")
        self.store.complete(results)
        self.batches.append(len(results))

    def results(self, step: str, level: int) -> dict[str, Values]:
        return self.store.results(step, level)


@pytest.mark.asyncio
async def test_results_are_recorded_in_batches(store: SqlStore) -> None:
    record = Recorder(store)
    await drive(only(propose(100)), {"propose": InThread(Counting(), batch=32)}, record)
    assert record.batches == [32, 32, 32, 4]


@pytest.mark.asyncio
async def test_what_comes_in_while_the_disk_is_busy_is_recorded_together(store: SqlStore) -> None:
    record = Recorder(store)
    await drive(only(propose(60)), {"propose": Concurrently(Counting().later, limit=20)}, record)
    assert sum(record.batches) == 60
    assert len(record.batches) <= 6  # three rounds of twenty, and what straggles


# ---- failures ----


@EXECUTORS
@pytest.mark.parametrize("error", [ValueError("no\nsuch word"), AssistantError("the model is gone"), InputError("")])
@pytest.mark.asyncio
async def test_an_action_that_fails_is_recorded_with_its_cause_and_the_rest_goes_on(
    store: SqlStore, which: int, error: Exception
) -> None:
    policy = Counting(raising("node-3", error))
    results = await drive(only(propose(8)), {"propose": at_once(policy)[which]}, store)
    (fault,) = results["node-3"]
    cause = " ".join(str(error).split()) or "it gives no reason"
    assert fault == Failure("node-3", "propose", type(error).__name__, cause)
    assert store.load(Failure) == [fault]
    assert sum(not failed(values) for values in results.values()) == 7
    assert await drive(only(propose(8)), {"propose": InThread(Counting(raising("node-3", error)))}, store) == results


@pytest.mark.asyncio
async def test_an_error_of_a_vital_action_ends_the_run_and_is_not_recorded_as_its_failure(store: SqlStore) -> None:
    broken = Counting(raising("node-3", ValueError("singular")))
    with pytest.raises(ValueError, match="singular"):
        await drive(only(propose(8)), {"propose": InThread(broken, batch=8, vital=True)}, store)
    assert store.load(Failure) == []
    assert len(store.load(Output)) == 3
    results = await drive(only(propose(8)), {"propose": InThread(Counting(), vital=True)}, store)
    assert not any(failed(values) for values in results.values())


@pytest.mark.asyncio
async def test_each_batch_is_prepared_as_a_whole_before_its_actions(store: SqlStore) -> None:
    prepared: list[list[str]] = []

    def prepare(batch: Sequence[Action]) -> None:
        prepared.append([action.slot for action in batch])

    policy = Counting(lambda action: None if action.slot in prepared[-1] else pytest.fail("not prepared"))
    await drive(only(propose(10)), {"propose": InThread(policy, batch=4, prepare=prepare)}, store)
    assert [len(batch) for batch in prepared] == [4, 4, 2]


@pytest.mark.asyncio
async def test_what_failed_is_done_again_only_when_asked_for(store: SqlStore) -> None:
    broken = Counting(raising("node-1", ValueError("busy")))
    await drive(only(propose(4)), {"propose": InThread(broken)}, store)
    policy = Counting()
    kept = await drive(only(propose(4)), {"propose": InThread(policy)}, store)
    assert failed(kept["node-1"])
    assert policy.calls == {}
    mended = await drive(only(propose(4)), {"propose": InThread(policy)}, store, retry_failed=True)
    assert policy.calls == {"node-1": 1}
    assert not any(failed(values) for values in mended.values())
    assert await drive(only(propose(4)), {"propose": InThread(policy)}, store) == mended
    assert policy.calls == {"node-1": 1}


@EXECUTORS
@pytest.mark.parametrize(
    ("made", "cause"),
    [
        ([Output("n", "\ud800", "test", 0)], "output.text cannot be recorded"),
        (["a text"], "a str cannot be recorded"),
        (None, "'NoneType' object is not iterable"),
    ],
)
@pytest.mark.asyncio
async def test_a_result_that_cannot_be_recorded_is_a_failure_of_that_action_alone(
    store: SqlStore, which: int, made: Any, cause: str
) -> None:
    def policy(action: Action) -> Any:
        return made if action.slot == "node-2" else [output(action)]

    async def later(action: Action) -> Any:
        return policy(action)

    executors: list[Executor] = [InThread(policy, 4), InThread(policy, 1), Concurrently(later, 3)]
    results = await drive(only(propose(6)), {"propose": executors[which]}, store)
    (fault,) = results["node-2"]
    assert isinstance(fault, Failure)
    assert cause in fault.cause
    assert sum(not failed(values) for values in results.values()) == 5


@pytest.mark.asyncio
async def test_a_cause_that_utf_8_cannot_hold_is_recorded_all_the_same(store: SqlStore) -> None:
    policy = Counting(raising("node-0", ValueError("bad \udc80 byte")))
    results = await drive(only(propose(1)), {"propose": InThread(policy)}, store)
    assert results["node-0"][0].cause == "bad ? byte"


@pytest.mark.asyncio
async def test_a_later_sibling_is_told_of_a_failure(store: SqlStore) -> None:
    results = await drive(
        only(propose(3, chains=1)), {"propose": InThread(Counting(raising("node-0", ValueError("x"))))}, store
    )
    assert failed(results["node-0"])
    assert results["node-1"][0].context == (results["node-0"][0].id,)


@EXECUTORS
@pytest.mark.parametrize("error", [BudgetError("no calls left"), StoreError("gone")])
@pytest.mark.asyncio
async def test_a_used_up_budget_ends_the_run_and_keeps_what_was_done(
    store: SqlStore, which: int, error: Exception
) -> None:
    policy = Counting(raising("node-5", error))
    with pytest.raises(type(error), match=str(error)):
        await drive(only(propose(30)), {"propose": at_once(policy)[which]}, store)
    recorded = store.results("propose", 0)
    assert len(recorded) == sum(policy.calls.values()) - 1
    assert len(policy.calls) < 30
    rest = Counting()
    results = await drive(only(propose(30)), {"propose": InThread(rest)}, store)
    assert len(rest.calls) == 30 - len(recorded)
    assert len(results) == 30
    assert store.load(Failure) == []


@pytest.mark.asyncio
async def test_what_is_under_way_when_the_budget_is_used_up_is_finished_and_recorded(store: SqlStore) -> None:
    out_of_money = anyio.Event()

    async def policy(action: Action) -> list[Output]:
        if action.slot == "node-2":
            out_of_money.set()
            raise BudgetError("no calls left")
        await out_of_money.wait()
        await anyio.sleep(0.01)
        return [output(action)]

    with pytest.raises(BudgetError):
        await drive(only(propose(10)), {"propose": Concurrently(policy, limit=3)}, store)
    assert sorted(values[0].node for values in store.results("propose", 0).values()) == ["node-0", "node-1"]


@EXECUTORS
@pytest.mark.asyncio
async def test_a_record_that_cannot_be_written_ends_the_run_which_can_be_resumed(store: SqlStore, which: int) -> None:
    policy = Counting()
    with pytest.raises(StoreError, match="the disk is full"):
        await drive(only(propose(30)), {"propose": at_once(policy)[which]}, Recorder(store, fail_at=2))
    recorded = store.results("propose", 0)
    assert 0 < len(recorded) < 30
    rest = Counting()
    assert len(await drive(only(propose(30)), {"propose": InThread(rest)}, store)) == 30
    assert len(rest.calls) == 30 - len(recorded)


@pytest.mark.asyncio
async def test_a_mistake_in_a_process_is_not_taken_for_a_failed_action(store: SqlStore) -> None:
    def make(slot: str, results: Mapping[str, Values]) -> Action:
        if results:
            raise ZeroDivisionError("a mistake")
        return Action(slot, "propose", slot, 0, None)

    for executor in at_once(Counting()):
        with pytest.raises(ZeroDivisionError, match="a mistake"):
            await drive(only(Stage("propose", 0, ("a", "b"), make, {"b": ("a",)})), {"propose": executor}, store)


# ---- interruptions ----


async def interrupt_by_scope(main: Callable[[], Awaitable[Any]], begun: anyio.Event) -> None:
    async def child() -> None:
        await main()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(child)
        await begun.wait()
        tasks.cancel_scope.cancel()


async def interrupt_natively(main: Callable[[], Awaitable[Any]], begun: anyio.Event) -> None:
    task = asyncio.ensure_future(main())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


INTERRUPTIONS = pytest.mark.parametrize("interrupt", [interrupt_by_scope, interrupt_natively])


@INTERRUPTIONS
@pytest.mark.asyncio
async def test_an_interrupted_run_finishes_and_records_what_is_under_way_and_begins_nothing(
    store: SqlStore, interrupt: Callable[..., Awaitable[None]]
) -> None:
    begun = anyio.Event()
    calls: list[str] = []

    async def policy(action: Action) -> list[Output]:
        calls.append(action.slot)
        if len(calls) == 7:
            begun.set()
        if len(calls) > 4:
            await anyio.sleep(0.05)
        return [output(action)]

    process = only(propose(50))
    await interrupt(lambda: drive(process, {"propose": Concurrently(policy, limit=3)}, store), begun)
    assert len(calls) == 7
    assert {values[0].node for values in store.results("propose", 0).values()} == set(calls)
    rest = Counting()
    results = await drive(only(propose(50)), {"propose": InThread(rest)}, store)
    assert set(rest.calls) == {f"node-{number}" for number in range(50)} - set(calls)
    assert len(results) == 50


@INTERRUPTIONS
@pytest.mark.asyncio
async def test_an_interrupted_batch_ends_after_the_action_that_is_being_done(
    store: SqlStore, interrupt: Callable[..., Awaitable[None]]
) -> None:
    begun = anyio.Event()

    def first(action: Action) -> None:
        if action.slot == "node-3":
            anyio.from_thread.run_sync(begun.set, token=token)
            while not work[0].stopping:
                pass

    class Watched(InThread):
        async def execute(self, each: Work) -> None:
            work.append(each)
            await super().execute(each)

    work: list[Work] = []
    token = anyio.lowlevel.current_token()
    policy = Counting(first)
    await interrupt(lambda: drive(only(propose(50)), {"propose": Watched(policy, batch=10)}, store), begun)
    assert sorted(policy.calls) == ["node-0", "node-1", "node-2", "node-3"]
    assert len(store.results("propose", 0)) == 4


@INTERRUPTIONS
@pytest.mark.asyncio
async def test_an_interrupted_run_does_not_wait_for_ever(
    store: SqlStore, interrupt: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "DRAIN_SECONDS", 0.05)
    begun = anyio.Event()

    async def policy(action: Action) -> list[Output]:
        if action.slot == "node-1":
            begun.set()
            await anyio.sleep_forever()
        return [output(action)]

    await interrupt(lambda: drive(only(propose(3)), {"propose": Concurrently(policy, limit=1)}, store), begun)
    assert [values[0].node for values in store.results("propose", 0).values()] == ["node-0"]


RUN = """
import sys, time
from rrm.core.values import Output
from rrm.engines.local import InThread
from rrm.pipeline.driver import drive, run
from rrm.pipeline.plan import Action, Stage
from rrm.store import open_store

def process():
    slots = tuple(f"node-{n}" for n in range(1000))
    return (yield Stage("propose", 0, slots, lambda slot, read: Action(slot, "propose", slot, 0, None)))

def policy(action):
    print(action.slot, flush=True)
    time.sleep(float(sys.argv[2]))
    return [Output(action.slot, "", "test", 0)]

with open_store(sys.argv[1]) as store:
    try:
        run(lambda: drive(process(), {"propose": InThread(policy, batch=10)}, store))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


def signalled(directory: Path, seconds: float, signals: Sequence[int]) -> tuple[int, list[str]]:
    """Run in a process of its own, signal it once it has begun, and return its exit code and what it printed."""
    command = [sys.executable, "-c", RUN, str(directory), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip()]
        while seconds < 1 and len(lines) < 3:
            lines.append(process.stdout.readline().strip())
        for number in signals:
            os.kill(process.pid, number)
            time.sleep(0.3)  # two pending signals of one kind would count as one
        rest, _ = process.communicate(timeout=60)
    return process.returncode, lines + rest.split()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_everything_recorded_that_was_begun(tmp_path: Path, number: int, code: int) -> None:
    returned, lines = signalled(tmp_path, 0.05, [number])
    assert returned == code
    begun = [line for line in lines if line.startswith("node-")]
    assert 3 <= len(begun) < 1000
    assert ("interrupted" in lines) == (number == signal.SIGINT)
    with open_store(tmp_path) as store:
        assert list(store.results("propose", 0)) == begun


def test_a_second_interrupt_waits_for_nothing(tmp_path: Path) -> None:
    returned, lines = signalled(tmp_path, 600, [signal.SIGINT, signal.SIGINT])
    assert returned == 130
    assert lines == ["node-0", "interrupted"]
    with open_store(tmp_path) as store:
        assert store.results("propose", 0) == {}


# ---- people ----


def ask(count: int, level: int = 0, chain: bool = False) -> Stage:
    view = View("Which is better?", (), 10)
    shown = (Shown("output-1", "one"), Shown("output-2", "two"))
    requests = {
        f"ask-{number}": Request(f"node-{number}", "book", level, "comparison", view, shown) for number in range(count)
    }
    slots = tuple(requests)

    def make(slot: str, results: Mapping[str, Values]) -> Action:
        return Action(content_id("action", requests[slot].id), "rate", slot, level, requests[slot])

    after = {later: (earlier,) for earlier, later in pairwise(slots)} if chain else {}
    return Stage("rate", level, slots, make, after)


def answer(store: SqlStore, count: int, rater: str = "Ann") -> list[Feedback]:
    open_ = [request for request in store.load(Request) if request.id not in store.answers([request.id])]
    feedback = [Feedback(request.id, rater, Comparison(1)) for request in open_[:count]]
    store.append(feedback)
    return feedback


@pytest.mark.asyncio
async def test_a_run_says_what_it_waits_for_and_goes_on_with_what_has_come(store: SqlStore) -> None:
    people = {"rate": FromPeople(store)}
    with pytest.raises(Waiting, match=r"^waiting for 5 ratings of level 2, 0 of 5 are in$"):
        await drive(only(ask(5, level=2)), people, store)
    assert len(store.load(Request)) == 5
    answer(store, 2)
    with pytest.raises(Waiting, match=r"^waiting for 3 ratings of level 2, 2 of 5 are in$"):
        await drive(only(ask(5, level=2)), people, store)
    assert len(store.results("rate", 2)) == 2
    answer(store, 2)
    with pytest.raises(Waiting, match=r"^waiting for 1 rating of level 2, 4 of 5 are in$"):
        await drive(only(ask(5, level=2)), people, store)
    answer(store, 1)
    results = await drive(only(ask(5, level=2)), people, store)
    assert [type(values[0].answer) for values in results.values()] == [Comparison] * 5
    assert len(store.load(Request)) == 5


@pytest.mark.asyncio
async def test_all_that_people_said_about_a_request_is_taken(store: SqlStore) -> None:
    with pytest.raises(Waiting):
        await drive(only(ask(1)), {"rate": FromPeople(store)}, store)
    (request,) = store.load(Request)
    said = [Feedback(request.id, "Ann", Comparison(1)), Feedback(request.id, "Bob", Rating(2))]
    store.append(said)
    assert await drive(only(ask(1)), {"rate": FromPeople(store)}, store) == {"ask-0": tuple(said)}


@pytest.mark.asyncio
async def test_a_run_that_waits_takes_answers_as_they_come(store: SqlStore) -> None:
    results: Results = {}

    async def wait() -> None:
        people = FromPeople(store, wait=True, poll_seconds=0.01)
        results.update(await drive(only(ask(4, chain=True)), {"rate": people}, store))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        with anyio.fail_after(60):
            while not results:
                answer(store, 1)
                await anyio.sleep(0.005)
    assert list(results) == ["ask-0", "ask-1", "ask-2", "ask-3"]


@INTERRUPTIONS
@pytest.mark.asyncio
async def test_a_run_that_waits_for_people_can_be_interrupted(
    store: SqlStore, interrupt: Callable[..., Awaitable[None]]
) -> None:
    polled = anyio.Event()

    class Polled:
        def append(self, values: Sequence[Any]) -> None:
            store.append(values)

        def answers(self, requests: Sequence[str]) -> dict[str, list[Feedback]]:
            anyio.from_thread.run_sync(polled.set)
            return store.answers(requests)

    people = FromPeople(Polled(), wait=True, poll_seconds=600)
    await interrupt(lambda: drive(only(ask(3)), {"rate": people}, store), polled)
    assert len(store.load(Request)) == 3


@pytest.mark.asyncio
async def test_people_are_asked_nothing_but_requests(store: SqlStore) -> None:
    with pytest.raises(InputError, match="people answer requests, not list: propose node-0"):
        await drive(only(propose(2)), {"propose": FromPeople(store)}, store)


# ---- progress ----


class Told:
    def __init__(self) -> None:
        self.said: list[Any] = []

    def start(self, title: str, total: int, done: int) -> None:
        self.said.append((title, total, done))

    def advance(self, n: int) -> None:
        self.said.append(n)

    def finish(self) -> None:
        self.said.append("finish")


@pytest.mark.asyncio
async def test_progress_counts_what_is_on_record(store: SqlStore) -> None:
    with pytest.raises(BudgetError):
        policy = Counting(raising("node-2", BudgetError("")))
        await drive(only(propose(5)), {"propose": InThread(policy, batch=1)}, store, told := Told())
    assert told.said == [("propose · level 0", 5, 0), 1, 1, "finish"]
    await drive(only(propose(5)), {"propose": InThread(Counting(), batch=2)}, store, told := Told())
    assert told.said == [("propose · level 0", 5, 2), 2, 1, "finish"]


def test_away_from_a_terminal_a_stage_is_one_line() -> None:
    written = io.StringIO()
    progress = RichProgress(Console(file=written, width=100))
    for done in (0, 2):
        progress.start("rate · level 1", 5, done)
        progress.advance(3)
        progress.finish()
    first, second = written.getvalue().splitlines()
    assert first.startswith("rate · level 1: 3 of 5 in ")
    assert second.startswith("rate · level 1: 5 of 5 (2 on record before) in ")


def test_on_a_terminal_a_stage_that_takes_its_time_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.pipeline.progress.SHOW_AFTER_SECONDS", 0.0)
    written = io.StringIO()
    progress = RichProgress(Console(file=written, width=100, force_terminal=True))
    progress.start("rate · level 1", 5, 0)
    progress._timer.join()
    progress.advance(3)
    progress.finish()
    assert "3/5" in written.getvalue()
    assert "rate · level 1: 3 of 5 in" in written.getvalue()


def test_the_store_is_what_the_driver_asks_for(store: SqlStore) -> None:
    record: Record = store
    work = Plan(propose(1), record.results("propose", 0))
    assert work.left == 1
