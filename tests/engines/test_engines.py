"""Every engine keeps the contract, on a cluster that loses, doubles, delays and reorders, too."""

import logging
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from rrm.core.errors import ContractError
from rrm.core.values import Fitted
from rrm.engines import remote
from rrm.engines.apart import Wanted
from rrm.engines.chair import Chair, EndedError, LostError
from rrm.engines.crossing import STEPS, Answered, Piece, Sign, message
from rrm.engines.hosts import LOSSES, Hosts
from rrm.engines.local import Local
from rrm.engines.seats import Doing
from rrm.engines.under_way import UnderWay
from rrm.pipeline.driver import Executor, Result, Work, drive
from rrm.pipeline.plan import AnyResults, AnyStage, Values
from rrm.verify.engines import Kept, MadeUpSupplies, MadeUpWorker, check_engine, fits_of, stage_of
from tests.engines.fake import LEASE, Fake, FakeCluster, FakeSeat
from tests.engines.slow_parts import Late


def fake(worker: MadeUpWorker, **settings: Any) -> Fake:
    return Fake(worker, {}, MadeUpSupplies(worker), **{"steps": ["propose", "fit"], **settings})


def test_the_engine_of_this_process_keeps_the_contract() -> None:
    worker = MadeUpWorker()
    held = check_engine(Local(worker), worker)
    assert {"records each action once", "goes on where a run ended"} <= set(held.promises)
    assert len(held.promises) == 11


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
    nobody = FakeCluster(MadeUpSupplies(MadeUpWorker()), frozenset(), 0, {}, 0)
    chair = Chair(Unborn(), nobody, MadeUpSupplies(MadeUpWorker()), lease=0.05)
    with pytest.raises(LostError, match=r"no sign of working for 0\.2 seconds"):
        anyio.run(chair._ask, b"")


def test_that_workers_are_gone_before_they_are_asked_is_no_fault_of_what_they_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "AHEAD", 1)  # so that one is asked after the other
    worker = MadeUpWorker()
    engine = fake(worker, count=8)
    record = Kept()

    async def do() -> AnyResults:
        await drive(only(stage_of([f"first-{number}" for number in range(64)])), engine, record)
        for seat in engine.cluster.seats:
            seat.submit = seat.beat = gone  # type: ignore[assignment,method-assign]
        return await drive(only(stage_of(["second"], level=1)), engine, record)

    assert anyio.run(do)["second"].values
    assert len(engine.cluster.seats) > 8 + 2, "fewer were found gone than may end over one thing"


class Hour:
    """A clock that stands still until it is told that an hour has gone by."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowSupplies(MadeUpSupplies):
    worker = "tests.engines.slow_parts:Late"


def test_what_takes_far_longer_than_the_others_is_given_to_an_idle_worker_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Late, "let", threading.Event())
    monkeypatch.setattr(Late, "asked", 0)
    caplog.set_level(logging.INFO, "rrm.engines")
    worker, clock, record = MadeUpWorker(), Hour(), Kept()
    supplies = SlowSupplies(worker)
    engine = Fake(worker, {}, supplies, count=3, fates={"answer": 1}, clock=clock)
    slots = [f"node-{number}" for number in range(20)]

    async def do() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_the_others)
            await drive(only(stage_of(slots)), engine, record)
        assert not Late.let.is_set(), "the stage has ended, and the first is still at it"
        crew = engine._crew
        behind = [chair for chair in crew.chairs("propose") if chair.behind]
        assert len(behind) == 1 and not crew.gives(behind[0], "propose"), "who was outrun gets nothing meanwhile"
        Late.let.set()
        await drive(only(stage_of(["after"], level=1)), engine, record)

    async def wait_for_the_others() -> None:
        while len(record.times) < len(slots) - 1:
            await anyio.sleep(0.01)
        await anyio.sleep(0.3)  # some looks
        assert Late.asked == 1, "by the clock nothing takes long"
        clock.now += 3600

    anyio.run(do)
    engine.close()
    assert Late.asked == 2 and set(record.times.values()) == {1}
    assert len(engine.cluster.seats) == 3, "nobody was lost"
    assert "has propose node-3 for long" in caplog.text
    assert any([(one.step, one.actions) for one in each] == [("propose", 1)] for each in supplies.noted)
    assert supplies.noted[-1] == []


def counted(hosts: Hosts, done: Mapping[str, int], lost: Mapping[str, int]) -> None:
    """Have pieces done and one worker lost, so many times over, on each machine."""
    for host, count in done.items():
        for _ in range(count):
            hosts.done(host)
    for host, count in lost.items():
        for _ in range(count):
            hosts.lost(host, "worker 1")


def test_a_machine_where_workers_are_lost_far_more_often_gets_no_work_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Hour()
    hosts = Hosts(30, clock)
    counted(hosts, {"good": 30}, {"good": 1, "bad": LOSSES - 1})
    assert not hosts.aside("bad")
    counted(hosts, {}, {"bad": 1})
    assert hosts.aside("bad") and not hosts.aside("good")
    told = "bad is set aside for 600 s while others can do its work: 4 losses in 4 pieces, 1 in 31 elsewhere"
    assert told in caplog.text
    clock.now += 600
    assert not hosts.aside("bad"), "it is tried again"
    counted(hosts, {}, {"bad": 1})
    assert hosts.aside("bad"), "once"
    clock.now += 600
    counted(hosts, {"good": 1000, "bad": 1000}, {"bad": 1})
    assert not hosts.aside("bad"), "it has become a good one"


@pytest.mark.parametrize(
    ("done", "lost"),
    [
        ({}, {"one": 20}),
        ({}, {"one": 20, "other": 20}),
        ({"other": 3}, {"one": 4}),
        ({"one": 40, "other": 40}, {"one": 5, "other": 1}),
        ({"one": 1000, "other": 5000}, {"one": 4}),
    ],
    ids=["alone", "alike", "others have done little", "by chance", "seldom"],
)
def test_a_machine_that_is_hardly_worse_than_the_others_is_not_set_aside(
    done: Mapping[str, int], lost: Mapping[str, int]
) -> None:
    hosts = Hosts(30, Hour())
    counted(hosts, done, lost)
    assert not any(map(hosts.aside, lost))


def test_an_outage_of_a_good_machine_is_one_loss_however_many_workers_it_has() -> None:
    clock = Hour()
    hosts = Hosts(30, clock)
    counted(hosts, {"good": 30, "other": 300}, {})
    for outage in range(LOSSES - 1):
        for number in range(16):
            hosts.lost("good", f"worker {number}")
            clock.now += 2  # the one is seen to have ended, the other to be silent
        assert not hosts.aside("good"), outage
        clock.now += 3600
    hosts.lost("good", "worker 0")
    assert hosts.aside("good"), "as many outages as that are no chance any more"


def test_a_run_sets_a_bad_machine_aside_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    worker, record = MadeUpWorker(), Kept()
    hosts = {0: "bad", 1: "bad"}
    engine = Fake(worker, {}, MadeUpSupplies(worker), count=4, hosts=hosts, fates={"answer": 1}, clock=Hour())
    slots = [f"node-{number}" for number in range(60)]

    async def do() -> None:
        for level in range(50):
            await drive(only(stage_of(slots, level=level)), engine, record)
            if engine._crew.hosts.aside("bad"):
                break
        before = engine.cluster.done_on("bad")
        await drive(only(stage_of(slots, level=50)), engine, record)
        assert engine.cluster.done_on("bad") == before

    anyio.run(do)
    engine.close()
    assert set(record.times.values()) == {1} and len(record.times) % 60 == 0
    assert caplog.text.count("bad is set aside for") == 1


def test_an_outage_in_a_run_sets_no_machine_aside(caplog: pytest.LogCaptureFixture) -> None:
    worker, record = MadeUpWorker(), Kept()
    hosts = dict.fromkeys(range(12), "rebooted") | dict.fromkeys(range(12, 24), "other")
    engine = Fake(worker, {}, MadeUpSupplies(worker), count=24, hosts=hosts, fates={"answer": 1}, clock=Hour())
    slots = [f"node-{number}" for number in range(200)]

    async def do() -> None:
        for level in range(4):
            await drive(only(stage_of(slots, level=level)), engine, record)
        chairs = [chair for chair in engine._crew.chairs("propose") if chair.host == "rebooted"]
        assert len(chairs) > LOSSES
        for chair in chairs:
            chair.seat.submit = chair.seat.beat = gone  # type: ignore[method-assign]
        before = engine.cluster.done_on("rebooted")
        for level in range(4, 8):
            await drive(only(stage_of(slots, level=level)), engine, record)
        assert engine.cluster.done_on("rebooted") > before

    anyio.run(do)
    engine.close()
    assert caplog.text.count("is gone, another takes its place") > LOSSES
    assert "is set aside" not in caplog.text


def test_a_machine_that_is_set_aside_does_what_nobody_else_can(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = MadeUpWorker()
    engine = Fake(worker, {}, MadeUpSupplies(worker), count=1, hosts={0: "bad"}, fates={"answer": 1})
    monkeypatch.setattr(engine._crew.hosts, "aside", "bad".__eq__)
    record = Kept()
    assert anyio.run(drive, only(stage_of(["alone"])), engine, record)["alone"].values


def only(stage: AnyStage) -> Generator[AnyStage, AnyResults, AnyResults]:
    return (yield stage)


def test_a_worker_that_falls_silent_over_what_another_has_done_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    now, clock, record = Hour(), Hour(), Kept()
    monkeypatch.setattr("rrm.engines.chair.time", SimpleNamespace(monotonic=now))
    monkeypatch.setattr(Late, "let", threading.Event())
    monkeypatch.setattr(Late, "asked", 0)
    worker = MadeUpWorker()
    engine = Fake(worker, {}, SlowSupplies(worker), count=2, fates={"answer": 1}, clock=clock)
    slots = [f"node-{number}" for number in range(20)]

    async def do() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_the_others)
            await drive(only(stage_of(slots)), engine, record)
        [outrun] = [chair for chair in engine._crew.chairs("propose") if chair.behind]
        [other] = [chair for chair in engine._crew.chairs("propose") if not chair.behind]
        monkeypatch.setattr(outrun.seat, "beat", Future)
        Late.asked = 0
        now.now += 3600
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pass_time, other)
            await drive(only(stage_of(slots, level=1)), engine, record)

    async def wait_for_the_others() -> None:
        while len(record.times) < len(slots) - 1:
            await anyio.sleep(0.01)
        clock.now += 3600

    async def pass_time(other: Chair) -> None:
        while not Late.asked:
            await anyio.sleep(0.01)
        await anyio.sleep(0.3)  # some looks
        assert len(engine.cluster.seats) == 2, "nobody listened in the hour between stages, so it may be well"
        for _ in range(100):
            if len(engine.cluster.seats) > 2:
                break
            now.now += LEASE / 4
            while other._renewed < now.now:
                await anyio.sleep(0.01)
        Late.let.set()

    anyio.run(do)
    engine.close()
    assert [seat.number for seat in engine.cluster.seats[:2] if seat._gone] == [engine.cluster.seats[2].number]
    assert len(record.times) == 2 * len(slots) and set(record.times.values()) == {1}


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "it is a surrogate")]
)
def test_a_stage_goes_on_where_what_its_workers_do_cannot_be_noted(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unwritable(SlowSupplies):
        def note(self, doing: Sequence[Doing]) -> None:
            super().note(doing)
            Late.let.set()
            raise error

    monkeypatch.setattr(Late, "let", threading.Event())
    monkeypatch.setattr(Late, "asked", 0)
    worker, record = MadeUpWorker(), Kept()
    supplies = Unwritable(worker)
    engine = Fake(worker, {}, supplies, fates={"answer": 1})
    assert len(anyio.run(drive, only(stage_of([f"node-{number}" for number in range(9)])), engine, record)) == 9
    assert len(supplies.noted) >= 2
    assert caplog.text.count("the status of this run lacks what its workers do") == 1


@pytest.mark.parametrize(
    "sign",
    [
        b"no message",
        b"[]",
        message({"within": 3}),
        message({"within": [1, "of 3"]}),
        message({"within": [10**400, 1]}),
        message({"said": 5}),
        message({"log": [["no number", "rrm", 20, "a line"]]}),
        message({"log": 3}),
    ],
)
def test_a_sign_that_cannot_be_read_says_nothing(sign: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[bytes]()

    def beat(seat: FakeSeat) -> "Future[bytes]":
        answered: Future[bytes] = Future()
        answered.set_result(sign if seat._busy else b"")
        if seat._busy and Late.asked:
            given.append(sign)
        if len(given) > 3:
            Late.let.set()
        return answered

    monkeypatch.setattr(FakeSeat, "beat", beat)
    monkeypatch.setattr(Late, "let", threading.Event())
    monkeypatch.setattr(Late, "asked", 0)
    worker, record = MadeUpWorker(), Kept()
    engine = Fake(worker, {}, SlowSupplies(worker), count=1, fates={"answer": 1})
    assert len(anyio.run(drive, only(stage_of([f"node-{number}" for number in range(9)])), engine, record)) == 9
    assert len(engine.cluster.seats) == 1, "it was a sign of life"


def test_what_a_sign_says_can_be_written() -> None:
    said = Sign.read(message({"within": [1, 4], "said": "loss \ud800", "log": [[1, "rrm", 20, "\ud800"]]}))
    assert said == Sign((1, 4), "loss ?", ((1, "rrm", 20, "?"),)) and said.how == "25%, loss ?"


@pytest.mark.parametrize("method", ["submit", "beat"])
def test_a_seat_that_cannot_be_asked_is_lost_and_owes_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: bytes) -> "Future[bytes]":
        raise RuntimeError("its library is gone")

    monkeypatch.setattr(Unborn, method, raises)
    nobody = FakeCluster(MadeUpSupplies(MadeUpWorker()), frozenset(), 0, {}, 0)
    chair = Chair(Unborn(), nobody, MadeUpSupplies(MadeUpWorker()), lease=0.05)
    with pytest.raises(LostError):
        anyio.run(chair._ask, b"")
    assert chair.idle


def test_a_stage_keeps_nothing_of_what_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, take_in = list[int](), UnderWay._take_in

    async def counting(stage: UnderWay, piece: Piece, results: Sequence[Values | Exception]) -> None:
        kept.append(len(stage._waiting or ()))
        await take_in(stage, piece, results)

    monkeypatch.setattr(UnderWay, "_take_in", counting)
    worker = MadeUpWorker()
    anyio.run(drive, only(stage_of([f"node-{number}" for number in range(64)])), fake(worker, count=2), Kept())
    assert len(kept) == 64 and max(kept) <= 2 * remote.AHEAD + 1


def gone(*asked: bytes) -> "Future[bytes]":
    answered: Future[bytes] = Future()
    answered.set_exception(ConnectionError("its machine is gone"))
    return answered


def test_of_all_that_a_worker_was_asked_one_thing_was_its_end() -> None:
    nobody = FakeCluster(MadeUpSupplies(MadeUpWorker()), frozenset(), 0, {}, 0)
    chair = Chair(Unborn(), nobody, MadeUpSupplies(MadeUpWorker()), lease=0.05)

    found = [chair._over(chair.seat, lived) for lived in (False, True, True)]
    assert found == [LostError, EndedError, LostError]


def test_no_thread_is_asked_for_the_files_of_what_is_no_fit() -> None:
    fetched: list[Values] = []

    class Fetching(MadeUpSupplies):
        def fetch(self, values: Values) -> Generator[bytes, Answered, None]:
            fetched.append(values)
            return super().fetch(values)

    worker, record = MadeUpWorker(), Kept()
    engine = Fake(worker, {}, Fetching(worker), steps=["propose", "fit"])
    anyio.run(drive, only(stage_of(["one", "two"])), engine, record)
    assert len(record.times) == 2 and not fetched, "a thread for each would take half of what an instant action takes"
    anyio.run(drive, only(fits_of(["three"])), Fake(worker, {}, Fetching(worker), steps=["fit"]), record)
    assert [type(fitted) for [fitted] in fetched] == [Fitted]


def test_workers_fit_only_where_they_are_asked_to() -> None:
    known = frozenset(STEPS)
    assert Wanted.of({}, known).steps == known - {"fit", "fit-splits"}
    assert Wanted.of({"steps": ["score", "fit"]}, known).steps == {"score", "fit"}
    assert "fit" not in fake(MadeUpWorker(), steps=()).cluster.steps
