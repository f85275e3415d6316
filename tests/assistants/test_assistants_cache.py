"""The call cache: what its key covers, what it never keeps, and that equal asks share one call."""

import json
from collections.abc import Mapping, Sequence

import anyio
import pytest

from rrm.assistants.cache import TABLE, Cached, call_id
from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.errors import AssistantError, MalformedAnswerError
from rrm.core.protocols import Assistant, Prompt, Reply


class Memory:
    """A cache that lasts as long as the test."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, bytes]] = {}

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]:
        kept = self.tables.get(table, {})
        return {key: kept[key] for key in keys if key in kept}

    def put_many(self, table: str, items: Mapping[str, bytes]) -> None:
        self.tables.setdefault(table, {}).update(items)


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
    memory, script = Memory(), ScriptedAssistant(["first", "second"], name="script")
    prompt = Prompt("system", "user", {"type": "object"}, sample=2, max_tokens=9)
    assert await Cached(script, memory).ask(prompt) == Reply("first")
    assert await Cached(script, memory).ask(prompt) == Reply("first", cached=True)
    assert len(script.prompts) == 1


@pytest.mark.asyncio
async def test_tokens_and_any_text_survive_the_cache():
    memory, script = Memory(), ScriptedAssistant(lambda prompt: "\ud800 \0 é \U0001f40b")
    await Cached(script, memory).ask(Prompt("", ""))
    assert (await Cached(script, memory).ask(Prompt("", ""))).text == "\ud800 \0 é \U0001f40b"


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
    memory = Memory()
    cached = Cached(ScriptedAssistant([error, "better now"]), memory)
    with pytest.raises(type(error)):
        await cached.ask(Prompt("", ""))
    assert memory.tables == {}
    assert (await cached.ask(Prompt("", ""))).text == "better now"


@pytest.mark.asyncio
async def test_what_cannot_be_read_is_asked_again_and_replaced():
    memory = Memory()
    cached = Cached(ScriptedAssistant(["a", "b"], name="script"), memory)
    key = call_id("script", Prompt("", ""))
    for spoilt in (b"\xff", b"[]", b'{"txt": 1}'):
        memory.put_many(TABLE, {key: spoilt})
        if spoilt == b"\xff":
            assert (await cached.ask(Prompt("", ""))).text == "a"
            assert json.loads(memory.tables[TABLE][key])["text"] == "a"
        else:
            assert cached._known(key) is None


@pytest.mark.asyncio
async def test_equal_asks_at_the_same_time_share_one_call():
    gated = Gated()
    cached = Cached(gated, Memory())
    replies: list[Reply] = []

    async def ask() -> None:
        replies.append(await cached.ask(Prompt("", "same")))

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
    cached: Assistant = Cached(gated, Memory())
    async with anyio.create_task_group() as group:
        for sample in range(3):
            group.start_soon(cached.ask, Prompt("", "same", sample=sample))
        await settled()
        assert gated.calls == 3
        gated.gate.set()


@pytest.mark.asyncio
async def test_those_who_share_a_call_share_its_failure():
    gated = Gated(AssistantError("down"))
    cached = Cached(gated, Memory())
    failures: list[str] = []

    async def ask() -> None:
        with pytest.raises(AssistantError, match="down"):
            await cached.ask(Prompt("", "same"))
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
    cached = Cached(gated, Memory())
    replies: list[Reply] = []

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            replies.append(await cached.ask(Prompt("", "same")))

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
