"""The budget: nothing is asked beyond it, at the same time either, and a resumed run goes on counting."""

import anyio
import pytest

from rrm.assistants.booked import Booked
from rrm.assistants.books import Books
from rrm.assistants.budget import Budget, Spent
from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.errors import BudgetError, ConfigError
from rrm.core.protocols import Assistant, Prompt, Reply
from tests.scenarios import CallMemory


def booked(assistant: Assistant, budget: Budget, record: CallMemory | None = None) -> Booked:
    return Booked(assistant, budget, Books(record))


class Counting:
    name = "counting"

    def __init__(self, reply: Reply) -> None:
        self.reply, self.calls = reply, 0
        self.gate = anyio.Event()

    async def ask(self, prompt: Prompt) -> Reply:
        self.calls += 1
        await self.gate.wait()
        return self.reply


@pytest.mark.asyncio
async def test_calls_beyond_the_limit_are_refused_before_they_are_made():
    script = ScriptedAssistant(lambda prompt: "x")
    counted = booked(script, Budget(max_calls=2))
    await counted.ask(Prompt("", ""))
    await counted.ask(Prompt("", ""))
    with pytest.raises(BudgetError, match="raise max_calls"):
        await counted.ask(Prompt("", ""))
    assert len(script.prompts) == 2


@pytest.mark.asyncio
async def test_assistants_share_one_budget():
    budget = Budget(max_calls=1)
    await booked(ScriptedAssistant(["x"]), budget).ask(Prompt("", ""))
    with pytest.raises(BudgetError):
        await booked(ScriptedAssistant(["y"]), budget).ask(Prompt("", ""))


@pytest.mark.asyncio
async def test_tokens_are_those_that_the_model_states():
    budget = Budget(max_tokens=1000)
    counting = Counting(Reply("x", 70, 30))
    counting.gate.set()
    await booked(counting, budget).ask(Prompt("", "x" * 400, max_tokens=100))
    assert budget.spent == Spent(calls=1, tokens=100)


@pytest.mark.asyncio
async def test_unstated_tokens_are_estimated_at_four_characters_each():
    budget = Budget()
    await booked(ScriptedAssistant(["y" * 80]), budget).ask(Prompt("s" * 40, "u" * 40))
    assert budget.spent == Spent(calls=1, tokens=20 + 20)


@pytest.mark.asyncio
async def test_calls_under_way_together_cannot_overdraw():
    counting = Counting(Reply("x", 50, 50))
    budget = Budget(max_tokens=250)
    counted = booked(counting, budget)
    refused: list[BudgetError] = []

    async def ask() -> None:
        try:
            await counted.ask(Prompt("", "u" * 200, max_tokens=50))  # 50 read + 50 written at most
        except BudgetError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        counting.gate.set()
    assert (counting.calls, len(refused)) == (2, 8)
    assert budget.spent == Spent(calls=2, tokens=200)
    assert all("raise max_tokens" in str(error) for error in refused)


@pytest.mark.asyncio
async def test_a_failed_call_is_counted_and_its_tokens_are_given_back():
    budget = Budget(max_tokens=100)
    counted = booked(ScriptedAssistant([RuntimeError("x"), "fine"]), budget)
    with pytest.raises(RuntimeError):
        await counted.ask(Prompt("", "u" * 360))
    assert budget.spent == Spent(calls=1, tokens=0)
    await counted.ask(Prompt("", "u" * 360))
    assert budget.spent == Spent(calls=2, tokens=91)


@pytest.mark.asyncio
async def test_a_call_that_is_broken_off_costs_its_estimate():
    budget = Budget()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await booked(Counting(Reply("")), budget).ask(Prompt("", "u" * 40, max_tokens=5))
    assert budget.spent == Spent(calls=1, tokens=15)


@pytest.mark.asyncio
async def test_a_resumed_run_goes_on_from_what_was_spent():
    budget = Budget(max_calls=3, max_tokens=100, spent=Spent(2, 90))
    with pytest.raises(BudgetError, match="max_tokens"):
        await booked(ScriptedAssistant(["x"]), budget).ask(Prompt("", "u" * 100))
    await booked(ScriptedAssistant(["x"]), budget).ask(Prompt("", "u" * 20))
    with pytest.raises(BudgetError, match="max_calls"):
        await booked(ScriptedAssistant(["x"]), budget).ask(Prompt("", ""))
    assert budget.spent == Spent(3, 96)


def test_a_negative_limit_is_refused():
    with pytest.raises(ConfigError):
        Budget(max_calls=-1)
