"""A chat model that fails in every way: each failure typed and counted, nothing cached, the next call fine."""

from collections import Counter
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from rrm.assistants.books import Books
from rrm.assistants.budget import Budget
from rrm.assistants.langchain import LangChainAssistant
from rrm.assistants.limit import Pace
from rrm.assistants.stack import stacked
from rrm.core.errors import AssistantError, BudgetError, MalformedAnswerError
from rrm.core.protocols import Prompt
from tests.scenarios import CallMemory

SCHEMA = {"type": "object", "properties": {"value": {"type": "integer", "minimum": 1, "maximum": 7}}}
VERDICT = {**SCHEMA, "required": ["value"]}
TIMES = 100


class HTTPError(Exception):
    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.response = type("Response", (), {"status_code": status, "headers": headers or {}})()


class Faulty(BaseChatModel):
    """Says, or raises, the next line; the last one for ever."""

    lines: list[Any] = Field(default_factory=list)
    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "faulty"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        line = self.lines[min(self.calls, len(self.lines) - 1)]
        self.calls += 1
        if isinstance(line, Exception):
            raise line
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=line))])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages)


class Scene:
    """A faulty model behind the usual stack, with time that passes only by sleeping."""

    def __init__(self, *lines: Any, budget: Budget | None = None) -> None:
        self.model = Faulty(lines=list(lines))
        self.memory, self.faults = CallMemory(), Counter[str]()
        self.budget = budget or Budget()
        self.now = 0.0
        pace = Pace(clock=lambda: self.now)
        self.assistant = stacked(
            LangChainAssistant(self.model),
            books=Books(self.memory),
            budget=self.budget,
            pace=pace,
            attempts=2,
            faults=self.faults,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


MALFORMED = {
    "garbage": "~~ %% lorem \ud800 ipsum",
    "a megabyte": "x" * 1_000_001,
    "a megabyte of braces": "{" * 1_000_001,
    "truncated JSON": '{"value": 5, "reason": "because th',
    "wrong schema": '{"score": 5}',
    "wrong type": '{"value": "5"}',
    "out of range": '{"value": 11}',
    "NaN": '{"value": NaN}',
    "infinity": '{"value": 1e999}',
    "a serialised secret": '{"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}',
    "a refusal": "I am sorry, but I cannot rate this text.",
    "another language": "这篇摘要很好，我给五分。",
}
RAISED = {
    "a bug": (RuntimeError("oops"), "other", 1),
    "a timeout": (TimeoutError(), "timeout", 2),
    "a reset": (ConnectionResetError("reset"), "connection", 2),
    "a rate limit": (HTTPError(429, {"retry-after": "20"}), "rate limit", 2),
    "a server's fault": (HTTPError(500), "server", 2),
    "a wrong key": (HTTPError(401), "denied", 1),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_answer_is_typed_counted_paid_for_and_never_cached(answer):
    scene = Scene(answer)
    for sample in range(TIMES if len(answer) < 1000 else 3):
        with pytest.raises(MalformedAnswerError) as refusal:
            await scene.assistant.ask(Prompt("", "judge", VERDICT, sample))
        assert "\n" not in str(refusal.value)
    assert scene.faults == {"malformed": sample + 1}
    assert scene.budget.spent.calls == scene.model.calls == sample + 1
    assert scene.memory.replies == {}


@pytest.mark.asyncio
@pytest.mark.parametrize(("error", "kind", "attempts"), RAISED.values(), ids=RAISED.keys())
async def test_a_raised_failure_is_typed_counted_and_never_cached(error, kind, attempts):
    scene = Scene(error)
    for sample in range(TIMES):
        with pytest.raises(AssistantError) as failure:
            await scene.assistant.ask(Prompt("", "judge", VERDICT, sample))
        assert kind in str(failure.value) and "\n" not in str(failure.value)
        assert failure.value.__cause__ is error
    assert scene.faults == {kind: attempts * TIMES}
    assert scene.budget.spent.calls == scene.model.calls == attempts * TIMES
    assert scene.memory.replies == {}


@pytest.mark.asyncio
async def test_after_any_failure_the_same_ask_works_and_is_then_cached():
    for line in (*MALFORMED.values(), *(error for error, _, attempts in RAISED.values() if attempts == 1)):
        scene = Scene(line, '{"value": 5}')
        with pytest.raises(AssistantError):
            await scene.assistant.ask(Prompt("", "judge", VERDICT))
        fresh = await scene.assistant.ask(Prompt("", "judge", VERDICT))
        again = await scene.assistant.ask(Prompt("", "judge", VERDICT))
        assert (fresh.text, fresh.cached) == ('{"value": 5}', False)
        assert (again.text, again.cached) == ('{"value": 5}', True)
        assert scene.model.calls == 2


@pytest.mark.asyncio
async def test_a_passing_failure_is_waited_out_as_long_as_the_server_asks():
    scene = Scene(HTTPError(429, {"retry-after": "20"}), '{"value": 5}')
    assert (await scene.assistant.ask(Prompt("", "judge", VERDICT))).text == '{"value": 5}'
    assert scene.now == pytest.approx(20.0, abs=0.1)


@pytest.mark.asyncio
async def test_retries_count_against_the_budget_and_cached_calls_do_not():
    scene = Scene(HTTPError(500), "fine", budget=Budget(max_calls=2))
    assert (await scene.assistant.ask(Prompt("", "a"))).text == "fine"
    for _ in range(10):
        assert (await scene.assistant.ask(Prompt("", "a"))).cached
    with pytest.raises(BudgetError):
        await scene.assistant.ask(Prompt("", "b"))
    assert scene.budget.spent.calls == scene.model.calls == 2


@pytest.mark.asyncio
async def test_where_plain_text_is_asked_for_serialised_objects_are_answers():
    for line in ('{"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}', "{{7*7}} <script>"):
        scene = Scene(line)
        assert (await scene.assistant.ask(Prompt("", "say"))).text == line
        assert (await scene.assistant.ask(Prompt("", "say"))).text == line
        assert scene.model.calls == 1
