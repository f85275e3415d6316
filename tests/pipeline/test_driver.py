"""The driver carries a process out, keeps every result, and goes on where it was broken off."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from rich.console import Console

from rrm.core.errors import AssistantError, BudgetError, InputError, PluginError, StoreError, Waiting
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.values import Comparison, Failure, Feedback, Output, Rated, Rating, Request, Shown, View
from rrm.engines import here
from rrm.engines.here import Concurrently, FromPeople, InThread
from rrm.pipeline import driver
from rrm.pipeline.driver import PATIENCE, Executor, Executors, Record, Work, drive
from rrm.pipeline.plan import Action, AnyAction, AnyResults, AnyStage, Done, Plan, Stage, Values
from rrm.pipeline.progress import RichProgress
from rrm.pipeline.stages import RateJob
from rrm.store import SqlStore, open_store

Process = Generator[AnyStage, AnyResults, Any]


class Doing:
    """A worker that does every action by one function, which may be a coroutine's."""

    def __init__(self, do: Callable[[AnyAction], Any], vital: bool = False) -> None:
        self._do, self._vital = do, vital

    def limit(self, step: str) -> int:
        return 0

    def gains(self, step: str) -> bool:
        return False

    def vital(self, step: str) -> bool:
        return self._vital

    def compute(self, actions: Sequence[AnyAction]) -> list[Values | Exception]:
        return [self._tried(action) for action in actions]

    def _tried(self, action: AnyAction) -> Values | Exception:
        try:
            return tuple(self._do(action))
        except Exception as error:
            return error

    async def call(self, action: AnyAction) -> Values:
        return tuple(await self._do(action))


def threads(do: Callable[[AnyAction], Any], vital: bool = False) -> InThread:
    return InThread(Doing(do, vital))


def side_by_side(do: Callable[[AnyAction], Any], limit: int) -> Concurrently:
    return Concurrently(Doing(do), limit)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with open_store(tmp_path / "run") as opened:
        yield opened


def ids(values: Sequence[Any]) -> list[str]:
    return [value.id for value in values]


def propose(nodes: int, chains: int = 0, level: int = 0) -> AnyStage:
    """So many nodes, each by itself or in so many chains in which each reads the one before."""
    slots = tuple(f"node-{number}" for number in range(nodes))
    after = {slots[at]: (slots[at - chains],) for at in range(chains, nodes)} if chains else {}

    def make(slot: str, results: Mapping[str, Done[Any, Any]]) -> AnyAction:
        context = [each for done in results.values() for each in ids((*done.values, *done.failures))]
        return Action(content_id("action", slot, level, context), "propose", slot, Place(level=level), context)

    return Stage("propose", Place(level=level), slots, make, after)


def only(stage: AnyStage) -> Generator[AnyStage, AnyResults, AnyResults]:
    return (yield stage)


def output(action: AnyAction) -> Output:
    return Output(action.slot, f"text of {action.slot}", "test", action.place.level, context=tuple(action.job or ()))


class Counting:
    """A policy that counts how often it is asked for each slot, and first does as it is told."""

    def __init__(self, first: Callable[[AnyAction], None] = lambda action: None) -> None:
        self.calls: Counter[str] = Counter()
        self._first = first

    def __call__(self, action: AnyAction) -> list[Output]:
        self.calls[action.slot] += 1
        self._first(action)
        return [output(action)]

    async def later(self, action: AnyAction) -> list[Output]:
        await anyio.lowlevel.checkpoint()
        return self(action)


def raising(slot: str, error: Exception) -> Callable[[AnyAction], None]:
    def first(action: AnyAction) -> None:
        if action.slot == slot:
            raise error

    return first


def at_once(policy: Counting) -> list[Executor]:
    return [threads(policy), side_by_side(policy.later, limit=3)]


EXECUTORS = pytest.mark.parametrize("which", [0, 1], ids=["batches", "concurrently"])


# ---- going through ----


@EXECUTORS
@pytest.mark.parametrize("chains", [0, 1, 3])
@pytest.mark.asyncio
async def test_each_action_is_done_once_and_results_come_in_the_order_of_slots(
    store: SqlStore, which: int, chains: int
) -> None:
    policy = Counting()
    results = await drive(only(propose(20, chains)), Executors({"propose": at_once(policy)[which]}), store)
    assert list(results) == [f"node-{number}" for number in range(20)]
    assert all(done.values[0].text == f"text of {slot}" for slot, done in results.items())
    if chains:
        assert results["node-19"].values[0].context == (results[f"node-{19 - chains}"].values[0].id,)
    assert set(policy.calls.values()) == {1}
    assert len(policy.calls) == 20


@EXECUTORS
@pytest.mark.asyncio
async def test_a_finished_run_started_again_gives_the_same_and_does_nothing(store: SqlStore, which: int) -> None:
    first = await drive(only(propose(20, 2)), Executors({"propose": threads(Counting())}), store)
    policy = Counting()
    assert await drive(only(propose(20, 2)), Executors({"propose": at_once(policy)[which]}), store) == first
    assert policy.calls == {}


@pytest.mark.asyncio
async def test_a_process_builds_a_stage_from_the_results_of_the_one_before(store: SqlStore) -> None:
    def process() -> Process:
        leaves = yield propose(3)
        read = [each for done in leaves.values() for each in ids(done.values)]

        def make(slot: str, results: Mapping[str, Done[Any, Any]]) -> AnyAction:
            return Action(content_id("action", slot, read), "propose", slot, Place(level=1), read)

        top = yield Stage("propose", Place(level=1), ("root",), make)
        return top["root"].values[0].context == tuple(read)

    assert await drive(process(), Executors({"propose": threads(Counting())}), store) is True


@pytest.mark.asyncio
async def test_a_process_without_stages_and_stages_without_slots_are_fine(store: SqlStore) -> None:
    def none() -> Process:
        yield from ()
        return 7

    assert await drive(none(), Executors(), store) == 7
    for executor in at_once(Counting()):
        assert await drive(only(propose(0)), Executors({"propose": executor}), store) == {}


@pytest.mark.asyncio
async def test_a_step_that_nobody_carries_out_is_named(store: SqlStore) -> None:
    with pytest.raises(InputError, match="nobody carries out the step propose: there are rate, fit"):
        await drive(only(propose(1)), Executors({"rate": threads(Counting()), "fit": threads(Counting())}), store)


@pytest.mark.asyncio
async def test_never_more_than_the_limit_are_under_way_at_once(store: SqlStore) -> None:
    under_way, most = 0, 0

    async def policy(action: AnyAction) -> list[Output]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.002)
        under_way -= 1
        return [output(action)]

    await drive(only(propose(40)), Executors({"propose": side_by_side(policy, limit=5)}), store)
    assert most == 5
    with pytest.raises(InputError, match="at least 1, got 0"):
        side_by_side(policy, limit=0)


class Recorder:
    """Passes everything on to a store, and notes how much is recorded at once."""

    def __init__(self, store: SqlStore, fail_at: int | None = None) -> None:
        self.store, self.fail_at = store, fail_at
        self.batches: list[int] = []

    def complete(self, results: Sequence[tuple[AnyAction, Values]]) -> None:
        if len(self.batches) == self.fail_at:
            raise StoreError("the disk is full; make room and resume")
        self.store.complete(results)
        self.batches.append(len(results))

    def check(self, values: Sequence[Any]) -> None:
        self.store.check(values)

    def results(self, step: str, place: Place) -> dict[str, Values]:
        return self.store.results(step, place)

    def hasten(self) -> None:
        self.store.hasten()


class Clock:
    """A clock that every action moves on by so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now, self._seconds = 0.0, seconds
        monkeypatch.setattr(here.time, "monotonic", lambda: self.now)

    def __call__(self, action: AnyAction) -> None:
        self.now += self._seconds


@pytest.mark.parametrize(
    ("seconds", "batches"), [(0.001, [1, 2, 4, 8, 16, 32, 64, 73]), (0.25, [1] * 6), (2.0, [1] * 6)]
)
@pytest.mark.asyncio
async def test_what_is_done_is_recorded_within_a_second_in_batches_that_grow_while_actions_are_quick(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, seconds: float, batches: list[int]
) -> None:
    record = Recorder(store)
    clock = Clock(monkeypatch, seconds)
    await drive(only(propose(sum(batches))), Executors({"propose": threads(Counting(clock))}), record)
    assert record.batches == batches


@pytest.mark.asyncio
async def test_the_links_of_a_chain_are_recorded_together_within_a_second(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Recorder(store)
    clock = Clock(monkeypatch, 1 / 128)  # 26 of which are the first to exceed a fifth of a second
    results = await drive(only(propose(100, chains=1)), Executors({"propose": threads(Counting(clock))}), record)
    assert record.batches == [26, 26, 26, 22]
    before = [results[f"node-{number}"].values[0].id for number in range(99)]
    assert [results[f"node-{number + 1}"].values[0].context for number in range(99)] == [(id_,) for id_ in before]


@pytest.mark.asyncio
async def test_a_chain_that_is_broken_off_is_resumed_behind_the_last_link_on_record(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = propose(100, chains=1)
    with pytest.raises(StoreError, match="disk is full"):
        links = Counting(Clock(monkeypatch, 1 / 128))
        await drive(only(chain), Executors({"propose": threads(links)}), Recorder(store, fail_at=2))
    rest = Counting()
    resumed = await drive(only(chain), Executors({"propose": threads(rest)}), store)
    assert set(rest.calls) == {f"node-{number}" for number in range(52, 100)}
    with open_store(store.path.parent / "other") as other:
        assert await drive(only(chain), Executors({"propose": threads(Counting())}), other) == resumed


@pytest.mark.asyncio
async def test_a_link_that_cannot_be_recorded_is_a_failure_of_which_the_next_is_told(store: SqlStore) -> None:
    def policy(action: AnyAction) -> Any:
        made = output(action)
        return [replace(made, text="\udc80") if action.slot == "node-1" else made]

    results = await drive(only(propose(4, chains=1)), Executors({"propose": threads(policy)}), store)
    (fault,) = results["node-1"].failures
    assert results["node-2"].values[0].context == (fault.id,)
    assert results["node-3"].values[0].context == (results["node-2"].values[0].id,)


@pytest.mark.asyncio
async def test_what_comes_in_while_the_disk_is_busy_is_recorded_together(store: SqlStore) -> None:
    record = Recorder(store)
    await drive(only(propose(60)), Executors({"propose": side_by_side(Counting().later, limit=20)}), record)
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
    results = await drive(only(propose(8)), Executors({"propose": at_once(policy)[which]}), store)
    (fault,) = results["node-3"].failures
    cause = " ".join(str(error).split()) or "it gives no reason"
    assert fault == Failure("node-3", "propose", type(error).__name__, cause)
    assert store.load(Failure) == [fault]
    assert sum(bool(done.values) for done in results.values()) == 7
    assert (
        await drive(only(propose(8)), Executors({"propose": threads(Counting(raising("node-3", error)))}), store)
        == results
    )


@pytest.mark.asyncio
async def test_an_error_of_a_vital_action_ends_the_run_and_is_not_recorded_as_its_failure(store: SqlStore) -> None:
    broken = Counting(raising("node-3", ValueError("singular")))
    with pytest.raises(ValueError, match="singular"):
        await drive(only(propose(8)), Executors({"propose": threads(broken, vital=True)}), store)
    assert store.load(Failure) == []
    assert {output.node for output in store.load(Output)} >= {"node-0", "node-1", "node-2"}
    results = await drive(only(propose(8)), Executors({"propose": threads(Counting(), vital=True)}), store)
    assert all(done.values for done in results.values())


@EXECUTORS
@pytest.mark.parametrize(("nodes", "calls"), [(3, 3), (100, None)])
@pytest.mark.asyncio
async def test_what_every_action_meets_ends_the_run_with_its_cause_and_is_no_result(
    store: SqlStore, which: int, nodes: int, calls: int | None
) -> None:
    def broken(action: AnyAction) -> None:
        raise AssistantError("there is no such model")

    policy = Counting(broken)
    with pytest.raises(
        AssistantError, match=r"^every propose fails: there is no such model; mend that and give the same"
    ):
        await drive(only(propose(nodes)), Executors({"propose": at_once(policy)[which]}), store)
    assert sum(policy.calls.values()) == calls or PATIENCE <= sum(policy.calls.values()) <= 2 * PATIENCE
    assert store.load(Failure) == [] and store.results("propose", Place()) == {}
    mended = await drive(only(propose(nodes)), Executors({"propose": at_once(Counting())[which]}), store)
    assert all(done.values for done in mended.values())


@pytest.mark.asyncio
async def test_failures_before_the_first_success_are_recorded_with_it(store: SqlStore) -> None:
    def first(action: AnyAction) -> None:
        if action.slot in ("node-0", "node-1"):
            raise ValueError("hard to read")

    results = await drive(only(propose(6)), Executors({"propose": threads(Counting(first))}), store)
    assert [bool(done.failures) for done in results.values()] == [True, True, False, False, False, False]
    assert len(store.load(Failure)) == 2


@pytest.mark.asyncio
async def test_a_step_that_has_succeeded_before_may_fail_everywhere(store: SqlStore) -> None:
    def process() -> Process:
        yield propose(2)
        return (yield propose(2, level=1))

    def first(action: AnyAction) -> None:
        if action.place.level == 1:
            raise ValueError("too hard")

    results = await drive(process(), Executors({"propose": threads(Counting(first))}), store)
    assert all(done.failures for done in results.values())


@pytest.mark.asyncio
async def test_what_does_not_change_from_round_to_round_is_done_once(store: SqlStore) -> None:
    def process(changed: int) -> Process:
        yield propose(10)
        slots = tuple(f"node-{number}" for number in range(10))

        def make(slot: str, _: Mapping[str, Done[Any, Any]]) -> AnyAction:
            first = int(slot.removeprefix("node-")) >= changed
            id_ = content_id("action", slot, 0, []) if first else content_id("action", slot, "round 2")
            return Action(id_, "propose", slot, Place(1, "answer", 0), [])

        return (yield Stage("propose", Place(1, "answer", 0), slots, make))

    policy = Counting()
    await drive(process(3), Executors({"propose": threads(policy)}), store)
    assert sum(policy.calls.values()) == 13
    rest = Counting()
    await drive(process(3), Executors({"propose": threads(rest)}), store)
    assert rest.calls == {}


@pytest.mark.asyncio
async def test_what_failed_is_done_again_only_when_asked_for(store: SqlStore) -> None:
    broken = Counting(raising("node-1", ValueError("busy")))
    await drive(only(propose(4)), Executors({"propose": threads(broken)}), store)
    policy = Counting()
    kept = await drive(only(propose(4)), Executors({"propose": threads(policy)}), store)
    assert kept["node-1"].failures
    assert policy.calls == {}
    mended = await drive(only(propose(4)), Executors({"propose": threads(policy)}), store, retry_failed=True)
    assert policy.calls == {"node-1": 1}
    assert all(done.values for done in mended.values())
    assert await drive(only(propose(4)), Executors({"propose": threads(policy)}), store) == mended
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
    def policy(action: AnyAction) -> Any:
        return made if action.slot == "node-2" else [output(action)]

    async def later(action: AnyAction) -> Any:
        return policy(action)

    executors: list[Executor] = [threads(policy), side_by_side(later, 3)]
    results = await drive(only(propose(6)), Executors({"propose": executors[which]}), store)
    (fault,) = results["node-2"].failures
    assert cause in fault.cause
    assert sum(bool(done.values) for done in results.values()) == 5


@pytest.mark.asyncio
async def test_a_cause_that_utf_8_cannot_hold_is_recorded_all_the_same(store: SqlStore) -> None:
    policy = Counting(raising("node-0", ValueError("bad \udc80 byte")))
    results = await drive(only(propose(2)), Executors({"propose": threads(policy)}), store)
    assert results["node-0"].failures[0].cause == "bad ? byte"


@pytest.mark.asyncio
async def test_a_later_sibling_is_told_of_a_failure(store: SqlStore) -> None:
    results = await drive(
        only(propose(3, chains=1)), Executors({"propose": threads(Counting(raising("node-0", ValueError("x"))))}), store
    )
    assert results["node-0"].failures
    assert results["node-1"].values[0].context == (results["node-0"].failures[0].id,)


@EXECUTORS
@pytest.mark.parametrize("chains", [1, 2])
@pytest.mark.asyncio
async def test_failures_that_others_wait_for_do_not_keep_a_run_from_ending(
    store: SqlStore, which: int, chains: int
) -> None:
    def broken(action: AnyAction) -> None:
        raise ValueError("no such model")

    policy = Counting(broken)
    with anyio.fail_after(30), pytest.raises(PluginError, match="every propose fails: ValueError: no such model"):
        await drive(only(propose(5, chains)), Executors({"propose": at_once(policy)[which]}), store)
    assert policy.calls.keys() == {f"node-{number}" for number in range(5)}
    assert store.results("propose", Place()) == {}
    results = await drive(only(propose(5, chains)), Executors({"propose": threads(Counting())}), store)
    assert all(done.values for done in results.values())


@EXECUTORS
@pytest.mark.asyncio
async def test_what_failed_before_the_first_success_is_recorded_with_it(store: SqlStore, which: int) -> None:
    def broken(action: AnyAction) -> None:
        if action.slot in ("node-0", "node-1", "node-2"):
            raise ValueError("too short")

    results = await drive(only(propose(6, 1)), Executors({"propose": at_once(Counting(broken))[which]}), store)
    assert [bool(done.failures) for done in results.values()] == [True] * 3 + [False] * 3
    policy = Counting()
    assert await drive(only(propose(6, 1)), Executors({"propose": at_once(policy)[which]}), store) == results
    assert policy.calls == {}


@EXECUTORS
@pytest.mark.parametrize("error", [BudgetError("no calls left"), StoreError("gone")])
@pytest.mark.asyncio
async def test_a_used_up_budget_ends_the_run_and_keeps_what_was_done(
    store: SqlStore, which: int, error: Exception
) -> None:
    policy = Counting(raising("node-5", error))
    with pytest.raises(type(error), match=str(error)):
        await drive(only(propose(30)), Executors({"propose": at_once(policy)[which]}), store)
    recorded = store.results("propose", Place())
    assert len(recorded) == sum(policy.calls.values()) - 1
    assert len(policy.calls) < 30
    rest = Counting()
    results = await drive(only(propose(30)), Executors({"propose": threads(rest)}), store)
    assert len(rest.calls) == 30 - len(recorded)
    assert len(results) == 30
    assert store.load(Failure) == []


@pytest.mark.asyncio
async def test_what_is_under_way_when_the_budget_is_used_up_is_finished_and_recorded(store: SqlStore) -> None:
    out_of_money = anyio.Event()

    async def policy(action: AnyAction) -> list[Output]:
        if action.slot == "node-2":
            out_of_money.set()
            raise BudgetError("no calls left")
        await out_of_money.wait()
        await anyio.sleep(0.01)
        return [output(action)]

    with pytest.raises(BudgetError):
        await drive(only(propose(10)), Executors({"propose": side_by_side(policy, limit=3)}), store)
    assert sorted(values[0].node for values in store.results("propose", Place()).values()) == ["node-0", "node-1"]


@EXECUTORS
@pytest.mark.asyncio
async def test_a_record_that_cannot_be_written_ends_the_run_which_can_be_resumed(store: SqlStore, which: int) -> None:
    policy = Counting()
    with pytest.raises(StoreError, match="the disk is full"):
        await drive(only(propose(30)), Executors({"propose": at_once(policy)[which]}), Recorder(store, fail_at=2))
    recorded = store.results("propose", Place())
    assert 0 < len(recorded) < 30
    rest = Counting()
    assert len(await drive(only(propose(30)), Executors({"propose": threads(rest)}), store)) == 30
    assert len(rest.calls) == 30 - len(recorded)


@pytest.mark.asyncio
async def test_a_mistake_in_a_process_is_not_taken_for_a_failed_action(store: SqlStore) -> None:
    def make(slot: str, results: Mapping[str, Done[Any, Any]]) -> AnyAction:
        if results:
            raise ZeroDivisionError("a mistake")
        return Action(slot, "propose", slot, Place(), None)

    for executor in at_once(Counting()):
        with pytest.raises(ZeroDivisionError, match="a mistake"):
            await drive(
                only(Stage("propose", Place(), ("a", "b"), make, {"b": ("a",)})),
                Executors({"propose": executor}),
                store,
            )


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
    work: list[Work] = []

    class Watched(Concurrently):
        async def execute(self, each: Work) -> None:
            work.append(each)
            await super().execute(each)

    async def policy(action: AnyAction) -> list[Output]:
        calls.append(action.slot)
        if len(calls) == 7:
            begun.set()
        if len(calls) > 4:
            await work[0].pause(600)  # until the interruption has come
        return [output(action)]

    process = only(propose(50))
    await interrupt(lambda: drive(process, Executors({"propose": Watched(Doing(policy), limit=3)}), store), begun)
    assert len(calls) == 7
    assert {values[0].node for values in store.results("propose", Place()).values()} == set(calls)
    rest = Counting()
    results = await drive(only(propose(50)), Executors({"propose": threads(rest)}), store)
    assert set(rest.calls) == {f"node-{number}" for number in range(50)} - set(calls)
    assert len(results) == 50


@INTERRUPTIONS
@pytest.mark.asyncio
async def test_an_interrupted_run_ends_after_the_batch_that_is_being_done(
    store: SqlStore, interrupt: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = anyio.Event()
    clock = Clock(monkeypatch, 0.0)

    def first(action: AnyAction) -> None:
        clock(action)
        if action.slot == "node-3":  # in the third batch, of nodes 3 to 6
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
    await interrupt(lambda: drive(only(propose(50)), Executors({"propose": Watched(Doing(policy))}), store), begun)
    assert sorted(policy.calls) == [f"node-{number}" for number in range(7)]
    assert len(store.results("propose", Place())) == 7


@INTERRUPTIONS
@pytest.mark.asyncio
async def test_an_interrupted_run_does_not_wait_for_ever(
    store: SqlStore, interrupt: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "DRAIN_SECONDS", 0.05)
    begun = anyio.Event()

    async def policy(action: AnyAction) -> list[Output]:
        if action.slot == "node-1":
            begun.set()
            await anyio.sleep_forever()
        return [output(action)]

    await interrupt(
        lambda: drive(only(propose(3)), Executors({"propose": side_by_side(policy, limit=1)}), store), begun
    )
    assert [values[0].node for values in store.results("propose", Place()).values()] == ["node-0"]


RUN = """
import asyncio, os, sys
from rrm.core.place import Place
from rrm.core.values import Output
from rrm.engines import here
from rrm.engines.here import InThread
from rrm.pipeline import driver
from rrm.pipeline.driver import Executors, Work, drive, run
from rrm.pipeline.plan import Action, Stage
from rrm.store import open_store

def process():
    slots = tuple(f"node-{n}" for n in range(1000))
    make = lambda slot, read: Action(slot, "propose", slot, Place(), None)
    return (yield Stage("propose", Place(), slots, make))

class OneByOne:
    def gains(self, step):
        return False

    def vital(self, step):
        return False

    def compute(self, actions):
        return [self.done(action) for action in actions]

    def done(self, action):
        print(action.slot, flush=True)
        os.read(0, 1)  # until it is let go on
        return (Output(action.slot, "", "test", 0),)

here.MOST_AT_ONCE = 1

stop = Work.stop

def stop_and_tell(work, error=None):
    stop(work, error)
    asyncio.get_running_loop().call_soon(lambda: print("stopping", flush=True))  # when the run waits for the action

Work.stop = stop_and_tell
driver.DRAIN_SECONDS = 600

with open_store(sys.argv[1]) as store:
    try:
        run(lambda: drive(process(), Executors({"propose": InThread(OneByOne())}), store))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


def signalled(
    directory: Path, signals: Sequence[int], actions: int, launch: Sequence[str] = ()
) -> tuple[int, list[str]]:
    """Run in a process of its own, signal it while it does the last of so many actions; return exit code and output.

    Each action waits until it is let go on: the last one until all signals were given. The second comes when the
    first had its effect.
    """
    command = [*launch, sys.executable, "-c", RUN, str(directory)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        lines = [process.stdout.readline().strip()]
        while len(lines) < actions:
            print(file=process.stdin, flush=True)
            lines.append(process.stdout.readline().strip())
        os.kill(process.pid, signals[0])
        lines.append(process.stdout.readline().strip())
        for number in signals[1:]:
            os.kill(process.pid, number)
            process.wait()
        process.stdin.close()  # now no action waits any more
        lines += process.stdout.read().split()
    return process.returncode, lines


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, ["interrupted"]), (signal.SIGTERM, 143, []), (signal.SIGUSR1, 143, [])],
)
def test_a_signal_ends_a_run_with_everything_recorded_that_was_begun(
    tmp_path: Path, number: int, code: int, said: list[str]
) -> None:
    begun = ["node-0", "node-1", "node-2"]
    assert signalled(tmp_path, [number], actions=3) == (code, [*begun, "stopping", *said])
    with open_store(tmp_path) as store:
        assert list(store.results("propose", Place())) == begun


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM]])
def test_a_run_in_the_background_of_a_script_ends_by_sigterm(tmp_path: Path, signals: list[int]) -> None:
    launch = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # a shell lets what it starts with & ignore Ctrl-C
    assert signalled(tmp_path, signals, 1, launch) == (143, ["node-0", "stopping"])
    with open_store(tmp_path) as store:
        assert len(store.results("propose", Place())) == 2 - len(signals)


def test_a_second_interrupt_waits_for_nothing(tmp_path: Path) -> None:
    ended = signalled(tmp_path, [signal.SIGINT, signal.SIGINT], actions=1)
    assert ended == (130, ["node-0", "stopping", "interrupted"])
    with open_store(tmp_path) as store:
        assert store.results("propose", Place()) == {}


# ---- people ----


def ask(count: int, level: int = 0, chain: bool = False) -> Stage:
    view = View("Which is better?", (), 10)
    shown = (Shown("output-1", "one"), Shown("output-2", "two"))
    requests = {
        f"ask-{number}": Request(f"node-{number}", "book", Place(level=level), "comparison", view, shown)
        for number in range(count)
    }
    slots = tuple(requests)

    def make(slot: str, results: Mapping[str, Done[Any, Any]]) -> AnyAction:
        job = RateJob(requests[slot], Train, 0)
        return Action(content_id("action", requests[slot].id), "rate", slot, Place(level=level), job)

    after = {later: (earlier,) for earlier, later in pairwise(slots)} if chain else {}
    return Stage("rate", Place(level=level), slots, make, after)


class Given:
    """Answers as somebody put them on record."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store

    def append(self, values: Sequence[Request]) -> None:
        self.store.append(values)

    def answers(self, requests: Sequence[str]) -> dict[str, list[Rated]]:
        asked = {request.id: request for request in self.store.load(Request)}
        found = self.store.answers(requests)
        return {id_: [Rated(asked[id_], each) for each in feedback] for id_, feedback in found.items()}


def answer(store: SqlStore, count: int, rater: str = "Ann") -> list[Feedback]:
    open_ = [request for request in store.load(Request) if request.id not in store.answers([request.id])]
    feedback = [Feedback(request.id, rater, Comparison(1)) for request in open_[:count]]
    store.append(feedback)
    return feedback


@pytest.mark.asyncio
async def test_a_run_says_what_it_waits_for_and_goes_on_with_what_has_come(store: SqlStore) -> None:
    people = Executors({"rate": FromPeople(Given(store))})
    with pytest.raises(Waiting, match=r"^waiting for 5 ratings of round 1, level 2, 0 of 5 are in$"):
        await drive(only(ask(5, level=2)), people, store)
    assert len(store.load(Request)) == 5
    answer(store, 2)
    with pytest.raises(Waiting, match=r"^waiting for 3 ratings of round 1, level 2, 2 of 5 are in$"):
        await drive(only(ask(5, level=2)), people, store)
    assert len(store.results("rate", Place(level=2))) == 2
    answer(store, 2)
    with pytest.raises(Waiting, match=r"^waiting for 1 rating of round 1, level 2, 4 of 5 are in$"):
        await drive(only(ask(5, level=2)), people, store)
    answer(store, 1)
    results = await drive(only(ask(5, level=2)), people, store)
    assert [type(done.values[0].feedback.answer) for done in results.values()] == [Comparison] * 5
    assert len(store.load(Request)) == 5


@pytest.mark.asyncio
async def test_all_that_people_said_about_a_request_is_taken(store: SqlStore) -> None:
    with pytest.raises(Waiting):
        await drive(only(ask(1)), Executors({"rate": FromPeople(Given(store))}), store)
    (request,) = store.load(Request)
    said = [Feedback(request.id, "Ann", Comparison(1)), Feedback(request.id, "Bob", Rating(2))]
    store.append(said)
    results = await drive(only(ask(1)), Executors({"rate": FromPeople(Given(store))}), store)
    assert [rated.feedback for rated in results["ask-0"].values] == said


@pytest.mark.asyncio
async def test_a_run_that_waits_takes_answers_as_they_come(store: SqlStore) -> None:
    results: AnyResults = {}

    async def wait() -> None:
        people = FromPeople(Given(store), wait=True, poll_seconds=0.01)
        results.update(await drive(only(ask(4, chain=True)), Executors({"rate": people}), store))

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
        def append(self, values: Sequence[Request]) -> None:
            store.append(values)

        def answers(self, requests: Sequence[str]) -> dict[str, list[Rated]]:
            anyio.from_thread.run_sync(polled.set)
            return Given(store).answers(requests)

    people = FromPeople(Polled(), wait=True, poll_seconds=600)
    await interrupt(lambda: drive(only(ask(3)), Executors({"rate": people}), store), polled)
    assert len(store.load(Request)) == 3


@pytest.mark.asyncio
async def test_people_are_asked_nothing_but_requests(store: SqlStore) -> None:
    with pytest.raises(InputError, match="people answer requests, not list: propose node-0"):
        await drive(only(propose(2)), Executors({"propose": FromPeople(Given(store))}), store)


# ---- progress ----


class Told:
    def __init__(self) -> None:
        self.said: list[Any] = []

    def start(self, title: str, total: int, done: int) -> None:
        self.said.append((title, total, done))

    def advance(self, n: int) -> None:
        self.said.append(n)

    def within(self, done: int, total: int) -> None:
        self.said.append((done, total))

    def say(self, words: str) -> None:
        self.said.append(words)

    def finish(self) -> None:
        self.said.append("finish")


@pytest.mark.asyncio
async def test_progress_counts_what_is_on_record(store: SqlStore) -> None:
    with pytest.raises(BudgetError):
        policy = Counting(raising("node-2", BudgetError("")))
        await drive(only(propose(5)), Executors({"propose": threads(policy)}), store, told := Told())
    assert told.said == [("propose · round 1, level 0", 5, 0), 1, 1, "finish"]
    await drive(only(propose(5)), Executors({"propose": threads(Counting())}), store, told := Told())
    assert told.said == [("propose · round 1, level 0", 5, 2), 1, 2, "finish"]


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


def test_away_from_a_terminal_no_line_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.pipeline.progress.LINE_SECONDS", 0.0)
    written = io.StringIO()
    progress = RichProgress(Console(file=written, width=40))
    progress.start("fit · round 1, level 0, role select", 1, 0)
    progress.within(7, 10)
    progress.finish()
    first, second = written.getvalue().splitlines()
    assert first.startswith("fit · round 1, level 0, role select: 0 of 1, 70% of the one under way, after ")
    assert second.startswith("fit · round 1, level 0, role select: 0 of 1 in ")


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


def test_the_bar_moves_within_an_action_that_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.pipeline.progress.SHOW_AFTER_SECONDS", 0.0)
    progress = RichProgress(Console(file=io.StringIO(), width=100, force_terminal=True))
    progress.start("fit · level 0", 2, 0)
    progress._timer.join()
    shown = []
    for tell in ((progress.within, 30, 40), (progress.within, 7, 0), (progress.advance, 1), (progress.within, 1, 4)):
        tell[0](*tell[1:])  # type: ignore[operator]
        assert progress._bar is not None
        shown.append(progress._bar.tasks[0].completed)
    progress.finish()
    assert shown == [0.75, 0.0, 1.0, 1.25]


def test_how_far_a_long_action_is_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.pipeline.progress.SHOW_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("rrm.pipeline.progress.LINE_SECONDS", 0.0)
    terminal, file = io.StringIO(), io.StringIO()
    for progress in (
        RichProgress(Console(file=terminal, width=120, force_terminal=True)),
        RichProgress(Console(file=file, width=120)),
    ):
        progress.start("fit · level 0", 1, 0)
        progress._timer.join(1.0) if progress._timer.is_alive() else None
        progress.say("loss 0.512")
        progress.within(12, 48)
        progress.finish()
    assert "25% of the one under way (loss 0.512)" in terminal.getvalue()
    told, ended = file.getvalue().splitlines()
    assert told.startswith("fit · level 0: 0 of 1, 25% of the one under way (loss 0.512), after 0 s")
    assert ended.startswith("fit · level 0: 0 of 1 in")


def test_the_store_is_what_the_driver_asks_for(store: SqlStore) -> None:
    record: Record = store
    work = Plan(propose(1), record.results("propose", Place()))
    assert work.left == 1
