"""Every engine keeps the contract, on a cluster that loses, doubles, delays and reorders, too."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import anyio
import pytest

from rrm.core.errors import ContractError
from rrm.engines.local import Local
from rrm.engines.remote import LostError, _Chair
from rrm.pipeline.driver import Executor, Result, Work
from rrm.verify.engines import MadeUpSupplies, MadeUpWorker, check_engine
from tests.engines.fake import Fake, FakeCluster


def fake(worker: MadeUpWorker, **settings: Any) -> Fake:
    return Fake(worker, {}, MadeUpSupplies(), **settings)


def test_the_engine_of_this_process_keeps_the_contract() -> None:
    worker = MadeUpWorker()
    held = check_engine(Local(worker), worker)
    assert {"records each action once", "goes on where a run ended"} <= set(held.promises)
    assert len(held.promises) == 10


@pytest.mark.parametrize("count", [1, 3])
def test_workers_elsewhere_keep_the_contract(count: int) -> None:
    worker = MadeUpWorker()
    engine = fake(worker, count=count)
    check_engine(engine, worker)
    assert set(worker.done) == {"stays-1", "stays-2"}, "the rest was done elsewhere"
    assert engine.cluster.closed == 1


@pytest.mark.parametrize("seed", range(2))
def test_a_cluster_that_loses_doubles_delays_and_reorders_keeps_the_contract(seed: int) -> None:
    worker = MadeUpWorker()
    engine = fake(worker, count=3, badly=True, seed=seed)
    check_engine(engine, worker, 100)
    fared = {fate for seat in engine.cluster.seats for fate in seat.fared}
    assert len(fared) >= 5, "hardly anything went wrong, so nothing was tried"
    assert len(engine.cluster.seats) > 3, "no worker was replaced"


# ---- engines that break it ----


class Changing(Local):
    """Wraps what executors are given, so that something goes wrong on the way."""

    def __init__(self, worker: MadeUpWorker, change: Callable[[Work], None]) -> None:
        super().__init__(worker)
        self._change = change

    def executor(self, step: str) -> Executor:
        within, change = super().executor(step), self._change

        class Changed:
            async def execute(self, work: Work) -> None:
                change(work)
                await within.execute(work)

        return Changed()


def twice(work: Work) -> None:
    """Record everything a second time."""
    complete = work._record.complete
    work._record = type("Twice", (), {"complete": lambda _, done: (complete(done), complete(done)), "check": print})()


def altering(work: Work) -> None:
    """Have every second output say something else."""
    give = work.give

    async def given(results: Sequence[Result]) -> None:
        await give(
            [
                (action, values if isinstance(values, Exception) or at % 2 else (replace(values[0], text="other"),))
                for at, (action, values) in enumerate(results)
            ]
        )

    work.give = given  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(twice, "an action was recorded twice"), (altering, "a result is not on record")],
)
def test_what_breaks_the_contract_is_found(change: Callable[[Work], None], sentence: str) -> None:
    worker = MadeUpWorker()
    with pytest.raises(ContractError, match=sentence):
        check_engine(Changing(worker, change), worker, 20)


class Unborn:
    """A worker whose process never begins."""

    name, steps, threads = "worker 1", frozenset[str](), 1

    def submit(self, message: bytes) -> "Future[bytes]":
        return Future()

    def beat(self) -> "Future[bytes]":
        return Future()


def test_the_time_that_was_really_waited_is_said() -> None:
    nobody = FakeCluster(MadeUpSupplies(), frozenset(), 0, {}, 0)
    chair = _Chair(Unborn(), nobody, MadeUpSupplies(), lease=0.05)
    with pytest.raises(LostError, match=r"no sign of working for 0\.2 seconds"):
        anyio.run(chair._ask, b"")
