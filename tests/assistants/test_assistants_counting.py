"""Counting in place of a model: what a prompt and its answer would take, at most and ordinarily."""

import json

import pytest

from rrm.assistants.answers import asked_for_json, least, longest, parse_json
from rrm.assistants.counting import CountingAssistant, Load
from rrm.core.protocols import Prompt

SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 30},
        "good": {"type": "boolean"},
        "marks": {"type": "array", "items": {"type": "integer", "minimum": 2}, "minItems": 1, "maxItems": 3},
    },
    "required": ["good", "marks"],
}


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.asyncio
async def test_a_plain_prompt_is_read_and_the_reply_written() -> None:
    for most, tokens in ((False, 3 + 2 + 4), (True, 4 + 2 + 8)):
        # by characters, at four a token: 14 and 5 characters read, 29 written
        assistant = CountingAssistant("writer", words, most)
        assistant.reply = "conversation about everything"[:29] + " x"
        said = await assistant.ask(Prompt("You write well", "a tale"))
        assert said.text == assistant.reply
        assert assistant.take() == Load(1, tokens)
        assert assistant.take() == Load()


@pytest.mark.asyncio
async def test_what_a_model_may_write_counts_at_most_and_what_it_writes_ordinarily() -> None:
    prompt = Prompt("Write", "it", max_tokens=500)
    most, ordinary = (CountingAssistant("writer", words, each) for each in (True, False))
    for assistant in (most, ordinary):
        assistant.reply = "one two"
        await assistant.ask(prompt)
    assert most.take().tokens == 2 + 1 + 500
    assert ordinary.take().tokens == 1 + 1 + 2


@pytest.mark.asyncio
async def test_a_structured_answer_meets_its_schema_and_counts_as_long_as_that_allows() -> None:
    prompt = Prompt("Judge", "it", SCHEMA)
    assistant = CountingAssistant("judge", words, most=False)
    answer = parse_json((await assistant.ask(prompt)).text, SCHEMA)
    assert answer == {"good": False, "marks": [2]}
    fullest = json.dumps({"reason": "r" * 30, "good": False, "marks": [10**18, 10**18, 10**18]})
    assert len(fullest) <= longest(SCHEMA) <= len(fullest) + 20
    assert longest(SCHEMA, 10, 1) < longest(SCHEMA)
    # 36 + 12 + 30 and 6 for each key, about 120 characters at four a token, beside the words that were read
    assert assistant.take().tokens == words(asked_for_json(prompt)) + 1 + -(-longest(SCHEMA, 240, 2) // 4)


def test_loads_add_up() -> None:
    assert Load(1, 10).plus(Load(2, 5), 3) == Load(7, 25)


def test_the_least_value_of_every_type() -> None:
    kinds = [{"type": kind} for kind in ("string", "number", "integer", "boolean", "null", "array", "object")]
    assert [least(schema) for schema in kinds] == ["", 0, 0, False, None, [], {}]
    assert least({"enum": ["B", "A"]}) == "B"
    distinct = {"type": "array", "items": {"enum": ["A", "B", "C"]}, "minItems": 2}
    assert least(distinct) == ["A", "B"]
