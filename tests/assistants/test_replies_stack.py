"""Replies on their way through the stack: read once, told apart by retries and pace, kept and recorded as they came."""

from collections import Counter
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage

from rrm.assistants.books import Books
from rrm.assistants.cache import call_id, to_bytes
from rrm.assistants.langchain import LangChainAssistant
from rrm.assistants.limit import Pace
from rrm.assistants.stack import stacked
from rrm.core.errors import AssistantError, MalformedAnswerError, NoAnswerError
from rrm.core.protocols import Prompt, Reply
from tests.scenarios import CallMemory

SCHEMA = {"type": "object", "properties": {"better": {"enum": ["A", "B"]}}, "required": ["better"]}
TEXT, JSON = Prompt("", "Summarise."), Prompt("", "Judge.", SCHEMA)
THOUGHTS = '<think>{"better": "B"}? No.</think>\n'


class Scene:
    """A model that says its messages in turn, behind the usual stack; time passes only by sleeping."""

    def __init__(self, *messages: AIMessage, memory: CallMemory | None = None, attempts: int = 3) -> None:
        self.memory, self.faults, self.slept = memory or CallMemory(), Counter[str](), 0.0
        model = LangChainAssistant(FakeMessagesListChatModel(responses=list(messages)), "model")
        books, sleep = Books(self.memory), self.sleep
        self.assistant = stacked(model, books=books, attempts=attempts, faults=self.faults, sleep=sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds

    @property
    def calls(self) -> list[tuple[str, str]]:
        return [(call.ending, call.noticed) for call in self.memory.calls]


def message(text: str, stop: str = "stop", **more: Any) -> AIMessage:
    return AIMessage(text, response_metadata={"finish_reason": stop}, **more)


@pytest.mark.asyncio
async def test_thoughts_are_left_out_of_text_and_json_and_the_transcript_keeps_them():
    scene = Scene(message(THOUGHTS + "The mill burns."), message(THOUGHTS + '{"better": "A"}'))
    assert (await scene.assistant.ask(TEXT)).text == "The mill burns."
    assert (await scene.assistant.ask(JSON)).text == '{"better": "A"}'
    assert [call.reply for call in scene.memory.calls] == [THOUGHTS + "The mill burns.", THOUGHTS + '{"better": "A"}']
    assert scene.calls == [("answer", "thoughts")] * 2


@pytest.mark.asyncio
@pytest.mark.parametrize("prompt", [TEXT, JSON])
@pytest.mark.parametrize(
    ("reply", "lack"),
    [
        (message("", "length"), "cut off"),
        (message("<think>I could", "length"), "cut off"),
        (message("", additional_kwargs={"refusal": "I can't help with that."}), "refused"),
        (message("I may not", "content_filter"), "filtered"),
        (message("", "tool_calls"), "tool call"),
    ],
)
async def test_a_reply_that_would_come_again_without_an_answer_is_asked_for_once(prompt, reply, lack):
    scene = Scene(reply)
    for _ in range(2):
        with pytest.raises(NoAnswerError) as none:
            await scene.assistant.ask(prompt)
        assert none.value.lack == lack and none.value.exit_code == 5
        assert str(none.value).startswith("model: the model ")
    assert scene.faults == {lack: 2} and scene.slept == 0
    assert scene.memory.replies == {} and scene.calls == [(lack, "")] * 2


@pytest.mark.asyncio
@pytest.mark.parametrize(("reply", "lack"), [(message(""), "empty"), (message("Half", "error"), "broken")])
async def test_a_reply_that_may_be_better_the_next_time_is_asked_for_again(reply, lack):
    scene = Scene(reply, message("The mill burns."))
    assert (await scene.assistant.ask(TEXT)).text == "The mill burns."
    assert scene.calls == [(lack, ""), ("answer", "")]
    never = Scene(reply)
    with pytest.raises(NoAnswerError, match=r"attempts: 3") as none:
        await never.assistant.ask(TEXT)
    assert none.value.lack == lack and never.faults == {lack: 3}


@pytest.mark.asyncio
async def test_tokens_of_a_reply_without_an_answer_were_used():
    usage: Any = {"input_tokens": 900, "output_tokens": 400, "total_tokens": 1300}
    scene = Scene(message("", "length", usage_metadata=usage))
    with pytest.raises(NoAnswerError):
        await scene.assistant.ask(TEXT)
    assert (scene.memory.spent["calls"], scene.memory.spent["tokens"]) == (1, 1300)


@pytest.mark.asyncio
async def test_a_text_that_was_cut_off_is_an_answer_and_json_that_was_is_none():
    scene = Scene(message("The mill bu", "length"), message('{"better": "A"', "length"))
    assert (await scene.assistant.ask(TEXT)).truncated
    with pytest.raises(NoAnswerError):
        await scene.assistant.ask(JSON)
    assert [ending for ending, _ in scene.calls] == ["truncated", "cut off"]


@pytest.mark.asyncio
async def test_what_is_kept_is_read_anew_whenever_it_is_found():
    memory = CallMemory()
    memory.replies[call_id("model", TEXT)] = to_bytes(Reply("hm</think>The mill bu", stop="length"))
    scene = Scene(message("never asked"), memory=memory)
    found = await scene.assistant.ask(TEXT)
    assert (found.text, found.truncated, found.cached) == ("The mill bu", True, True)
    assert scene.calls == [("truncated", "thoughts")]


@pytest.mark.asyncio
@pytest.mark.parametrize("kept", [Reply(""), Reply("<think>hm"), Reply("", stop="stop", refusal="No.")])
async def test_what_is_kept_and_holds_no_answer_is_asked_for_again(kept):
    memory = CallMemory()
    memory.replies[call_id("model", TEXT)] = to_bytes(kept)
    assert (await Scene(message("The mill burns."), memory=memory).assistant.ask(TEXT)).text == "The mill burns."


@pytest.mark.asyncio
async def test_the_pace_takes_a_refusal_for_an_answer_of_the_provider_and_a_fault_of_its_own_for_none():
    """At a limit of 1, one clean call doubles the limit."""
    for reply, limit in ((message("", "refusal"), 2), (message("", "error"), 1)):
        pace = Pace(start=1, clock=lambda: 0.0)
        model = LangChainAssistant(FakeMessagesListChatModel(responses=[reply]), "model")
        with pytest.raises(AssistantError):
            await stacked(model, pace=pace, attempts=1).ask(TEXT)
        assert pace.limit == limit


@pytest.mark.asyncio
async def test_endings_tell_faults_and_malformed_answers_apart():
    scene = Scene(message("no JSON"), message('{"better": "A"}', "lunchtime"))
    with pytest.raises(MalformedAnswerError):
        await scene.assistant.ask(JSON)
    await scene.assistant.ask(JSON)
    assert scene.calls == [("malformed", ""), ("answer", "stop reason 'lunchtime'")]
