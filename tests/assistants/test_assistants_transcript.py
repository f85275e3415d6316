"""Every call stands on record: who asked, the prompt, the reply, why it failed, and what it took."""

import json

import anyio
import pytest

from rrm.assistants.books import Books
from rrm.assistants.scripted import ScriptedAssistant
from rrm.assistants.stack import stacked
from rrm.core.calls import Call
from rrm.core.errors import MalformedAnswerError
from rrm.core.ids import content_id
from rrm.core.protocols import Assistant, Prompt, Reply
from rrm.core.values import Label, Passage, Request, Shown, View
from rrm.raters.assistant import AssistantRater
from tests.scenarios import CallMemory

VERDICT = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "good": {"type": "boolean"}},
    "required": ["good"],
}


async def no_sleep(_: float) -> None:
    """Wait no time."""


def on_record(assistant: Assistant, asker: str = "rater") -> tuple[Assistant, CallMemory]:
    memory = CallMemory()
    books = Books(memory, clock=lambda: 1.7e9)  # a clock that stands still
    return stacked(assistant, asker=asker, books=books, sleep=no_sleep), memory


class Telling:
    name = "telling"

    async def ask(self, prompt: Prompt) -> Reply:
        return Reply('Well: {"reason": "It is short.", "good": true}', 12, 7, cost=0.5)


@pytest.mark.asyncio
async def test_a_call_is_recorded_as_it_was_put_and_as_it_was_answered():
    assistant, memory = on_record(Telling())
    await assistant.ask(Prompt("Judge.", "A text.", VERDICT, sample=3, about="request-1"))
    (call,) = memory.calls
    assert (call.asker, call.about, call.assistant, call.sample, call.attempt) == (
        *("rater", "request-1", "telling"),
        *(3, 1),
    )
    assert call.system.startswith("Judge.\n\nAnswer with one JSON object")
    assert json.loads(call.system[call.system.index("{") :]) == VERDICT
    assert call.user == "A text."
    assert call.reply == 'Well: {"reason": "It is short.", "good": true}'
    assert (call.reason, call.error, call.cached) == ("It is short.", None, False)
    assert (call.input_tokens, call.output_tokens, call.cost) == (12, 7, 0.5)
    assert memory.spent["cost"] == 0.5
    assert call.at >= 1.7e9
    assert 0 <= call.seconds < 10


@pytest.mark.asyncio
async def test_a_reply_from_the_cache_is_a_call_that_took_nothing():
    assistant, memory = on_record(Telling())
    for about in ("request-1", "request-2"):
        await assistant.ask(Prompt("Judge.", "A text.", VERDICT, about=about))
    assert [(call.about, call.cached) for call in memory.calls] == [("request-1", False), ("request-2", True)]
    second = memory.calls[1]
    assert (second.reason, second.seconds) == ("It is short.", 0.0)
    assert (second.input_tokens, second.output_tokens, second.cost) == (None, None, None)
    assert memory.spent["calls"] == 1


@pytest.mark.asyncio
async def test_every_attempt_is_a_call_with_its_error_and_no_secret():
    script = ScriptedAssistant([TimeoutError("sk-seeded-fake-key-123456"), ConnectionError(), "fine"], name="script")
    assistant, memory = on_record(script, "policy")
    await assistant.ask(Prompt("", "u"))
    assert [(call.attempt, call.error, call.reply) for call in memory.calls] == [
        (1, "TimeoutError: ***", None),
        (2, "ConnectionError", None),
        (3, None, "fine"),
    ]


@pytest.mark.asyncio
async def test_a_malformed_reply_is_kept_beside_what_is_wrong_with_it():
    assistant, memory = on_record(ScriptedAssistant(["half a \ud800 character and \0"]))
    with pytest.raises(MalformedAnswerError):
        await assistant.ask(Prompt("", "u", VERDICT))
    (call,) = memory.calls
    assert call.reply == "half a \ufffd character and \ufffd"
    assert call.error is not None
    assert call.error.startswith("MalformedAnswerError: the answer is not JSON")


@pytest.mark.asyncio
async def test_a_call_that_is_cancelled_is_on_record():
    class Never:
        name = "never"

        async def ask(self, prompt: Prompt) -> Reply:
            await anyio.sleep_forever()
            raise AssertionError

    assistant, memory = on_record(Never())
    with anyio.move_on_after(0.01):
        await assistant.ask(Prompt("", "u"))
    (call,) = memory.calls
    assert call.error is not None
    assert call.error.startswith("CancelledError")


@pytest.mark.asyncio
async def test_equal_calls_at_one_moment_have_ids_of_their_own():
    assistant, memory = on_record(Telling())
    for _ in range(4):
        await assistant.ask(Prompt("", "u"))
    assert len({call.id for call in memory.calls}) == 4


@pytest.mark.asyncio
async def test_a_rater_names_the_request_that_it_asks_for():
    view = View("Summarise.", (Passage("Ann met Bob."),), 128)
    request = Request("node-1", "source-1", 0, "label", view, (Shown("output-1", "They met."),))
    assistant, memory = on_record(ScriptedAssistant(lambda prompt: '{"reason": "So it is.", "good": true}'))
    assert (await AssistantRater(assistant).rate_async(request, 0)).answer == Label(True)
    assert [(call.about, call.reason) for call in memory.calls] == [(request.id, "So it is.")]


def test_who_asks_and_how_often_makes_no_other_prompt() -> None:
    assert Prompt("s", "u", about="node-1", attempt=2) == Prompt("s", "u")
    assert hash(Prompt("s", "u", about="node-1")) == hash(Prompt("s", "u"))


def test_a_calls_id_covers_who_asked_what_and_when() -> None:
    call = Call("rater", "request-1", "m", "s", "u", 1, 2, 3.0, 9.0, "reply")
    assert call.id == content_id("call", "rater", "request-1", "m", "s", "u", 1, 2, 3.0, False)
