"""What LangChain's messages say: standard blocks and those of providers, refusals, and why they stopped."""

from enum import Enum
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.messages import content as standard

from rrm.assistants.messages import said


class Finish(Enum):
    MAX_TOKENS = 2


BLOCKS: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": "One.", "annotations": []},
    "reasoning": {"type": "reasoning", "reasoning": "hm"},
    "refusal": {"type": "refusal", "refusal": "No."},
    "non_standard": {"type": "non_standard", "value": {"type": "thinking", "thinking": "hm"}},
    "image": {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
    "audio": {"type": "audio", "url": "https://example.org/a"},
    "video": {"type": "video", "url": "https://example.org/a"},
    "file": {"type": "file", "file_id": "1"},
    "text-plain": {"type": "text-plain", "text": "a document's own words", "mime_type": "text/plain"},
    "tool_call": {"type": "tool_call", "name": "look", "args": {}, "id": "1"},
    "tool_call_chunk": {"type": "tool_call_chunk", "name": "look", "args": "{", "id": "1", "index": 0},
    "invalid_tool_call": {"type": "invalid_tool_call", "name": "look", "args": "{", "id": "1", "error": "x"},
    "server_tool_call": {"type": "server_tool_call", "name": "look", "args": {}, "id": "1"},
    "server_tool_call_chunk": {"type": "server_tool_call_chunk", "name": "look", "args": "{", "id": "1"},
    "server_tool_result": {"type": "server_tool_result", "tool_call_id": "1", "status": "success"},
}


def blocks(*content: Any) -> AIMessage:
    return AIMessage.model_construct(
        content=list(content), additional_kwargs={}, response_metadata={}, tool_calls=[], invalid_tool_calls=[]
    )


def test_every_standard_block_of_langchain_core_is_known_here():
    assert set(standard.KNOWN_BLOCK_TYPES) == set(BLOCKS)
    assert get_args(standard.ContentBlock)


@pytest.mark.parametrize("kind", sorted(set(BLOCKS) - {"refusal"}))
def test_only_texts_are_the_answer_and_what_a_model_made_beside_them_is_noticed(kind):
    found = said(blocks(BLOCKS["text"], BLOCKS[kind], {"type": "text", "text": " Two."}))
    assert found.text == ("One.One. Two." if kind == "text" else "One. Two.")
    shown = {"image", "audio", "video", "file", "text-plain"}
    assert found.noticed == ((f"block {kind}",) if kind in shown else ())


@pytest.mark.parametrize(
    "message",
    [
        blocks(BLOCKS["refusal"]),
        blocks({"type": "non_standard", "value": {"type": "refusal", "refusal": "No."}}),
        AIMessage("", additional_kwargs={"refusal": "No."}),
        AIMessage("", response_metadata={"refusal": "No."}),
    ],
)
def test_a_refusal_is_found_in_a_block_and_in_either_place_of_a_field(message):
    assert said(message).refusal == "No."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "One."}], "One."),  # Anthropic
        ([{"type": "redacted_thinking", "data": "AAAA"}, {"type": "text", "text": "One."}], "One."),
        ([{"type": "reasoning_content", "reasoning_content": {"text": "hm"}}, {"text": "One."}], "One."),  # Bedrock
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, "One."], "One."),  # Mistral
        ([{"type": "text", "text": "hm", "thought": True}, {"type": "text", "text": "One."}], "One."),  # Google
        (
            [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"type": "output_text", "text": "One."},
            ],
            "One.",
        ),
        ([{"type": "text", "text": None}, {"type": "text"}, None, 3, {"type": ["x"]}], ""),
        ("One.", "One."),
    ],
)
def test_providers_own_blocks_of_thoughts_are_left_out(content, text):
    assert said(blocks(*content) if isinstance(content, list) else AIMessage(content)).text == text


@pytest.mark.parametrize(
    ("metadata", "stop"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"stop_reason": "max_tokens", "stop_sequence": None}, "max_tokens"),
        ({"stopReason": "guardrail_intervened"}, "guardrail_intervened"),
        ({"done_reason": "length", "done": True}, "length"),
        ({"finish_reason": {"type": "length", "length": 8}}, "length"),
        ({"finish_reason": Finish.MAX_TOKENS}, "MAX_TOKENS"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
        ({"status": "completed", "incomplete_details": None}, "completed"),
        ({"prompt_feedback": {"block_reason": "SAFETY"}, "finish_reason": "STOP"}, "content_filter"),
        ({"prompt_feedback": {"block_reason": "BLOCK_REASON_UNSPECIFIED"}, "finish_reason": "STOP"}, "STOP"),
        ({"stopped_limit": True}, "length"),
        ({"choices": [{"finish_reason": "length"}]}, "length"),
        ({"candidates": [{"finishReason": "MAX_TOKENS"}]}, "MAX_TOKENS"),
        ({"details": {"finish_reason": "length"}}, "length"),
        ({"finish_reason": ["length"]}, "length"),
        ({"finish_reason": 2}, "2"),
        ({"choices": []}, ""),
        ({"stop_type": "limit"}, "limit"),
        ({"finish_reason": None}, ""),
        ({"finish_reason": True}, ""),
        ({"prompt_feedback": {"block_reason": 0}, "finish_reason": "STOP"}, "STOP"),
        ({"prompt_feedback": {"block_reason": 1}}, "content_filter"),
        ({}, ""),
    ],
)
def test_why_it_stopped_is_found_where_providers_say_it(metadata, stop):
    assert said(AIMessage("One.", response_metadata=metadata)).stop == stop


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["text", "refusal", "value"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "refusal", "value", "thought", "content"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(JSON, max_size=4), st.dictionaries(st.sampled_from(["finish_reason", "status", "prompt_feedback"]), JSON)
)
@settings(max_examples=200, deadline=None)
def test_no_message_is_so_odd_that_it_cannot_be_read(content, metadata):
    message = blocks(*content)
    message.response_metadata = metadata
    found = said(message)
    assert all(isinstance(each, str) for each in (found.text, found.refusal, found.stop))


@pytest.mark.parametrize(
    "calls",
    [
        {"tool_calls": [{"name": "look", "args": {}, "id": "1"}]},
        {"invalid_tool_calls": [{"name": "look", "args": "{", "id": "1", "error": "not JSON"}]},
    ],
)
def test_words_beside_a_call_of_a_tool_are_no_answer_whatever_the_stop_reason(calls):
    message = AIMessage("Let me look.", response_metadata={"done_reason": "stop"}, **calls)
    assert said(message).stop == "tool_calls"
