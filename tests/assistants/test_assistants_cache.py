"""The call cache: what its key covers, what it never keeps, and that equal asks share one call."""

import json

import anyio
import pytest

from rrm.assistants.booked import Booked
from rrm.assistants.books import Books
from rrm.assistants.budget import Budget
from rrm.assistants.cache import Cached, call_id
from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.errors import AssistantError, MalformedAnswerError
from rrm.core.protocols import Assistant, Prompt, Reply
from tests.scenarios import CallMemory


def cached(assistant: Assistant, memory: CallMemory | None = None) -> Cached:
    books = Books(memory)
    return Cached(Booked(assistant, Budget(), books), books)


class Gated:
    """Answers, or fails, once its gate is opened; counts its calls."""

    name = "gated"

    def __init__(self, error: Exception | None = None) -> None:
        self.gate = anyio.Event()
        self.calls = 0
        self.error = error

    async def ask(self, prompt: Prompt) -> Reply:
        self.calls += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Reply("answer", 3, 4)


async def settled() -> None:
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


@pytest.mark.asyncio
async def test_an_equal_ask_is_answered_from_the_cache_also_by_another_process():
    memory, script = CallMemory(), ScriptedAssistant(['{"a": 1}', '{"a": 2}'], name="script")
    prompt = Prompt("system", "user", {"type": "object"}, sample=2, max_tokens=9)
    assert await cached(script, memory).ask(prompt) == Reply('{"a": 1}')
    assert await cached(script, memory).ask(prompt) == Reply('{"a": 1}', cached=True)
    assert len(script.prompts) == 1


@pytest.mark.asyncio
async def test_tokens_and_any_text_survive_the_cache():
    memory, script = CallMemory(), ScriptedAssistant(lambda prompt: "\ud800 \0 é \U0001f40b")
    await cached(script, memory).ask(Prompt("", ""))
    assert (await cached(script, memory).ask(Prompt("", ""))).text == "\ud800 \0 é \U0001f40b"


def test_the_key_covers_the_assistant_and_every_field_of_the_prompt():
    prompts = [
        Prompt("s", "u"),
        Prompt("S", "u"),
        Prompt("s", "U"),
        Prompt("s", "u", {}),
        Prompt("s", "u", {"type": "object"}),
        Prompt("s", "u", sample=1),
        Prompt("s", "u", max_tokens=1),
        Prompt("su", ""),
    ]
    keys = {call_id(name, prompt) for name in ("one", "two") for prompt in prompts}
    assert len(keys) == 2 * len(prompts)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [AssistantError("down"), MalformedAnswerError("garbage"), RuntimeError("bug")])
async def test_errors_are_never_kept(error):
    memory = CallMemory()
    asking = cached(ScriptedAssistant([error, "better now"]), memory)
    with pytest.raises(type(error)):
        await asking.ask(Prompt("", ""))
    assert memory.replies == {}
    assert (await asking.ask(Prompt("", ""))).text == "better now"


@pytest.mark.asyncio
async def test_what_cannot_be_read_is_asked_again_and_replaced():
    memory = CallMemory()
    asking = cached(ScriptedAssistant(["a", "b"], name="script"), memory)
    key = call_id("script", Prompt("", ""))
    for spoilt in (b"\xff", b"[]", b'{"txt": 1}'):
        memory.replies[key] = spoilt
        if spoilt == b"\xff":
            assert (await asking.ask(Prompt("", ""))).text == "a"
            assert json.loads(memory.replies[key])["text"] == "a"
        else:
            assert asking._known(key) is None


@pytest.mark.asyncio
async def test_equal_asks_at_the_same_time_share_one_call():
    gated = Gated()
    asking = cached(gated)
    replies: list[Reply] = []

    async def ask() -> None:
        replies.append(await asking.ask(Prompt("", "same")))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
        await settled()
        gated.gate.set()
    assert gated.calls == 1
    assert sorted(reply.cached for reply in replies) == [False, True, True, True, True]


@pytest.mark.asyncio
async def test_different_asks_do_not_wait_for_each_other():
    gated = Gated()
    asking: Assistant = cached(gated)
    async with anyio.create_task_group() as group:
        for sample in range(3):
            group.start_soon(asking.ask, Prompt("", "same", sample=sample))
        await settled()
        assert gated.calls == 3
        gated.gate.set()


@pytest.mark.asyncio
async def test_those_who_share_a_call_share_its_failure():
    gated = Gated(AssistantError("down"))
    asking = cached(gated)
    failures: list[str] = []

    async def ask() -> None:
        with pytest.raises(AssistantError, match="down"):
            await asking.ask(Prompt("", "same"))
        failures.append("down")

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
        await settled()
        gated.gate.set()
    assert (gated.calls, len(failures)) == (1, 3)


@pytest.mark.asyncio
async def test_when_the_one_who_calls_is_cancelled_another_takes_over():
    gated = Gated()
    asking = cached(gated)
    replies: list[Reply] = []

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            replies.append(await asking.ask(Prompt("", "same")))

    first, second = anyio.CancelScope(), anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(ask, first)
        await settled()
        group.start_soon(ask, second)
        await settled()
        first.cancel()
        await settled()
        gated.gate.set()
    assert gated.calls == 2
    assert [reply.text for reply in replies] == ["answer"]
