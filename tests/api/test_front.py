"""Running from a script, a thread, a notebook's loop, and several at once in one loop."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.api.options import Event
from rrm.core.errors import InputError, Interrupted
from rrm.core.place import Place
from rrm.core.protocols import ProposeJob, Start, Workspace
from rrm.core.roles import R, Ratings
from rrm.core.values import Output
from rrm.pipeline.progress import RichProgress
from rrm.store.record import open_store
from tests.toys import TOYS, LengthModel, Lengths, Words, toys


class Gate(Words):
    """Proposes once the gate is open, and says when somebody stands before it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.open = threading.Event(), threading.Event()

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        self.reached.set()
        assert self.open.wait(60)
        return super().propose(jobs)


def gated(gate: Gate) -> dict[str, Any]:
    return toys(policy={"plugin": gate, "outputs": 4, "root_outputs": 5})


async def reached(gate: Gate) -> None:
    """Wait, turn by turn of the loop, until a run stands before its gate."""
    while not gate.reached.is_set():
        await asyncio.sleep(0.001)


@pytest.mark.asyncio
async def test_two_runs_go_on_at_once_in_a_loop_that_goes_on_too(tmp_path: Path) -> None:
    ticks = 0

    async def heartbeat() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(heartbeat())
    gates = Gate(), Gate()
    runs = [asyncio.create_task(rrm.run_async(out=tmp_path / str(at), **gated(gate))) for at, gate in enumerate(gates)]
    for gate in gates:
        await reached(gate)  # both are under way, and neither has ended
    before = ticks
    for _ in range(100):
        await asyncio.sleep(0)
    assert ticks >= before + 100
    for gate in gates:
        gate.open.set()
    first, second = await asyncio.gather(*runs)
    beating.cancel()
    assert first.targets == second.targets
    assert first.targets[0].chosen is not None and first.targets[0].chosen.text == "red red red red"


@pytest.mark.asyncio
async def test_a_cancelled_run_records_what_it_was_doing_and_the_same_call_goes_on(tmp_path: Path) -> None:
    gate = Gate()
    running = asyncio.create_task(rrm.run_async(out=tmp_path / "run", **gated(gate)))
    await reached(gate)
    running.cancel()
    await asyncio.sleep(0)
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    with open_store(tmp_path / "run") as store:  # the lock is free
        assert store.load(Output)
        assert not (tmp_path / "run" / "report.json").exists()
        before = len(store.load(Output))
    report = await rrm.run_async(out=tmp_path / "run", **gated(gate))
    assert before < report.outputs == 3 * 53
    assert report.targets == (await rrm.run_async(out=tmp_path / "whole", **gated(gate))).targets


@pytest.mark.asyncio
async def test_events_arrive_in_the_loops_thread_in_order(tmp_path: Path) -> None:
    events: list[Event] = []
    threads: set[int] = set()

    def told(event: Event) -> None:
        asyncio.get_running_loop()  # raises where no loop is running
        events.append(event)
        threads.add(threading.get_ident())

    await rrm.run_async(out=tmp_path / "run", on_event=told, **toys())
    assert threads == {threading.get_ident()}
    leaves = [event for event in events if event.stage.startswith("propose") and event.stage.endswith("level 0")]
    assert leaves[0].done == 0 and leaves[-1] == Event(leaves[0].stage, 27, 27, finished=True)
    assert [event.done for event in leaves] == sorted(event.done for event in leaves)


@pytest.mark.asyncio
async def test_a_listener_may_cancel_the_run_that_it_listens_to(tmp_path: Path) -> None:
    heard: list[Event] = []

    def told(event: Event) -> None:
        heard.append(event)
        running.cancel()

    running = asyncio.create_task(rrm.run_async(out=tmp_path / "run", on_event=told, **toys()))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert heard
    assert (await rrm.run_async(out=tmp_path / "run", **toys())).outputs == 3 * 53


@pytest.mark.asyncio
async def test_an_error_of_a_listener_ends_the_run_and_is_raised(tmp_path: Path) -> None:
    def told(event: Event) -> None:
        raise RuntimeError("nobody listens")

    with pytest.raises(RuntimeError, match="nobody listens"):
        await rrm.run_async(out=tmp_path / "run", on_event=told, **toys())
    with open_store(tmp_path / "run"):
        pass  # the lock is free


@pytest.mark.asyncio
async def test_run_inside_a_running_loop_waits_for_its_report(tmp_path: Path) -> None:
    report = rrm.run(out=tmp_path / "run", quiet=True, **toys())
    assert report.outputs == 3 * 53


def test_run_from_a_thread(tmp_path: Path) -> None:
    found: list[rrm.Report] = []
    thread = threading.Thread(target=lambda: found.append(rrm.run(out=tmp_path / "run", quiet=True, **toys())))
    thread.start()
    thread.join()
    assert [report.outputs for report in found] == [3 * 53]


def test_many_threads_run_side_by_side(tmp_path: Path) -> None:
    async def main() -> list[rrm.Report]:
        calls = (asyncio.to_thread(rrm.run, out=tmp_path / str(at), quiet=True, **toys()) for at in range(3))
        return list(await asyncio.gather(*calls))

    assert [report.outputs for report in asyncio.run(main())] == [3 * 53] * 3


def test_events_of_a_run_that_blocks(tmp_path: Path) -> None:
    events: list[Event] = []
    rrm.run(rrm.run_file(TOYS), tmp_path / "run", on_event=events.append)
    finished = [event.stage for event in events if event.finished]
    assert finished[0].startswith("decompose") and len(finished) == len(set(finished))


def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    class Interrupting(Words):
        def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
            import _thread

            _thread.interrupt_main()
            return super().propose(jobs)

    parts = toys(policy={"plugin": Interrupting(), "outputs": 4})
    with pytest.raises(Interrupted, match=r"resume with: rrm run mine\.toml"):
        rrm.run(out=tmp_path / "run", quiet=True, again="rrm run mine.toml", **parts)


def test_settings_and_parts_are_not_given_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="settings or parts, not both: policy would have no effect"):
        rrm.run(rrm.run_file(TOYS), tmp_path / "run", policy=Words())


def test_a_run_file_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('name = "mine"\nflat = false\n')
    with pytest.raises(InputError, match="target is missing"):
        rrm.run(tmp_path / "run.toml", tmp_path / "run")
    with pytest.raises(InputError, match="target is missing"):
        rrm.run(str(tmp_path / "run.toml"), str(tmp_path / "run"))


def test_a_run_is_resumed_and_applied_with_the_composer_and_the_limits_that_it_was_last_given(tmp_path: Path) -> None:
    out, book = tmp_path / "run", tmp_path / "book.txt"
    mean = {"plugin": "rrm.compose.composers:Mean", "arguments": {"own_weight": 0.25}}
    rrm.run(rrm.run_file({**TOYS, "compose": {"plugin": "rrm.compose.composers:Minimum"}}), out, quiet=True)
    report = rrm.run(rrm.run_file({**TOYS, "compose": mean, "limits": {"max_calls": 7}}), out, quiet=True)
    again = rrm.resume(out, quiet=True)
    assert again.composer == report.composer == "mean(own_weight=0.25)"
    assert again.settings["limits"]["max_calls"] == 7
    assert again.targets == report.targets
    book.write_text("ein. zwei. drei. vier. elf. sieben. acht. neun. zehn.")
    assert rrm.apply(out, [book], tmp_path / "applied", quiet=True).composer == report.composer


def test_a_run_of_objects_is_resumed_with_the_objects_alone(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **toys())
    with pytest.raises(InputError, match=r"was given as an object, .* which no record holds: give it again"):
        rrm.resume(tmp_path / "run", quiet=True)
    with pytest.raises(InputError, match="was begun with another policy"):
        other = Words()
        other.name = "other words"
        rrm.run(out=tmp_path / "run", quiet=True, **toys(policy={"plugin": other, "outputs": 4, "root_outputs": 5}))
    assert rrm.run(out=tmp_path / "run", quiet=True, **toys()).outputs == 3 * 53


def test_long_work_says_how_far_it_is_while_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Lengths):
        def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> LengthModel:
            workspace.say(f"loss {place.level}")
            workspace.progress(place.level, 7)
            return super().fit(ratings, start, place, seed, workspace)

    class Watching(RichProgress):
        def within(self, done: int, total: int) -> None:
            told.append((self._title, done, total, self._said))

    told: list[tuple[str, int, int, str]] = []
    monkeypatch.setattr("rrm.api.runs.RichProgress", Watching)
    rrm.run(out=tmp_path / "run", **toys(reward={"plugin": Slow()}))
    assert told == [(f"fit · round 1, level {level}", level, 7, f"loss {level}") for level in range(3)]
