"""What model calls use stands on record as durably as what they bought, also after a kill at any point."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from rrm.assistants.booked import Booked
from rrm.assistants.books import Books
from rrm.assistants.budget import Budget
from rrm.assistants.cache import call_id
from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.errors import MalformedAnswerError, StoreError
from rrm.core.protocols import REPLIES, CallRecord, Entry, Prompt, Reply
from rrm.store import SqlStore, open_store
from tests.scenarios import CallMemory

SCHEMA = {"type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"]}


@pytest.mark.asyncio
async def test_a_call_is_on_record_before_it_is_sent_and_its_tokens_with_its_reply():
    memory = CallMemory()
    at_the_call = []

    class Looking:
        name = "looking"

        async def ask(self, prompt: Prompt) -> Reply:
            at_the_call.append((dict(memory.spent), len(memory.replies)))
            return Reply("yes", 3, 2)

    await Booked(Looking(), Budget(), Books(memory)).ask(Prompt("", "u" * 40, max_tokens=5))
    assert at_the_call == [({"calls": 1, "tokens": 15}, 0)]  # 40 characters are estimated at 10 tokens
    assert memory.spent == {"calls": 1, "tokens": 5}
    last = memory.entries[-1]
    assert (last.amounts, len(last.replies)) == ({"tokens": -10}, 1)


@pytest.mark.asyncio
async def test_a_failed_call_gives_its_tokens_back_and_a_malformed_one_does_not():
    memory = CallMemory()
    script = ScriptedAssistant([RuntimeError("down"), "y" * 80])
    booked = Booked(script, Budget(), Books(memory))
    with pytest.raises(RuntimeError, match="down"):
        await booked.ask(Prompt("", "u" * 40))
    assert memory.spent == {"calls": 1, "tokens": 0}
    with pytest.raises(MalformedAnswerError):
        await booked.ask(Prompt("", "", SCHEMA))
    assert memory.spent["calls"] == 2
    assert memory.spent["tokens"] > 20
    assert memory.replies == {}


@pytest.mark.asyncio
async def test_a_call_that_is_cancelled_stays_booked_at_its_estimate():
    memory = CallMemory()

    class Never:
        name = "never"

        async def ask(self, prompt: Prompt) -> Reply:
            await anyio.sleep_forever()
            raise AssertionError

    with anyio.move_on_after(0.01):
        await Booked(Never(), Budget(), Books(memory)).ask(Prompt("", "u" * 40, max_tokens=5))
    assert memory.spent == {"calls": 1, "tokens": 15}


class Slow(CallMemory):
    """Writes only when told to; counts the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.writes = threading.Event(), 0
        self.error: Exception | None = None

    def enter(self, entries: Sequence[Entry]) -> None:
        self.go.wait(30)
        self.writes += 1
        if self.error is not None:
            raise self.error
        super().enter(entries)


@pytest.mark.asyncio
async def test_what_comes_while_the_disk_is_busy_is_written_together():
    slow = Slow()
    books = Books(slow)
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(books.enter, Entry({"calls": 1}))
        await anyio.sleep(0.05)
        slow.go.set()
    assert slow.spent["calls"] == 50
    assert slow.writes <= 2  # of those who came first, and of all others


@pytest.mark.asyncio
async def test_all_whose_entries_could_not_be_written_are_told_so():
    slow = Slow()
    slow.error = StoreError("the disk is full")
    slow.go.set()
    books, told = Books(slow), []

    async def enter() -> None:
        with pytest.raises(StoreError, match="the disk is full"):
            await books.enter(Entry({"calls": 1}))
        told.append(1)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(enter)
    assert len(told) == 5
    slow.error = None
    await books.enter(Entry({"calls": 1}))
    assert slow.spent == {"calls": 1}


def test_the_store_takes_entries_all_or_none(tmp_path: Path, url: str | None) -> None:
    with open_store(tmp_path, url=url) as store:
        assert isinstance(store, CallRecord)
        store.enter([Entry({"calls": 1, "tokens": 7}), Entry({"calls": 1, "tokens": 7})])
        store.enter([Entry({"tokens": -2}, replies={"a": b"1"}), Entry({"tokens": 0}, replies={"b": b"2"})])
        assert store.spent() == {"calls": 2.0, "tokens": 12.0}
        with pytest.raises(StoreError):
            store.enter([Entry({"calls": 1}, replies={"c": None})])  # type: ignore[dict-item]
        assert store.spent()["calls"] == 2.0
        assert store.get_many(REPLIES, ["a", "b", "c"]) == {"a": b"1", "b": b"2"}


# ---- kills ----

RESERVED, TAKEN = 7, 5
LIMIT = 400
ASKING = """
import os, random, sys
import anyio
from rrm.assistants.books import Books
from rrm.assistants.budget import Budget, Spent
from rrm.assistants.stack import stacked
from rrm.core.errors import BudgetError
from rrm.core.protocols import Prompt, Reply
from rrm.store import open_store

class Counting:
    name = "counting"
    made = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def ask(self, prompt):
        os.write(self.made, b".")
        await anyio.sleep(random.random() / 100)
        return Reply("yes", 4, 1)

async def main(store):
    before = store.spent()
    spent = Spent(int(before.get("calls", 0)), int(before.get("tokens", 0)))
    assistant = stacked(Counting(), books=Books(store), budget=Budget(int(sys.argv[3]), spent=spent))
    numbers = iter(range(10_000))

    async def work():
        for number in numbers:
            try:
                await assistant.ask(Prompt("", f"{number:08}", max_tokens=5))
            except BudgetError:
                return
            print(number, flush=True)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(work)

with open_store(sys.argv[1]) as store:
    anyio.run(main, store)
"""


def ask_and_kill(folder: Path, made: Path, answers: int | None) -> int:
    """Ask in a process that is killed after so many answers, if any; return how many it acknowledged."""
    command = [sys.executable, "-c", ASKING, str(folder), str(made), str(LIMIT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        acknowledged = 0
        for _ in range(answers or 0):
            acknowledged += bool(asking.stdout.readline())
        if answers is not None:
            asking.send_signal(signal.SIGKILL)
        acknowledged += len(asking.stdout.readlines())
    assert asking.returncode == (0 if answers is None else -signal.SIGKILL)
    return acknowledged


def booked_and_kept(store: SqlStore) -> tuple[int, int, int]:
    """The calls and tokens on record, and how many replies."""
    spent = store.spent()
    keys = [call_id("counting", Prompt("", f"{number:08}", max_tokens=5)) for number in range(LIMIT)]
    return int(spent["calls"]), int(spent["tokens"]), len(store.get_many(REPLIES, keys))


def test_after_any_kill_no_more_calls_were_made_than_are_booked_and_the_budget_holds(tmp_path: Path) -> None:
    folder, made = tmp_path / "run", tmp_path / "made"
    chance = random.Random(3)
    for _ in range(5):
        acknowledged = ask_and_kill(folder, made, chance.randint(1, 60))
        with open_store(folder) as store:
            calls, tokens, replies = booked_and_kept(store)
        assert made.stat().st_size <= calls <= LIMIT
        assert replies >= acknowledged
        assert tokens == RESERVED * calls - (RESERVED - TAKEN) * replies  # each reply's tokens came with it
    acknowledged = ask_and_kill(folder, made, None)
    with open_store(folder) as store:
        calls, tokens, replies = booked_and_kept(store)
    assert made.stat().st_size <= calls == LIMIT
    assert replies == acknowledged > LIMIT - 5 * 8 - 1  # a kill wastes the calls that were under way, at most
