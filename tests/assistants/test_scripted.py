"""Scripted assistants, and the scripted chat model that solves and judges without a key."""

import json

import pytest

from rrm.assistants.langchain import LangChainAssistant
from rrm.assistants.scripted import ScriptedAssistant
from rrm.assistants.scripted_model import ScriptedChatModel
from rrm.core.errors import AssistantError
from rrm.core.protocols import Assistant, Prompt

MARK = "0123456789abcdef"


def block(name: str, text: str) -> str:
    return f"<<<{name} {MARK}>>>\n{text}\n<<<end {MARK}>>>"


def assistant(**arguments) -> LangChainAssistant:
    return LangChainAssistant(ScriptedChatModel(**arguments))


@pytest.mark.asyncio
async def test_a_function_answers_from_the_prompt():
    script = ScriptedAssistant(lambda prompt: prompt.user.upper())
    assert isinstance(script, Assistant)
    assert (await script.ask(Prompt("", "hey"))).text == "HEY"
    assert script.prompts == [Prompt("", "hey")]


@pytest.mark.asyncio
async def test_a_list_answers_line_by_line_raises_its_errors_and_ends():
    script = ScriptedAssistant(["one", ValueError("two")])
    assert (await script.ask(Prompt("", ""))).text == "one"
    with pytest.raises(ValueError, match="two"):
        await script.ask(Prompt("", ""))
    with pytest.raises(AssistantError, match="no more lines after 2"):
        await script.ask(Prompt("", ""))


def test_scripts_that_say_something_else_have_another_name():
    names = {ScriptedAssistant(["a"]).name, ScriptedAssistant(["b"]).name, ScriptedAssistant([], "mine").name}
    assert len(names) == 3 and "mine" in names


@pytest.mark.asyncio
async def test_the_scripted_solver_takes_first_sentences_up_to_the_limit():
    user = block("context", "Before this.") + "\n" + block("material", "Ann left home. Bob ran after her. They met.")
    reply = await assistant(vary=0.0).ask(Prompt("Answer in at most 7 words.", user))
    assert reply.text == "Ann left home. Bob ran after her."
    assert reply.output_tokens == 7


@pytest.mark.asyncio
async def test_the_scripted_solver_varies_by_sample_and_repeats_itself():
    text = " ".join(f"Sentence number {word} stands here." for word in "abcdefghij")
    prompts = [Prompt("Answer in at most 20 words.", block("material", text), sample=sample) for sample in range(6)]
    once = [(await assistant().ask(prompt)).text for prompt in prompts]
    again = [(await assistant().ask(prompt)).text for prompt in prompts]
    assert once == again and len(set(once)) > 3
    assert all(text for text in once)


@pytest.mark.asyncio
async def test_the_scripted_rater_prefers_the_option_that_shares_the_materials_longer_words():
    blocks = [
        block("task", "Summarise."),
        block("text", "The captain lost his silver compass in the harbour."),
        block("option A", "Somebody did something."),
        block("option B", "The captain lost a compass in the harbour."),
    ]
    user = "\n\n".join(blocks)
    better = {"type": "object", "properties": {"better": {"type": "string", "enum": ["A", "B", "tie"]}}}
    reply = await assistant().ask(Prompt("", user, {**better, "required": ["better"]}))
    assert json.loads(reply.text) == {"better": "B"}
    ranks = {"type": "array", "items": {"type": "string", "enum": ["A", "B"]}, "minItems": 2}
    schema = {"type": "object", "properties": {"best_first": ranks}, "required": ["best_first"]}
    assert json.loads((await assistant().ask(Prompt("", user, schema))).text) == {"best_first": ["B", "A"]}


@pytest.mark.asyncio
async def test_the_scripted_model_gives_the_least_answer_to_an_unknown_form():
    schema = {
        "type": "object",
        "properties": {
            "cuts": {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2},
            "leaf": {"type": "boolean"},
            "why": {"type": "string", "minLength": 1},
        },
        "required": ["cuts", "leaf", "why"],
    }
    reply = await assistant().ask(Prompt("", "x", schema))
    assert json.loads(reply.text) == {"cuts": [3, 3], "leaf": False, "why": "."}
