"""Reading JSON answers: what passes, and that everything else is refused in one sentence."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrm.assistants.answers import asked_for_json, checked, parse_json
from rrm.core.errors import InputError, MalformedAnswerError
from rrm.core.protocols import Prompt, Reply
from rrm.core.reply_signs import AS_JSON

SCHEMA = {
    "type": "object",
    "properties": {
        "better": {"type": "string", "enum": ["A", "B", "tie"]},
        "strength": {"type": "number", "minimum": 0, "maximum": 1},
        "value": {"type": "integer", "minimum": 1, "maximum": 7},
        "names": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "uniqueItems": True},
    },
    "required": ["better"],
}


@pytest.mark.parametrize(
    "text",
    [
        '{"better": "A"}',
        '```json\n{"better": "A"}\n```',
        'Let me think {as asked}. My verdict:\n{"better": "A"}\nI hope this helps {really}.',
        '{"better": "A"}\n\nAgain: {"better": "A"}',
        '\ufeff {"better":\n\n"A"}',
    ],
)
def test_an_answer_is_found_bare_fenced_and_among_words(text):
    assert parse_json(text, SCHEMA) == {"better": "A"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("A is better", "not JSON"),
        ('["A"]', "not JSON"),
        ('{"better": "A"', "not whole JSON"),
        ('{"better": "A", "reason": "cut off he', "not whole JSON"),
        ('{"better": "C"}', "one of A, B, tie"),
        ('{"better": 1}', "of type string"),
        ('{"better": null}', "of type string"),
        ("{}", "lacks 'better'"),
        ('{"better": "A", "strength": NaN}', "not finite"),
        ('{"better": "A", "strength": Infinity}', "not finite"),
        ('{"better": "A", "strength": -Infinity}', "not finite"),
        ('{"better": "A", "strength": 1e999}', "not finite"),
        ('{"better": "A", "strength": 1.01}', "between 0 and 1"),
        ('{"better": "A", "strength": true}', "of type number"),
        ('{"better": "A", "strength": "1"}', "of type number"),
        ('{"better": "A", "value": 8}', "between 1 and 7"),
        ('{"better": "A", "value": 2.5}', "of type integer"),
        ('{"better": "A", "value": ' + "9" * 5000 + "}", "digit"),
        ('{"better": "A", "names": ["x", "x"]}', "twice"),
        ('{"better": "A", "names": ["1", "2", "3", "4"]}', "between None and 3"),
        ('{"better": "A", "names": ["1", 2]}', "of type string"),
        ('{"better": "A", "better": "B"}', "a key twice"),
        ('{"better": "A", "names": ["\\ud800"]}', "half a character"),
        ('{"better": "A", "names": ["\\u0000"]}', "NUL"),
        ('{"better": "A"} or rather {"better": "B"}', "2 different JSON objects"),
        ('{"a":' * 100_000, "nested deeper"),
        ('{"better": "A", "x": ' + "[" * 40 + "]" * 40 + "}", "nested deeper than 32"),
        ("x" * 1_000_001, "more than 1000000"),
    ],
)
def test_anything_else_is_refused_and_the_sentence_says_why(text, complaint):
    with pytest.raises(MalformedAnswerError) as refusal:
        parse_json(text, SCHEMA)
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


def test_an_object_inside_a_broken_or_cut_off_answer_is_not_taken_for_the_answer():
    for text in (
        '{"note": {"better": "B"}, "better": "A',
        '{"note": {"better": "B"}',
        '{"note": "it says {"better": "B"} there", "better": "A"}',
    ):
        with pytest.raises(MalformedAnswerError):
            parse_json(text, SCHEMA)


def test_a_megabyte_of_opening_braces_is_refused():
    with pytest.raises(MalformedAnswerError):
        parse_json("{" * 1_000_000, SCHEMA)


def test_a_whole_number_written_as_a_float_is_an_integer():
    assert parse_json('{"better": "A", "value": 3.0}', SCHEMA)["value"] == 3


def test_a_schema_with_keywords_that_are_not_checked_is_refused():
    with pytest.raises(InputError, match="pattern"):
        parse_json("{}", {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}})


def test_keys_that_were_not_asked_for_are_refused_where_the_schema_says_so():
    closed = {**SCHEMA, "additionalProperties": False}
    with pytest.raises(MalformedAnswerError, match="not asked for"):
        parse_json('{"better": "A", "score": 10}', closed)


@given(st.text(max_size=200))
def test_any_text_gives_an_answer_within_the_schema_or_the_typed_refusal(text):
    with suppress(MalformedAnswerError):
        assert parse_json(text, SCHEMA)["better"] in ("A", "B", "tie")


@given(st.sampled_from(["A", "B", "tie"]), st.floats(0, 1), st.text(max_size=50).filter(lambda t: "{" not in t))
def test_every_answer_within_the_schema_is_read_back_as_it_was_written(better, strength, words):
    answer = {"better": better, "strength": strength}
    assert parse_json(f"{words}\n{json.dumps(answer)}\n{words}", SCHEMA) == answer


def test_the_schema_is_put_into_the_system_text():
    prompt = Prompt("Judge.", "text", SCHEMA)
    system = asked_for_json(prompt)
    assert system.startswith("Judge.\n\n")
    assert json.loads(system[system.index("{") :]) == SCHEMA
    assert asked_for_json(Prompt("Judge.", "text")) == "Judge."


def test_an_answer_is_passed_on_as_json_alone_or_refused():
    prompt = Prompt("", "", SCHEMA)
    assert json.loads(checked(Reply('Sure! {"better":"A"}'), prompt).text) == {"better": "A"}
    with pytest.raises(MalformedAnswerError, match="not JSON"):
        checked(Reply("no idea"), prompt)


def test_plain_text_is_left_alone_except_for_a_megabyte():
    assert checked(Reply(' {"lc": 1}'), Prompt("", "")) == Reply(' {"lc": 1}', noticed=(AS_JSON,))
    assert checked(Reply(" {lc: 1} so"), Prompt("", "")) == Reply(" {lc: 1} so")
    with pytest.raises(MalformedAnswerError, match="1000001 characters"):
        checked(Reply("y" * 1_000_001), Prompt("", ""))
