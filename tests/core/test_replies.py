"""What replies come to: an answer, one that was cut off, or none, by whatever words a provider says it in."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrm.core.errors import AssistantError, NoAnswerError
from rrm.core.protocols import Reply
from rrm.core.replies import (
    LACKS,
    MARKS_AS_WORDS,
    MORE_TURNS,
    STOPS,
    THOUGHTS,
    WRAPPED,
    read,
)
from rrm.core.reply_signs import AS_JSON, LIKE_REFUSAL, LOOPS, MORE_IN_WORDS, PREFACED, QUOTED, THINKS_ALOUD

LIMITS = {
    "OpenAI, DeepSeek, vLLM, Ollama, transformers serve": "length",
    "OpenAI responses": "max_output_tokens",
    "Anthropic": "max_tokens",
    "Anthropic, a full context": "model_context_window_exceeded",
    "Google": "MAX_TOKENS",
    "Google, an enum": "FinishReason.MAX_TOKENS",
    "Mistral": "model_length",
    "Cohere": "ERROR_LIMIT",
    "llama.cpp": "limit",
    "streamed pieces": "lengthlength",
    "Aleph Alpha": "maximum_tokens",
    "Yandex": "ALTERNATIVE_STATUS_TRUNCATED_FINAL",
    "LM Studio": "maxPredictedTokensReached",
    "llama.cpp, its type of stop": "stopped_limit",
}
ENDS = [
    "",
    "stop",
    "STOP",
    "end_turn",
    "stop_sequence",
    "COMPLETE",
    "eos_token",
    "FINISH_REASON_STOP",
    "completed",
    "null",
    "eosFound",
    "ALTERNATIVE_STATUS_FINAL",
]
NONE = {
    "refused": ["refusal"],
    "filtered": [
        "content_filter",
        "SAFETY",
        "RECITATION",
        "PROHIBITED_CONTENT",
        "guardrail_intervened",
        "ERROR_TOXIC",
        "blacklist",
        "unsafe",
        "ResponsibleAIPolicyViolation",
    ],
    "tool call": ["tool_calls", "tool_use", "TOOL_CALL", "UNEXPECTED_TOOL_CALL"],
    "broken": ["error", "abort", "OTHER", "MALFORMED_FUNCTION_CALL", "insufficient_system_resource", "load", "oom"],
}


def lack_of(reply: Reply, structured: bool = False) -> str:
    with pytest.raises(NoAnswerError) as none:
        read(reply, structured)
    assert "\n" not in str(none.value)
    return none.value.lack


@pytest.mark.parametrize("stop", LIMITS.values(), ids=LIMITS.keys())
def test_a_text_that_was_cut_off_is_truncated_and_no_text_is_no_answer(stop):
    assert read(Reply("The mill bu", stop=stop)) == Reply("The mill bu", stop=stop, truncated=True)
    assert lack_of(Reply("", stop=stop)) == "cut off"
    assert lack_of(Reply("<think>I could write", stop=stop)) == "cut off"


@pytest.mark.parametrize("stop", ENDS)
def test_a_text_that_ended_by_itself_is_the_answer(stop):
    assert read(Reply("The mill burns.", stop=stop)) == Reply("The mill burns.", stop=stop)
    assert lack_of(Reply(" \n", stop=stop)) == "empty"
    assert lack_of(Reply("<think>hm</think>\n", stop=stop)) == "empty"


@pytest.mark.parametrize(("lack", "stop"), [(lack, stop) for lack, stops in NONE.items() for stop in stops])
def test_these_replies_hold_no_answer_even_with_a_text(lack, stop):
    assert lack_of(Reply("The mill", stop=stop)) == lack_of(Reply("", stop=stop)) == lack


def test_a_refusal_is_none_and_its_words_are_told():
    with pytest.raises(AssistantError, match="I can't help"):
        read(Reply("", stop="stop", refusal="I can't help with that."))


def test_a_reason_that_is_not_known_is_noticed():
    assert read(Reply("The mill burns.", stop="lunchtime")).noticed == ("stop reason 'lunchtime'",)


def test_thoughts_are_noticed_and_everything_else_is_kept():
    reply = Reply("hm</think>The mill burns.", 3, 4, cost=0.5, stop="stop", noticed=("block image",))
    assert read(reply) == replace(reply, text="The mill burns.", noticed=("block image", "thoughts"))


def test_marks_that_are_words_of_the_answer_are_noticed():
    reply = Reply("The tag </think> ends what <think> begins.", stop="stop")
    assert (read(reply).text, read(reply).noticed) == (reply.text, (MARKS_AS_WORDS,))
    assert read(Reply("The tag `</think>` too.", stop="stop")).noticed == ()


@pytest.mark.parametrize(
    "wrapped",
    [
        *("<output>{}</output>", "<answer>\n{}\n</answer>", "```\n{}\n```", "```text\n{}\n```", "assistant\n\n{}"),
        "<response><summary>{}</summary></response>",
        *("~~~\n{}\n~~~", "```summary\n{}\n```", "<assistant>{}</assistant>", "<summary lang='en'>{}</summary>"),
        *("Here it is:\n\n```\n{}\n```", "Sure! Here's the summary:\n~~~text\n{}\n~~~"),
        *("Here you go:\n<summary>\n{}\n</summary>", "<summary>\n{}", "{}</answer>"),
    ],
)
def test_an_answer_that_stands_whole_in_marks_is_read_without_them(wrapped: str) -> None:
    found = read(Reply(wrapped.format("The mill burned."), stop="stop"))
    assert (found.text, found.noticed) == ("The mill burned.", (WRAPPED,))
    assert read(found).text == found.text


def test_thoughts_within_a_fence_are_left_out() -> None:
    found = read(Reply("```\n<think>So?</think>\nThe mill burned.\n```", stop="stop"))
    assert (found.text, found.noticed) == ("The mill burned.", (THOUGHTS, WRAPPED))


@pytest.mark.parametrize(
    "text",
    [
        "<output>The mill</output> burned in <output>May</output>",
        "```python\nprint(1)\n```",
        "```\nThe mill\n```\nburned.\n```\nIt did.\n```",
        "assistant pilots left.",
        "The answer: nobody came.",
        "Sure enough, the miller came: he had a donkey.",
        "Let me go, said the miller.",
        '"Go!" said the miller. "Now!"',
        "{so} he said",
        "Use <output> for it.",
        "Error 500 men were lost at sea, and the captain knew it.",
        "Error 404 pages of it tell of a clerk.",
        "Error: rate limits were the theme of the meeting.",
        "Error: the model of the ship was overloaded with lead.",
        "Internal server error was all that she read.",
        "Upstream request timeout and no healthy upstream are what the chapter explains.",
        "Bad Gateway\n\nThe chapter begins at a gate.",
        '{"message": "Late", "type": "error"} was what the machine wrote, and the clerk left.',
        '{"error": 1} was what the machine wrote.',
        "<html> begins a page, she learned.",
        "The poem goes:\n```\nThe mill burned.\n```",
        "The user said so: nobody came.",
        "I'm sorry that the mill burned; I cannot sleep.",
        "Nothing, null and void.",
        "It rained. " + " ".join(["The mill burned and nobody came."] * 3),
        "The miller said: ha ha ha ha ha ha.",
        "They left.\n\n" + "| --- " * 40 + "|",
        "\n".join(f"{n}. The mill burned and nobody came." for n in range(1, 9)),
    ],
)
def test_what_is_part_of_an_answer_stays_without_a_word(text: str) -> None:
    assert (read(Reply(text, stop="stop")).text, read(Reply(text, stop="stop")).noticed) == (text, ())


@pytest.mark.parametrize(
    ("text", "noticed"),
    [
        ("The mill burned.\n\nUser: And then?\nAssistant: It fell.", MORE_IN_WORDS),
        ("The mill burned.\n\n### Instruction:\nNext", MORE_IN_WORDS),
        ("Sure! Here is a summary of the passage:\n\nThe mill burned.", PREFACED),
        ("**Summary:** The mill burned.", PREFACED),
        ("Hier ist die Zusammenfassung:\n\nDie Mühle brannte.", PREFACED),
        ("Assistant: The mill burned.", PREFACED),
        ("Okay, so I need to summarize this. The mill burned.", THINKS_ALOUD),
        ("The user wants a summary. The mill burned.", THINKS_ALOUD),
        ('{"summary": "The mill burned."}', AS_JSON),
        ('["The mill burned."]', AS_JSON),
        ('```json\n{"summary": "The mill burned."}\n```', AS_JSON),
        ("Here it is:\n\nThe mill burned.", PREFACED),
        ("Here is the poem:\n```\nThe mill burned.\n```\nIt is short.", PREFACED),
        ("Reasoning: a mill burns.\n\nSo the mill burned.", THINKS_ALOUD),
        ("Reasoning: Darwin argues by analogy.\nSummary: the book ends there.", THINKS_ALOUD),
        ("# Reasoning\nHe argues by analogy.\n\n## Summary\nThe book ends there.", THINKS_ALOUD),
        ("**Thoughts**\nOf mills.\n\n**Response**\nOf fires.", THINKS_ALOUD),
        ('"The mill burned."', QUOTED),
        ("«The mill burned.»", QUOTED),
        ("I'm sorry, but I can't assist with that.", LIKE_REFUSAL),
        ("As an AI language model, I cannot summarize this text.", LIKE_REFUSAL),
        ("Unfortunately, I’m unable to help with this request.", LIKE_REFUSAL),
        ("It rained. " + " ".join(["The mill burned and nobody came."] * 4), LOOPS),
        ("It rained. " + "The mill burned and nobody came.\n" * 9 + "The mill bu", LOOPS),
        ("The miller " + "and the miller " * 12 + "and", LOOPS),
        ("水车" + "水车烧毁了。" * 20, LOOPS),
    ],
)
def test_what_may_be_no_part_of_an_answer_is_read_and_noticed(text: str, noticed: str) -> None:
    assert (read(Reply(text, stop="stop")).text, read(Reply(text, stop="stop")).noticed) == (text, (noticed,))


@pytest.mark.parametrize(
    ("text", "lack"),
    [
        ('{"error": {"message": "Rate limit reached"}}', "broken"),
        ("<html><head><title>502 Bad Gateway</title></head></html>", "broken"),
        ('{"detail": "Not authenticated"}', "broken"),
        ('{"object": "error", "message": "Too long", "code": 400}', "broken"),
        ('{"message": "Rate limit exceeded", "type": "error"}', "broken"),
        ('data: {"choices": [{"delta": {"content": "The"}}]}\n\ndata: [DONE]', "broken"),
        ("502 Bad Gateway", "broken"),
        ("Internal Server Error", "broken"),
        ("upstream connect error or disconnect/reset before headers", "broken"),
        ("Error: 429 Too Many Requests", "broken"),
        ("Error code: 503 - the model is overloaded", "broken"),
        ("Error: model m is currently overloaded", "broken"),
        ("Error 500", "broken"),
        ("<html>Bad Gateway</html>", "broken"),
        ("Error: 404 Not Found.", "broken"),
        ("Error: Rate limit reached for m. Please try again in 6 s.", "broken"),
        ("Error: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0)", "broken"),
        ("Error code: 429 - {'error': {'message': '" + "Rate limit reached. " * 40 + "'}}", "broken"),
        ("upstream request timeout\n", "broken"),
        *((text, "empty") for text in ("null", '""', "{}", "```\n[]\n```", "<answer>null</answer>")),
    ],
)
def test_errors_and_nothings_in_the_place_of_a_text_are_no_answer(text: str, lack: str) -> None:
    assert lack_of(Reply(text, stop="stop")) == lack


def test_a_mark_around_an_answer_alone_is_an_empty_reply():
    assert lack_of(Reply("<output>", stop="stop")) == "empty"
    assert lack_of(Reply("<output>", stop="length")) == "cut off"


def test_json_that_was_cut_off_is_an_answer_only_if_it_is_whole():
    assert read(Reply('{"a": 1}\n\n\n', stop="length"), structured=True).text.strip() == '{"a": 1}'
    assert lack_of(Reply('{"a": 1, "b', stop="length"), structured=True) == "cut off"
    assert lack_of(Reply('{"a": 1}, no, wait: {"a"', stop="length"), structured=True) == "cut off"


PIECES = [
    "<think>",
    "</think>",
    "{",
    "}",
    '{"a": 1}',
    "A text.",
    "\n",
    "<|channel|>final<|message|>",
    "<|im_end|>",
    '"',
]
REPLIES = st.builds(
    Reply,
    st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join),
    stop=st.sampled_from([*ENDS, *LIMITS.values(), "lunchtime"]) | st.text(max_size=6),
    refusal=st.sampled_from(["", "", "", "No."]),
)


@given(REPLIES, st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_reply_is_read_or_refused_in_a_sentence_and_reading_twice_is_reading_once(reply, structured):
    try:
        answer = read(reply, structured)
    except NoAnswerError as none:
        assert none.lack in LACKS and "\n" not in str(none)
    else:
        assert answer.text.strip()
        assert read(answer, structured) == answer


def test_no_word_means_two_things():
    assert all(word == word.lower() and word.isalnum() for word in STOPS)
    assert set(STOPS.values()) == {"ended", "cut off", "refused", "filtered", "tool call", "broken"}


@pytest.mark.parametrize("mark", ["<|im_end|>", "<end_of_turn>", "<|endoftext|>"])
def test_words_behind_the_end_of_a_turn_are_left_out_and_noticed(mark: str) -> None:
    found = read(Reply(f"A turn ends with {mark} and the next one begins."))
    assert (found.text, found.noticed) == ("A turn ends with", (MORE_TURNS,))
    assert read(found) == found
    assert read(Reply(f"The mill burned.{mark}\n")).noticed == ()
    assert read(Reply(f"The mark `{mark}` ends a turn.")).noticed == ()
    for end in ("<seed:eos>", "[DONE]", "\n\ndata: [DONE]\n\n"):
        assert read(Reply(f"The mill burned.{end}")).text == "The mill burned."
    harmony = (
        "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>It burned.<|return|>"
    )
    assert (read(Reply(harmony)).text, read(Reply(harmony)).noticed) == ("It burned.", (THOUGHTS,))


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>',
        "<think>I need the weather.</think>\n<function=weather>{}</function>",
        '[TOOL_CALLS][{"name": "weather"}]',
        '<|python_tag|>{"name": "weather"}',
        'Let me look.\n<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>',
        "I look.\n<function=weather>{}</function>\n",
        '{"name": "weather", "parameters": {"town": "Oslo"}}',
        '{"type": "function", "name": "weather", "arguments": "{}"}',
    ],
)
def test_a_call_of_a_tool_in_the_text_is_no_answer(text: str) -> None:
    assert lack_of(Reply(text)) == "tool call"


def test_a_text_that_speaks_of_such_a_call_is_an_answer() -> None:
    for text in (
        "The mark <tool_call> begins a call of a tool.",
        "So:\n```\n<tool_call>\n{}\n</tool_call>\n```",
        '{"name": "Anna", "age": 3}',
    ):
        assert read(Reply(text)).text == text
